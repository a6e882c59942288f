import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, readFile, readlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canary } from '../../src/testing/canary.ts'
import { leave } from '../leave.ts'
import { BIN, ended, firstLine, kill, realHome, until } from '../real.ts'
import { type LendingHome, lendingHome, VALETKEY } from './lending-home.ts'

const MODELS = 'forward openai GET /v1/models'

/** A program that uses the library. */
const LIBRARY = `
  import { openValetkey } from '${new URL('../../src/index.ts', import.meta.url).href}'
  const valetkey = await openValetkey()
  const { status } = await valetkey.fetch('openai')('https://api.openai.com/v1/models')
  const refused = await valetkey.lend({ address: 'practice' }).catch(({ code }) => code)
  console.log(status, refused)
  await valetkey.close()`

describe('a program in a sandbox', () => {
  let place: LendingHome

  beforeAll(async () => {
    place = await lendingHome()
  }, 60_000)

  afterAll(() => place.close())

  const inside = (options: readonly string[], script: string, stdin?: string, env?: NodeJS.ProcessEnv) =>
    place.home.run(['sandbox', ...options, '--', 'sh', '-c', script], stdin, env)

  /** One that has said something, and goes on until it is ended. */
  async function started(script: string) {
    const child = place.home.start(['sandbox', '--allow', 'openai', '--', 'sh', '-c', script])
    return { child, said: await firstLine(child) }
  }

  it('is asked nothing, reads and writes as if nobody stood between, and leaves with its own code', async () => {
    const ran = await inside(['--allow', 'openai'], 'cat; echo beside >&2; exit 7', 'from outside\n')
    expect(ran).toEqual({ code: 7, stdout: 'from outside\n', stderr: 'beside\n' })
  })

  it('knows a socket of its own and nothing else of valetkey', async () => {
    const secrets = {
      VALETKEY_PASSPHRASE: canary('passphrase'),
      VALETKEY_KEY: canary('mk'),
      DATABASE_URL: `postgres://ada:${canary('postgres')}@db.test/valetkey`,
      KEPT: 'yes',
    }
    const { stdout } = await inside(['--allow', 'openai'], 'env; cat /proc/$$/environ', '', secrets)
    for (const secret of [secrets.VALETKEY_PASSPHRASE, secrets.VALETKEY_KEY, secrets.DATABASE_URL])
      expect(stdout).not.toContain(secret)
    expect(stdout).not.toContain(place.socket)
    expect(stdout).not.toMatch(/VALETKEY_HOME|DATABASE_URL/)
    const [, socket] = /^VALETKEY_SOCKET=(.*)$/m.exec(stdout) ?? []
    expect(stdout).toContain(`LLXPRT_CREDENTIAL_SOCKET=${socket}\n`)
    expect(stdout).toContain('KEPT=yes\n')
    expect(existsSync(socket ?? '')).toBe(false)
    expect(await place.owner.keys()).toEqual([])
  })

  it.skipIf(process.platform !== 'linux')('inherits nothing that we have open', async () => {
    const look = 'ls /proc/$$/fd'
    const { stdout } = await inside(['--allow', 'openai'], look)
    expect(stdout).toBe(spawnSync('sh', ['-c', look], { encoding: 'utf8' }).stdout)
  })

  it('uses what it was allowed, as itself, and no other account', async () => {
    const script = `${VALETKEY} ${MODELS}; ${VALETKEY} forward practice GET /me; echo "[$?]"`
    const { code, stdout, stderr } = await inside(['--allow', 'openai'], script)
    expect(code).toBe(0)
    expect(stdout).toMatch(/gpt-5.*\[3\]\n$/s)
    expect(stderr).toMatch(/^! not-connected: /)
    const used = await place.owner.audit({ verb: 'forward', limit: 20 })
    expect(used.some(({ caller, outcome }) => caller.startsWith('socket:') && outcome === 'done')).toBe(true)
  })

  it('comes in by the same socket as a library, and by the name that others gave it', async () => {
    const other = await inside(['--allow', 'openai'], `unset VALETKEY_SOCKET; ${VALETKEY} ${MODELS}`)
    expect(other).toMatchObject({ code: 0, stdout: expect.stringContaining('gpt-5') })
    const words = [
      'sandbox',
      '--allow',
      'openai',
      '--',
      process.execPath,
      '--input-type=module',
      '-e',
      LIBRARY,
    ]
    expect(await place.home.run(words)).toMatchObject({ code: 0, stdout: '200 not-connected\n' })
  })

  it('is lent nothing by a permission to forward, and lists nothing that it may not use', async () => {
    const script = `${VALETKEY} lend practice; echo "[$?]"; ${VALETKEY} accounts | cut -d ' ' -f 1`
    const { stdout, stderr } = await inside(['--allow', 'practice'], script)
    expect(stdout).toMatch(/^\[4\]\n/)
    expect(stdout).not.toContain('openai')
    expect(stderr).toMatch(/^! not-allowed: /)
    const lent = await inside(['--allow', 'practice:lend'], `${VALETKEY} lend practice`)
    expect(lent.stdout).toBe(`${await place.token()}\n`)
  })

  it('is held to its limits', async () => {
    const twice = `${VALETKEY} ${MODELS}; ${VALETKEY} ${MODELS}; echo "[$?]"`
    const spent = await inside(['--allow', 'openai', '--budget', '1'], twice)
    expect(spent.stdout).toMatch(/gpt-5[^[]*\[[1-9]\]\n$/)
    const other = await inside(['--allow', 'openai', '--only', 'GET /v1/files'], `${VALETKEY} ${MODELS}`)
    expect([other.code, other.stdout]).toEqual([4, ''])
  })

  it('may nothing where nothing was allowed, until its owner is asked', async () => {
    const script = `${VALETKEY} ${MODELS}; echo "[$?]"; ${VALETKEY} ask openai --reason 'the summaries' --wait 30s; ${VALETKEY} ${MODELS}`
    const child = place.home.start(['sandbox', '--', 'sh', '-c', script])
    const said = text(child.stdout ?? Readable.from([]))
    const ask = await until(async () => (await place.owner.asks()).find(({ state }) => state === 'pending'))
    expect(ask).toMatchObject({ address: 'openai', reason: 'the summaries', may: ['forward'] })
    expect(ask.caller).toMatch(/^socket:/)
    await place.owner.decide(ask.id, 'ten-minutes')
    expect(await ended(child)).toBe(0)
    expect(await said).toMatch(/^\[[34]\]\n.*gpt-5/s)
    expect(await place.owner.bindings()).toEqual([])
  })

  it('makes a smaller sandbox, and no larger one', async () => {
    const smaller = `${VALETKEY} sandbox --allow openai -- sh -c '${VALETKEY} ${MODELS}; ${VALETKEY} lend practice'`
    const ran = await inside(['--allow', 'openai', '--allow', 'practice:lend'], smaller)
    expect(ran.stdout).toMatch(/gpt-5/)
    expect([ran.code, ran.stderr]).toEqual([3, expect.stringMatching(/^! not-connected: /)])
    const program = `${VALETKEY} run --forward openai -- sh -c 'curl -s -H "authorization: Bearer $OPENAI_API_KEY" $OPENAI_BASE_URL/models'`
    expect((await inside(['--allow', 'openai'], program)).stdout).toMatch(/gpt-5/)
    const larger = `${VALETKEY} sandbox --allow openai:lend -- true`
    expect(await inside(['--allow', 'openai'], larger)).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/^! not-allowed: /),
    })
  })

  it('hands on less than it may to a child, which is over with it', async () => {
    const script = [
      `child=$(${VALETKEY} narrow child --socket --allow openai --for 10m)`,
      `VALETKEY_SOCKET=$child ${VALETKEY} ${MODELS}; echo`,
      `VALETKEY_SOCKET=$child ${VALETKEY} narrow more --allow openai --for 1h > /dev/null`,
      `${VALETKEY} keys | grep -c 'in 10 min'`,
      'echo "$child"',
    ].join('\n')
    const { code, stdout } = await inside(['--allow', 'openai', '--for', '1h'], script)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/gpt-5.*\n2\n\/.*\n$/s)])
    const [path = ''] = stdout.trimEnd().split('\n').slice(-1)
    expect([existsSync(path), await place.owner.keys()]).toEqual([false, []])
    const late = await place.home.run(MODELS.split(' '), '', { VALETKEY_SOCKET: path })
    expect(late).toMatchObject({ code: 1, stderr: expect.stringMatching(/^! broker-gone: /) })
  })

  it.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR2'] as const)(
    'hears of a %s, and decides itself what becomes of it',
    async (signal) => {
      const name = signal.slice(3)
      const { child } = await started(`trap 'exit 9' ${name}; echo ready; while :; do sleep 0.05; done`)
      child.kill(signal)
      expect(await ended(child)).toBe(9)
      expect(await place.owner.keys()).toEqual([])
    },
  )

  it('takes valetkey along when it dies of a signal', async () => {
    const { child } = await started('echo ready; kill -TERM $$; sleep 60')
    expect(await ended(child)).toBe(null)
    expect(child.signalCode).toBe('SIGTERM')
    const dumping = await started('echo ready; ulimit -c 0; kill -QUIT $$; sleep 60')
    expect([await ended(dumping.child), dumping.child.signalCode]).toEqual([131, null])
  })

  const root = process.getuid?.() === 0

  it.skipIf(!root)(
    '[security 18.2] is reached by the users that were named, and by no other (skipped: only root becomes another user)',
    async () => {
      const as = (uid: number) => `setpriv --reuid ${uid} --regid ${uid} --clear-groups`
      const ask =
        'curl --silent --unix-socket "$VALETKEY_SOCKET" http://valetkey/forward/openai/default/v1/models'
      const script = `${as(65534)} ${ask}; ${as(65533)} ${ask}; echo "[$?]"; ${ask}`
      const named = await inside(['--allow', 'openai', '--uid', '65534'], script)
      expect(named.stdout).toMatch(/^\{.*gpt-5.*\}\[[1-9]\d*\]\n\{.*gpt-5.*\}$/)
      const alone = await inside(['--allow', 'openai'], `${as(65534)} ${ask}; echo "[$?]"`)
      expect(alone.stdout).toMatch(/^\[[1-9]\d*\]\n$/)
    },
  )

  it.skipIf(!root)(
    '[security 0.10] does not find what valetkey was told by looking at valetkey (skipped: only root becomes another user)',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
      await chown(folder, 65534, 65534)
      const { PATH } = process.env
      const env = { PATH, HOME: folder, VALETKEY_HOME: folder, TMPDIR: folder }
      const script =
        'cat /proc/$PPID/environ || cat /proc/$PPID/mem || echo closed; cat /proc/$$/environ >/dev/null && echo open'
      const words = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, BIN]
      const ask = (...more: readonly string[]) =>
        spawnSync('setpriv', [...words, ...more], { env, encoding: 'utf8', cwd: folder })
      const { stdout, stderr } = ask('sandbox', '--allow', 'openai', '--', 'sh', '-c', script)
      const pid = JSON.parse(ask('vault', 'status', '--json').stdout).pid
      await kill(pid)
      await leave(folder)
      expect([stdout, stderr]).toEqual(['closed\nopen\n', expect.stringContaining('Permission denied')])
    },
  )

  it('has its socket no longer than it runs, whoever is killed', async () => {
    const { child, said: socket } = await started('echo "$VALETKEY_SOCKET"; exec sleep 60')
    expect(existsSync(socket)).toBe(true)
    const below = await childrenOf(child.pid)
    await kill(child.pid ?? 0)
    const began = Date.now()
    await until(() => !existsSync(socket), 5)
    expect(Date.now() - began).toBeLessThan(2000)
    expect(await place.owner.keys()).toEqual([])
    for (const pid of below) await kill(pid)
  })

  it('never becomes the owner when its socket is over', async () => {
    const bystander = await realHome({}, { VALETKEY_SOCKET: '/tmp/valetkey-is-not-there/s' })
    const ran = await bystander.run(['accounts'])
    expect(ran).toEqual({
      code: 1,
      stdout: '',
      stderr:
        '! broker-gone: nobody answers at the socket that VALETKEY_SOCKET names\n' +
        '  hint: what a program was given ends with it; without VALETKEY_SOCKET your own valetkey is found\n',
    })
    const library = spawnSync(process.execPath, ['--input-type=module', '-e', LIBRARY], {
      env: bystander.env,
      encoding: 'utf8',
    })
    expect([library.status, library.stderr]).toEqual([1, expect.stringContaining("code: 'broker-gone'")])
    expect(existsSync(`${bystander.home}/data`)).toBe(false)
    await bystander.close()
  })

  it('is told what is wrong before anything is run', async () => {
    expect(await place.home.run(['sandbox', '--allow', 'openai', '--', 'no-such-program'])).toMatchObject({
      code: 127,
      stderr: expect.stringMatching(/^! not-found: there is no program "no-such-program"\n/),
    })
    expect(await place.home.run(['sandbox', '--allow', 'openai:borrow', '--', 'true'])).toMatchObject({
      code: 2,
    })
    expect(await place.owner.keys()).toEqual([])
  })

  it('shows no word of ours on its command line', async () => {
    const { child } = await started('echo ready; exec sleep 60')
    const [pid = 0] = await childrenOf(child.pid)
    expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toBe('sleep\u000060\u0000')
    expect(await readlink(`/proc/${pid}/fd/0`)).toBe(await readlink(`/proc/${child.pid}/fd/0`))
    child.kill('SIGTERM')
    await ended(child)
  })
})

async function childrenOf(pid: number | undefined): Promise<number[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return listed.split(' ').filter(Boolean).map(Number)
}
