import { type ErrorCode, type Failure, isErrorCode, type Reaction, ValetkeyError, type Way } from '#client'
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
export function fromFailure(
  { code, detail, hint, reaction }: Failure,
  instead: Way | null = null,
): ValetkeyError {
  const known: ErrorCode = isErrorCode(code) ? code : 'internal-error'
  return new ValetkeyError(known, detail, { reaction, instead, ...(hint === null ? {} : { hint }) })
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
  const { code, message } = told
  if (json) {
    await terminal.note(...asJson({ error: inJson(told) }).split('\n'))
  } else if (code === 'cancelled') {
    await terminal.note(message)
  } else {
    await tellRefusal(told, terminal)
  }
  if (env['VALETKEY_DEBUG']) await terminal.note(...trace(error))
  return told.cause === INTERRUPTED ? INTERRUPTED_EXIT : EXIT[code]
}

const COMMANDS = new WeakMap<ValetkeyError, string>()

/** The same error, told along with the command that takes another way. */
export function orElse(error: ValetkeyError, command: string): ValetkeyError {
  // Where the hint says the same, once is enough.
  if (!error.hint?.endsWith(command.slice(command.indexOf(' --flow ')))) COMMANDS.set(error, command)
  return error
}

/** In two lines: what was not done, and what to do next. */
export async function tellRefusal(error: unknown, terminal: Terminal): Promise<void> {
  const told = error instanceof ValetkeyError ? error : unexpected()
  await terminal.note(`${terminal.paint('red', '!')} ${told.code}: ${oneLine(told.message)}`)
  const hint = hintOf(told)
  if (hint !== undefined) await terminal.note(`  hint: ${oneLine(hint)}`)
  const or = COMMANDS.get(told)
  if (or !== undefined) await terminal.note(`  or: ${oneLine(or)}`)
}

/** For a script, which can go by the reaction where it does not know the code. */
function inJson({ code, message, hint, reaction, retryAfter, instead }: ValetkeyError) {
  const more = { ...(retryAfter !== undefined && { retryAfter }), ...(instead && { instead }) }
  return { code, message, ...(hint && { hint }), reaction, ...more }
}

/** What is to be done about such errors in general, where there is nothing more exact to say. */
const DO: Record<Reaction, string | undefined> = {
  refresh: 'try it again: it is renewed first',
  'try-again': 'try it again',
  'ask-the-person': undefined,
  reconnect: 'valetkey accounts shows which one; then valetkey reconnect',
  nothing: undefined,
}

function hintOf({ hint, reaction, retryAfter }: ValetkeyError): string | undefined {
  if (hint) return hint
  return retryAfter === undefined ? DO[reaction] : `try it again in ${retryAfter} seconds`
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
