import { ERRORS, type ErrorCode, type Failure, isErrorCode, ValetkeyError, type Way } from '#client'

/** What does not belong to a sign-in changes nothing about it: it goes on asking. */
const GOES_ON: ReadonlySet<ErrorCode> = new Set(['invalid-request', 'invalid-state', 'reference-unreadable'])

export function goesOn(error: unknown): boolean {
  return error instanceof ValetkeyError && GOES_ON.has(error.code)
}

/** Whoever failed for one of these may get on with another way. */
const OF_THE_WAY: ReadonlySet<string> = new Set<ErrorCode>([
  'invalid-credentials',
  'key-format',
  'access-denied',
  'mfa-required',
  'browser-unavailable',
  'refused-by-policy',
  'vendor-policy',
  'provider-not-configured',
  'flow-failed',
  'flow-expired',
  'invalid-code',
  'exchange-failed',
  'poll-failed',
  'bad-answer',
  'server-error',
  'port-taken',
])

export function offersAnother(code: string): boolean {
  return OF_THE_WAY.has(code)
}

/** The same error, with the way that may be tried instead. */
export function withInstead(error: ValetkeyError, instead: Way | null): ValetkeyError {
  const { code, message, hint, retryAfter, reaction, cause } = error
  if (instead === null) return error
  return new ValetkeyError(code, message, {
    ...(hint !== undefined && { hint }),
    ...(retryAfter !== undefined && { retryAfter }),
    ...(cause !== undefined && { cause }),
    reaction,
    instead,
  })
}

/** The words of a mistake of ours may quote anything, so they are not kept. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof ValetkeyError))
    return failureOf(new ValetkeyError('internal-error', 'valetkey made a mistake over this sign-in'))
  const { code, message: detail, hint = null, reaction } = error
  return { code, detail, hint, reaction }
}

/** As it may be kept: the code tells what is to be done about it. */
export type KeptFailure = Omit<Failure, 'reaction'> & Partial<Failure>

export function withReaction(kept: KeptFailure): Failure {
  const { code, reaction = isErrorCode(code) ? ERRORS[code].reaction : 'nothing' } = kept
  return { ...kept, reaction }
}

/** The same error; whoever has nothing better to say of what to do next says how to begin anew. */
export function hinted(error: unknown, hint: string): unknown {
  if (!(error instanceof ValetkeyError) || error.hint !== undefined || goesOn(error)) return error
  return new ValetkeyError(error.code, error.message, { hint, cause: error })
}
