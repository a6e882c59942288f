import { describe, expect, it } from 'vitest'
import { canary } from '../testing/canary.ts'
import type { Answer } from './ask.ts'
import { tokenAnswer } from './token-answer.ts'

const access = canary('access')
const untyped = { untyped: false }

const json = (body: unknown, status = 200): Answer => ({
  status,
  type: 'application/json',
  text: JSON.stringify(body),
})

describe('an answer that has its things elsewhere', () => {
  const shape = {
    in: '/data/0',
    accessToken: '/token/value',
    refreshToken: '/token/next',
    expiresIn: '/token/seconds',
    scope: '/permissions',
    untyped: true,
  }
  const inside = {
    token: { value: access, next: 'next', seconds: '3600' },
    permissions: ['read', 'write all', 7],
    access_token: canary('other'),
  }

  it('is read where they are, and by their names of the standard from then on', async () => {
    const judge = tokenAnswer({ answers: 'json', idToken: false, shape, told: ['/team/id', '/none'] })
    const { body } = await judge(json({ data: [inside], team: { id: 7 } }))
    expect(body).toEqual({
      access_token: access,
      refresh_token: 'next',
      expires_in: 3600,
      scope: 'read write all',
      token_type: 'bearer',
      told: { '/team/id': '7' },
    })
  })

  it('has no token where it is not in its place, whatever stands in another', async () => {
    const judge = tokenAnswer({ answers: 'json', idToken: false, shape })
    const { body } = await judge(json({ data: [{ access_token: canary('other') }] }))
    expect(body).not.toHaveProperty('access_token')
  })

  it('may be a form', async () => {
    const judge = tokenAnswer({ answers: 'form', idToken: false, shape: { untyped: true } })
    const text = `access_token=${access}&expires=5183999`
    const { body } = await judge({ status: 200, type: 'application/x-www-form-urlencoded', text })
    expect(body).toEqual({ access_token: access, token_type: 'bearer' })
  })

  it.each([
    ['a word', { error: { code: 'expired' } }, 'expired'],
    ['a number', { error: { code: 190 } }, '190'],
  ])('refuses with %s of its own', async (_, body, word) => {
    const judge = tokenAnswer({
      answers: 'json',
      idToken: false,
      shape: { ...untyped, error: '/error/code' },
    })
    expect(await judge(json(body, 400))).toEqual({ status: 400, body: { error: word } })
  })

  it('is a refusal where it does not say that it is well, and says no more than its word', async () => {
    const judge = tokenAnswer({
      answers: 'json',
      idToken: false,
      shape: { ...untyped, ok: '/ok', error: '/why' },
    })
    const tokens = { access_token: access, token_type: 'bearer' }
    expect(await judge(json({ ok: false, why: 'gone', ...tokens }))).toEqual({
      status: 400,
      body: { error: 'gone' },
    })
    expect(() => judge(json({ ok: 'true', ...tokens }))).toThrow('without saying why')
    expect((await judge(json({ ok: true, why: 'a warning', ...tokens }))).body).toEqual(tokens)
  })

  it('is still typed where nobody said that it is not', () => {
    const judge = tokenAnswer({ answers: 'json', idToken: false })
    expect(() => judge(json({ access_token: access, token_type: 'user' }))).toThrow('unknown type')
  })
})
