import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { report } from '../../test/figures.ts'
import { openTestHouse, type TestHouse } from '../../test/house.ts'
import { PRACTICE } from '../../test/practice.ts'
import { renewingFlow, type Upstream } from '../../test/renewing.ts'
import { apiKeyFlow } from '../flows/api-key.ts'

const HOURS = 24
const LIFE_SECONDS = 3600
const TIMES = 200

let house: TestHouse
let upstream: Upstream
/** When each token was issued, by a clock that nobody sets. */
let born: Map<string, number>
/** What happens before a renewal is answered. */
let meanwhile: () => void

beforeEach(async () => {
  born = new Map()
  meanwhile = () => {}
  const made = renewingFlow()
  upstream = made.upstream
  upstream.lifeSeconds = LIFE_SECONDS
  const { refresh } = made.flow
  const flow = {
    ...made.flow,
    refresh: async (...given: Parameters<NonNullable<typeof refresh>>) => {
      meanwhile()
      const fresh = await refresh?.(...given)
      if (fresh === undefined) throw new Error('it is always renewed')
      born.set(upstream.token, house.clock.monotonic())
      return fresh
    },
  }
  house = await openTestHouse({ flows: [apiKeyFlow, flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
  born.set(upstream.token, house.clock.monotonic())
})
afterEach(() => house.close())

const lend = async () => (await house.owner.lend({ address: 'practice' })).token.reveal()

function isDead(token: string): boolean {
  const age = house.clock.monotonic() - (born.get(token) ?? Number.NEGATIVE_INFINITY)
  return age >= LIFE_SECONDS * 1000
}

/** Anything from a day back to a day ahead, the two ends included. */
const anyHours = (n: number) => ((n * 7919) % (2 * HOURS + 1)) - HOURS

describe('a clock that is set', () => {
  it(`back or ahead by up to a day brings nobody a dead token`, async () => {
    let dead = 0
    for (let n = 0; n < TIMES; n += 1) {
      house.clock.jump({ hours: anyHours(n) })
      house.clock.pass({ minutes: (n * 13) % 90 })
      if (isDead(await lend())) dead += 1
    }
    report('dead tokens served, clock set by −24 h … +24 h', dead, TIMES, 'the clock handed in')
    expect(dead).toBe(0)
  })

  it('while a renewal is waited for, brings nobody a dead token', async () => {
    let dead = 0
    for (let n = 0; n < TIMES; n += 1) {
      house.clock.pass({ hours: 2 })
      meanwhile = () => house.clock.jump({ hours: anyHours(n) })
      if (isDead(await lend())) dead += 1
      meanwhile = () => {}
      house.clock.pass({ minutes: 50 })
      if (isDead(await lend())) dead += 1
      house.clock.pass({ minutes: 20 })
      if (isDead(await lend())) dead += 1
    }
    report('dead tokens served, clock set while a renewal is waited for', dead, TIMES, 'the clock handed in')
    expect(dead).toBe(0)
  })

  it('ahead asks the provider once too often, and no more than that', async () => {
    await lend()
    const before = upstream.asked
    house.clock.jump({ hours: 12 })
    for (let n = 0; n < 5; n += 1) await lend()
    expect(upstream.asked).toBe(before + 1)
  })
})
