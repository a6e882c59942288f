import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const NOBODY = 65_534
const AS_NOBODY = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
const SCRIPT = fileURLToPath(new URL('./children/stranger.mjs', import.meta.url))

export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Heard {
  readonly status?: number
  readonly headers?: IncomingHttpHeaders
  readonly text?: string
  readonly error?: string
}

type Where = { readonly socketPath: string } | { readonly port: number }

/** Why nobody else can be played here, if so. */
export const noStranger = whyNoStranger()

function whyNoStranger(): string | undefined {
  if (process.getuid?.() !== 0) return 'not run: only root can start a process as another user'
  const tried = spawnSync('setpriv', [...AS_NOBODY, process.execPath, '--version'], { cwd: '/' })
  if (tried.error) return 'not run: there is no setpriv here'
  return tried.status === 0 ? undefined : `not run: another user may not start ${process.execPath}`
}

/** Asks one after the other, as another user of this computer. */
export async function askAsStranger(where: Where, asked: readonly Asked[]): Promise<readonly Heard[]> {
  const { uid, heard } = await play('setpriv', [...AS_NOBODY, process.execPath], where, asked)
  if (uid !== NOBODY) throw new Error(`the stranger was ${uid}`)
  return heard
}

/** A program of another user of this computer, with its words on stdin and what it says on stdout. */
export function startAsStranger(
  program: string,
  ...words: readonly string[]
): ChildProcessByStdio<Writable, Readable, null> {
  const run = [process.execPath, '--input-type=module', '--eval', program, ...words]
  return spawn('setpriv', [...AS_NOBODY, ...run], { cwd: '/', env: {}, stdio: ['pipe', 'pipe', 'inherit'] })
}

/** Sends the same so many times, and hangs up each time before there is an answer. */
export async function hitAsStranger(port: number, bytes: string, times: number): Promise<void> {
  const child = startAsStranger(HIT, String(port), bytes, String(times))
  await once(child, 'exit')
}

const HIT = `
import { once } from 'node:events'
import { connect } from 'node:net'
const [port, bytes, times] = process.argv.slice(1)
for (let left = Number(times); left > 0; left -= 1) {
  const socket = connect(Number(port), '127.0.0.1')
  await once(socket, 'connect')
  if (left % 2) socket.write(bytes, () => socket.destroy())
  else socket.write(bytes, () => socket.resetAndDestroy())
  await once(socket, 'close')
}`

/** The same, as whoever runs this. */
export async function askAsMyself(where: Where, asked: readonly Asked[]): Promise<readonly Heard[]> {
  return (await play(process.execPath, [], where, asked)).heard
}

async function play(command: string, words: readonly string[], where: Where, asked: readonly Asked[]) {
  const script = ['--input-type=module', '--eval', await readFile(SCRIPT, 'utf8')]
  const child = spawn(command, [...words, ...script], {
    cwd: '/',
    env: {},
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(asked.map((one) => ({ ...one, ...where }))))
  let said = ''
  for await (const chunk of child.stdout) said += chunk
  return JSON.parse(said) as { uid: number; heard: readonly Heard[] }
}

/** One request over TCP with whatever headers, `Host` included, as no browser and no `fetch` lets one choose them. */
export async function askRaw(port: number, { body, ...asked }: Asked): Promise<Heard> {
  const { promise, resolve } = Promise.withResolvers<Heard>()
  const asking = request({ host: '127.0.0.1', port, agent: false, ...asked }, async (answer) => {
    let text = ''
    for await (const chunk of answer) text += chunk
    resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text })
  })
  asking.on('error', (error) => resolve({ error: error.message }))
  asking.end(body)
  return await promise
}
