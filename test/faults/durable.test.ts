import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { RemoteDesk } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { deskOver } from '../../src/reach.ts'
import { wherePaths } from '../../src/where.ts'
import { report, size } from '../figures.ts'
import { leave } from '../leave.ts'
import { until } from '../real.ts'
import { openStage } from './broker.ts'
import { connectAt, practiceHome } from './homes.ts'
import { practiceProcess } from './practice.ts'
import { callsIn, type TracedCall, tracedTo, whyNoTrace } from './trace.ts'

const STRICT = 0
const ACCOUNTS = ['practice', 'practice/two', 'practice/three']
const CALLERS = 5
const timeout = size(240_000, 3_600_000)
const noTrace = whyNoTrace()

// A page of the log is written as its frame's head and itself. The head says how long the vault is after a
// commit, and zero where more pages belong to the same commit: page number (4) | length (4) | … .
const FRAME_HEAD = 24
const PAGE = 4096
const [LENGTH_FROM, LENGTH_TO] = [4, 8]
/** The name of the field, which lies beside the sealed token. */
const KEPT = 'kept:refreshToken'

const leaving: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const leave of leaving.splice(0).toReversed()) await leave()
})

/** Renews it and lends it so many times, once by the owner's wish and once because nobody has its token any more. */
async function renewAndLend({ desk, keeper }: RemoteDesk, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const address = ACCOUNTS[Math.floor(n / 2) % ACCOUNTS.length] ?? ''
    if (n % 2 === 0) await desk.refresh(address)
    else {
      await keeper.lock()
      await keeper.unlock()
    }
    await Promise.all(Array.from({ length: CALLERS }, () => desk.lend({ address })))
  }
}

/** A token that came, and after how many pages of the log its refresh token was written there. */
interface Answer {
  readonly access: string
  writtenAt: number | undefined
}

/** Which tokens came, which were handed out, and which of them while their refresh token could still be lost. */
async function readTrace(file: string) {
  const came = new Set<string>()
  const [handed, early] = [new Set<string>(), new Set<string>()]
  const read = new Map<string, string>()
  const log = logReader(() => answer)
  let answer: Answer | undefined

  function arrived({ path, bytes }: TracedCall): void {
    const text = `${read.get(path) ?? ''}${bytes}`
    const [, access = ''] = /"access_token":"([^"]+)".*"refresh_token":"[^"]+"/s.exec(text) ?? []
    read.set(path, access === '' ? text.slice(-PAGE) : '')
    if (access === '') return
    came.add(access)
    answer = { access, writtenAt: undefined }
  }

  /** Whoever waits for a renewal and is told anything at all is told that it is done. */
  function toldTo({ bytes }: TracedCall): void {
    if (answer === undefined) return
    if (bytes.includes(answer.access)) handed.add(answer.access)
    if (!log.isDurable(answer)) early.add(answer.access)
  }

  for await (const call of callsIn(file)) {
    if (call.path.startsWith('TCP') && call.at === 'done' && /^(read|recv)/.test(call.name)) arrived(call)
    if (call.path.startsWith('UNIX') && call.at === 'begin' && /^(write|send)/.test(call.name)) toldTo(call)
    if (call.path.endsWith('.db-wal')) log.called(call)
  }
  return { came: came.size, handed: handed.size, early: early.size }
}

/** Follows what is written to the log, and how much of that the disk has said to have. */
function logReader(awaited: () => Answer | undefined) {
  const syncing = new Map<string, number>()
  let [written, synced, holdsToken, isLast] = [0, 0, false, false]

  function wrote(bytes: string): void {
    if (bytes.length === FRAME_HEAD) isLast = bytes.slice(LENGTH_FROM, LENGTH_TO) !== '\0\0\0\0'
    if (bytes.length !== PAGE) return
    written += 1
    holdsToken ||= bytes.includes(KEPT)
    if (!isLast) return
    const answer = awaited()
    if (answer !== undefined && holdsToken) answer.writtenAt ??= written
    holdsToken = false
  }

  return {
    called({ at, name, thread, bytes, failed }: TracedCall): void {
      if (name.startsWith('pwrite') && at === 'done') wrote(bytes)
      if (!/^f(data)?sync$/.test(name)) return
      if (at === 'begin') syncing.set(thread, written)
      else if (!failed) synced = Math.max(synced, syncing.get(thread) ?? 0)
    },
    isDurable: ({ writtenAt }: Answer) => writtenAt !== undefined && writtenAt <= synced,
  }
}

describe('an access token', { timeout }, () => {
  it('is handed out after its refresh token is on disk, by a word of the disk itself', async ({ skip }) => {
    skip(noTrace !== undefined, noTrace)
    const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
    const trace = join(folder, 'trace')
    leaving.push(() => leave(folder))
    const practice = await practiceProcess({ grace: STRICT })
    leaving.push(practice.close)
    const home = await practiceHome(practice)
    leaving.push(home.close)
    const broker = home.start(['serve', '--no-page'], { through: tracedTo(trace) })
    await until(home.holder)
    const remote = deskOver(socketFetch(wherePaths(home).socket))
    for (const address of ACCOUNTS)
      await connectAt(remote.desk, practice, { bucket: address.split('/')[1] ?? 'default', seconds: 3600 })
    const many = size(20, 500)
    await renewAndLend(remote, many)
    process.kill((await home.holder()) ?? 0, 'SIGTERM')
    await until(() => broker.exitCode !== null)
    const { came, handed, early } = await readTrace(trace)
    report('access tokens handed out before their refresh tokens were durable', early, handed, 'strace')
    expect({ came, handed, early }).toEqual({ came: many + ACCOUNTS.length, handed: many, early: 0 })
  })

  it('that arrives as its broker dies leaves an account that still lends', async () => {
    const stage = await openStage(STRICT)
    leaving.push(stage.close)
    const kills = size(10, 200)
    const addresses = [...(await stage.connectMany(3))]
    await stage.kill()
    await stage.start()
    let [handed, lost] = [0, 0]
    for (let n = 0; n < kills; n += 1) {
      const address = addresses[n % addresses.length] ?? ''
      // Nobody has its token since the start, so it is renewed for this.
      const before = stage.tokenCalls()
      const body = JSON.stringify({ address })
      const answer = await stage.home.ask('/api/lend', { method: 'POST', body })
      await stage.kill()
      if (answer.ok && stage.tokenCalls() === before + 1) handed += 1
      await stage.start()
      if (!(await stage.isLent(address))) lost += 1
    }
    const all = await stage.desk.accounts()
    report('grants lost, SIGKILL at a strict provider as the lent token arrives', lost, kills, 'SIGKILL')
    expect({ handed, lost }).toEqual({ handed: kills, lost: 0 })
    expect(all.map(({ status }) => status)).toEqual(addresses.map(() => 'connected'))
  })
})
