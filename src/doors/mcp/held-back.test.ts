import { describe, expect, it } from 'vitest'
import { canary } from '../../testing/canary.ts'
import { HELD_BACK, heldBack } from './held-back.ts'

const secret = canary('told')

describe('what a tool shows of an answer', () => {
  it.each([
    ['a token answer', `{"access_token":"${secret}","token_type":"Bearer"}`],
    ['one with a gap', `{ "refresh_token" : "${secret}" }`],
    ['one that is cut off in the middle', `{"id_token":"${secret}`],
    ['one with quotes inside', `{"client_secret":"a\\"${secret}"}`],
    ['a form', `access_token=${secret}&scope=read`],
    ['a link that somebody was sent away with', `https://app.test/#access_token=${secret}&state=1`],
    ['headers that are sent back', `{"headers":{"Authorization":"Bearer ${secret}"}}`],
    ['headers as they are written', `accept: */*\nauthorization: Basic ${secret}\nhost: x`],
    ['a header that names no scheme', `"authorization":"${secret}"`],
    ['a key that is sent back', `{"x-api-key":"${secret}"}`],
    ['a cookie that is sent back', `cookie: session=${secret}; other=1`],
    ['a DPoP header', `Authorization: DPoP ${secret}`],
  ])('[security 20.1] holds the secret back of %s', (_, text) => {
    expect(heldBack(text)).not.toContain(secret)
    expect(heldBack(text)).toContain(HELD_BACK)
  })

  it('leaves everything else as it is', () => {
    const text = JSON.stringify({ tokens: 12, access: 'token', note: 'the access_token is kept', scope: 'a' })
    expect(heldBack(text)).toBe(text)
    expect(heldBack('the authorization of users, and basic understanding')).toBe(
      'the authorization of users, and basic understanding',
    )
  })

  it('takes no longer for a text that is made to be slow', () => {
    const text = `${'"access_token":"\\'.repeat(20_000)}authorization${' '.repeat(50_000)}`
    const begun = performance.now()
    heldBack(text)
    expect(performance.now() - begun).toBeLessThan(1000)
  })
})
