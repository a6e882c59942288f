import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { lookingFlow, type Yes } from '../../../test/looking.ts'
import { openServer, type PostgresServer } from '../../../test/postgres.ts'
import { PRACTICE } from '../../../test/practice.ts'
import type { CallerId } from '../../model/caller.ts'
import type { Flow } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { canary, canaryBytes } from '../../testing/canary.ts'

let flow: Flow
let yes: Yes

beforeEach(() => {
  const made = lookingFlow()
  flow = made.flow
  yes = made.yes
})

async function until(so: () => boolean): Promise<void> {
  while (!so()) await wait(5)
}

describe('a sign-in that looks by itself', () => {
  let house: TestHouse

  beforeEach(async () => {
    house = await openTestHouse({ flows: [flow], providers: [PRACTICE] })
  })
  afterEach(() => house.close())

  const connect = () => house.owner.connect({ provider: 'practice' })
  const passed = async (seconds: number) => {
    house.clock.pass({ seconds })
    await house.tick()
  }

  it('is looked at when it said so, and not because a door looks', async () => {
    const { id, step } = await connect()
    expect(step).toMatchObject({ ask: 'enter-code', code: 'ABCD-0' })
    for (let n = 0; n < 20; n += 1) await house.owner.flow(id)
    await passed(4)
    expect(yes.looks).toBe(0)
    await passed(1)
    expect([yes.looks, (await house.owner.flow(id)).step]).toMatchObject([1, { code: 'ABCD-1' }])
    await passed(4)
    expect(yes.looks).toBe(1)
    await passed(1)
    await passed(5)
    expect(await house.owner.flow(id)).toMatchObject({ state: 'done', account: { providerId: 'practice' } })
    await passed(60)
    expect([yes.looks, (await house.owner.accounts()).length]).toEqual([3, 1])
  })

  it('stands on record with what it brought, and not with every look', async () => {
    yes.after = 10
    await connect()
    for (let n = 0; n < 10; n += 1) await passed(5)
    const entries = await house.owner.audit({ verb: 'connect', limit: 100 })
    expect(entries.map(({ outcome, proof }) => [outcome, proof])).toEqual([
      ['done', 'broker'],
      ['opened', 'broker'],
      ['done', expect.stringContaining('test')],
      ['opened', expect.stringContaining('test')],
    ])
  })

  it('[security 5.3] is never looked at twice at the same moment, and waits from the end of the last answer on', async () => {
    yes.after = 100
    await connect()
    const goOn = Promise.withResolvers<void>()
    yes.meanwhile = () => goOn.promise
    house.clock.pass({ seconds: 5 })
    const first = house.tick()
    await until(() => yes.looks === 1)
    house.clock.pass({ seconds: 20 })
    const second = house.tick()
    await wait(50)
    expect(yes.looks).toBe(1)
    goOn.resolve()
    await Promise.all([first, second])
    await passed(4)
    expect(yes.looks).toBe(1)
    await passed(1)
    expect([yes.looks, yes.most]).toEqual([2, 1])
  })

  it('is over with the reason when a look says so', async () => {
    const { id } = await connect()
    yes.meanwhile = async () => {
      throw new ValetkeyError('access-denied', 'the person said no')
    }
    await passed(5)
    const failure = { code: 'access-denied', detail: 'the person said no' }
    expect(await house.owner.flow(id)).toMatchObject({ state: 'failed', failure })
    await passed(5)
    expect(yes.looks).toBe(1)
    const [entry] = await house.owner.audit({ verb: 'connect' })
    expect(entry).toMatchObject({ outcome: 'failed', code: 'access-denied', proof: 'broker' })
  })

  it('goes on after an answer that it did not ask for', async () => {
    const { id } = await connect()
    const answer = { fields: { key: new Secret(canary('typed')) } }
    expect(await refusal(house.owner.answer(id, answer))).toMatchObject({ code: 'invalid-request' })
    for (let n = 0; n < 3; n += 1) await passed(5)
    expect(await house.owner.flow(id)).toMatchObject({ state: 'done' })
  })

  it('is not looked at any more once it was cancelled', async () => {
    const { id } = await connect()
    await house.owner.cancel(id)
    await passed(5)
    expect(yes.looks).toBe(0)
  })

  it('is done in the name of whoever began it, who may still connect that very address', async () => {
    const grants = [{ address: 'practice/new', may: ['connect'] }] as const
    const { key } = await house.owner.narrow({ kind: 'key', grants })
    const agent = house.as(key.id as CallerId)
    const { id } = await agent.connect({ provider: 'practice', bucket: 'new' })
    for (let n = 0; n < 3; n += 1) await passed(5)
    expect(await agent.flow(id)).toMatchObject({ state: 'done' })
    expect((await house.owner.accounts()).map(({ bucket }) => bucket)).toEqual(['new'])
  })

  it('leaves nothing alive that came when its caller was over already', async () => {
    const ended: string[] = []
    const revoke: Flow['revoke'] = async (_, { worn }) => {
      ended.push(...Object.keys(worn))
      return []
    }
    Object.assign(flow, { revoke, renews: () => true, refresh: async () => Promise.reject(new Error()) })
    const grants = [{ address: 'practice/new', may: ['connect'] }] as const
    const until = new Date(house.clock.now().getTime() + 20_000)
    const { key } = await house.owner.narrow({ kind: 'key', grants, until })
    await house.as(key.id as CallerId).connect({ provider: 'practice', bucket: 'new' })
    for (let n = 0; n < 2; n += 1) await passed(5)
    yes.meanwhile = async () => house.clock.pass({ seconds: 10 })
    await passed(5)
    await passed(5)
    expect(await house.owner.accounts()).toEqual([])
    expect(ended).toEqual(['accessToken'])
  })

  it('is over when its time is, whether or not anybody looks', async () => {
    yes.after = 1000
    yes.everySeconds = 120
    const { id } = await connect()
    for (let n = 0; n < 6; n += 1) await passed(120)
    const rows = await house.inFile((file) => file.prepare('select state, dueAt from flowSessions').all())
    expect(rows).toEqual([{ state: 'failed', dueAt: null }])
    expect(await house.owner.flow(id)).toMatchObject({ failure: { code: 'flow-expired' } })
  })
})

describe('the sign-ins under way', () => {
  let house: TestHouse

  beforeEach(async () => {
    house = await openTestHouse({ flows: [flow], providers: [PRACTICE] })
  })
  afterEach(() => house.close())

  it('are listed for whoever began them, the latest first, for as long as they are open', async () => {
    const first = await house.owner.connect({ provider: 'practice' })
    house.clock.pass({ seconds: 1 })
    const second = await house.owner.connect({ provider: 'practice', bucket: 'work' })
    expect(await house.owner.flows()).toEqual([second, first])
    expect(await house.as('app:another').flows()).toEqual([])
    await house.owner.cancel(first.id)
    expect((await house.owner.flows()).map(({ id }) => id)).toEqual([second.id])
    house.clock.pass({ minutes: 10 })
    expect(await house.owner.flows()).toEqual([])
  })

  it('can be gone on with by a broker that was opened after them', async () => {
    const { id } = await house.owner.connect({ provider: 'practice' })
    await house.meanwhile(() => {})
    expect(await house.owner.flows()).toMatchObject([{ id, state: 'asking', step: { ask: 'enter-code' } }])
    for (let n = 0; n < 3; n += 1) {
      house.clock.pass({ seconds: 5 })
      await house.tick()
    }
    expect(await house.owner.flow(id)).toMatchObject({ state: 'done' })
    expect(await house.owner.flows()).toEqual([])
  })
})

describe('a sign-in that looks by itself, at two brokers of one database', () => {
  let server: PostgresServer
  let one: TestHouse
  let other: TestHouse

  beforeAll(async () => {
    server = await openServer()
  })
  afterAll(() => server.close())

  beforeEach(async () => {
    const env = {
      VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url'),
      DATABASE_URL: await server.newVault(),
    }
    one = await openTestHouse({ env, flows: [flow], providers: [PRACTICE] })
    other = await openTestHouse({ env, flows: [flow], providers: [PRACTICE] })
  })
  afterEach(async () => {
    await one.close()
    await other.close()
  })

  const pass = (seconds: number) => {
    for (const { clock } of [one, other]) clock.pass({ seconds })
  }
  const tick = () => Promise.all([one.tick(), other.tick()])

  it('is looked at by one of them each time', async () => {
    yes.after = 12
    const { id } = await one.owner.connect({ provider: 'practice' })
    for (let n = 0; n < 12; n += 1) {
      pass(5)
      await tick()
      expect(yes.looks).toBe(n + 1)
    }
    expect(yes.most).toBe(1)
    for (const { owner } of [one, other]) expect(await owner.flow(id)).toMatchObject({ state: 'done' })
  })

  it('is gone on with by the other one when the first died over a look', async () => {
    const { id } = await one.owner.connect({ provider: 'practice' })
    yes.meanwhile = () => {
      yes.meanwhile = async () => {}
      return new Promise(() => {})
    }
    pass(5)
    void one.tick()
    await until(() => yes.looks === 1)
    pass(30)
    await other.tick()
    expect(yes.looks).toBe(1)
    for (let n = 0; n < 4; n += 1) {
      pass(60)
      await other.tick()
    }
    expect(await other.owner.flow(id)).toMatchObject({ state: 'done' })
  })
})
