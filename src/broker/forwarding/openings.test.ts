import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { openServer, type PostgresServer } from '../../../test/postgres.ts'
import { PRACTICE, tokenFlow } from '../../../test/practice.ts'
import type { Flow } from '../../model/flow.ts'
import { canaryBytes } from '../../testing/canary.ts'

let server: PostgresServer
let house: TestHouse
let scopes: readonly string[]

beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

beforeEach(async () => {
  const { flow } = tokenFlow()
  const scoped: Flow = {
    ...flow,
    begin: async (context) => {
      const turn = await flow.begin(context)
      if (!('done' in turn) || !('credential' in turn.done)) throw new Error('it is done at once')
      return { done: { ...turn.done, credential: { ...turn.done.credential, scopes } } }
    },
  }
  const env = {
    VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url'),
    DATABASE_URL: await server.newVault(),
  }
  house = await openTestHouse({ env, flows: [scoped], providers: [PRACTICE] })
})
afterEach(() => house.close())

describe('a lending that cannot be written', () => {
  it('does no harm to those that are written with it', async () => {
    scopes = ['read']
    await house.owner.connect({ provider: 'practice' })
    scopes = ['read\u0000x']
    await house.owner.connect({ provider: 'practice', bucket: 'bad' })
    const addresses = Array.from({ length: 30 }, (_, n) => (n % 3 === 0 ? 'practice/bad' : 'practice'))
    const all = await Promise.allSettled(addresses.map((address) => house.owner.lend({ address })))
    const lent = addresses.filter((_, n) => all[n]?.status === 'fulfilled')
    expect(lent).toEqual(addresses.filter((address) => address === 'practice'))
    expect(await house.owner.leases()).toMatchObject([{ count: 20 }])
  })
})
