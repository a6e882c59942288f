import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { report, size } from '../figures.ts'
import { BIN, ended, firstLine, kill, until } from '../real.ts'
import { type LendingHome, lendingHome, VALETKEY } from './lending-home.ts'

describe('a program that is run with accounts', () => {
  let place: LendingHome

  beforeAll(async () => {
    place = await lendingHome()
  }, 60_000)

  afterAll(() => place.close())

  const withThem = (options: readonly string[], script: string, env?: NodeJS.ProcessEnv) =>
    place.home.run(['run', ...options, '--', 'sh', '-c', script], '', env)

  it('[security 20.1] is lent a token in its usual variable, and nowhere else', async () => {
    const script =
      'echo $$; grep -az PRACTICE_TOKEN /proc/$$/environ | tr -d "\\0"; cat /proc/$$/cmdline /proc/$PPID/cmdline'
    const { code, stdout, stderr } = await withThem(['--with', 'practice', '--no-mask'], script)
    const token = await place.token()
    expect(code).toBe(0)
    expect(stdout.split('PRACTICE_TOKEN=')[1]?.startsWith(token)).toBe(true)
    expect(stdout.split(token)).toHaveLength(2)
    expect(stderr).toMatch(/^lent practice: it dies in \d+ (min|h), at 2\d{3}-[\dT:.-]+Z\n$/)
  })

  it('[security 20.1] has what it was lent masked in all that it says', async () => {
    const script = [
      'echo "token $PRACTICE_TOKEN."',
      'echo "token $PRACTICE_TOKEN." >&2',
      'printf %s "user:$PRACTICE_TOKEN" | base64 -w0',
      'printf %s "$PRACTICE_TOKEN" | od -An -v -tx1 | tr -d " \\n"',
      'for c in $(printf %s "$PRACTICE_TOKEN" | fold -w1); do printf %s "$c"; sleep 0.005; done',
    ].join('; ')
    const { stdout, stderr } = await withThem(['--with', 'practice'], script)
    const token = await place.token()
    expect(stdout).toMatch(/^token \[secret\]\.\n\S*\[secret\]\S*\[secret\].*\[secret\]$/)
    expect(stderr).toContain('token [secret].\n')
    for (const said of [stdout, stderr])
      for (const piece of [
        token,
        Buffer.from(token).toString('hex'),
        Buffer.from(token).toString('base64').slice(4, 20),
      ])
        expect(said).not.toContain(piece)
  })

  it('is heard at once, and to the end', async () => {
    const child = place.home.start(['run', '--with', 'practice', '--', 'sh', '-c', 'echo first; sleep 30'])
    const began = performance.now()
    expect(await firstLine(child)).toBe('first')
    expect(performance.now() - began).toBeLessThan(10_000)
    child.kill('SIGTERM')
    expect([await ended(child), child.signalCode]).toEqual([null, 'SIGTERM'])
    const much = await withThem(['--with', 'practice'], 'yes 0123456789abcde | head -c 4000000')
    expect(much.stdout.length).toBe(4_000_000)
    const command = `${VALETKEY} run --with practice -- yes | head -n 1`
    const pipe = spawn('sh', ['-c', command], { env: place.home.env })
    expect(await firstLine(pipe)).toBe('y')
    expect(await ended(pipe)).toBe(0)
    const left = await withThem(['--with', 'practice'], 'sleep 30 & echo done')
    expect(left).toMatchObject({ code: 0, stdout: 'done\n' })
  })

  it('gives back what it was lent when it ends', async () => {
    const script = `echo ready; while [ ! -e "$HOME/go" ]; do sleep 0.05; done; exit 3`
    const child = place.home.start(['run', '--with', 'practice', '--', 'sh', '-c', script])
    await firstLine(child)
    const [lease] = (await place.owner.leases()).filter(({ caller }) => caller.startsWith('socket:'))
    expect(lease).toMatchObject({ address: 'practice', verb: 'lend' })
    expect(await place.owner.keys()).toMatchObject([
      { id: lease?.caller, name: 'sh', parent: 'person:owner' },
    ])
    await place.home.run(['run', '--with', 'practice', '--', 'touch', `${place.home.home}/go`])
    expect(await ended(child)).toBe(3)
    const living = (await place.owner.leases()).filter(({ caller }) => caller.startsWith('socket:'))
    expect(living).toEqual([])
    expect((await place.owner.leases({ ended: true })).find(({ id }) => id === lease?.id)?.endsBy).toBe(
      'ended',
    )
  })

  it('is lent another token when the first one dies', async () => {
    const { code, stdout } = await withThem(
      ['--with', 'practice', '--no-mask'],
      `${VALETKEY} lend practice && ${VALETKEY} lend openai; echo "[$?]"`,
    )
    expect([code, stdout]).toEqual([0, `${await place.token()}\n[3]\n`])
  })

  it('[security 0.10] has its requests done by the gateway, with a key that opens nothing else, and not for long', async () => {
    const program = `
      const { OPENAI_BASE_URL: base, OPENAI_API_KEY: key } = process.env
      const ask = (url) => fetch(url, { headers: { authorization: 'Bearer ' + key } }).then((answer) => answer.status)
      const gateway = new URL(base).origin
      console.log(base.replace(/\\d+(?=\\/)/, 'PORT'), JSON.stringify([
        await ask(base + '/models'),
        await ask(gateway + '/forward/practice/default/me'),
        await ask(gateway + '/forward/openai/default/~/api.example.com/v1/models'),
        await fetch(base + '/models').then((answer) => answer.status),
        await fetch(gateway + '/api/lend', {
          method: 'POST',
          headers: { authorization: 'Bearer ' + key, 'content-type': 'application/json' },
          body: '{"address":"openai"}',
        }).then((answer) => answer.status),
      ]))
      console.log(key)`
    const ran = await place.home.run([
      'run',
      '--forward',
      'openai',
      '--',
      process.execPath,
      '--input-type=module',
      '-e',
      program,
    ])
    expect([ran.code, ran.stderr]).toEqual([0, ''])
    const [said = '', key = ''] = ran.stdout.split('\n')
    expect(said).toBe('http://127.0.0.1:PORT/forward/openai/default/v1 [200,404,403,401,403]')
    expect(key).toMatch(/^vk_/)
    expect(ran.stdout).not.toContain(place.key)
    const { url } = (await (await place.home.ask('/api/gateway')).json()) as { url: string }
    const late = await fetch(`${url}/forward/openai/default/v1/models`, {
      headers: { authorization: `Bearer ${key}` },
    })
    expect(late.status).toBe(401)
  })

  it('finds the next broker where it found the first one', async () => {
    const program = `
      const ask = () => fetch(process.env.OPENAI_BASE_URL + '/models', {
        headers: { authorization: 'Bearer ' + process.env.OPENAI_API_KEY },
      }).then((answer) => answer.status, () => 0)
      console.log(await ask())
      while (await ask() !== 0) await new Promise((resolve) => setTimeout(resolve, 20))
      while (await ask() !== 200) await new Promise((resolve) => setTimeout(resolve, 20))`
    const words = ['run', '--forward', 'openai', '--', process.execPath, '--input-type=module', '-e', program]
    const child = place.home.start(words)
    expect(await firstLine(child)).toBe('200')
    await kill((await place.home.holder()) ?? 0)
    expect((await place.home.run(['accounts'])).code).toBe(0)
    expect(await ended(child)).toBe(0)
    expect(await place.owner.keys()).toEqual([])
  })

  it('is understood by the library of the provider, which knows nothing of us', async () => {
    const program = `
      import OpenAI from '${import.meta.resolve('openai')}'
      for await (const { id } of new OpenAI().models.list()) console.log(id)`
    const words = ['run', '--forward', 'openai', '--', process.execPath, '--input-type=module', '-e', program]
    expect(await place.home.run(words)).toEqual({ code: 0, stdout: 'gpt-5\n', stderr: '' })
  })

  it('gets a secret that never dies only where that is said, and masked as well', async () => {
    const script = '[ "$OPENAI_API_KEY" = "$MINE" ] && echo "same $OPENAI_API_KEY"'
    const mine = { MINE: place.key }
    expect(await withThem(['--with', 'openai'], script, mine)).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringMatching(/^! forward-only: /),
    })
    expect(await withThem(['--reveal', 'openai'], script, mine)).toEqual({
      code: 0,
      stdout: 'same [secret]\n',
      stderr: 'revealed openai: it never dies by itself\n',
    })
  })

  it('takes other variables where they are named', async () => {
    const named = ['--with', 'practice', '--env', 'A=practice', '--env', 'B=practice']
    const script = '[ -n "$A" ] && [ "$A" = "$B" ] && { printenv PRACTICE_TOKEN || echo none; }'
    expect((await withThem(named, script)).stdout).toBe('none\n')
    const forwarded = ['--forward', 'openai', '--env', 'K=openai', '--url', 'U=openai']
    const shown = 'echo "$U $(echo "$K" | cut -c 1-3)"; printenv OPENAI_API_KEY || echo none'
    expect((await withThem(forwarded, shown)).stdout).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/forward\/openai\/default\/v1 vk_\nnone\n$/,
    )
  })

  it('leaves with its own code, and is not started where something is missing', async () => {
    expect((await withThem(['--forward', 'openai'], 'exit 0')).code).toBe(0)
    expect((await withThem(['--forward', 'openai'], 'exit 3')).code).toBe(3)
    const missing = await withThem(['--with', 'github'], 'echo started')
    expect(missing).toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringMatching(/^! not-connected: /),
    })
    expect(await place.owner.keys()).toEqual([])
  })

  it.each([
    [[], 'no account is named'],
    [['--with', 'openai', '--forward', 'openai'], 'openai is named twice'],
    [['--with', 'key'], 'it is not known in which variable programs look for the token of key'],
    [['--forward', 'google'], 'it is not known in which variable programs look for the base URL of google'],
    [['--forward', 'openai', '--env', 'A=practice'], '"practice" is not given to the program'],
  ])('is refused for %j', async (options, why) => {
    const ran = await withThem(options, 'echo started')
    expect([ran.code, ran.stdout, ran.stderr.split('\n')[0]]).toEqual([2, '', `! usage: ${why}`])
  })

  it('ends with valetkey, however suddenly that ends', async () => {
    const script = 'echo "$VALETKEY_SOCKET"; exec sleep 60'
    const child = place.home.start(['run', '--forward', 'openai', '--', 'sh', '-c', script])
    const socket = await firstLine(child)
    const listed = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
    await kill(child.pid ?? 0)
    const began = Date.now()
    await until(() => !existsSync(socket), 5)
    expect(Date.now() - began).toBeLessThan(2000)
    expect(await place.owner.keys()).toEqual([])
    for (const pid of listed.split(' ').filter(Boolean)) await kill(Number(pid))
  })

  it('costs little: what is added to a program that does nothing', async () => {
    const rounds = size(3, 60)
    const valetkey = [BIN, 'run']
    const ways = {
      bare: () => took('true', []),
      node: () => took(process.execPath, ['-e', '0']),
      '--forward': () => took(process.execPath, [...valetkey, '--forward', 'openai', '--', 'true']),
      '--with': () => took(process.execPath, [...valetkey, '--with', 'practice', '--', 'true']),
    }
    const { bare, node, ...ours } = await inTurns(rounds, ways)
    for (const [way, { median, quickest }] of Object.entries(ours)) {
      const more = `${Math.round(median - bare.median)} ms more, at best ${Math.round(quickest - bare.quickest)} ms`
      const times = `${Math.round(median / bare.median)} times as long; node alone ${Math.round(node.median)} ms`
      report(`valetkey run ${way} -- true against true`, `${more}; ${times}`, rounds, 'median, broker warm')
      // Whatever else this machine does at the same time makes some of them slow, and hardly all.
      expect(quickest - bare.quickest).toBeLessThan(size(2500, 200))
    }
  }, 600_000)

  /** How long a process takes from its start to its end. */
  async function took(program: string, words: readonly string[]): Promise<number> {
    const began = performance.now()
    const child = spawn(program, words, { env: place.home.env, stdio: 'ignore' })
    if ((await ended(child)) !== 0) throw new Error(`${program} failed`)
    return performance.now() - began
  }
})

const python = spawnSync('python3', ['--version']).status === 0

describe.skipIf(!python)('at a terminal (skipped: it takes a python3 to make one)', () => {
  let place: LendingHome

  beforeAll(async () => {
    place = await lendingHome()
  }, 60_000)

  afterAll(() => place.close())

  /** Types into a terminal of its own, by the standard library of Python. */
  async function atTerminal(words: readonly string[], typed: string) {
    const player = `
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])
said, keys = b"", sys.argv[1].encode()
while True:
    if keys and b"ready" in said:
        os.write(terminal, keys); keys = b""
    if not select.select([terminal], [], [], 20)[0]: break
    try: piece = os.read(terminal, 4096)
    except OSError: break
    if not piece: break
    said += piece
_, status = os.waitpid(pid, 0)
print(status)
sys.stdout.buffer.write(said)`
    const child = spawn('python3', ['-c', player, typed, process.execPath, BIN, ...words], {
      env: place.home.env,
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text))
    await ended(child)
    return said.replaceAll('\r', '')
  }

  it('a program has the terminal itself, and hears ctrl-c once', async () => {
    const script =
      'trap "echo heard" INT; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo ready; sleep 0.5; sleep 0.5; exit 4'
    const said = await atTerminal(['run', '--forward', 'openai', '--', 'sh', '-c', script], '\u0003')
    expect(said.match(/heard/g)).toHaveLength(1)
    expect(said).toMatch(/^ready\n.*1024\n$/s)
  })

  it('one that was lent a token speaks into a pipe, unless it shall not', async () => {
    const script = `[ -t 0 ] && [ -t 1 ] && echo terminal; echo ready`
    expect(await atTerminal(['run', '--with', 'practice', '--', 'sh', '-c', script], '')).not.toContain(
      'terminal',
    )
    expect(
      await atTerminal(['run', '--with', 'practice', '--no-mask', '--', 'sh', '-c', script], ''),
    ).toContain('terminal')
  })
})

interface Took {
  readonly median: number
  readonly quickest: number
}

/** One after the other, so that what the machine does meanwhile comes to all of them. */
async function inTurns<Name extends string>(
  rounds: number,
  ways: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Record<Name, Took>> {
  const names = Object.keys(ways) as Name[]
  const found = new Map<Name, number[]>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++)
    for (const name of names) found.get(name)?.push(await ways[name]())
  const took = (name: Name): Took => {
    const sorted = (found.get(name) ?? []).toSorted((a, b) => a - b)
    return { median: sorted[Math.floor(rounds / 2)] ?? Number.NaN, quickest: sorted[0] ?? Number.NaN }
  }
  return Object.fromEntries(names.map((name) => [name, took(name)])) as Record<Name, Took>
}
