import type { ErrorCode } from '#client'

export type Exit = 0 | 1 | 2 | 3 | 4 | 5

/**
 * What a script is told: 0 ok, 1 failed, 2 the command cannot be understood, 3 not connected or in
 * need of a new sign-in, 4 not allowed, 5 locked.
 */
export const EXIT: Record<ErrorCode, Exit> = {
  cancelled: 1,
  'invalid-credentials': 1,
  'key-format': 2,
  'access-denied': 1,
  'mfa-required': 1,
  'browser-unavailable': 1,

  'not-connected': 3,
  'needs-reauth': 3,
  'access-revoked': 3,
  'token-expired': 3,
  'invalid-token': 3,
  'refresh-failed': 3,
  'refresh-not-available': 3,
  'refused-by-policy': 3,
  'vendor-policy': 4,
  'session-expired': 3,
  'reference-unreadable': 3,

  'not-allowed': 4,
  'forward-only': 4,
  'ask-needed': 4,
  'host-not-allowed': 4,
  unauthenticated: 4,
  'not-recorded': 1,

  'provider-not-configured': 2,
  'unknown-provider': 2,
  'unknown-flow': 2,
  'flow-failed': 1,
  'flow-not-found': 1,
  'flow-used': 1,
  'flow-expired': 1,
  'invalid-state': 1,
  'invalid-code': 1,
  'exchange-failed': 1,
  'poll-failed': 1,

  'network-error': 1,
  'certificate-pin': 1,
  'connect-timeout': 1,
  'answer-timeout': 1,
  'answer-lost': 1,
  'server-error': 1,
  'bad-answer': 1,
  'response-too-large': 1,

  locked: 5,
  held: 1,
  'wrong-key': 5,
  tampered: 1,
  'vault-restored': 1,
  'vault-unreadable': 1,
  'newer-schema': 1,
  'disk-full': 1,
  'read-only': 1,
  'unsafe-folder': 1,
  'config-invalid': 1,
  'port-taken': 1,
  'broker-gone': 1,
  conflict: 1,
  'internal-error': 1,

  'invalid-request': 2,
  usage: 2,
  'not-found': 1,
  'too-large': 2,
  'rate-limited': 1,
  'resource-exhausted': 1,
  'unknown-version': 1,
}

/** What a shell reports of a program that ctrl-c ended. */
export const INTERRUPTED_EXIT = 130
