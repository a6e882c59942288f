import { describe, expect, expectTypeOf, it } from 'vitest'
import { Secret } from '../model/secret.ts'
import type { Lent } from '../model/words.ts'
import { canary } from '../testing/canary.ts'
import { lent as lentSchema } from './answers.ts'
import { type Printed, print, printLent } from './print.ts'

const at = new Date('2026-11-20T10:00:00.000Z')

describe('printing', () => {
  it('writes times and links as JSON has them', () => {
    expect(print({ at, url: new URL('https://a.test/x'), none: null, list: [at] })).toEqual({
      at: '2026-11-20T10:00:00.000Z',
      url: 'https://a.test/x',
      none: null,
      list: ['2026-11-20T10:00:00.000Z'],
    })
  })

  it('has no printed form for a secret, and hides one that comes all the same', () => {
    expectTypeOf<Printed<{ key: Secret }>>().toEqualTypeOf<{ key: never }>()
    const secret = canary('printed')
    expect(JSON.stringify(print({ key: new Secret(secret) }))).not.toContain(secret)
  })

  it('reveals what was lent, and nothing changes on the way', () => {
    const [token, extra] = [canary('token'), canary('extra')]
    const printed = printLent(lentOf(token, extra))
    expect(printed.token).toBe(token)
    expect(printed.fields).toEqual({ key: token, extra })
    expect(lentSchema.safeParse(printed).error).toBeUndefined()
  })
})

function lentOf(token: string, extra: string): Lent {
  return {
    lease: {
      id: 'l1',
      accountId: 'a1',
      address: 'github',
      caller: 'app:x',
      verb: 'lend',
      openedAt: at,
      until: null,
      endsBy: 'expiry',
      endedAt: null,
      lastUsedAt: at,
      count: 1,
      purpose: null,
      scopes: [],
      audience: null,
      repositories: [],
    },
    token: new Secret(token),
    fields: { key: new Secret(token), extra: new Secret(extra) },
    tokenType: 'Bearer',
    expiresAt: at,
    scopes: [],
  }
}
