import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { socketFetch } from '../src/doors/socket/fetch.ts'
import { BASE, deskOver, running } from '../src/reach.ts'
import { wherePaths } from '../src/where.ts'
import { leave } from './leave.ts'

export const BIN = fileURLToPath(new URL('../bin/valetkey.mjs', import.meta.url))

/** The command is started many times; what it is compiled to is kept between them. */
const NODE_COMPILE_CACHE = fileURLToPath(new URL('../node_modules/.cache/valetkey-compiled', import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface StartOptions {
  readonly nodeOptions?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** What starts it in the end, such as a shell with a limit. */
  readonly through?: readonly string[]
}

/** A home of its own, and the real command in it. */
export interface RealHome {
  readonly home: string
  readonly env: NodeJS.ProcessEnv
  /** Runs the command to its end. */
  run(args: readonly string[], stdin?: string, more?: NodeJS.ProcessEnv): Promise<Ran>
  /** Starts the command and leaves it running. */
  start(args: readonly string[], more?: StartOptions): ChildProcess
  /** Ends this one as well when the home is closed. */
  own(child: ChildProcess): void
  /** The process that holds the vault and answers at the socket; nothing is started to find out. */
  holder(): Promise<number | undefined>
  /** A request of the owner at the socket. */
  ask(path: string, init?: RequestInit): Promise<Response>
  /** Ends whatever still runs in this home. */
  close(): Promise<void>
}

export async function realHome(config: object = {}, more: NodeJS.ProcessEnv = {}): Promise<RealHome> {
  const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
  await configure(home, config)
  const { PATH, TMPDIR } = process.env
  const env = { PATH, TMPDIR, NODE_COMPILE_CACHE, HOME: home, VALETKEY_HOME: home, ...more }
  const started: ChildProcess[] = []

  function start(args: readonly string[], { nodeOptions = [], env: more, through = [] }: StartOptions = {}) {
    const words = [...through, process.execPath, ...nodeOptions, BIN, ...args]
    const [command = '', ...rest] = words
    const child = spawn(command, rest, { env: { ...env, ...more }, stdio: ['pipe', 'pipe', 'pipe'] })
    // A command that has ended does not read what it is still told.
    child.stdin?.on('error', () => {})
    own(child)
    return child
  }

  async function run(args: readonly string[], stdin = '', more: NodeJS.ProcessEnv = {}): Promise<Ran> {
    const child = start(args, { env: more })
    child.stdin?.end(stdin)
    const [stdout, stderr, code] = await Promise.all([read(child.stdout), read(child.stderr), ended(child)])
    return { code, stdout, stderr }
  }

  async function holder(): Promise<number | undefined> {
    const way = await running({ env })
    const status =
      way &&
      (await deskOver(way.fetch)
        .keeper.status()
        .catch(() => undefined))
    return status?.pid
  }

  async function ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { 'content-type': 'application/json', 'valetkey-request': '1', ...init.headers }
    // Over a connection of its own: the broker may have been another one a moment ago.
    return await socketFetch(wherePaths({ env }).socket)(new URL(path, BASE), { ...init, headers })
  }

  async function close(): Promise<void> {
    const pid = await holder()
    if (pid !== undefined) await kill(pid)
    for (const child of started) if (child.exitCode === null) child.kill('SIGKILL')
    await leave(home)
  }

  const own = (child: ChildProcess) => void started.push(child)
  return { home, env, run, start, own, holder, ask, close }
}

export async function configure(home: string, config: object): Promise<void> {
  await mkdir(join(home, 'config'), { recursive: true, mode: 0o700 })
  await writeFile(join(home, 'config', 'config.json'), JSON.stringify(config), { mode: 0o600 })
}

/** Ends a process with no chance to tidy up, and waits until it is gone. */
export async function kill(pid: number): Promise<void> {
  try {
    process.kill(pid, 'SIGKILL')
    // Dead already, but kept on the list until its parent has looked.
    const awaited = async () => / [ZX] /.test(await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ''))
    while (process.kill(pid, 0) && !(await awaited())) await pause(5)
  } catch {
    // There is no such process any more.
  }
}

/** Looks again and again until there is something to see. */
export async function until<T>(look: () => T | Promise<T>, seconds = 40): Promise<NonNullable<T>> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(20)) {
    const seen = await look()
    if (seen !== undefined && seen !== null && seen !== false) return seen
  }
  throw new Error(`it did not come about in ${seconds} seconds: ${look}`)
}

export async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode
  if (child.signalCode !== null) return null
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once('exit', resolve)
  return promise
}

async function read(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = ''
  for await (const chunk of stream ?? []) text += chunk
  return text
}

/** The first line that a running command prints. */
export async function firstLine(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stdout ?? []) {
    text += chunk
    if (text.includes('\n')) break
  }
  return text.split('\n')[0] ?? ''
}
