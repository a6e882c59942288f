import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { type Grants, manyGrants } from '../../../test/many.ts'
import { PRACTICE } from '../../../test/practice.ts'
import type { Flow } from '../../model/flow.ts'

const YEAR = { hours: 365 * 24 }
const YEAR_BACK = { hours: -365 * 24 }

let house: TestHouse
let grants: Grants
let end: Flow['revoke']
let told: number

beforeEach(async () => {
  const made = manyGrants()
  grants = made.grants
  told = 0
  end = async () => [{ what: 'refresh token', died: false, how: 'it has trouble', again: {} }]
  const flow: Flow = {
    ...made.flow,
    revoke: async (...given) => {
      told += 1
      return end(...given)
    },
  }
  house = await openTestHouse({ flows: [flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
})
afterEach(() => house.close())

const lend = () => house.owner.lend({ address: 'practice' })

/** Lets hours pass as they do, with a look in each. */
async function hours(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    house.clock.pass({ hours: 1 })
    await house.tick()
  }
}

/** Does something while the clock is a year ahead. */
async function ahead(work: () => Promise<unknown>): Promise<void> {
  house.clock.jump(YEAR)
  await work()
  house.clock.jump(YEAR_BACK)
}

describe('a clock that was a year ahead and is right again', () => {
  it.each(['at once', 'after a restart'])(
    'has what was renewed meanwhile looked after again, %s',
    async (when) => {
      await lend()
      await ahead(() => house.tick())
      if (when === 'after a restart') await house.meanwhile(() => {})
      const before = grants.inAll
      await hours(3)
      expect(grants.inAll - before).toBeGreaterThanOrEqual(2)
      expect((await house.owner.accounts())[0]?.tokenExpiresAt?.getTime()).toBeLessThan(
        house.clock.now().getTime() + 2 * 3_600_000,
      )
    },
  )

  it.each(['at once', 'after a restart'])('has trouble of that time tried again, %s', async (when) => {
    await lend()
    grants.meanwhile = async () => {
      throw new ValetkeyError('server-error', 'of the provider')
    }
    await ahead(() => house.tick())
    grants.meanwhile = async () => {}
    if (when === 'after a restart') await house.meanwhile(() => {})
    await hours(2)
    expect(await house.owner.accounts()).toMatchObject([{ status: 'connected', reason: null }])
  })

  it('announces a coming end that was taken for announced', async () => {
    grants.dies = 20
    await house.owner.connect({ provider: 'practice', bucket: 'dying' })
    const at = house.clock.now().getTime() + 365 * 24 * 3_600_000
    await house.inFile((file) =>
      file.exec(`update accounts set warnedAt = ${at}, dueAt = diesAt where diesAt > 0`),
    )
    await hours(7 * 24)
    const warned = await house.inFile((file) =>
      file.prepare('select warnedAt from accounts where diesAt > 0').get(),
    )
    expect(Number(warned?.['warnedAt'])).toBeLessThanOrEqual(house.clock.now().getTime())
  }, 60_000)

  it('looks again at what was put off by it alone', async () => {
    await lend()
    const at = house.clock.now().getTime() + 365 * 24 * 3_600_000
    await house.inFile((file) => file.exec(`update accounts set dueAt = ${at}`))
    await hours(1)
    expect(grants.inAll).toBe(1)
  })

  it('leaves alone what is due at its own time', async () => {
    grants.lifeSeconds = 90 * 24 * 3600
    await house.owner.connect({ provider: 'practice', bucket: 'long' })
    await house.owner.lend({ address: 'practice/long' })
    const due = () =>
      house.inFile((file) => file.prepare("select dueAt from accounts where bucket = 'long'").get())
    const before = await due()
    await ahead(async () => {})
    await house.meanwhile(() => {})
    await house.tick()
    expect(await due()).toEqual(before)
  })

  it('tells providers what they are owed since then', async () => {
    await ahead(() => house.owner.revoke('practice'))
    end = async () => [{ what: 'refresh token', died: true, how: 'ended' }]
    await hours(1)
    expect(await house.owner.outbox()).toEqual([])
    expect(told).toBe(2)
  })

  it('gave nothing up for good that is owed to a provider', async () => {
    await house.owner.revoke('practice')
    await ahead(() => house.tick())
    expect(await house.owner.outbox()).toHaveLength(1)
    end = async () => [{ what: 'refresh token', died: true, how: 'ended' }]
    await hours(2)
    expect(await house.owner.outbox()).toEqual([])
  })
})
