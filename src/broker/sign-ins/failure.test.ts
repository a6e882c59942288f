import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { failureOf, withReaction } from './failure.ts'

describe('what is kept of a sign-in that failed', () => {
  it('says what is to be done about it', () => {
    const denied = new ValetkeyError('access-denied', 'access was denied', { hint: 'valetkey connect acme' })
    expect(failureOf(denied)).toMatchObject({ code: 'access-denied', reaction: 'ask-the-person' })
    expect(failureOf(new Error('of ours'))).toMatchObject({ code: 'internal-error', reaction: 'nothing' })
  })

  it('says so by its code where it was kept without', () => {
    const kept = { detail: 'as it was', hint: null }
    expect(withReaction({ ...kept, code: 'access-revoked' }).reaction).toBe('reconnect')
    expect(withReaction({ ...kept, code: 'flow-expired' }).reaction).toBe('try-again')
    expect(withReaction({ ...kept, code: 'of-a-newer-one' }).reaction).toBe('nothing')
    expect(withReaction({ ...kept, code: 'of-a-newer-one', reaction: 'refresh' }).reaction).toBe('refresh')
  })
})
