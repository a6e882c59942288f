import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { canWatch, MEANT, watchProcesses } from '../scripts/canary-watch.mjs'
import { canaryScan } from '../scripts/check-tests.mjs'
import { canary } from '../src/testing/canary.ts'
import { LEFT_FILE, leave } from './leave.ts'
import { ended, until } from './real.ts'

const NOTHING_MEANT = { argv: {}, environment: {} }
const STAYS = 'setInterval(() => {}, 1000)'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  // Not as other tests leave theirs: what lies in it was planted.
  await rm(folder, { recursive: true })
})

describe.skipIf(!canWatch)(
  'the watch over processes (skipped: only Linux shows what they were started with)',
  () => {
    it.each([
      ['argv', 'word 3', [canary('plantedargv')], {}],
      ['argv', 'word 3', [Buffer.from(canary('plantedargv')).toString('base64url')], {}],
      ['environment', 'LEAK', [], { LEAK: canary('plantedenvironment') }],
      ['environment', 'LEAK', [], { LEAK: `u:${encodeURIComponent(canary('plantedenvironment'))}` }],
    ])(
      'finds a secret in the %s of a child, and says where and not what',
      async (channel, place, words, env) => {
        const watch = watchProcesses(process.pid, folder, NOTHING_MEANT)
        const child = spawn(process.execPath, ['-e', STAYS, ...words], { env })
        const found = { channel, place, command: 'node' }
        await until(() => watch.look().finds.some((find) => find.channel === channel))
        child.kill('SIGKILL')
        await ended(child)
        const { seen, finds } = watch.stop()
        expect(seen).toBeGreaterThanOrEqual(1)
        expect(finds).toEqual([expect.objectContaining(found)])
        expect(inspect(finds)).not.toMatch(/[0-9a-f]{12}/)
      },
    )

    it('finds it in who has left his parents', async () => {
      const watch = watchProcesses(process.pid, folder, NOTHING_MEANT)
      const words = ['-c', '"$0" -e "$1" "$2" & echo $!', process.execPath, STAYS, canary('plantedargv')]
      const env = { TMPDIR: folder }
      const shell = spawn('sh', words, { env, stdio: ['ignore', 'pipe', 'ignore'], detached: true })
      const pid = Number(String(await once(shell.stdout, 'data')))
      await until(() => ended(shell).then(() => true))
      await until(() => watch.look().finds.some(({ command }) => command === 'node'))
      process.kill(pid, 'SIGKILL')
      watch.stop()
    })

    it('passes by what is named as meant, and tells why it is', async () => {
      const watch = watchProcesses(process.pid, folder)
      const env = { LEAK: canary('plantedenvironment') }
      const child = spawn(process.execPath, ['-e', STAYS, canary('plantedargv')], { env })
      await until(() => watch.look().seen >= 1 && isNode(child.pid))
      const { finds } = watch.look()
      child.kill('SIGKILL')
      await ended(child)
      watch.stop()
      expect(finds).toEqual([])
      for (const reason of Object.values({ ...MEANT.argv, ...MEANT.environment }))
        expect(reason).toMatch(/\w+ \w+/)
    })
  },
)

describe('a folder that a test leaves', () => {
  it('is looked into before it is gone, where the run asks for it', async () => {
    const home = join(folder, 'home')
    await mkdir(join(home, 'config'), { recursive: true })
    await writeFile(join(home, 'vault.db'), Buffer.from(`\0\u0001${canary('planted')}\0`))
    await writeFile(
      join(home, 'config', 'config.json'),
      JSON.stringify({ basic: btoa(`u:${canary('planted')}`) }),
    )
    vi.stubEnv('VALETKEY_CANARY_KEEP', folder)
    await leave(home)
    expect(existsSync(home)).toBe(false)
    const text = await readFile(join(folder, LEFT_FILE), 'utf8')
    expect(JSON.parse(text).scanned).toBe(2)
    expect(
      JSON.parse(text)
        .finds.map(({ path }: { path: string }) => path)
        .toSorted(),
    ).toEqual(['config/config.json', 'vault.db'])
    expect(text).not.toMatch(/[0-9a-f]{12}/)
  })
})

describe('the scan at the end of a run', () => {
  /** What a run leaves to be judged, with one leak in it or with none. */
  async function run(leak: 'log' | 'figures' | 'file' | 'removed' | 'argv' | 'environment' | undefined) {
    const said = (channel: typeof leak) =>
      leak === channel ? `password ${canary('planted')}\n` : 'nothing\n'
    await mkdir(join(folder, 't'))
    await writeFile(join(folder, 'tests.log'), said('log'))
    await writeFile(join(folder, 'figures.log'), said('figures'))
    await writeFile(join(folder, 't', 'left-behind.txt'), said('file'))
    const find = { path: 'vault.db', line: 1, spelling: 'raw' }
    const removed = { scanned: 1, finds: leak === 'removed' ? [find] : [] }
    await writeFile(join(folder, LEFT_FILE), `${JSON.stringify(removed)}\n`)
    const started = { channel: leak, place: 'word 3', command: 'node', spelling: 'raw' }
    const finds = leak === 'argv' || leak === 'environment' ? [started] : []
    await writeFile(join(folder, 'processes.json'), JSON.stringify({ seen: 7, unread: 0, finds }))
    return await canaryScan(folder)
  }

  it('passes where nothing got away', async () => {
    expect(await run(undefined)).toMatchObject({ passed: 1, failed: 0 })
  })

  it.each(['log', 'figures', 'file', 'removed'] as const)('fails for a secret in: %s', async (leak) => {
    const { failed, output } = await run(leak)
    expect([failed, output?.split('\n').length]).toEqual([1, 1])
  })

  it.skipIf(!canWatch).each(['argv', 'environment'] as const)(
    'fails for a secret in: %s (skipped: only Linux shows it)',
    async (leak) => expect((await run(leak)).output).toBe(`a secret got away: ${leak} of node, word 3: raw`),
  )
})

/** Whether it is no copy of its parent any more. */
function isNode(pid: number | undefined): boolean {
  return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(STAYS)
}
