import { type ErrorCode, type Failure, isErrorCode, ValetkeyError } from '#client'
import { EXIT, INTERRUPTED_EXIT } from './exit.ts'
import type { Environment } from './hands.ts'
import { withoutKeys } from './looks-like-key.ts'
import { asJson } from './plain.ts'
import type { Terminal } from './terminal.ts'

const INTERRUPTED = Symbol('interrupted')

/** The person pressed ctrl-c: cancelled, with the exit code that shells know. */
export function interrupted(): ValetkeyError {
  return new ValetkeyError('cancelled', 'cancelled', { cause: INTERRUPTED })
}

export function usage(message: string, hint: string): ValetkeyError {
  return new ValetkeyError('usage', message, { hint })
}

export function keyInArgv(): ValetkeyError {
  return usage(
    'this looks like a secret, and on a command line every program here can read it',
    'give it on standard input, such as: valetkey connect --key-stdin < key.txt',
  )
}

/** What a failed sign-in left behind, as the error it was. */
export function fromFailure({ code, detail, hint }: Failure): ValetkeyError {
  const known: ErrorCode = isErrorCode(code) ? code : 'internal-error'
  return new ValetkeyError(known, detail, hint === null ? {} : { hint })
}

export interface Telling {
  readonly json: boolean
  readonly env: Environment
}

/** Tells an error in two lines, or as one document, and says with which code to leave. */
export async function tellFailure(
  error: unknown,
  terminal: Terminal,
  { json, env }: Telling,
): Promise<number> {
  const told = error instanceof ValetkeyError ? error : unexpected()
  const { code, message, hint } = told
  if (json) {
    await terminal.note(...asJson({ error: { code, message, ...(hint && { hint }) } }).split('\n'))
  } else if (code === 'cancelled') {
    await terminal.note(message)
  } else {
    await tellRefusal(told, terminal)
  }
  if (env['VALETKEY_DEBUG']) await terminal.note(...trace(error))
  return told.cause === INTERRUPTED ? INTERRUPTED_EXIT : EXIT[code]
}

/** In two lines: what was not done, and what to do next. */
export async function tellRefusal(error: unknown, terminal: Terminal): Promise<void> {
  const { code, message, hint } = error instanceof ValetkeyError ? error : unexpected()
  await terminal.note(`${terminal.paint('red', '!')} ${code}: ${oneLine(message)}`)
  if (hint) await terminal.note(`  hint: ${oneLine(hint)}`)
}

function unexpected(): ValetkeyError {
  return new ValetkeyError('internal-error', 'valetkey made a mistake', {
    hint: 'run it again with VALETKEY_DEBUG=1 to see where',
  })
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ')
}

function trace(error: unknown): string[] {
  const stack = error instanceof Error ? (error.stack ?? error.message) : typeof error
  return withoutKeys(stack)
    .split('\n')
    .map((line) => `  ${line.trim()}`)
}
