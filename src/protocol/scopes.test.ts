import { describe, expect, it } from 'vitest'
import type { Answer } from './ask.ts'
import { tokenAnswer } from './token-answer.ts'

async function scopeOf(scope: unknown): Promise<unknown> {
  const text = JSON.stringify({ access_token: 'x', token_type: 'bearer', scope })
  const answer: Answer = { status: 200, type: 'application/json', text }
  return (await tokenAnswer({ answers: 'json', idToken: false })(answer)).body['scope']
}

describe('the scopes that a token endpoint tells', () => {
  it('are those that can be scopes, and cost nobody the tokens', async () => {
    expect(await scopeOf('read write')).toBe('read write')
    expect(await scopeOf('https://example.test/auth/mail.read repo,user')).toBe(
      'https://example.test/auth/mail.read repo,user',
    )
    expect(await scopeOf('read\u0000x write')).toBe('write')
    expect(await scopeOf(['read', 'wri\nte', 'a"b', 'über', 7])).toBe('read')
    expect(await scopeOf('\u0000')).toBeUndefined()
    expect(await scopeOf('  read  write ')).toBe('read write')
  })
})
