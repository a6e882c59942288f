import { afterEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../test/practice.ts'

describe('an account of which the provider granted "read"', () => {
  let house: TestHouse
  afterEach(() => house.close())

  it.each([
    { asked: [], warnings: [] },
    { asked: ['read'], warnings: [] },
    { asked: ['openid', 'offline_access', 'read'], warnings: [] },
    { asked: ['read', 'write'], warnings: ['missing-scopes'] },
  ])('warns of $warnings where $asked was asked for', async ({ asked, warnings }) => {
    const signIns = PRACTICE.signIns.map((signIn) => ({ ...signIn, scopes: asked }))
    const practice = {
      ...PRACTICE,
      signIns,
      registration: 'yours',
      oauth: { issuer: 'https://practice.test' },
    }
    house = await openTestHouse({ flows: [tokenFlow().flow], providers: [practice] })
    await house.owner.connect({ provider: 'practice' })
    expect(await house.owner.accounts()).toMatchObject([{ scopes: ['read'], warnings }])
  })
})
