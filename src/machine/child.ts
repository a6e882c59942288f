import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'

/** How a program ended: by its own will, or by a signal. */
export type Ended = { readonly code: number } | { readonly signal: NodeJS.Signals }

export interface Child {
  /** What it says, where that does not go straight to where ours goes. */
  readonly said: { readonly out: Readable; readonly err: Readable } | undefined
  /** Rejects when it could not be started. */
  readonly ended: Promise<Ended>
  /** What it says is heard to its end, or as long as it goes on; what it left behind may hold it open for ever. */
  heard(reading: Promise<unknown>): Promise<void>
}

/** Those of a terminal go to everybody in its foreground, and so to the child as well, without us. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']
const PASSED_ON: readonly NodeJS.Signals[] = [...FROM_TERMINAL, 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']
const QUIET_MS = 500

/**
 * Starts a program in our place: in our process group, so that a terminal treats both alike, with our standard
 * input, and told of every signal that we are told of.
 */
export function startChild(
  [program, ...words]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  heard: boolean,
): Child {
  // Before it is there, so that no signal comes in between; what comes waits for the turn after this one.
  const forget = passOn((signal) => child.kill(signal))
  const child = spawn(program, words, {
    env,
    stdio: heard ? ['inherit', 'pipe', 'pipe'] : 'inherit',
    windowsHide: true,
  })
  const { stdout: out, stderr: err } = child
  return {
    said: out && err ? { out, err } : undefined,
    ended: endOf(child).finally(forget),
    heard: (reading) => heardOut([out, err], reading),
  }
}

function endOf(child: ChildProcess): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>()
  child.once('error', reject)
  child.once('exit', (code, signal) => resolve(signal === null ? { code: code ?? 1 } : { signal }))
  return promise
}

function passOn(tell: (signal: NodeJS.Signals) => void): () => void {
  const act = (signal: NodeJS.Signals) => {
    if (!(FROM_TERMINAL.includes(signal) && inForeground())) tell(signal)
  }
  for (const signal of PASSED_ON) process.on(signal, act)
  return () => {
    for (const signal of PASSED_ON) process.off(signal, act)
  }
}

/** Whether ctrl-c reaches us, by the kernel's word where it gives it. */
function inForeground(): boolean {
  const { stdin, stdout, stderr, platform } = process
  if (platform !== 'linux') return [stdin, stdout, stderr].some((stream) => stream.isTTY)
  try {
    // Behind the name, which may hold anything: state, parent, group, session, terminal, its foreground group.
    const [, , group, , , foreground] =
      /\) (.*)$/s.exec(readFileSync('/proc/self/stat', 'latin1'))?.[1]?.split(' ') ?? []
    return group === foreground
  } catch {
    return false
  }
}

async function heardOut(streams: readonly (Readable | null)[], reading: Promise<unknown>): Promise<void> {
  let over = false
  let last = Date.now()
  const heard = () => {
    last = Date.now()
  }
  for (const stream of streams) stream?.on('data', heard)
  const done = reading.finally(() => {
    over = true
  })
  done.catch(() => {})
  while (!over && (Date.now() - last < QUIET_MS || streams.some(isWaiting)))
    await Promise.race([done, pause(QUIET_MS / 5)])
  for (const stream of streams) stream?.destroy()
  await done.catch(() => {})
}

function isWaiting(stream: Readable | null): boolean {
  return (stream?.readableLength ?? 0) > 0
}
