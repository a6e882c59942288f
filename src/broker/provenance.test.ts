import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { refusal, type TestHouse } from '../../test/house.ts'
import { PRACTICE } from '../../test/practice.ts'
import { renewingHouse, type Upstream } from '../../test/renewing.ts'

let house: TestHouse
let upstream: Upstream

beforeEach(async () => {
  ;({ house, upstream } = await renewingHouse())
})
afterEach(() => house.close())

/** Somebody changes the file of the owner's own provider. */
const nowSays = (change: object) =>
  house.meanwhile(() =>
    writeFile(
      join(house.home, 'config', 'providers', 'practice.json'),
      JSON.stringify({ ...PRACTICE, ...change }),
    ),
  )

describe('a provider file that leads elsewhere than when the account was connected', () => {
  const MOVED = {
    code: 'host-not-allowed',
    message: 'practice was connected at https://api.practice.test, and now leads to https://api.evil.test',
    hint: 'if that is right: valetkey reconnect practice',
  }

  it('gets none of its credential, by whichever verb', async () => {
    await nowSays({ hosts: ['api.evil.test'] })
    const { owner } = house
    expect(await refusal(owner.forward({ address: 'practice', method: 'GET', path: '/' }))).toEqual(MOVED)
    expect(await refusal(owner.lend({ address: 'practice' }))).toEqual(MOVED)
    expect(await refusal(owner.refresh('practice'))).toEqual(MOVED)
    expect(upstream.asked).toBe(0)
  })

  it('is not told either that the account is over', async () => {
    await nowSays({ hosts: ['api.evil.test'] })
    const { lines } = await house.owner.revoke('practice')
    expect(lines).toMatchObject([{ how: expect.stringContaining('now leads to https://api.evil.test') }])
    expect(upstream.ended).toEqual([])
  })

  it('is believed again once the account was reconnected there', async () => {
    await nowSays({ hosts: ['api.evil.test'] })
    await house.owner.reconnect('practice')
    expect((await house.owner.lend({ address: 'practice' })).token.reveal()).toBe(upstream.token)
  })

  it('may name fewer hosts than before', async () => {
    await nowSays({ hosts: ['api.practice.test', 'more.practice.test'] })
    await house.owner.reconnect('practice')
    await nowSays({})
    expect((await house.owner.lend({ address: 'practice' })).token.reveal()).toBe(upstream.token)
  })
})

describe('a row of an account that was changed in the file', () => {
  it.each([
    ['bucket', "update accounts set bucket = 'other'"],
    ['flow', "update accounts set flow = 'api-key'"],
  ])('does not open by another %s', async (column, statement) => {
    await house.inFile((database) => database.exec(statement))
    const address = column === 'bucket' ? 'practice/other' : 'practice'
    expect(await refusal(house.owner.lend({ address }))).toMatchObject({ code: 'tampered' })
  })
})
