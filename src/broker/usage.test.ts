import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ForwardAnswer } from '../../client/src/desk.ts'
import type { Usage } from '../../client/src/words.ts'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../test/practice.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type ListeningStandIn, standIn } from '../testing/stand-in.ts'

const key = `sk-${canary('openai')}`
const APP = 'app:reports'

let provider: ListeningStandIn
let house: TestHouse

beforeEach(async () => {
  provider = await standIn({ '/lost': { hangUp: true }, '*': { body: 'ok' } }).listen()
  house = await openTestHouse({
    flows: [apiKeyFlow, tokenFlow().flow],
    providers: [PRACTICE],
    origins: { openai: provider.origin },
  })
  await house.owner.connect({ provider: 'practice' })
  await house.owner.connect({ provider: 'openai', fields: { key: new Secret(key) } })
  await house.owner.bind({ caller: APP, address: 'practice', may: ['lend'], asks: 'never' })
  await house.owner.bind({ caller: APP, address: 'openai', may: ['forward', 'reveal'], asks: 'never' })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const app = () => house.as(APP)
const lend = (desk = app()) => desk.lend({ address: 'practice' })
const forward = (desk = app(), path = '/') => desk.forward({ address: 'openai', method: 'GET', path })
const done = async (answer: Promise<ForwardAnswer>) => void (await (await answer).body?.cancel())

describe('usage', () => {
  it('is counted by account, caller and day', async () => {
    await Promise.all([
      lend(),
      lend(),
      lend(house.owner),
      done(forward()),
      app().reveal({ address: 'openai' }),
    ])
    house.clock.pass({ hours: 12 })
    await house.owner.reconnect('practice')
    await lend()
    const none = { lends: 0, forwards: 0, reveals: 0 }
    const counted = await house.owner.usage()
    expect(counted.toSorted(byAll)).toMatchObject(
      [
        { day: '2027-03-02', address: 'practice', caller: APP, ...none, lends: 1 },
        { day: '2027-03-01', address: 'openai', caller: APP, ...none, forwards: 1, reveals: 1 },
        { day: '2027-03-01', address: 'practice', caller: APP, ...none, lends: 2 },
        { day: '2027-03-01', address: 'practice', caller: 'person:owner', ...none, lends: 1 },
      ].toSorted(byAll),
    )
    expect(counted[0]?.day).toBe('2027-03-02')
  })

  it('is asked for by account, by caller and by days', async () => {
    await lend()
    house.clock.pass({ hours: 48 })
    await done(forward())
    await done(forward(house.owner))
    const days = async (query: object) =>
      (await house.owner.usage(query)).map(({ day, caller }) => [day, caller])
    expect(await days({ address: 'practice' })).toEqual([['2027-03-01', APP]])
    expect(await days({ address: 'practice', days: 2 })).toEqual([])
    expect(await days({ address: 'practice', days: 3 })).toEqual([['2027-03-01', APP]])
    expect(await days({ caller: 'person:owner' })).toEqual([['2027-03-03', 'person:owner']])
    expect(await days({ address: 'github' })).toEqual([])
    expect(await refusal(house.owner.usage({ address: 'no address' }))).toMatchObject({
      code: 'invalid-request',
    })
  })

  it('shows a caller its own and nobody else’s', async () => {
    await lend()
    await lend(house.owner)
    expect(await app().usage()).toMatchObject([{ caller: APP, lends: 1 }])
    expect(await app().usage({ caller: 'person:owner' })).toEqual([])
    expect(await house.as('app:stranger').usage()).toEqual([])
  })

  it('is exact, however many come at once', async () => {
    const some = Array.from({ length: 100 })
    await Promise.all([
      ...some.map(() => lend()),
      ...some.map(() => lend(house.owner)),
      ...some.map(() => done(forward())),
    ])
    const counted = await house.owner.usage()
    expect(counted.map(({ caller, lends, forwards }) => [caller, lends, forwards]).toSorted()).toEqual([
      [APP, 0, 100],
      [APP, 100, 0],
      ['person:owner', 100, 0],
    ])
    expect((await house.owner.leases()).map(({ count }) => count)).toEqual([100, 100, 100])
  })

  it('is not what came to nothing before it was sent, and is what may have come there', async () => {
    for (const path of ['https://evil.test/', '//evil.test'])
      expect(await refusal(forward(app(), path))).toMatchObject({ code: 'host-not-allowed' })
    expect(await refusal(app().forward({ address: 'openai', method: 'GET X', path: '/' }))).toMatchObject({
      code: 'invalid-request',
    })
    expect(await house.owner.usage()).toEqual([])
    expect(await refusal(forward(app(), '/lost'))).toMatchObject({ code: 'answer-lost' })
    expect(await house.owner.usage()).toMatchObject([{ forwards: 1 }])
    await provider.close()
    expect(await refusal(forward())).toMatchObject({ code: 'network-error' })
    expect(await house.owner.usage()).toMatchObject([{ forwards: 1 }])
    expect(await house.owner.leases()).toMatchObject([{ count: 1 }])
    provider = await standIn({}).listen()
  })

  it('stays what it was when the account is revoked', async () => {
    await lend()
    await house.owner.revoke('practice')
    expect(await house.owner.usage({ address: 'practice' })).toMatchObject([{ caller: APP, lends: 1 }])
  })

  it('is kept for four hundred days, and then forgotten', async () => {
    await lend()
    house.clock.pass({ hours: 400 * 24 })
    await house.owner.accounts()
    expect(await house.owner.usage({ days: 401 })).toHaveLength(1)
    house.clock.pass({ hours: 24 })
    await house.owner.accounts()
    expect(await house.inFile((file) => file.prepare('select 1 from usage').all())).toEqual([])
  })

  it('is erased with its owner', async () => {
    await lend()
    await house.keeper.eraseOwner('person:owner')
    expect(await house.inFile((file) => file.prepare('select 1 from usage').all())).toEqual([])
  })

  it('holds no secret', async () => {
    const { token } = await lend()
    await app().reveal({ address: 'openai' })
    const written = await house.inFile((file) =>
      JSON.stringify([file.prepare('select * from usage').all(), file.prepare('select * from leases').all()]),
    )
    for (const secret of [key, token.reveal()]) expect(written).not.toContain(secret)
  })
})

function byAll(one: Partial<Usage>, other: Partial<Usage>): number {
  const name = ({ day, address, caller }: Partial<Usage>) => `${day} ${address} ${caller}`
  return name(one) < name(other) ? -1 : 1
}
