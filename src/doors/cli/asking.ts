import type { Ask, Decision, Desk, May, Who } from '#client'
import type { Run } from './run.ts'
import { relative } from './when.ts'

const WISHES: { readonly [M in May]: string } = {
  lend: 'get a token of',
  forward: 'send requests with',
  reveal: 'see the secret of',
  connect: 'connect',
}

/** What a person may say. What leaves it open stands first, where the cursor is: nothing is allowed by accident. */
const ANSWERS: Readonly<Record<string, Decision | undefined>> = {
  'not now': undefined,
  no: 'no',
  once: 'once',
  'for ten minutes': 'ten-minutes',
  always: 'always',
}

export const DECIDED: { readonly [D in Decision]: string } = {
  once: 'allowed once',
  'ten-minutes': 'allowed for ten minutes',
  always: 'allowed from now on',
  no: 'refused',
}

/** `reports (node /home/a/reports.js, started by bash)` */
export function whoInWords({ caller, who }: Pick<Ask, 'caller' | 'who'>): string {
  const program = who.executable === null ? 'an unknown program' : programIn(who.executable)
  const [parent] = who.chain
  const started = parent === undefined ? '' : `, started by ${programIn(parent)}`
  return `${caller.replace(/^app:/, '')} (${program}${started})`
}

export function wishInWords({ may, address }: Pick<Ask, 'may' | 'address'>): string {
  return `${may.map((verb) => WISHES[verb]).join(' and ')} ${address}`
}

export function askInWords(ask: Ask): string {
  return `${whoInWords(ask)} wants to ${wishInWords(ask)}: "${ask.reason}"`
}

/** What else is known of whoever asks, and what stands against allowing it. */
export function detailsOf({ who, address, until }: Ask, accounts: readonly string[], now: Date): string[] {
  return [
    `  ${originOf(who)}`,
    ...(accounts.includes(address) ? [] : [`  there is no account at ${address}`]),
    ...(until === null ? [] : [`  it lapses ${relative(until, now)}`]),
  ]
}

/** The accounts that there are, by their addresses. */
export async function addressesIn(desk: Desk): Promise<readonly string[]> {
  const accounts = await desk.accounts()
  return accounts.flatMap(({ id, providerId, bucket }) => [
    id,
    bucket === 'default' ? providerId : `${providerId}/${bucket}`,
  ])
}

/** Puts one ask to the person at the terminal. Undefined where they leave it open. */
export async function putTo(run: Run, owner: Desk, ask: Ask): Promise<Ask | undefined> {
  const { terminal } = run
  await terminal.note(askInWords(ask), ...detailsOf(ask, await addressesIn(owner), run.now()))
  const choices = Object.keys(ANSWERS)
  const said = await terminal.prompts.choice({ message: 'allow this?', choices })
  const decision = ANSWERS[said]
  return decision && owner.decide(ask.id, decision)
}

function originOf({ executable, chain, uid, door }: Who): string {
  const started = chain.length === 0 ? [] : [`started by ${chain.map(programIn).join(', by ')}`]
  return [
    executable ?? 'program unknown',
    ...started,
    uid === null ? 'user unknown' : `user ${uid}`,
    `came by the ${door.replace(/ as$/, '')}`,
  ].join('; ')
}

/** The name of a program, and the script that it runs. */
function programIn(executable: string): string {
  const at = executable.indexOf(' /')
  const [path, script] = at === -1 ? [executable, ''] : [executable.slice(0, at), executable.slice(at)]
  return `${path.slice(path.lastIndexOf('/') + 1)}${script}`
}
