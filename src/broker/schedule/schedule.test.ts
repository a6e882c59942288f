import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { type Grants, manyGrants } from '../../../test/many.ts'
import { PRACTICE } from '../../../test/practice.ts'
import type { ValetkeyEvent } from '../../model/words.ts'

const HOUR = 60 * 60
const DAY = 24 * HOUR

let house: TestHouse
let grants: Grants

beforeEach(async () => {
  const made = manyGrants()
  grants = made.grants
  house = await openTestHouse({ flows: [made.flow], providers: [PRACTICE] })
})

afterEach(() => house.close())

const connect = async (bucket = 'default') => house.owner.connect({ provider: 'practice', bucket })
const lend = async (bucket = 'default') =>
  (await house.owner.lend({ address: `practice/${bucket}` })).token.reveal()
const account = async () => (await house.owner.accounts())[0]
const pass = (seconds: number) => house.clock.pass({ seconds })

/** Connects as many, and uses each of them once. */
async function inUse(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    await connect(`b${n}`)
    await lend(`b${n}`)
  }
}

/** What stands in the rows; the schedule has nothing else to go by. */
const rows = (columns: string) =>
  house.inFile((file) => file.prepare(`select ${columns} from accounts order by connectedAt, id`).all())

async function heardDuring(work: () => Promise<void>): Promise<readonly ValetkeyEvent[]> {
  const all: ValetkeyEvent[] = []
  const stop = new AbortController()
  const done = (async () => {
    for await (const event of house.owner.events({ signal: stop.signal })) all.push(event)
  })()
  await wait(20)
  await work()
  await wait(50)
  stop.abort()
  await done
  return all
}

describe('an account in use', () => {
  it('is renewed before anybody has to wait for it, once, on record as its owner’s', async () => {
    await inUse(1)
    pass(HOUR - 20 * 60 - 5 * 60 - 1)
    await house.tick()
    expect(grants.inAll).toBe(0)
    const token = await lend('b0')
    pass(20 * 60 + 1)
    await house.tick()
    await house.tick()
    expect(grants.inAll).toBe(1)
    expect(await lend('b0')).not.toBe(token)
    expect(grants.inAll).toBe(1)
    const entries = await house.owner.audit({ verb: 'refresh' })
    expect(entries.map(({ outcome, caller, proof }) => [outcome, caller, proof])).toEqual([
      ['done', 'person:owner', 'broker'],
      ['opened', 'person:owner', 'broker'],
    ])
  })

  it('has a time of its own: those connected together come one after the other, and none too late', async () => {
    await inUse(60)
    const now = house.clock.now().getTime()
    const due = (await rows('dueAt')).map(({ dueAt }) => (Number(dueAt) - now) / 1000)
    expect(Math.max(...due)).toBeLessThanOrEqual(HOUR - 5 * 60)
    expect(Math.min(...due)).toBeGreaterThanOrEqual(HOUR - 5 * 60 - 20 * 60)
    const minutes = Map.groupBy(due, (seconds) => Math.floor(seconds / 60))
    expect(minutes.size).toBeGreaterThan(10)
    expect(Math.max(...[...minutes.values()].map(({ length }) => length))).toBeLessThan(15)
  })

  it('is renewed at a pace that suits its provider, however many are due', async () => {
    await inUse(30)
    pass(HOUR - 5 * 60)
    grants.meanwhile = () => wait(5)
    let seconds = 0
    for (let before = 0; grants.inAll < 30 && seconds < 60; seconds += 1, before = grants.inAll) {
      await house.tick()
      expect(grants.inAll - before).toBeLessThanOrEqual(11)
      pass(1)
    }
    expect(grants.asked).toEqual(Array.from({ length: 30 }, () => 1))
    expect(grants.most).toBeLessThanOrEqual(4)
  })

  it('that failed is tried again by itself', async () => {
    await inUse(1)
    pass(HOUR - 5 * 60)
    grants.meanwhile = async () => {
      throw new ValetkeyError('server-error', 'of the provider')
    }
    await house.tick()
    expect(await account()).toMatchObject({ status: 'failing' })
    await house.tick()
    expect(grants.inAll).toBe(1)
    grants.meanwhile = async () => {}
    pass(2)
    await house.tick()
    expect([await account(), grants.inAll]).toMatchObject([{ status: 'connected', reason: null }, 2])
  })

  it('is left alone after a mistake of ours', async () => {
    await inUse(1)
    pass(HOUR - 5 * 60)
    grants.meanwhile = async () => {
      throw new TypeError('a mistake')
    }
    await house.tick()
    for (let n = 0; n < 10; n += 1) {
      pass(60)
      await house.tick()
    }
    expect(grants.inAll).toBe(1)
  })
})

describe('an account that nobody uses', () => {
  it('costs nothing, and is renewed inside the call when somebody comes again', async () => {
    await connect()
    for (let n = 0; n < 20; n += 1) {
      pass(HOUR)
      await house.tick()
    }
    expect([grants.inAll, await rows('dueAt')]).toEqual([0, [{ dueAt: null }]])
    await lend()
    expect(grants.inAll).toBe(1)
    expect(await rows('dueAt')).toEqual([{ dueAt: expect.any(Number) }])
    pass(HOUR)
    await house.tick()
    expect(grants.inAll).toBe(2)
  })

  it('is one again a week after it was used', async () => {
    await inUse(1)
    for (let day = 0; day < 9; day += 1) {
      pass(DAY)
      await house.tick()
    }
    expect(grants.inAll).toBe(6)
  })

  it.each([
    { idle: 10, days: 3, asked: 0 },
    { idle: 10, days: 5, asked: 1 },
    { idle: 180, days: 19, asked: 0 },
    { idle: 180, days: 30, asked: 1 },
  ])('of a grant that dies of $idle idle days was renewed $asked times after $days', async (row) => {
    grants.idle = row.idle
    await connect()
    pass(HOUR)
    await house.tick()
    pass(row.days * DAY - HOUR)
    await house.tick()
    expect(grants.inAll).toBe(row.asked)
  })

  it('is kept alive as soon as a broker runs again, where none did when it was time', async () => {
    grants.idle = 180
    await connect()
    await house.meanwhile(() => pass(170 * DAY))
    await house.tick()
    expect([grants.inAll, (await account())?.status]).toEqual([1, 'connected'])
  })
})

describe('a renewal that was cut off by a crash', () => {
  const crash = () => {
    const at = house.clock.now().getTime()
    return house.inFile((file) => file.exec(`update accounts set askedAt = ${at}, dueAt = ${at + 5000}`))
  }

  beforeEach(async () => {
    await connect()
    await crash()
    pass(5)
  })

  it('is done again at the next start, though nobody asks for it', async () => {
    const told = await heardDuring(() => house.tick())
    expect([grants.inAll, told, (await account())?.status]).toEqual([1, [], 'connected'])
  })

  it('is told as lost where the provider gives nothing twice', async () => {
    grants.lose(0)
    const told = await heardDuring(() => house.tick())
    expect(told).toMatchObject([{ name: 'needs-reauth' }])
    expect(await account()).toMatchObject({
      status: 'needs-reauth',
      reason: expect.stringMatching(/^lost in a crash/),
    })
    expect(await rows('dueAt')).toEqual([{ dueAt: null }])
  })
})

describe('a vault that is locked', () => {
  it('has nothing done in it until it is unlocked', async () => {
    await inUse(1)
    pass(HOUR - 60)
    await house.keeper.lock()
    await house.tick()
    expect(grants.inAll).toBe(0)
    await house.keeper.unlock()
    await house.tick()
    expect(grants.inAll).toBe(1)
  })
})

describe('a provider that is down', () => {
  const down = async () => {
    throw new ValetkeyError('server-error', 'of the provider')
  }

  beforeEach(async () => {
    await inUse(7)
    pass(HOUR)
    grants.meanwhile = down
  })

  it('is left alone once five accounts in a row failed there', async () => {
    for (let n = 0; n < 5; n += 1) await refusal(lend(`b${n}`))
    expect(await refusal(lend('b5'))).toEqual({
      code: 'server-error',
      message: 'practice/b5 could not be renewed: its provider has trouble with all accounts',
      hint: expect.stringMatching(/^it is tried again in \d+ s; to try now: valetkey refresh practice\/b5$/),
    })
    await house.tick()
    expect(grants.inAll).toBe(5)
    expect((await house.owner.accounts()).filter(({ status }) => status === 'failing')).toHaveLength(5)
  })

  it('is asked by one alone afterwards, and by everybody when that went well', async () => {
    for (let n = 0; n < 5; n += 1) await refusal(lend(`b${n}`))
    pass(8)
    const goOn = Promise.withResolvers<void>()
    grants.meanwhile = () => goOn.promise
    const first = lend('b5')
    await wait(50)
    expect(await refusal(lend('b6'))).toMatchObject({ code: 'server-error' })
    goOn.resolve()
    await first
    await lend('b6')
    for (let n = 0; n < 5; n += 1) await lend(`b${n}`)
    expect(grants.inAll).toBe(5 + 7)
  })

  it('is left alone for longer each time', async () => {
    for (let n = 0; n < 5; n += 1) await refusal(lend(`b${n}`))
    pass(8)
    await refusal(lend('b5'))
    expect(grants.inAll).toBe(6)
    pass(6)
    await refusal(lend('b6'))
    expect(grants.inAll).toBe(6)
    pass(8)
    await refusal(lend('b6'))
    expect(grants.inAll).toBe(7)
  })

  it('is asked by hand all the same, and that opens the way for everybody', async () => {
    for (let n = 0; n < 5; n += 1) await refusal(lend(`b${n}`))
    grants.meanwhile = async () => {}
    await house.owner.refresh('practice/b5')
    await lend('b6')
    expect(grants.inAll).toBe(7)
  })

  it('keeps nobody from what is still alive', async () => {
    await connect('fresh')
    for (let n = 0; n < 5; n += 1) await refusal(lend(`b${n}`))
    const token = await lend('fresh')
    pass(HOUR - 60)
    for (let n = 0; n < 5; n += 1) await refusal(lend(`b${n}`))
    expect(await lend('fresh')).toBe(token)
  })

  it('is not down because one account has trouble, however often', async () => {
    for (let n = 0; n < 10; n += 1) {
      await refusal(lend('b0'))
      pass(1000)
    }
    const before = grants.inAll
    await refusal(lend('b1'))
    expect(grants.inAll).toBe(before + 1)
  })

  it('that wants to be left alone is left alone by the schedule, with all its accounts', async () => {
    grants.meanwhile = async () => {
      throw new ValetkeyError('rate-limited', 'too many', { retryAfter: 600 })
    }
    await refusal(lend('b0'))
    grants.meanwhile = async () => {}
    await house.tick()
    pass(590)
    await house.tick()
    expect(grants.inAll).toBe(1)
    await lend('b1')
    expect(grants.inAll).toBe(2)
    for (let n = 0; n < 20; n += 1) {
      pass(1)
      await house.tick()
    }
    expect(grants.inAll).toBe(8)
  })
})

describe('a grant that will be over', () => {
  const days = (count: number) => pass(count * DAY)
  const tick = async () => (await heardDuring(() => house.tick())).map(({ name }) => name)

  it('is announced fourteen, seven and one day before, once each, and shown as such', async () => {
    grants.dies = 30
    await connect()
    const diesAt = new Date(house.clock.now().getTime() + 30 * DAY * 1000)
    expect(await account()).toMatchObject({ diesAt, warnings: [] })
    days(15)
    expect(await tick()).toEqual([])
    days(1)
    expect([await tick(), await tick()]).toEqual([['expiring'], []])
    expect(await account()).toMatchObject({ status: 'connected', diesAt, warnings: ['expiring'] })
    days(6)
    expect(await tick()).toEqual([])
    days(1)
    expect([await tick(), await tick()]).toEqual([['expiring'], []])
    days(6)
    expect([await tick(), await tick()]).toEqual([['expiring'], []])
    expect(grants.inAll).toBe(0)
  })

  it('is announced once by a broker that was away for all three', async () => {
    grants.dies = 30
    await connect()
    await house.meanwhile(() => days(29.5))
    expect([await tick(), await tick()]).toEqual([['expiring'], []])
  })

  it('is not announced for days before it began', async () => {
    grants.dies = 10
    await connect()
    expect([await tick(), (await account())?.warnings]).toEqual([[], ['expiring']])
    days(3)
    expect(await tick()).toEqual(['expiring'])
  })

  it('is announced no more often for being renewed', async () => {
    grants.dies = 15
    await connect()
    const told: string[] = []
    for (let hour = 0; hour < 15 * 24 - 1; hour += 6) {
      await lend()
      pass(6 * HOUR)
      told.push(...(await tick()))
    }
    expect(told.filter((name) => name === 'expiring')).toHaveLength(3)
  }, 60_000)

  it('is asked about once when its time has come, and over when the provider says so', async () => {
    grants.dies = 20
    await connect()
    days(20)
    grants.meanwhile = async () => {
      throw new ValetkeyError('access-revoked', 'of the provider')
    }
    expect(await tick()).toEqual(['needs-reauth'])
    expect(await account()).toMatchObject({
      status: 'needs-reauth',
      reason: 'its time was over: the provider gives such an access for a while only',
      diesAt: null,
      warnings: [],
    })
    days(20)
    await house.tick()
    expect(grants.inAll).toBe(1)
  })

  it('is not asked about before it is time, though its own time is over', async () => {
    grants.dies = 20
    await connect()
    days(20)
    grants.meanwhile = async () => {
      throw new ValetkeyError('rate-limited', 'of the provider', { retryAfter: 900 })
    }
    await house.tick()
    const at = house.clock.now().getTime()
    await house.inFile((file) => file.exec(`update accounts set dueAt = ${at}`))
    await house.tick()
    expect([grants.inAll, await rows('dueAt')]).toEqual([1, [{ dueAt: at + 900_000 }]])
  })

  it('goes on where the provider renews it all the same', async () => {
    grants.dies = 20
    await connect()
    days(20)
    await house.tick()
    expect(await account()).toMatchObject({ status: 'connected', diesAt: null, warnings: [] })
    days(20)
    await house.tick()
    expect(grants.inAll).toBe(1)
  })

  it('begins anew with a reconnect', async () => {
    grants.dies = 30
    await connect()
    days(29)
    await house.tick()
    await house.owner.reconnect('practice')
    expect(await account()).toMatchObject({ warnings: [] })
    days(16)
    expect(await tick()).toEqual(['expiring'])
  })
})
