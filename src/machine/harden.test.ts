import { execFile } from 'node:child_process'
import { describe, expect, it } from 'vitest'

const HARDEN = JSON.stringify(new URL('./harden.ts', import.meta.url).href)
const TELL = `try { console.log(JSON.stringify(harden())) } catch (error) { console.log(error.code) }`

interface Started {
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A process of its own, and never a privileged one: root reads everything. */
async function run(script: string, { flags = [], env = {} }: Started = {}): Promise<string> {
  const as = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  const args = [...flags, '--input-type=module', '-e', script]
  const { promise, resolve } = Promise.withResolvers<string>()
  const options = { ...as, cwd: '/', env: { ...process.env, NODE_OPTIONS: '', ...env } }
  execFile(process.execPath, args, options, (error, stdout, stderr) => {
    resolve(stdout.trim() || `${error?.message}${stderr}`)
  })
  return promise
}

/** Starts a child, hardened or not, and tries to open its memory: a parent may, where anybody may. */
const READER = (hardened: boolean) => `
  import { spawn } from 'node:child_process'
  import { once } from 'node:events'
  import { openSync } from 'node:fs'
  const script = ${JSON.stringify(
    `${hardened ? `const { harden } = await import(${HARDEN}); harden();` : ''} console.log('ready'); setInterval(() => {}, 1000)`,
  )}
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  try { openSync('/proc/' + child.pid + '/mem', 'r'); console.log('opened') } catch (error) { console.log(error.code) }
  child.kill('SIGKILL')
`

describe('a hardened process', () => {
  it('[security 19.8] cannot be read by another process of the same user', async (context) => {
    if (process.platform !== 'linux') context.skip('only Linux shows memory under /proc')
    expect(await run(READER(false))).toBe('opened')
    expect(await run(READER(true))).toBe('EACCES')
  })

  it('[security 19.8] writes no core, and says what was done', async (context) => {
    if (process.platform !== 'linux') context.skip('only Linux shows limits under /proc')
    const script = `import { readFileSync } from 'node:fs'; const { harden } = await import(${HARDEN})
      const { done, lacking } = harden()
      const [core] = /^Max core file size.*$/m.exec(readFileSync('/proc/self/limits', 'utf8'))
      console.log(JSON.stringify([done.length, lacking, core.split(/ {2,}/).slice(1, 3)]))`
    expect(JSON.parse(await run(script))).toEqual([3, [], ['0', '0']])
  })

  it('[security 19.8] opens no debugger when it is sent the signal for it', async () => {
    const signalled = (first: string, most: number) => `import inspector from 'node:inspector'
      const { harden } = await import(${HARDEN}); ${first}
      process.kill(process.pid, 'SIGUSR1')
      for (const end = Date.now() + ${most}; !inspector.url() && Date.now() < end;) await new Promise((go) => setTimeout(go, 20))
      console.log(inspector.url() ? 'open' : 'closed')
      process.exit()`
    expect(await run(signalled('', 20_000), { flags: ['--inspect-port=0'] })).toBe('open')
    expect(await run(signalled('harden(); harden();', 1000))).toBe('closed')
  })

  it.each([
    ['--inspect=127.0.0.1:0'],
    ['--inspect-brk=0'],
    ['--inspect_port=0'],
    ['--heapsnapshot-signal=SIGUSR2'],
    ['--heapsnapshot_signal=SIGUSR2'],
    ['--heapsnapshot-near-heap-limit=1'],
    ['--heap-prof'],
    ['--report-on-signal'],
    ['--report-uncaught-exception'],
    ['--tls-keylog=/dev/null'],
    ['--tls_keylog=/dev/null'],
    ['--trace-tls'],
  ])('[security 19.8] is refused when node was started with %s', async (flag) => {
    const script = `const { harden } = await import(${HARDEN}); ${TELL}; process.exit()`
    if (!flag.startsWith('--inspect-brk')) expect(await run(script, { flags: [flag] })).toBe('config-invalid')
    const real = flag.startsWith('--inspect') ? '--inspect-port=0' : flag
    expect(await run(script, { env: { NODE_OPTIONS: `--no-warnings ${real}` } })).toBe('config-invalid')
  })

  it('[security 19.8] is refused while a debugger is open, and not otherwise', async () => {
    const script = (first: string) =>
      `import inspector from 'node:inspector'; const { harden } = await import(${HARDEN}); ${first}; ${TELL}; process.exit()`
    expect(await run(script('inspector.open(0)'))).toBe('config-invalid')
    expect(JSON.parse(await run(script('')))).toHaveProperty('done')
    expect(
      JSON.parse(await run(script(''), { flags: ['--no-warnings', '--disable-sigusr1'] })),
    ).toHaveProperty('done')
  })
})
