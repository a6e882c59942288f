import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FlowSession } from '#client'
import type { RealHome } from '../real.ts'
import { LATE_CLOCK } from './homes.ts'

const CHILD = fileURLToPath(new URL('./children/caller.ts', import.meta.url))

export interface Tally {
  readonly answered: number
  /** Each once. */
  readonly tokens: readonly string[]
  readonly errors: readonly string[]
}

/** A process of its own that uses the library for many callers. */
export interface Callers {
  readonly pid: number
  readonly child: ChildProcess
  holder(): Promise<number>
  connect(request: { readonly bucket?: string }): Promise<FlowSession>
  flow(id: string): Promise<FlowSession>
  lend(address: string, callers: number): Promise<Tally>
  close(): Promise<void>
}

interface Answer {
  readonly id?: number
  readonly value?: unknown
  readonly error?: string
}

/** Resolves once it has opened the vault, as its holder or as a client of whoever holds it. */
export async function openCallers(home: RealHome): Promise<Callers> {
  const child = fork(CHILD, [], {
    env: home.env,
    execPath: process.execPath,
    execArgv: ['--import', LATE_CLOCK],
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  home.own(child)
  const waiting = new Map<number, (answer: Answer) => void>()
  child.on('message', (answer: Answer) => waiting.get(answer.id ?? -1)?.(answer))
  await once(child, 'message')

  async function ask<T>(verb: string, ...words: readonly string[]): Promise<T> {
    const id = waiting.size
    const { promise, resolve } = Promise.withResolvers<Answer>()
    waiting.set(id, resolve)
    child.send({ id, verb, words })
    const { value, error } = await promise
    if (error !== undefined) throw new Error(error)
    return value as T
  }

  return {
    pid: child.pid ?? 0,
    child,
    holder: () => ask('holder'),
    connect: ({ bucket = 'default' }) => ask('connect', bucket),
    flow: (id) => ask('flow', id),
    lend: (address, callers) => ask('lend', address, String(callers)),
    close: async () => {
      await ask('close')
      child.disconnect()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

/** All of them are told so that they come at the same moment; what came of it, put together. */
export async function allLend(
  all: readonly Callers[],
  callers: number,
  address = 'practice',
): Promise<Tally> {
  const tallies = await Promise.all(all.map((one) => one.lend(address, callers)))
  return {
    answered: tallies.reduce((sum, { answered }) => sum + answered, 0),
    tokens: [...new Set(tallies.flatMap(({ tokens }) => tokens))],
    errors: tallies.flatMap(({ errors }) => errors),
  }
}

/** From now on it is a minute later for this process. */
export async function passMinute({ child }: { readonly child: ChildProcess }): Promise<void> {
  const later = once(child.stderr as NodeJS.ReadableStream, 'data')
  child.kill('SIGUSR2')
  await later
}
