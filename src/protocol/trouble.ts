import { ResponseBodyError } from 'openid-client'
import { type ErrorCode, ValetkeyError } from '#client'

/** These speak of a server, or of the way there: of nobody's account is anything in doubt for them. */
export const OF_THE_SERVER: readonly ErrorCode[] = [
  'network-error',
  'connect-timeout',
  'answer-timeout',
  'answer-lost',
  'server-error',
  'rate-limited',
]

export type Meaning = readonly [ErrorCode, message: string, hint?: string]

// RFC 6749 §5.2. What is a fault of the client is told apart from what is over for good.
const CLIENT_FAULT: Meaning = [
  'provider-not-configured',
  'the provider does not accept this client',
  'check the client id, its secret and what the client was registered for',
]
/** RFC 8707 §2. */
export const NO_SUCH_TARGET: Meaning = [
  'provider-not-configured',
  'the provider issues no tokens for the resource that was asked for',
  'check "resource" in the provider file, or the address it was connected by',
]
const UNKNOWN: Meaning = ['exchange-failed', 'the provider refused, for a reason of its own']
const MEANINGS: Readonly<Record<string, Meaning>> = {
  invalid_client: CLIENT_FAULT,
  unauthorized_client: CLIENT_FAULT,
  unsupported_grant_type: CLIENT_FAULT,
  invalid_scope: CLIENT_FAULT,
  invalid_target: NO_SUCH_TARGET,
  redirect_uri_mismatch: CLIENT_FAULT,
  incorrect_client_credentials: CLIENT_FAULT,
  server_error: ['server-error', 'the provider has trouble of its own'],
  temporarily_unavailable: ['server-error', 'the provider has trouble of its own'],
  slow_down: ['rate-limited', 'the provider had too many requests'],
}

/**
 * What the library threw, in our words. The original is left out on purpose, cause and all: it
 * holds the whole answer, and answers hold tokens.
 */
export function troubleOf(
  error: unknown,
  meanings: Readonly<Record<string, Meaning>> = {},
  unknown: Meaning = UNKNOWN,
): ValetkeyError {
  const chain = [...causes(error)]
  const ours = chain.find((each) => each instanceof ValetkeyError)
  if (ours instanceof ValetkeyError) return ours
  const refusal = refusalOf(error)
  if (refusal !== undefined)
    return meant(own(meanings, refusal) ?? own(MEANINGS, refusal) ?? unknown, waitOf(error))
  const claim = chain.map(claimOf).find((each) => each !== undefined)
  return claim === undefined
    ? new ValetkeyError('bad-answer', 'the answer of the provider cannot be accepted')
    : new ValetkeyError('bad-answer', `the answer of the provider is not right in "${claim}"`)
}

/** The name of the error that a server refused with; undefined where it did not. */
export function refusalOf(error: unknown): string | undefined {
  return refusedBy(error)?.error
}

function refusedBy(error: unknown): ResponseBodyError | undefined {
  const body = [...causes(error)].find((each) => each instanceof ResponseBodyError)
  return body instanceof ResponseBodyError ? body : undefined
}

/** It was put there by our own way out, and is whole seconds. */
function waitOf(error: unknown): number | undefined {
  const seconds = refusedBy(error)?.response.headers.get('retry-after')
  return seconds ? Number(seconds) : undefined
}

/** An error may be called like a part of every object. */
function own(meanings: Readonly<Record<string, Meaning>>, error: string): Meaning | undefined {
  return Object.hasOwn(meanings, error) ? meanings[error] : undefined
}

function meant([code, message, hint]: Meaning, retryAfter: number | undefined): ValetkeyError {
  return new ValetkeyError(code, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

/** The name of the claim or the field that was not right; our own words, and no value. */
function claimOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { claim, attribute } = error as { claim?: unknown; attribute?: unknown }
  const name = claim ?? attribute
  return typeof name === 'string' && /^[a-z_]{1,20}$/.test(name) ? name : undefined
}

function* causes(error: unknown): Generator<unknown> {
  for (let each = error, depth = 0; each !== undefined && depth < 8; depth += 1) {
    yield each
    each = each instanceof Error ? each.cause : undefined
  }
}
