import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { report, size } from '../../../test/figures.ts'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../../test/practice.ts'
import type { Desk } from '../../model/words.ts'

const APP = 'app:reports'
const ROUNDS = size(24, 1000)

let house: TestHouse
let issue: Issue

beforeEach(async () => {
  const practice = tokenFlow()
  issue = practice.issue
  house = await openTestHouse({ flows: [practice.flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
})
afterEach(() => house.close())

const lend = (desk: Desk) => desk.lend({ address: 'practice' })
const bindApp = (more: object = {}) =>
  house.owner.bind({ caller: APP, address: 'practice', may: ['lend'], asks: 'never', ...more })

/** Asks on and on, until told to stop. Says what was lent to whoever asked after `over` was called. */
function insistent(desk: Desk) {
  let isOver = false
  let stopped = false
  let late = 0
  const lanes = Array.from({ length: 4 }, async () => {
    while (!stopped) {
      const askedAfter = isOver
      const lent = await lend(desk).then(
        () => true,
        () => false,
      )
      if (lent && askedAfter) late += 1
    }
  })
  return {
    over: () => {
      isOver = true
    },
    async stop() {
      await new Promise((done) => setTimeout(done, 2))
      stopped = true
      await Promise.all(lanes)
      return late
    },
  }
}

describe('what uses were decided by is remembered', () => {
  it('until it is changed: after any of these was answered nothing is lent any more', async () => {
    const ends: readonly ((binding: string) => Promise<unknown>)[] = [
      (binding) => house.owner.unbind(binding),
      () => house.owner.revokeCaller(APP),
      () => bindApp({ may: ['forward'] }),
      async () => {
        await house.owner.revoke('practice')
      },
    ]
    let late = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const { id } = await bindApp()
      const app = house.as(APP)
      for (let n = 0; n < 3; n += 1) await lend(app)
      const asking = insistent(app)
      await new Promise((done) => setTimeout(done, Math.random() * 3))
      await ends[round % ends.length]?.(id)
      asking.over()
      late += await asking.stop()
      if (round % ends.length === ends.length - 1) await house.owner.connect({ provider: 'practice' })
    }
    report('lent to whoever asked after the end was answered', late, ROUNDS, 'unbind, revoke, bind')
    expect(late).toBe(0)
  })

  it('and not beyond its time', async () => {
    await bindApp({ until: new Date(house.clock.now().getTime() + 60_000) })
    await lend(house.as(APP))
    await lend(house.as(APP))
    house.clock.pass({ seconds: 61 })
    expect(await refusal(lend(house.as(APP)))).toMatchObject({ code: 'not-connected' })
  })

  it('and not while the vault is locked', async () => {
    await bindApp()
    await lend(house.as(APP))
    await house.keeper.lock()
    expect(await refusal(lend(house.as(APP)))).toMatchObject({ code: 'locked' })
    await house.keeper.unlock()
    expect((await lend(house.as(APP))).lease.count).toBe(2)
  })

  it('for the caller alone who was judged by it', async () => {
    await bindApp()
    await lend(house.as(APP))
    await lend(house.owner)
    expect(await refusal(lend(house.as('app:stranger')))).toMatchObject({ code: 'not-connected' })
  })
})

describe('uses that share a lease', () => {
  it('are one entry of the record where they come in one turn, which says how many they were', async () => {
    await bindApp()
    const { lease } = await lend(house.as(APP))
    await Promise.all(Array.from({ length: 16 }, () => lend(house.as(APP))))
    const entries = await house.owner.audit({ verb: 'lend' })
    expect(entries.map(({ detail }) => detail)).toEqual([`${lease.id}, 16 times`, lease.id])
    expect(await house.owner.leases()).toMatchObject([{ id: lease.id, count: 17 }])
    expect(await house.owner.usage()).toMatchObject([{ caller: APP, lends: 17 }])
  })

  it('are counted on the day on which they were', async () => {
    issue.lifeSeconds = 7 * 24 * 3600
    await house.owner.reconnect('practice')
    await bindApp()
    for (const lends of [2, 3, 1]) {
      for (let n = 0; n < lends; n += 1) await lend(house.as(APP))
      house.clock.pass({ hours: 11 })
    }
    const counted = (await house.owner.usage()).map(({ day, lends }) => [day, lends])
    expect(counted).toEqual([
      ['2027-03-02', 1],
      ['2027-03-01', 5],
    ])
    expect(await house.owner.leases()).toMatchObject([{ count: 6 }])
  })

  it('are listed as used when they were, to the second', async () => {
    await bindApp()
    await lend(house.as(APP))
    house.clock.pass({ seconds: 5 })
    await lend(house.as(APP))
    const [account] = await house.owner.accounts()
    expect(account?.lastUsedAt).toEqual(house.clock.now())
    expect((await house.owner.leases())[0]?.lastUsedAt).toEqual(house.clock.now())
  })
})
