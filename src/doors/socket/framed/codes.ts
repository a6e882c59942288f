import { ERRORS, type ErrorCode, ValetkeyError, type Way } from '#client'
import type { Version } from './limits.ts'

export type WireCode =
  | 'NOT_FOUND'
  | 'INVALID_REQUEST'
  | 'FORBIDDEN'
  | 'UNAUTHORIZED'
  | 'UNKNOWN_VERSION'
  | 'RATE_LIMITED'
  | 'RESOURCE_EXHAUSTED'
  | 'RESPONSE_TOO_LARGE'
  | 'CANCELLED'
  | 'INTERNAL_ERROR'
  | 'PROVIDER_NOT_CONFIGURED'
  | 'PROVIDER_NOT_FOUND'
  | 'FLOW_INITIATION_FAILED'
  | 'SESSION_NOT_FOUND'
  | 'SESSION_ALREADY_USED'
  | 'SESSION_EXPIRED'
  | 'EXCHANGE_FAILED'
  | 'ACCESS_DENIED'
  | 'POLL_FAILED'
  | 'REFRESH_NOT_AVAILABLE'
  | 'REFRESH_FAILED'
  | 'REAUTH_REQUIRED'

/** What an operation was about failed: each has a code of its own for that. */
export type Failing = Extract<
  WireCode,
  'FLOW_INITIATION_FAILED' | 'EXCHANGE_FAILED' | 'POLL_FAILED' | 'REFRESH_FAILED' | 'INTERNAL_ERROR'
>

/** `ITS_OWN`: as the operation that was asked for has it. */
const CODES: Readonly<Record<ErrorCode, WireCode | 'ITS_OWN'>> = {
  cancelled: 'CANCELLED',
  'invalid-credentials': 'ITS_OWN',
  'key-format': 'INVALID_REQUEST',
  'access-denied': 'ACCESS_DENIED',
  'mfa-required': 'ITS_OWN',
  'browser-unavailable': 'ITS_OWN',

  'not-connected': 'NOT_FOUND',
  'needs-reauth': 'REAUTH_REQUIRED',
  'access-revoked': 'REAUTH_REQUIRED',
  'token-expired': 'REAUTH_REQUIRED',
  'invalid-token': 'REAUTH_REQUIRED',
  'refresh-failed': 'REFRESH_FAILED',
  'refresh-not-available': 'REFRESH_NOT_AVAILABLE',
  'refused-by-policy': 'ITS_OWN',
  'vendor-policy': 'PROVIDER_NOT_CONFIGURED',
  'session-expired': 'REAUTH_REQUIRED',
  'reference-unreadable': 'ITS_OWN',

  'not-allowed': 'FORBIDDEN',
  'forward-only': 'FORBIDDEN',
  'ask-needed': 'FORBIDDEN',
  'host-not-allowed': 'FORBIDDEN',
  unauthenticated: 'UNAUTHORIZED',
  'not-recorded': 'INTERNAL_ERROR',

  'provider-not-configured': 'PROVIDER_NOT_CONFIGURED',
  'unknown-provider': 'PROVIDER_NOT_FOUND',
  'unknown-flow': 'PROVIDER_NOT_CONFIGURED',
  'flow-failed': 'ITS_OWN',
  'flow-not-found': 'SESSION_NOT_FOUND',
  'flow-used': 'SESSION_ALREADY_USED',
  'flow-expired': 'SESSION_EXPIRED',
  'invalid-state': 'ITS_OWN',
  'invalid-code': 'ITS_OWN',
  'exchange-failed': 'ITS_OWN',
  'poll-failed': 'POLL_FAILED',

  'network-error': 'ITS_OWN',
  'certificate-pin': 'ITS_OWN',
  'connect-timeout': 'ITS_OWN',
  'answer-timeout': 'ITS_OWN',
  'answer-lost': 'ITS_OWN',
  'server-error': 'ITS_OWN',
  'bad-answer': 'ITS_OWN',
  'response-too-large': 'RESPONSE_TOO_LARGE',

  locked: 'INTERNAL_ERROR',
  held: 'INTERNAL_ERROR',
  'wrong-key': 'INTERNAL_ERROR',
  tampered: 'INTERNAL_ERROR',
  'vault-restored': 'INTERNAL_ERROR',
  'vault-unreadable': 'INTERNAL_ERROR',
  'newer-schema': 'INTERNAL_ERROR',
  'disk-full': 'INTERNAL_ERROR',
  'read-only': 'INTERNAL_ERROR',
  'unsafe-folder': 'INTERNAL_ERROR',
  'config-invalid': 'INTERNAL_ERROR',
  'port-taken': 'ITS_OWN',
  'broker-gone': 'INTERNAL_ERROR',
  conflict: 'ITS_OWN',
  'internal-error': 'INTERNAL_ERROR',

  'invalid-request': 'INVALID_REQUEST',
  usage: 'INVALID_REQUEST',
  'not-found': 'NOT_FOUND',
  'too-large': 'INVALID_REQUEST',
  'rate-limited': 'RATE_LIMITED',
  'resource-exhausted': 'RESOURCE_EXHAUSTED',
  'unknown-version': 'UNKNOWN_VERSION',
}

/** A refusal as it goes over the wire: fixed words, and nothing that a server or an exception has said. */
export interface Told {
  readonly ok: false
  readonly code: WireCode
  readonly error: string
  readonly retryAfter?: number
  /** Another way to sign in, where that is what failed. */
  readonly instead?: Way
}

const FIXED = new WeakMap<ValetkeyError, string>()

/** The same refusal, told in words of this door's own. */
export function inWords(error: ValetkeyError, words: string): ValetkeyError {
  FIXED.set(error, words)
  return error
}

export function told(thrown: unknown, failing: Failing, version: Version, offersNext = true): Told {
  const error = thrown instanceof ValetkeyError ? thrown : undefined
  const known = error === undefined ? 'INTERNAL_ERROR' : CODES[error.code]
  const code = spelled(known === 'ITS_OWN' ? failing : known, version)
  const { says } =
    ERRORS[code === 'FLOW_INITIATION_FAILED' ? 'flow-failed' : (error?.code ?? 'internal-error')]
  const { retryAfter, instead } = error ?? {}
  return {
    ok: false,
    code,
    error: (error && FIXED.get(error)) ?? says,
    ...(retryAfter === undefined ? {} : { retryAfter: Math.max(1, Math.ceil(retryAfter)) }),
    ...(instead && offersNext ? { instead: { flow: instead.flow, label: instead.label } } : {}),
  }
}

/** The first version had one word for who is not known and for what is not given. */
function spelled(code: WireCode, version: Version): WireCode {
  return version === 1 && code === 'FORBIDDEN' ? 'UNAUTHORIZED' : code
}

export function tell(code: WireCode, error: string, retryAfter?: number): Told {
  return { ok: false, code, error, ...(retryAfter === undefined ? {} : { retryAfter }) }
}
