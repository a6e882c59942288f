import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const BIN = fileURLToPath(new URL('../bin/valetkey.mjs', import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A home of its own, and the real command in it. */
export interface RealHome {
  readonly home: string
  readonly env: NodeJS.ProcessEnv
  /** Runs the command to its end. */
  run(args: readonly string[], stdin?: string): Promise<Ran>
  /** Starts the command and leaves it running. */
  start(args: readonly string[]): ChildProcess
  /** Ends whatever still runs in this home. */
  close(): Promise<void>
}

export async function realHome(config: object = {}, more: NodeJS.ProcessEnv = {}): Promise<RealHome> {
  const home = await mkdtemp(join(tmpdir(), 'valetkey-'))
  await mkdir(join(home, 'config'), { mode: 0o700 })
  await writeFile(join(home, 'config', 'config.json'), JSON.stringify(config), { mode: 0o600 })
  const { PATH, TMPDIR } = process.env
  const env = { PATH, TMPDIR, HOME: home, VALETKEY_HOME: home, ...more }
  const started: ChildProcess[] = []

  function start(args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [BIN, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] })
    started.push(child)
    return child
  }

  async function run(args: readonly string[], stdin = ''): Promise<Ran> {
    const child = start(args)
    child.stdin?.end(stdin)
    const [stdout, stderr, code] = await Promise.all([read(child.stdout), read(child.stderr), ended(child)])
    return { code, stdout, stderr }
  }

  async function close(): Promise<void> {
    const { stdout } = await run(['vault', 'status', '--json']).catch(() => ({ stdout: '' }))
    const { pid } = JSON.parse(stdout || '{}') as { pid?: number }
    if (pid !== undefined) kill(pid)
    for (const child of started) if (child.exitCode === null) child.kill('SIGKILL')
    await rm(home, { recursive: true, force: true, maxRetries: 5 })
  }

  return { home, env, run, start, close }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

export async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once('close', resolve)
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
