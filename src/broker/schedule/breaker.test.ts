import { describe, expect, it } from 'vitest'
import { type ErrorCode, ValetkeyError } from '#client'
import { openBreaker } from './breaker.ts'

const MINUTE = 60_000

function failing(code: ErrorCode, pauseMs = 0) {
  let now = 0
  const breaker = openBreaker(() => now)
  for (let n = 0; n < 5; n += 1) {
    now += pauseMs
    breaker.failed('server', `acct-${n}`, new ValetkeyError(code, 'it went wrong'))
  }
  return breaker
}

describe('five accounts that fail at the same server', () => {
  it.each([
    'network-error',
    'connect-timeout',
    'answer-timeout',
    'answer-lost',
    'server-error',
    'rate-limited',
  ] as const)('with %s keep everybody away from it', (code) => {
    expect(failing(code).pass('server')).toMatchObject({ code })
  })

  it.each(['bad-answer', 'conflict', 'flow-failed', 'not-recorded'] as const)(
    'with %s keep nobody else away',
    (code) => {
      expect(failing(code).pass('server')).toBeUndefined()
    },
  )

  it('within hours of each other say nothing of the server', () => {
    expect(failing('server-error', MINUTE).pass('server')).toBeDefined()
    expect(failing('server-error', 10 * MINUTE).pass('server')).toBeUndefined()
  })
})
