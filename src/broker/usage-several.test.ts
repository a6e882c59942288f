import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Endless, endlessProvider } from '../../test/endless.ts'
import { report, size } from '../../test/figures.ts'
import { openTestHouse, type TestHouse } from '../../test/house.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import { PRACTICE } from '../../test/practice.ts'
import { until } from '../../test/real.ts'
import { renewingFlow } from '../../test/renewing.ts'
import type { CallerId } from '../model/caller.ts'
import { canaryBytes } from '../testing/canary.ts'

const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url') }
const APPS: readonly CallerId[] = ['app:one', 'app:two']
const TIMES = size(60, 300)

let server: PostgresServer
let provider: Endless
let brokers: TestHouse[]

beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

beforeEach(async () => {
  provider = await endlessProvider()
  const url = await server.newVault()
  const { flow } = renewingFlow()
  brokers = []
  for (let n = 0; n < 3; n += 1)
    brokers.push(
      await openTestHouse({
        env: { ...env, DATABASE_URL: url },
        flows: [flow],
        providers: [PRACTICE],
        origins: { practice: provider.origin },
      }),
    )
  const [one] = brokers
  await one?.owner.connect({ provider: 'practice' })
  for (const caller of APPS)
    await one?.owner.bind({ caller, address: 'practice', may: ['lend', 'forward'], asks: 'never' })
})
afterEach(async () => {
  for (const broker of brokers) await broker.close()
  await provider.close()
})

describe('three brokers of one database', () => {
  it('count together what is used by all of them, and share a lease', {
    timeout: size(60_000, 600_000),
  }, async () => {
    const all = brokers.flatMap((broker) =>
      APPS.flatMap((app) =>
        Array.from({ length: TIMES }, () => broker.as(app).lend({ address: 'practice' })),
      ),
    )
    const failed = (await Promise.allSettled(all)).filter(({ status }) => status === 'rejected')
    expect(failed).toEqual([])
    const [one] = brokers
    const counted = (await one?.owner.usage()) ?? []
    expect(counted.map(({ caller, lends }) => [caller, lends]).toSorted()).toEqual(
      APPS.map((app) => [app, 3 * TIMES]),
    )
    const leases = (await one?.owner.leases()) ?? []
    expect(leases.map(({ caller, count }) => [caller, count]).toSorted()).toEqual(
      APPS.map((app) => [app, 3 * TIMES]),
    )
    const missing = all.length - counted.reduce((sum, { lends }) => sum + lends, 0)
    report('uses not counted, three brokers on Postgres', missing, all.length, 'embedded-postgres')
  })

  it.each<[string, (broker: TestHouse) => Promise<unknown>]>([
    ['ends its lease', async ({ owner }) => owner.endLease((await owner.leases())[0]?.id ?? '')],
    ['unbinds its caller', async ({ owner }) => owner.unbind((await owner.bindings())[0]?.id ?? '')],
    ['revokes its account', ({ owner }) => owner.revoke('practice')],
  ])('cut off what is under way at one of them at once when another %s', async (_, end) => {
    const [one, other] = brokers
    if (one === undefined || other === undefined) throw new Error('there are three')
    const { body } = await withoutLooks(() =>
      one.as('app:one').forward({ address: 'practice', method: 'GET', path: '/endless' }),
    )
    const over = (async () => {
      for await (const _ of body ?? []);
    })().catch((error: unknown) => error)
    await until(() => provider.open() === 1)
    await end(other)
    expect(await over).toMatchObject({ code: 'cancelled' })
    await until(() => provider.open() === 0)
  })
})

/** What begins meanwhile never rings, so that leases are not looked at by the clock. */
async function withoutLooks<R>(work: () => Promise<R>): Promise<R> {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  return work().finally(() => vi.useRealTimers())
}
