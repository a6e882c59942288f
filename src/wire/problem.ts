import { z } from '@hono/zod-openapi'
import { type ErrorCode, type Problem, type Reaction, ValetkeyError, type Way } from '#client'
import type { Each, Whole } from './whole.ts'

/** What each refusal is in HTTP. */
export const STATUS: Record<ErrorCode, number> = {
  cancelled: 409,
  'invalid-credentials': 422,
  'key-format': 422,
  'access-denied': 403,
  'mfa-required': 409,
  'browser-unavailable': 409,

  'not-connected': 404,
  'needs-reauth': 409,
  'access-revoked': 409,
  'token-expired': 409,
  'invalid-token': 409,
  'refresh-failed': 409,
  'refresh-not-available': 409,
  'refused-by-policy': 409,
  'vendor-policy': 403,
  'session-expired': 409,
  'reference-unreadable': 409,

  'not-allowed': 403,
  'forward-only': 403,
  'ask-needed': 403,
  'host-not-allowed': 403,
  unauthenticated: 401,
  'not-recorded': 503,

  'provider-not-configured': 409,
  'unknown-provider': 404,
  'unknown-flow': 404,
  'flow-failed': 502,
  'flow-not-found': 404,
  'flow-used': 409,
  'flow-expired': 410,
  'invalid-state': 400,
  'invalid-code': 422,
  'exchange-failed': 502,
  'poll-failed': 502,

  'network-error': 502,
  'certificate-pin': 502,
  'connect-timeout': 504,
  'answer-timeout': 504,
  'answer-lost': 504,
  'server-error': 502,
  'bad-answer': 502,
  'response-too-large': 502,

  locked: 423,
  held: 409,
  'wrong-key': 403,
  tampered: 500,
  'vault-restored': 409,
  'vault-unreadable': 500,
  'newer-schema': 500,
  'disk-full': 507,
  'read-only': 503,
  'unsafe-folder': 500,
  'config-invalid': 500,
  'port-taken': 409,
  'broker-gone': 503,
  conflict: 409,
  'internal-error': 500,

  'invalid-request': 400,
  usage: 400,
  'not-found': 404,
  'too-large': 413,
  'rate-limited': 429,
  'resource-exhausted': 503,
  'unknown-version': 400,
}

/** An error as it may be told. What is not ours says nothing: its message could hold anything. */
export function problem(error: unknown): Problem {
  if (!(error instanceof ValetkeyError)) return problem(unknownMistake())
  return {
    type: `urn:valetkey:${error.code}`,
    title: error.forPeople,
    status: STATUS[error.code],
    detail: error.message,
    code: error.code,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    reaction: error.reaction,
    retryable: error.retryable,
    ...(error.retryAfter === undefined ? {} : { retryAfter: Math.ceil(error.retryAfter) }),
    ...(error.instead === null ? {} : { instead: error.instead }),
  }
}

function unknownMistake(): ValetkeyError {
  return new ValetkeyError('internal-error', 'something went wrong inside valetkey')
}

export const reaction = z.enum({
  refresh: 'refresh',
  'try-again': 'try-again',
  'ask-the-person': 'ask-the-person',
  reconnect: 'reconnect',
  nothing: 'nothing',
} satisfies Each<Reaction>)

export const way = z.strictObject({ flow: z.string(), label: z.string() }).openapi('Way') satisfies Whole<Way>

export const problemDocument = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string(),
    hint: z.string().optional(),
    reaction,
    retryable: z.boolean(),
    retryAfter: z.number().int().nonnegative().optional(),
    instead: way.optional(),
  })
  .openapi('Problem') satisfies Whole<Problem>
