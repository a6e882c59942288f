import { describe, expect, it } from 'vitest'
import { ERRORS, type ErrorCode, isErrorCode, ValetkeyError } from './error.ts'

/** What other programs call the same thing, and the code that says it here. */
const DESKTOP_APP = {
  user_cancelled: 'cancelled',
  invalid_credentials: 'invalid-credentials',
  access_denied: 'access-denied',
  token_expired: 'token-expired',
  refresh_failed: 'refresh-failed',
  invalid_token: 'invalid-token',
  network_error: 'network-error',
  timeout: 'answer-timeout',
  invalid_state: 'invalid-state',
  invalid_code: 'invalid-code',
  server_error: 'server-error',
} as const satisfies Record<string, ErrorCode>

const CREDENTIAL_PROXY = {
  NOT_FOUND: 'not-found',
  INVALID_REQUEST: 'invalid-request',
  FORBIDDEN: 'not-allowed',
  UNAUTHORIZED: 'unauthenticated',
  UNKNOWN_VERSION: 'unknown-version',
  RATE_LIMITED: 'rate-limited',
  RESOURCE_EXHAUSTED: 'resource-exhausted',
  RESPONSE_TOO_LARGE: 'response-too-large',
  CANCELLED: 'cancelled',
  INTERNAL_ERROR: 'internal-error',
  PROVIDER_NOT_CONFIGURED: 'provider-not-configured',
  PROVIDER_NOT_FOUND: 'unknown-provider',
  FLOW_INITIATION_FAILED: 'flow-failed',
  SESSION_NOT_FOUND: 'flow-not-found',
  SESSION_ALREADY_USED: 'flow-used',
  SESSION_EXPIRED: 'flow-expired',
  EXCHANGE_FAILED: 'exchange-failed',
  ACCESS_DENIED: 'access-denied',
  POLL_FAILED: 'poll-failed',
  REFRESH_NOT_AVAILABLE: 'refresh-not-available',
  REFRESH_FAILED: 'refresh-failed',
  REAUTH_REQUIRED: 'needs-reauth',
} as const satisfies Record<string, ErrorCode>

/** With what is to be done about each. */
const AGENT_FRAMEWORK = {
  'invalid credentials': ['invalid-credentials', 'ask-the-person'],
  'network error': ['network-error', 'try-again'],
  'mfa required': ['mfa-required', 'ask-the-person'],
  'token expired': ['token-expired', 'refresh'],
  'session expired': ['session-expired', 'reconnect'],
} as const

const LOGIN_PACKAGE = {
  'network failures': 'network-error',
  'invalid credentials': 'invalid-credentials',
  'expired tokens': 'token-expired',
  'revoked access': 'access-revoked',
  'browser issues': 'browser-unavailable',
} as const satisfies Record<string, ErrorCode>

describe('the codes', () => {
  it.each([
    ['a desktop app', 11, DESKTOP_APP],
    ['a credential proxy', 22, CREDENTIAL_PROXY],
    ['a login package', 5, LOGIN_PACKAGE],
  ])('say all that %s has to say', (_, count, table) => {
    expect(Object.keys(table)).toHaveLength(count)
    expect(Object.values(table).every(isErrorCode)).toBe(true)
  })

  it.each(Object.entries(AGENT_FRAMEWORK))('say what is to be done: %s', (_, [code, reaction]) => {
    expect(ERRORS[code].reaction).toBe(reaction)
  })

  it('each have a sentence for people, and what to do', () => {
    for (const { says, reaction } of Object.values(ERRORS)) {
      expect(says).toMatch(/^[A-Z].*\.$/)
      expect(['refresh', 'try-again', 'ask-the-person', 'reconnect', 'nothing']).toContain(reaction)
    }
  })

  it('are a closed list: an inherited name is none', () => {
    for (const name of ['toString', 'constructor', '__proto__', '']) expect(isErrorCode(name)).toBe(false)
  })
})

describe('an error', () => {
  it('has a message, a sentence for people, a hint, a cause, and says whether trying again helps', () => {
    const cause = new Error('below')
    const error = new ValetkeyError('network-error', 'openai could not be reached', {
      hint: 'valetkey accounts',
      cause,
    })
    expect(error).toMatchObject({ code: 'network-error', hint: 'valetkey accounts', cause, retryable: true })
    expect(error.forPeople).toBe('The provider could not be reached.')
    expect(new ValetkeyError('cancelled', 'the sign-in was cancelled')).toMatchObject({
      reaction: 'nothing',
      retryable: false,
      hint: undefined,
    })
  })
})
