import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { report, size } from '../../../test/figures.ts'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { type Grants, manyGrants } from '../../../test/many.ts'
import { openServer, type PostgresServer } from '../../../test/postgres.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { until } from '../../../test/real.ts'
import { canaryBytes } from '../../testing/canary.ts'

const HOUR = 60 * 60
const DAY = 24 * HOUR
const ACCOUNTS = size(60, 1_000)
const LONG = size(60_000, 1_800_000)

let server: PostgresServer
let url: string
let grants: Grants
let houses: TestHouse[]

beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

beforeEach(async () => {
  url = await server.newVault()
  const made = manyGrants()
  grants = made.grants
  const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url'), DATABASE_URL: url }
  houses = []
  for (let n = 0; n < 3; n += 1)
    houses.push(await openTestHouse({ env, flows: [made.flow], providers: [PRACTICE] }))
})
afterEach(async () => {
  for (const house of houses) await house.close()
})

const pass = (seconds: number) => {
  for (const { clock } of houses) clock.pass({ seconds })
}
const tick = () => Promise.all(houses.map((house) => house.tick()))
const connect = (n: number) => houses[n % 3]?.owner.connect({ provider: 'practice', bucket: `b${n}` })

describe('three brokers of one database', () => {
  it(
    'renew each of the accounts that are due at once, and each of them once in all',
    async () => {
      for (let n = 0; n < ACCOUNTS; n += 1) await connect(n)
      await server.ask(url, 'update accounts set "lastUsedAt" = "connectedAt" + 1')
      pass(HOUR - 5 * 60)
      grants.meanwhile = () => wait(20)
      for (let n = 0; grants.inAll < ACCOUNTS && n < ACCOUNTS; n += 1) {
        await tick()
        pass(1)
      }
      await tick()
      const once = grants.asked.filter((times) => times === 1).length
      report('scheduled renewals at three brokers', once, ACCOUNTS, 'postgres, each renewed exactly once')
      expect(once).toBe(ACCOUNTS)
      expect(grants.most).toBeGreaterThan(1)
      for (const { keeper } of houses) expect(await keeper.verifyAudit()).toMatchObject({ ok: true })
    },
    LONG,
  )

  it('announce the end of a grant to the listeners of each of them, once', async () => {
    grants.dies = 30
    await connect(0)
    const stop = new AbortController()
    const told = houses.map(({ owner }) => {
      const names: string[] = []
      const done = (async () => {
        // That it was connected may still be on its way to the others.
        for await (const { name } of owner.events({ signal: stop.signal }))
          if (name !== 'connected') names.push(name)
      })()
      return { names, done }
    })
    await wait(50)
    pass(16 * DAY)
    await tick()
    while (told.some(({ names }) => names.length === 0)) await wait(10)
    await houses[0]?.owner.lend({ address: 'practice/b0' })
    await wait(300)
    stop.abort()
    await Promise.all(told.map(({ done }) => done))
    expect(told.map(({ names }) => names)).toEqual([['expiring'], ['expiring'], ['expiring']])
  })

  it('are not kept waiting by what one of them is at work on', async () => {
    const goOn = Promise.withResolvers<void>()
    await connect(0)
    await houses[0]?.owner.lend({ address: 'practice/b0' })
    pass(2 * HOUR)
    grants.meanwhile = () => goOn.promise
    const slow = houses[0]?.tick()
    await until(() => grants.inAll === 1)
    pass(10)
    const begun = performance.now()
    await houses[1]?.tick()
    expect(performance.now() - begun).toBeLessThan(20_000)
    goOn.resolve()
    await slow
    pass(10)
    await tick()
    expect(grants.asked).toEqual([1])
  }, 150_000)
})
