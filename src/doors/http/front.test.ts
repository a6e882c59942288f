import { describe, expect, it } from 'vitest'
import { isOwner } from '../../model/caller.ts'
import { openFront } from './front.ts'

const ORIGIN = 'http://127.0.0.1:4321'

describe('the way in from the terminal', () => {
  it('trades a code for a cookie once', () => {
    const { front, code } = opened()
    expect(front.enter(code)).toMatch(/^__Host-valetkey=[\w-]{43}; /)
    expect(front.enter(code)).toBeUndefined()
  })

  it('carries 256 random bits in the fragment of a link', () => {
    const { link, code } = opened()
    expect(link.href).toMatch(/^http:\/\/127\.0\.0\.1:4321\/#code=[\w-]{43}$/)
    expect(Buffer.from(code, 'base64url')).toHaveLength(32)
  })

  it('makes the cookie one that only this origin gets, and no script', () => {
    const { front, code } = opened()
    const attributes = front.enter(code)?.split('; ').slice(1)
    expect(attributes).toEqual(['HttpOnly', 'Secure', 'SameSite=Strict', 'Path=/', 'Max-Age=43200'])
  })

  it('knows the owner by the cookie', () => {
    const { front, code } = opened()
    const caller = front.identify(withCookie(front.enter(code) ?? ''))
    expect(caller && isOwner(caller)).toBe(true)
  })

  it('takes no code after two minutes', () => {
    const { front, code, pass } = opened()
    pass(2 * 60)
    expect(front.enter(code)).toBeUndefined()
  })

  it('takes no cookie after twelve hours', () => {
    const { front, code, pass } = opened()
    const request = withCookie(front.enter(code) ?? '')
    pass(12 * 3600 - 1)
    expect(front.identify(request)).toBeDefined()
    pass(1)
    expect(front.identify(request)).toBeUndefined()
  })

  it('forgets a session that was left', () => {
    const { front, code } = opened()
    const request = withCookie(front.enter(code) ?? '')
    expect(front.leave(request)).toContain('Max-Age=0')
    expect(front.identify(request)).toBeUndefined()
  })

  it('[security 0.11] knows a browser again for ten minutes, by the sign-in that was begun in it', () => {
    const { front, code, pass } = opened()
    const entered = front.enter(code) ?? ''
    const bound = front.browserOf(withCookie(entered)).bind('flow-1') ?? ''
    expect(bound).toBe('__Host-valetkey-flow-1=flow-1; HttpOnly; Secure; SameSite=None; Path=/; Max-Age=600')
    const back = front.browserOf(withCookie(bound))
    expect([back.began('flow-1'), back.began('flow-2')]).toEqual([true, false])
    expect(front.browserOf(withCookie(entered)).began('flow-1')).toBe(false)
    pass(600)
    expect(back.began('flow-1')).toBe(false)
  })

  it('[security 0.11] binds nobody who is not signed in, and lets nobody come back who has left', () => {
    const { front, code } = opened()
    const entered = withCookie(front.enter(code) ?? '')
    expect(front.browserOf(new Request(ORIGIN)).bind('flow-1')).toBeUndefined()
    const back = front.browserOf(withCookie(front.browserOf(entered).bind('flow-1') ?? ''))
    front.leave(entered)
    expect(back.began('flow-1')).toBe(false)
  })

  it('knows nobody by a wrong cookie, by none, or by two of them', () => {
    const { front, code } = opened()
    const cookie = (front.enter(code) ?? '').split(';')[0]
    expect(front.identify(withCookie('__Host-valetkey=wrong'))).toBeUndefined()
    expect(front.identify(new Request(ORIGIN))).toBeUndefined()
    expect(front.identify(withCookie(`${cookie}; __Host-valetkey=other`))).toBeUndefined()
    expect(front.identify(withCookie(`x${cookie}`))).toBeUndefined()
  })
})

function opened() {
  let time = Date.parse('2026-11-20T10:00:00Z')
  const front = openFront({ now: () => new Date(time) })
  const link = front.newLink(ORIGIN)
  const pass = (seconds: number) => {
    time += seconds * 1000
  }
  return { front, link, code: link.hash.slice('#code='.length), pass }
}

function withCookie(cookie: string): Request {
  return new Request(ORIGIN, { headers: { cookie: cookie.split('; HttpOnly')[0] ?? '' } })
}
