import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Desk, ValetkeyError } from '#client'
import type { Practice } from '../practice/practice.ts'
import { type Visitor, visitorOf } from '../practice/visitor.ts'
import { openPrograms, type Programs } from './programs.ts'
import { clock, type Story, type TokenFile } from './report.ts'
import { signInToFile } from './token-file.ts'

/** The shortest life that the provider gives an access token. */
const LIFE_SECONDS = 5
const DEAD_MS = LIFE_SECONDS * 1000 + 200
/** Whoever is still let in after so long is not logged out. */
const THEIR_TIME_MS = 3 * DEAD_MS

export interface DemoParts {
  readonly desk: Desk
  readonly practice: Practice
  /** A folder that nobody else reads, for the one file of the others. */
  readonly folder: string
  readonly programs: number
  tell(line: string): Promise<void>
}

/**
 * The whole story on real parts: processes that share an account through Valetkey, and as many that share
 * a token file. Then the account is revoked.
 */
export async function playDemo(parts: DemoParts) {
  const { desk, practice, folder, programs, tell } = parts
  await tell(`a provider to practise on stands at ${practice.origin.origin}`)
  const visitor = visitorOf(practice)
  const file = {
    path: join(folder, 'tokens.json'),
    origin: practice.origin.origin,
    clientId: practice.client.clientId,
  }
  const [ours, theirs] = await Promise.all([openOurs(parts), openTheirs(file, programs)])
  try {
    await connect(desk, visitor)
    const inFile = await signInToFile(file, (link) => visitor.consent(link, { seconds: LIFE_SECONDS }))
    const born = clock()
    await tell(
      `alice signed in twice, for valetkey and for a token file; her access dies after ${LIFE_SECONDS} s`,
    )
    await tell(`${programs} programs that share the file begin at once, and go on when that access dies`)
    const tokenFile = await playTheirs(parts, theirs, inFile)
    await pause(Math.max(0, born + DEAD_MS - clock()))
    await tell(`${programs} programs that go through valetkey begin at once, its access being dead as well`)
    const refreshes = await begin(parts, ours)
    const { token } = await desk.lend({ address: 'practice' })
    await tell('the account is revoked while all of them are at work')
    const { stories, asked, revoked } = await revoke(desk, ours)
    const loggedOut = stories.filter(({ overAt }) => overAt < asked).length
    const valetkey = { ...sideOf(stories, programs, token), refreshes, loggedOut }
    return { valetkey, tokenFile, revoked }
  } finally {
    await Promise.all([ours.close(), theirs.close()])
  }
}

async function connect(desk: Desk, visitor: Visitor): Promise<void> {
  const { id, step } = await desk.connect({ provider: 'practice' })
  if (step?.ask !== 'visit')
    throw new ValetkeyError('internal-error', 'the practice provider asks for no visit')
  const back = await visitor.consent(new URL(step.url), { seconds: LIFE_SECONDS })
  await desk.answer(id, { callback: back.href })
}

/** Each has a socket of its own, at which it may forward and nothing else. */
async function openOurs({ desk, programs }: DemoParts): Promise<Programs> {
  const grants = [{ address: 'practice', may: ['forward'] as const }]
  const sockets = Array.from({ length: programs }, async (_, at) => {
    const { key } = await desk.narrow({ kind: 'socket', name: `program ${at + 1}`, grants, endsWithMe: true })
    return ['socket', key.socket ?? '']
  })
  return openPrograms(await Promise.all(sockets))
}

function openTheirs({ path, origin, clientId }: TokenFile, programs: number): Promise<Programs> {
  return openPrograms(Array.from({ length: programs }, () => ['file', path, origin, clientId]))
}

async function playTheirs({ practice, programs }: DemoParts, theirs: Programs, token: string) {
  const before = await refreshesAt(practice)
  theirs.begin()
  const stories = await theirs.over(THEIR_TIME_MS)
  const refreshes = (await refreshesAt(practice)) - before
  return { ...sideOf(stories, programs, token), refreshes, loggedOut: stories.length }
}

/** How often the provider was asked to renew by the time that each was answered. */
async function begin({ practice }: DemoParts, ours: Programs): Promise<number> {
  const before = await refreshesAt(practice)
  ours.begin()
  await ours.answered()
  return (await refreshesAt(practice)) - before
}

async function revoke(desk: Desk, ours: Programs) {
  const asked = clock()
  const receipt = await desk.revoke('practice')
  const stories = await ours.over()
  const after = (times: readonly number[]) => Math.max(0, Math.round(Math.max(...times) - asked))
  const lastByteAfter = after(stories.map(({ lastByteAt }) => lastByteAt))
  const lastHeardAfter = after(stories.map(({ overAt }) => overAt))
  return { stories, asked, revoked: { stopped: stories.length, lastByteAfter, lastHeardAfter, receipt } }
}

/** What they have to tell, and how many of them had this token in their hands. */
function sideOf(stories: readonly Story[], programs: number, token: string) {
  return {
    programs,
    answered: stories.filter(({ requests }) => requests > 0).length,
    requests: stories.reduce((sum, { requests }) => sum + requests, 0),
    holdingTokens: stories.filter(({ heard }) => heard.includes(token)).length,
  }
}

async function refreshesAt({ origin }: Practice): Promise<number> {
  const answer = await fetch(new URL('/practice/counts', origin))
  return ((await answer.json()) as { readonly refreshes: number }).refreshes
}
