import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, open, readFile, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { canary } from '../../src/testing/canary.ts'
import { leave } from '../leave.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/valetkey.mjs', import.meta.url))

export interface Outcome {
  readonly printed: string
  readonly exit: number
}

export interface Stage {
  /** The names a script may use, and what they stand for here. */
  readonly names: Readonly<Record<string, string>>
  /** Runs a line as a shell does, with the real program on the path. The signal is ctrl-c. */
  run(command: string, input: string, signal?: AbortSignal): Promise<Outcome>
  /** The provider takes its time over the slow key: when it was asked, and how it is let go on. */
  readonly slow: { readonly asked: Promise<void>; letGo(): void }
  strike(): Promise<void>
}

/** A new home, a new working folder, and stand-ins for the providers on loopback. */
export async function raiseStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const keys = {
    key: openaiKey('first'),
    'other-key': openaiKey('second'),
    'dead-key': openaiKey('dead'),
    'slow-key': openaiKey('slow'),
  }
  const secrets = { secret: canary('clientsecret'), 'wrong-secret': canary('wrongsecret') }
  const passphrases = { passphrase: canary('passphrase'), 'other-passphrase': canary('otherpassphrase') }
  const standIn = await listen([keys.key, keys['other-key']], keys['slow-key'], secrets.secret)
  const origin = `http://127.0.0.1:${standIn.port}`
  const env = await furnish(folder, origin)
  return {
    names: { ...keys, ...secrets, ...passphrases, port: String(standIn.port), home: env.VALETKEY_HOME },
    run: (command, input, signal) => runLine(folder, env, command, input, signal),
    slow: standIn.slow,
    async strike() {
      await endBroker(folder, env)
      await standIn.close()
      await leave(folder)
    },
  }
}

function openaiKey(name: string): string {
  return `sk-proj-${canary(name)}`
}

async function furnish(folder: string, origin: string) {
  const [home, bin, work] = [join(folder, 'home'), join(folder, 'bin'), join(folder, 'work')]
  await mkdir(join(home, 'config'), { recursive: true, mode: 0o700 })
  await mkdir(bin)
  await mkdir(work)
  const origins = { openai: origin, anthropic: origin, github: origin, datadog: origin }
  await writeFile(join(home, 'config', 'config.json'), JSON.stringify({ origins }), { mode: 0o600 })
  await writeFile(join(bin, 'valetkey'), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`)
  await chmod(join(bin, 'valetkey'), 0o755)
  const path = [bin, dirname(process.execPath), process.env['PATH']].join(delimiter)
  return { PATH: path, HOME: home, VALETKEY_HOME: home, TMPDIR: folder }
}

async function runLine(
  folder: string,
  env: NodeJS.ProcessEnv,
  command: string,
  input: string,
  signal?: AbortSignal,
): Promise<Outcome> {
  const printed = join(folder, 'printed.expected-secret')
  const file = await open(printed, 'w', 0o600)
  try {
    const child = spawn('sh', ['-c', command], {
      cwd: join(folder, 'work'),
      env,
      stdio: ['pipe', file.fd, file.fd],
    })
    signal?.addEventListener('abort', () => child.kill('SIGINT'), { once: true })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
    const exit = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 128)))
    })
    return { printed: await readFile(printed, 'utf8'), exit }
  } finally {
    await file.close()
  }
}

/** The broker that a command started outlives it; the stage does not leave it running. */
async function endBroker(folder: string, env: NodeJS.ProcessEnv & { VALETKEY_HOME: string }): Promise<void> {
  if (!existsSync(join(env.VALETKEY_HOME, 'run'))) return
  const { printed } = await runLine(folder, env, 'valetkey vault status --json', '')
  const pid = Number(/"pid": (\d+)/.exec(printed)?.[1])
  for (let tries = 0; pid > 0 && tries < 100 && signalled(pid); tries++) await pause(50)
}

function signalled(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGTERM')
  } catch {
    return false
  }
}

async function listen(live: readonly string[], slowKey: string, clientSecret: string) {
  const [asked, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const server = createServer(async (request, answer) => {
    if (shownIn(request) === slowKey) {
      asked.resolve()
      await gone.promise
    }
    if (request.url === '/login/oauth/access_token') return answerClient(request, answer, clientSecret)
    answerAs(request, answer, [...live, slowKey])
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
  return { port, close, slow: { asked: asked.promise, letGo: () => gone.resolve() } }
}

function shownIn(request: IncomingMessage): string {
  return request.headers.authorization?.replace(/^Bearer /, '') ?? ''
}

/** As much of the providers as the stories need. */
function answerAs(request: IncomingMessage, answer: ServerResponse, live: readonly string[]): void {
  const say = (status: number, body: unknown) => {
    answer.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
  }
  if (!live.includes(shownIn(request))) say(401, { error: 'this key is not known here' })
  else if (request.url === '/v1/models') say(200, { data: [{ id: 'gpt-5' }] })
  else if (request.url === '/v1/echo') echo(request, (text) => say(200, { method: request.method, text }))
  else say(404, { error: 'there is nothing here' })
}

/** No code is good here; but who shows it is judged first, as GitHub does. */
async function answerClient(request: IncomingMessage, answer: ServerResponse, secret: string): Promise<void> {
  const form = new URLSearchParams(await text(request))
  const known = form.get('client_secret') === secret
  const error = known ? 'bad_verification_code' : 'incorrect_client_credentials'
  answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
}

function echo(request: IncomingMessage, say: (text: string) => void): void {
  request.setEncoding('utf8').once('data', say)
}
