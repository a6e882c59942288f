import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ForwardAnswer, ForwardRequest } from '../../client/src/desk.ts'
import { type Endless, endlessProvider } from '../../test/endless.ts'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../test/practice.ts'
import { until } from '../../test/real.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'

const key = `sk-${canary('openai')}`
const APP = 'app:reports'

let provider: Endless
let house: TestHouse
let issue: Issue
beforeEach(async () => {
  provider = await endlessProvider()
  const made = tokenFlow()
  issue = made.issue
  const origins = { openai: provider.origin, practice: provider.origin }
  house = await openTestHouse({ flows: [apiKeyFlow, made.flow], providers: [PRACTICE], origins })
  await house.owner.connect({ provider: 'practice' })
  await house.owner.connect({ provider: 'openai', fields: { key: new Secret(key) } })
  await house.owner.bind({ caller: APP, address: 'openai', may: ['forward'], asks: 'never' })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const lend = (more = {}) => house.owner.lend({ address: 'practice', ...more })
const forward = (request: Partial<ForwardRequest> = {}, desk = house.owner) =>
  desk.forward({ address: 'openai', method: 'GET', path: '/v1/models', ...request })
const done = async (answer: Promise<ForwardAnswer>) => void (await (await answer).body?.cancel())
const endlessly = (desk = house.owner, address = 'openai') => forward({ address, path: '/endless' }, desk)

/** Reads on and on, and says how it ended. */
async function endOf({ body }: ForwardAnswer): Promise<unknown> {
  try {
    for await (const _ of body ?? []);
    return 'whole'
  } catch (error) {
    return error
  }
}

/** A stream that flows, with its end. */
async function flowing(desk = house.owner, address = 'openai') {
  const before = provider.open()
  const over = endOf(await endlessly(desk, address))
  await until(() => provider.open() > before)
  return { over }
}

describe('a lease', () => {
  it('says who, what for, with which scopes, until when, how often, and when last', async () => {
    const { lease } = await lend({ purpose: 'the weekly report' })
    expect(lease).toMatchObject({
      caller: 'person:owner',
      address: 'practice',
      purpose: 'the weekly report',
      scopes: ['read'],
      lastUsedAt: house.clock.now(),
      count: 1,
    })
    house.clock.pass({ minutes: 3 })
    const again = await lend({ purpose: ' the weekly report ' })
    expect(again.lease).toEqual({ ...lease, count: 2, lastUsedAt: house.clock.now() })
    await done(forward({ purpose: 'models' }, house.as(APP)))
    expect(await house.owner.leases()).toMatchObject([
      { caller: APP, address: 'openai', verb: 'forward', endsBy: 'forward', purpose: 'models', scopes: [] },
      { verb: 'lend' },
    ])
    expect(await house.as(APP).leases()).toMatchObject([{ caller: APP }])
  })

  it('is another one for another purpose, or for other scopes', async () => {
    const ids = [await lend(), await lend({ purpose: 'one' }), await lend({ purpose: 'two' })]
    issue.begin = ((begin) => async (context: Parameters<Issue['begin']>[0]) => {
      const turn = await begin(context)
      if (!('done' in turn) || !('credential' in turn.done)) throw new Error('it is done at once')
      return { done: { ...turn.done, credential: { ...turn.done.credential, scopes: ['write', 'read'] } } }
    })(issue.begin)
    await house.owner.reconnect('practice')
    ids.push(await lend())
    expect(new Set(ids.map(({ lease }) => lease.id)).size).toBe(4)
    expect(ids.map(({ lease }) => lease.count)).toEqual([1, 1, 1, 1])
    expect(ids.at(-1)?.lease.scopes).toEqual(['read', 'write'])
  })

  it('lasts as long as the longest life of what was handed out under it', async () => {
    const first = await lend()
    issue.lifeSeconds = 60
    await house.owner.reconnect('practice')
    const second = await lend()
    expect(second.lease).toMatchObject({ id: first.lease.id, count: 2, until: first.expiresAt })
  })

  it.each(['a\u0007bell', 'with a\nline', 'Übersicht', '\u001b[31mred', 'x'.repeat(201)])(
    'is not had for a purpose that cannot be shown: %j',
    async (purpose) => {
      for (const use of [lend({ purpose }), forward({ purpose })])
        expect(await refusal(use)).toEqual({
          code: 'invalid-request',
          message: 'this purpose cannot be kept',
          hint: 'say it in at most 200 printable ASCII characters',
        })
      expect(await house.owner.leases()).toEqual([])
      expect(await refusal(house.as('app:stranger').lend({ address: 'practice', purpose }))).toMatchObject({
        code: 'not-connected',
      })
    },
  )

  it('keeps its purpose to the house', async () => {
    const headers = { 'Valetkey-Purpose': 'header', 'valetkey-anything': 'else' }
    await done(forward({ purpose: 'the weekly report', headers }))
    const sent = provider.requests.at(-1)?.headers ?? {}
    expect(Object.keys(sent).filter((name) => name.startsWith('valetkey'))).toEqual([])
    const [entry] = await house.owner.audit({ verb: 'forward' })
    const [lease] = await house.owner.leases()
    expect(entry).toMatchObject({ detail: `GET 200 (the weekly report), ${lease?.id}` })
  })
})

describe('ending a lease', () => {
  it('cuts off what is under way at once, and closes the connection to the provider', async () => {
    const [one, two] = [await flowing(house.as(APP)), await flowing(house.as(APP))]
    const others = await flowing()
    const [lease] = (await house.owner.leases()).filter(({ caller }) => caller === APP)
    const ended = await house.owner.endLease(lease?.id ?? '')
    expect(ended.lease).toMatchObject({ endsBy: 'ended', endedAt: house.clock.now(), count: 2 })
    expect(ended.lines).toEqual([{ what: 'requests under way', state: 'died', how: '2 cut off here' }])
    for (const { over } of [one, two])
      expect(await over).toMatchObject({
        code: 'cancelled',
        message: 'its owner ended the lease, so this request was cut off',
      })
    await until(() => provider.open() === 1)
    const [left] = await house.owner.leases()
    expect(left).toMatchObject({ caller: 'person:owner' })
    await house.owner.endLease(left?.id ?? '')
    expect(await others.over).toMatchObject({ code: 'cancelled' })
  })

  it('cuts off a request that is not answered yet', async () => {
    const asked = forward({ path: '/never' }, house.as(APP))
    const refused = refusal(asked)
    await until(() => provider.requests.some(({ path }) => path === '/never'))
    const [lease] = await house.owner.leases()
    await house.owner.endLease(lease?.id ?? '')
    expect(await refused).toMatchObject({ code: 'cancelled' })
    expect((await house.owner.audit({ verb: 'forward' }))[0]).toMatchObject({
      outcome: 'failed',
      code: 'cancelled',
    })
  })

  it('lets the same caller begin again, on another lease: the binding still stands', async () => {
    await done(forward({}, house.as(APP)))
    const [first] = await house.owner.leases()
    await house.owner.endLease(first?.id ?? '')
    await done(forward({}, house.as(APP)))
    const [second, ...more] = await house.owner.leases()
    expect([second?.count, more]).toEqual([1, []])
    expect(second?.id).not.toBe(first?.id)
  })

  it('says of a token that it lives on, until when, and what would end it', async () => {
    const { lease } = await lend()
    const { lines } = await house.owner.endLease(lease.id)
    expect(lines).toEqual([
      {
        what: 'access token',
        state: 'alive',
        how: `it lives on at the provider until ${lease.until?.toISOString()}; to end it before: valetkey revoke practice`,
      },
    ])
  })

  it('says of what was revealed that it never dies by itself', async () => {
    await house.owner.bind({ caller: 'person:owner', address: 'openai', may: ['reveal'] })
    const { lease } = await house.owner.reveal({ address: 'openai' })
    expect((await house.owner.endLease(lease.id)).lines).toEqual([
      {
        what: 'secret',
        state: 'alive',
        how: 'it was shown and never dies by itself; to end it: valetkey rotate openai',
      },
    ])
  })
})

describe('leases that are over', () => {
  const ended = (desk = house.owner) => desk.leases({ ended: true })
  const inShort = async () => (await ended()).map(({ id, endsBy, endedAt }) => ({ id, endsBy, endedAt }))

  it('are shown for a day, with how and when each of them ended, the latest first', async () => {
    await house.owner.bind({ caller: 'person:owner', address: 'openai', may: ['reveal'] })
    const lent = await lend()
    await done(forward({}, house.as(APP)))
    const [forwarded] = await house.as(APP).leases()
    const { lease: revealed } = await house.owner.reveal({ address: 'openai' })
    const { lease: other } = await lend({ purpose: 'something else' })
    expect(await ended()).toEqual([])
    await house.owner.endLease(other.id)
    const first = { id: other.id, endsBy: 'ended', endedAt: house.clock.now() }
    expect(await inShort()).toEqual([first])
    house.clock.pass({ minutes: 70 })
    await house.owner.revoke('openai')
    const [revoked, ran, ...rest] = await inShort()
    expect(revoked).toEqual({ id: revealed.id, endsBy: 'revocation', endedAt: house.clock.now() })
    expect(ran).toEqual({ id: lent.lease.id, endsBy: 'expiry', endedAt: lent.expiresAt })
    expect(rest).toEqual([{ id: forwarded?.id, endsBy: 'forward', endedAt: forwarded?.until }, first])
    expect(await house.owner.leases()).toEqual([])
    expect(await ended(house.as(APP))).toMatchObject([{ id: forwarded?.id, caller: APP }])
    house.clock.pass({ hours: 23, minutes: 30 })
    expect((await inShort()).map(({ id }) => id)).toEqual([revealed.id, lent.lease.id])
    house.clock.pass({ hours: 1 })
    expect(await ended()).toEqual([])
  })

  it('are kept for a week, and then forgotten', async () => {
    const { lease } = await lend()
    await lend({ purpose: 'another' })
    await house.owner.endLease(lease.id)
    const kept = () => house.inFile((file) => file.prepare('select count(*) as kept from leases').get())
    house.clock.pass({ hours: 6 * 24 + 22 })
    await house.owner.leases()
    expect(await kept()).toEqual({ kept: 2 })
    house.clock.pass({ hours: 4 })
    await house.owner.leases()
    expect(await kept()).toEqual({ kept: 0 })
  })
})

describe('what is under way', () => {
  it.each<[string, string, () => Promise<unknown>]>([
    ['its caller is unbound', 'the binding was ended', async () => unbind()],
    [
      'its caller is revoked',
      'all that its caller may use was ended',
      async () => house.owner.revokeCaller(APP),
    ],
    ['its account is revoked', 'the account was revoked', async () => house.owner.revoke('openai')],
    ['its owner is erased', 'the account was', async () => house.keeper.eraseOwner('person:owner')],
  ])('ends when %s', async (_, why, end) => {
    const { over } = await flowing(house.as(APP))
    await end()
    expect(await over).toMatchObject({ code: 'cancelled', message: expect.stringContaining(why) })
    await until(() => provider.open() === 0)
  })

  it('ends when the vault is locked', async () => {
    const { over } = await flowing()
    await house.keeper.lock()
    expect(await over).toMatchObject({ code: 'locked' })
    await until(() => provider.open() === 0)
    await house.keeper.unlock()
  })

  it('ends soon after the binding by which it began is over', async () => {
    const ends = new Date(house.clock.now().getTime() + 60_000)
    await house.owner.bind({ caller: APP, address: 'openai', may: ['forward'], asks: 'never', until: ends })
    const { over } = await flowing(house.as(APP))
    house.clock.pass({ minutes: 1 })
    expect(await over).toMatchObject({ code: 'cancelled' })
  })

  it('does not end with what is not its own', async () => {
    const [mine, others] = [await flowing(), await flowing(house.as(APP))]
    await unbind()
    expect(await others.over).toMatchObject({ code: 'cancelled' })
    await lend()
    await house.owner.revoke('practice')
    await until(() => provider.open() === 1)
    await wait(50)
    expect(provider.open()).toBe(1)
    await house.owner.revoke('openai')
    expect(await mine.over).toMatchObject({ code: 'cancelled' })
  })

  it('keeps its lease alive for as long as it goes on', async () => {
    const { over } = await flowing()
    house.clock.pass({ minutes: 4 })
    const lives = async () =>
      (await house.owner.leases())[0]?.lastUsedAt.getTime() === house.clock.now().getTime()
    await until(lives)
    house.clock.pass({ minutes: 4 })
    const [lease] = await house.owner.leases()
    expect(lease).toMatchObject({ count: 1, verb: 'forward' })
    await house.owner.endLease(lease?.id ?? '')
    expect(await over).toMatchObject({ code: 'cancelled' })
  })

  it('comes to its own end when nobody ends it', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => forward({}, house.as(APP))))
    expect(await Promise.all(answers.map(endOf))).toEqual(answers.map(() => 'whole'))
    expect(await house.owner.leases()).toMatchObject([{ count: 20 }])
  })
})

async function unbind(): Promise<void> {
  const [binding] = await house.owner.bindings()
  await house.owner.unbind(binding?.id ?? '')
}
