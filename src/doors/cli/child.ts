import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { ValetkeyError } from '#client'
import { type Child, type Ended, startChild } from '../../machine/child.ts'
import { closeMemory } from '../../machine/harden.ts'
import { tellRefusal } from './failure.ts'
import { masking } from './masking.ts'
import type { Run } from './run.ts'
import { quoted } from './words.ts'

/** What shells say of a program that is not there, and of one that cannot be run. */
const NOT_THERE = 127
const NOT_TO_RUN = 126

/** A signal that leaves a core behind would leave there what we know. */
const LEAVES_CORE: readonly string[] = [
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGSYS',
  'SIGXCPU',
  'SIGXFSZ',
]

export interface Charge {
  readonly words: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  /** Masked in what it says. Where there are none, it speaks for itself, to the terminal if there is one. */
  readonly secrets?: readonly string[]
}

/** Runs a program to its end, which becomes ours. What it is not told it does not find in us either. */
export async function runChild(run: Run, { words, env, secrets = [] }: Charge): Promise<void> {
  closeMemory()
  try {
    const child = startChild(words, env, secrets.length > 0)
    const reading = listen(run, child, secrets)
    leaveAs(run, await child.ended)
    await child.heard(reading)
  } catch (error) {
    await notStarted(run, words[0], error)
  }
}

async function listen({ terminal }: Run, { said }: Child, secrets: readonly string[]): Promise<void> {
  if (said === undefined) return
  await Promise.all([pour(said.out, secrets, terminal.bytes), pour(said.err, secrets, terminal.noteBytes)])
}

/** Whoever stops reading is told by its own pipe that nobody reads any more. */
async function pour(
  said: Readable,
  secrets: readonly string[],
  write: (chunk: Uint8Array) => Promise<boolean>,
): Promise<void> {
  const masked = said.pipe(masking(secrets))
  said.once('close', () => masked.end())
  for await (const chunk of masked) if (!(await write(chunk))) break
  said.destroy()
}

function leaveAs(run: Run, ended: Ended): void {
  run.leaveWith('code' in ended ? ended.code : 128 + constants.signals[ended.signal])
  if ('signal' in ended && !LEAVES_CORE.includes(ended.signal)) run.leaveBy(ended.signal)
}

async function notStarted(run: Run, program: string, error: unknown): Promise<void> {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const there = code !== 'ENOENT'
  const what = there ? `${quoted(program)} cannot be run` : `there is no program ${quoted(program)}`
  await tellRefusal(new ValetkeyError('not-found', what, { hint: 'see what is on the PATH' }), run.terminal)
  run.leaveWith(there ? NOT_TO_RUN : NOT_THERE)
}
