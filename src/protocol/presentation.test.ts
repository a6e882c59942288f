import { describe, expect, it } from 'vitest'
import type { Credential } from '../model/credential.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { wear } from './presentation.ts'

const holding = (worn: Readonly<Record<string, string>>): Credential => ({
  worn: Object.fromEntries(Object.entries(worn).map(([name, value]) => [name, new Secret(value)])),
  kept: {},
  standing: true,
  expiresAt: null,
  scopes: [],
  tokenType: 'key',
})

const key = canary('worn')
const header = { header: 'x-key', field: 'key', optional: false }

describe('a credential on a request', () => {
  it('is worn after the headers of the provider', () => {
    expect(wear([header], { 'x-version': '1' }, holding({ key }))).toEqual([
      ['x-version', '1'],
      ['x-key', key],
    ])
  })

  it('is worn with its prefix', () => {
    const bearer = { header: 'authorization', prefix: 'Bearer ', field: 'key', optional: false }
    expect(wear([bearer], {}, holding({ key }))).toEqual([['authorization', `Bearer ${key}`]])
  })

  it('is worn without the optional part that it does not have', () => {
    const second = { header: 'x-second', field: 'second', optional: true }
    expect(wear([header, second], {}, holding({ key }))).toEqual([['x-key', key]])
  })

  it('is not worn at all when a part that is needed is missing', () => {
    for (const field of ['other', 'constructor'])
      expect(() => wear([{ ...header, field }], {}, holding({ key }))).toThrow(
        expect.objectContaining({ code: 'needs-reauth' }),
      )
  })

  it('is worn as a basic pair, either half of which may be empty', () => {
    const basic = (pair: object) => wear([{ basic: pair }], {}, holding({ user: 'zoë', key }))[0]?.[1]
    const encoded = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
    expect(basic({ user: 'user', password: 'key' })).toBe(encoded(`zoë:${key}`))
    expect(basic({ user: 'key' })).toBe(encoded(`${key}:`))
    expect(basic({ password: 'key' })).toBe(encoded(`:${key}`))
  })

  it('is worn as a basic pair, a half of which everybody knows', () => {
    const basic = (pair: object) => wear([{ basic: pair }], {}, holding({ user: 'zoë', key }))[0]?.[1]
    const encoded = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
    expect(basic({ password: 'key', fixed: { user: 'api' } })).toBe(encoded(`api:${key}`))
    expect(basic({ user: 'key', fixed: { password: 'x' } })).toBe(encoded(`${key}:x`))
    expect(basic({ user: 'user', userEnds: '/token', password: 'key' })).toBe(encoded(`zoë/token:${key}`))
  })

  it.each(['a\r\nx-other: 1', 'a\nb', 'a\0b', 'ключ', ' a', ''])(
    'is refused where it could begin another header: %j',
    (value) => {
      expect(() => wear([header], {}, holding({ key: value }))).toThrow(
        expect.objectContaining({ code: 'key-format' }),
      )
    },
  )

  it('is refused as a basic pair whose user would end early', () => {
    const pair = [{ basic: { user: 'user', password: 'key' } }]
    for (const user of ['a:b', 'a\nb'])
      expect(() => wear(pair, {}, holding({ user, key }))).toThrow(
        expect.objectContaining({ code: 'key-format' }),
      )
  })

  it('[security 20.1] is never repeated in the refusal', () => {
    const refused = () => wear([header], {}, holding({ key: `${key}\n` }))
    expect(refused).toThrow(expect.objectContaining({ message: expect.not.stringContaining(key) }))
  })
})
