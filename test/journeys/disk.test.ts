import { type ChildProcess, execFileSync } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import { chmod, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../src/index.ts'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { configure, ended, kill, type Ran, type RealHome, realHome, until } from '../real.ts'

const key = `sk-proj-${canary('openai')}`
const isRoot = process.getuid?.() === 0

let provider: ListeningStandIn
beforeAll(async () => {
  provider = await standIn({ 'GET /v1/models': { body: { data: [] } } }).listen()
})
afterAll(() => provider.close())

/** A home that can be filled up, and emptied again. */
interface Disk {
  readonly home: RealHome
  /** The broker, once it answers. */
  start(): Promise<ChildProcess>
  fill(): Promise<void>
  free(): Promise<void>
}

let remove: () => Promise<void> = async () => {}
afterEach(() => remove())

async function mounted(): Promise<Disk> {
  const home = await realHome()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', home.home], { stdio: 'pipe' })
  await configure(home.home, { origins: { openai: provider.origin } })
  const filler = join(home.home, 'filler')
  remove = async () => {
    const pid = await home.holder()
    if (pid !== undefined) await kill(pid)
    execFileSync('umount', ['--lazy', home.home])
    await home.close()
  }
  return {
    home,
    start: () => answering(home, home.start(['serve', '--no-page'])),
    /** But for a little, so that it runs full while requests come. */
    async fill() {
      const spare = join(home.home, 'spare')
      writeAll(spare, 256 * 1024)
      writeAll(filler, Number.POSITIVE_INFINITY)
      await rm(spare)
    },
    free: () => rm(filler),
  }
}

async function answering(home: RealHome, broker: ChildProcess): Promise<ChildProcess> {
  await until(home.holder)
  return broker
}

function writeAll(path: string, most: number): void {
  const file = openSync(path, 'a')
  try {
    for (let written = 0; written < most; ) written += writeSync(file, Buffer.alloc(4096))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  } finally {
    closeSync(file)
  }
}

/** Where nothing can be mounted, the size of every file is limited instead: 800 blocks of 512 bytes. */
async function limited(): Promise<Disk> {
  const home = await realHome({ origins: { openai: provider.origin } })
  remove = home.close
  const through = ['sh', '-c', 'trap "" XFSZ; ulimit -f 800; exec "$@"', 'sh']
  const restart = async (limits: readonly string[]) => {
    const before = await home.holder()
    if (before !== undefined) await kill(before)
    return answering(home, home.start(['serve', '--no-page'], { through: limits }))
  }
  return {
    home,
    start: () => restart(through),
    fill: async () => {},
    free: async () => void (await restart([])),
  }
}

function whyNoMount(): string | undefined {
  if (!isRoot) return 'not run: only root can mount a small disk'
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'pipe' })
    return undefined
  } catch {
    return 'not run: nothing can be mounted here'
  }
}
const noMount = whyNoMount()

function expectRefusal({ code, stdout, stderr }: Ran, word: string): void {
  expect(stderr).toMatch(new RegExp(`^! ${word}: [^\n]+\n  hint: [^\n]+\n$`))
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
}

describe.each([
  ['a disk that is full', mounted, noMount],
  ['a file that may not grow', limited, undefined],
])('%s', (_, make, reason) => {
  it('answers nothing that is not on record, spoils nothing, and is no trouble once there is room', async ({
    skip,
  }) => {
    skip(reason !== undefined, reason)
    const { home, start, fill, free } = await make()
    await start()
    expect(await home.run(['connect', 'openai', '--key-stdin'], key)).toMatchObject({ code: 0 })
    await fill()

    const statuses: number[] = []
    const asked = Array.from({ length: 10 }, async () => {
      while (statuses.length < 2000 && statuses.filter((status) => status !== 200).length < 30) {
        const answer = await home.ask('/forward/openai/default/v1/models')
        statuses.push(answer.status)
        const told = (await answer.json()) as { code?: string }
        if (answer.status !== 200) expect(told).toMatchObject({ status: 503, code: 'not-recorded' })
      }
    })
    await Promise.all(asked)
    const answered = statuses.filter((status) => status === 200).length
    expect(answered).toBeGreaterThan(0)
    expect(new Set(statuses)).toEqual(new Set([200, 503]))

    expectRefusal(await home.run(['connect', 'openai/new', '--key-stdin'], key), 'not-recorded')
    const binding = JSON.stringify({ caller: 'app:new', address: 'openai', may: ['forward'] })
    const bound = await home.ask('/api/bindings', { method: 'POST', body: binding })
    const revoked = await home.ask('/api/accounts/openai', { method: 'DELETE' })
    expect([bound.status, revoked.status]).toEqual([503, 503])
    expect(await (await home.ask('/api/accounts')).json()).toMatchObject([{ status: 'connected' }])

    await kill(await until(home.holder))
    await start()
    await free()
    const entries = (await (await home.ask('/api/audit?limit=10000')).json()) as AuditEntry[]
    const done = entries.filter(({ verb, outcome }) => verb === 'forward' && outcome === 'done')
    expect(done.length).toBeGreaterThanOrEqual(answered)
    expect(await (await home.ask('/api/bindings')).json()).toEqual([])
    expect(await home.run(['forward', 'openai', 'GET', '/v1/models'])).toMatchObject({ code: 0 })
    const verified = await home.ask('/api/audit/verify', { method: 'POST' })
    expect(await verified.json()).toMatchObject({ ok: true })
  })
})

describe('a folder that may not be written', () => {
  it('is told as such, and left as it is', async ({ skip }) => {
    skip(isRoot && noMount !== undefined, noMount)
    const { home, start } = await (isRoot ? mounted() : limited())
    const broker = await start()
    broker.kill('SIGTERM')
    expect(await ended(broker)).toBe(0)
    const vault = join(home.home, 'data', 'vault.db')
    const before = await stat(vault)
    // To root nothing is closed that is not closed to everybody.
    if (isRoot) execFileSync('mount', ['-o', 'remount,ro', home.home])
    else await chmod(join(home.home, 'data'), 0o500)
    expectRefusal(await home.run(['accounts']), 'read-only')
    expectRefusal(await home.run(['serve', '--no-page']), 'read-only')
    if (isRoot) execFileSync('mount', ['-o', 'remount,rw', home.home])
    else await chmod(join(home.home, 'data'), 0o700)
    expect(await stat(vault)).toMatchObject({ size: before.size, mtimeMs: before.mtimeMs })
    await start()
    expect((await home.ask('/api/accounts')).status).toBe(200)
  })
})
