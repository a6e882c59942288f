import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Grant, May } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../../test/practice.ts'
import { apiKeyFlow } from '../../flows/api-key.ts'
import type { CallerId } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import type { Desk, Narrowed, NarrowRequest } from '../../model/words.ts'

let house: TestHouse
let issue: Issue
beforeEach(async () => {
  const made = tokenFlow()
  issue = made.issue
  house = await openTestHouse({ flows: [apiKeyFlow, made.flow], providers: [PRACTICE] })
  for (const bucket of ['default', 'work', 'home'])
    await house.owner.connect({ provider: 'practice', bucket })
})
afterEach(() => house.close())

const APP = 'app:agent'
const grant = (address: string, ...may: May[]): Grant => ({ address, may })
const cut = (grants: readonly Grant[], more: Partial<NarrowRequest> = {}, desk: Desk = house.owner) =>
  desk.narrow({ kind: 'key', grants, ...more })
const idOf = ({ key }: Narrowed) => key.id as CallerId
const at = (narrowed: Narrowed) => house.as(idOf(narrowed))
const later = (minutes: number) => new Date(house.clock.now().getTime() + minutes * 60_000)
const bindApp = (may: readonly May[], more = {}) =>
  house.owner.bind({ caller: APP, address: 'practice', may, asks: 'never', ...more })
const lives = async ({ secret }: Narrowed) =>
  (await house.broker.recognise(secret ?? new Secret(''), { door: 'http' })) !== undefined

const lendTo = (id: CallerId, address: string) => house.as(id).lend({ address })
const allow = async (who: Narrowed | CallerId, address: string) => {
  const id = typeof who === 'string' ? who : idOf(who)
  expect((await lendTo(id, address)).lease.caller).toBe(id)
}
const deny = async (who: Narrowed | CallerId, address: string) => {
  const { code } = await refusal(lendTo(typeof who === 'string' ? who : idOf(who), address))
  expect(['not-connected', 'not-allowed']).toContain(code)
}

describe('what a narrowed caller may', () => {
  it('is what it was given, of what its maker may, up to the owner', async () => {
    const agent = await cut([grant('practice', 'lend', 'forward'), grant('practice/work', 'lend')])
    const child = await cut([grant('practice', 'lend')], {}, at(agent))
    const grandchild = await cut([grant('practice', 'lend')], {}, at(child))
    await allow(agent, 'practice')
    await allow(agent, 'practice/work')
    await deny(agent, 'practice/home')
    await allow(child, 'practice')
    await deny(child, 'practice/work')
    await allow(grandchild, 'practice')
    await deny(grandchild, 'practice/work')
    expect(await refusal(at(child).forward({ address: 'practice', method: 'GET', path: '/' }))).toMatchObject(
      {
        code: 'not-allowed',
      },
    )
    expect(child.key.parent).toBe(agent.key.id)
    expect(await at(child).bindings()).toMatchObject([
      { caller: child.key.id, address: 'practice', may: ['lend'] },
    ])
    expect((await at(child).accounts()).map(({ bucket }) => bucket)).toEqual(['default'])
  })

  it('is never more than its maker may: what is beyond is named', async () => {
    const agent = await cut([grant('practice', 'lend')])
    const wish = [grant('practice', 'lend', 'forward'), grant('practice/work', 'lend', 'reveal')]
    expect(await refusal(cut(wish, {}, at(agent)))).toEqual({
      code: 'not-allowed',
      message: `${agent.key.id} may not forward practice and lend, reveal practice/work, and so gives it to nobody`,
      hint: 'valetkey bindings',
    })
    expect(await refusal(cut([grant('practice', 'connect')], {}, at(agent)))).toMatchObject({
      code: 'not-allowed',
    })
    expect(await refusal(cut([grant('practice', 'lend')], {}, house.as('app:stranger')))).toMatchObject({
      code: 'not-allowed',
    })
    expect(await house.owner.keys()).toEqual([agent.key])
    expect(await house.owner.audit({ caller: agent.key.id, verb: 'narrow' })).toMatchObject([
      { outcome: 'failed', code: 'not-allowed' },
      { outcome: 'opened' },
      { outcome: 'failed', code: 'not-allowed' },
      { outcome: 'opened' },
    ])
  })

  it('shrinks with what its maker is bound to, and grows with that no further than it was given', async () => {
    await bindApp(['lend'])
    const child = await cut([grant('practice', 'lend')], {}, house.as(APP))
    await allow(child, 'practice')
    await bindApp(['forward'])
    await deny(child, 'practice')
    const { id } = await bindApp(['lend', 'forward'])
    await allow(child, 'practice')
    expect(await refusal(at(child).forward({ address: 'practice', method: 'GET', path: '/' }))).toMatchObject(
      {
        code: 'not-allowed',
      },
    )
    await house.owner.unbind(id)
    await deny(child, 'practice')
    expect(await house.owner.leases()).toEqual([])
  })

  it('grows by a binding of its own only as far as its maker may', async () => {
    await bindApp(['lend'])
    const child = await cut([grant('practice', 'lend')], {}, house.as(APP))
    const caller = child.key.id
    await house.owner.bind({ caller, address: 'practice/work', may: ['lend'], asks: 'never' })
    await deny(child, 'practice/work')
    const own = await cut([grant('practice', 'lend')])
    const bound = { caller: own.key.id, address: 'practice/work', may: ['lend'], asks: 'never' } as const
    await house.owner.bind({ ...bound, until: later(10) })
    await allow(own, 'practice/work')
    house.clock.pass({ minutes: 10 })
    await deny(own, 'practice/work')
    await allow(own, 'practice')
  })

  it('is asked for wherever its maker’s is: nobody comes by a child around being asked', async () => {
    await bindApp(['lend'], { asks: 'always' })
    const child = await cut([grant('practice', 'lend')], {}, house.as(APP))
    expect(await refusal(lendTo(idOf(child), 'practice'))).toMatchObject({ code: 'ask-needed' })
  })

  it('is held to the limits of everybody above it at once', async () => {
    const agent = await cut([{ ...grant('practice', 'lend'), limits: { budget: 3 } }])
    const one = await cut([{ ...grant('practice', 'lend'), limits: { budget: 2 } }], {}, at(agent))
    const other = await cut([grant('practice', 'lend')], {}, at(agent))
    await allow(one, 'practice')
    await allow(one, 'practice')
    await deny(one, 'practice')
    await allow(other, 'practice')
    await deny(other, 'practice')
    await deny(agent, 'practice')
  })

  it('is over no later than its maker, whatever was asked for', async () => {
    const agent = await cut([grant('practice', 'lend')], { until: later(30) })
    const child = await cut([grant('practice', 'lend')], { until: later(90) }, at(agent))
    const shorter = await cut([grant('practice', 'lend')], { until: later(10) }, at(agent))
    const endless = await cut([grant('practice', 'lend')], {}, at(agent))
    expect([child, shorter, endless].map(({ key }) => key.until)).toEqual([later(30), later(10), later(30)])
    house.clock.pass({ minutes: 10 })
    await deny(shorter, 'practice')
    await allow(child, 'practice')
    house.clock.pass({ minutes: 20 })
    await deny(child, 'practice')
  })

  it('is none of the owner’s own doing', async () => {
    const agent = await cut([grant('practice', 'lend', 'forward', 'reveal', 'connect')])
    const desk = at(agent)
    const keeper = house.broker.keeper({ id: idOf(agent), owner: 'person:owner', proof: { door: 'http' } })
    const refused = {
      bind: () => desk.bind({ caller: 'app:x', address: 'practice', may: ['lend'] }),
      revoke: () => desk.revoke('practice'),
      revokeAll: () => desk.revokeAll(),
      revokeCaller: () => desk.revokeCaller(agent.key.id),
      refresh: () => desk.refresh('practice'),
      rotate: () => desk.rotate('practice'),
      rotateEvery: () => desk.rotateEvery('practice', 1),
      audit: () => desk.audit(),
      endLease: () => desk.endLease('lease-1'),
      lock: () => keeper.lock(),
    }
    const codes: Record<string, string> = {}
    for (const [verb, attempt] of Object.entries(refused)) codes[verb] = (await refusal(attempt())).code
    expect(new Set(Object.values(codes))).toEqual(new Set(['not-allowed']))
  })
})

describe('ending a caller', () => {
  it('ends all below it, and nobody beside it', async () => {
    const agent = await cut([grant('practice', 'lend')])
    const child = await cut([grant('practice', 'lend')], {}, at(agent))
    const grandchild = await cut([grant('practice', 'lend')], {}, at(child))
    const beside = await cut([grant('practice', 'lend')], {}, at(agent))
    await house.owner.endKey(child.key.id)
    expect(await Promise.all([agent, child, grandchild, beside].map(lives))).toEqual([
      true,
      false,
      false,
      true,
    ])
    await house.owner.endKey(agent.key.id)
    expect(await lives(beside)).toBe(false)
    expect(await house.owner.keys()).toEqual([])
  })

  it('by revoking it does the same, and says what lives on', async () => {
    await bindApp(['lend'])
    const child = await cut([grant('practice', 'lend')], {}, house.as(APP))
    const other = await cut([grant('practice', 'lend')])
    await allow(child, 'practice')
    expect(await house.owner.revokeCaller(APP)).toMatchObject({ bindingsEnded: 1, leasesEnded: 1 })
    expect(await lives(child)).toBe(false)
    await bindApp(['lend'])
    await deny(child, 'practice')
    await allow(other, 'practice')
    const receipt = await house.owner.revokeCaller(other.key.id)
    expect(receipt).toMatchObject({
      leasesEnded: 1,
      livesOn: [{ address: 'practice', caller: other.key.id }],
    })
    expect(await lives(other)).toBe(false)
    expect(await refusal(house.owner.revokeCaller(other.key.id))).toMatchObject({ code: 'not-found' })
  })

  it('is for its owner, for who made it, however far above, and for itself', async () => {
    const agent = await cut([grant('practice', 'lend')])
    const stranger = await cut([grant('practice', 'lend')])
    const below = async () => {
      const child = await cut([grant('practice', 'lend')], {}, at(agent))
      return cut([grant('practice', 'lend')], {}, at(child))
    }
    for (const desk of [house.owner, at(agent)]) {
      const one = await below()
      await desk.endKey(one.key.id)
      expect(await lives(one)).toBe(false)
    }
    const one = await below()
    await at(one).endKey(one.key.id)
    expect(await lives(one)).toBe(false)
    const kept = await below()
    for (const desk of [at(stranger), house.as('app:x')])
      expect(await refusal(desk.endKey(kept.key.id))).toMatchObject({ code: 'not-found' })
    expect(await refusal(at(kept).endKey(agent.key.id))).toMatchObject({ code: 'not-found' })
    expect(await lives(kept)).toBe(true)
  })

  it('lets it make nobody any more', async () => {
    const agent = await cut([grant('practice', 'lend')])
    await house.owner.endKey(agent.key.id)
    expect(await refusal(cut([grant('practice', 'lend')], {}, at(agent)))).toMatchObject({
      code: 'unauthenticated',
    })
  })
})

describe('the list', () => {
  it('shows the owner everybody, and anybody else those that they made, and theirs', async () => {
    const agent = await cut([grant('practice', 'lend')], { name: 'agent' })
    const child = await cut([grant('practice', 'lend')], { name: 'child' }, at(agent))
    const grandchild = await cut([grant('practice', 'lend')], { name: 'grandchild' }, at(child))
    await cut([grant('practice', 'lend')], { name: 'other' })
    const names = async (desk: Desk) => (await desk.keys()).map(({ name }) => name).toSorted()
    expect(await names(house.owner)).toEqual(['agent', 'child', 'grandchild', 'other'])
    expect(await names(at(agent))).toEqual(['child', 'grandchild'])
    expect(await names(at(grandchild))).toEqual([])
    expect(await names(house.as('app:x'))).toEqual([])
  })
})

describe('so many', () => {
  it('and no more are narrowed from each other', async () => {
    let last = await cut([grant('practice', 'lend')])
    for (let depth = 1; depth < 8; depth += 1) last = await cut([grant('practice', 'lend')], {}, at(last))
    await allow(last, 'practice')
    expect(await refusal(cut([grant('practice', 'lend')], {}, at(last)))).toMatchObject({
      code: 'resource-exhausted',
    })
  })

  it('and no more are made by one that is not the owner', async () => {
    const agent = await cut([grant('practice', 'lend')])
    const until = later(1)
    for (let made = 0; made < 100; made += 1) await cut([grant('practice', 'lend')], { until }, at(agent))
    expect(await refusal(cut([grant('practice', 'lend')], {}, at(agent)))).toMatchObject({
      code: 'resource-exhausted',
    })
    house.clock.pass({ minutes: 1 })
    await cut([grant('practice', 'lend')], {}, at(agent))
  })

  it('and no more by all together that were made by one, which makes no room by making makers', async () => {
    const agent = await cut([grant('practice', 'lend')])
    const made = [agent]
    for (let many = 1; many < 5; many += 1) made.push(await cut([grant('practice', 'lend')], {}, at(agent)))
    const asked: string[] = []
    for (let many = 0; many < 300; many += 1) {
      const maker = made[many % made.length] ?? agent
      asked.push(
        await cut([grant('practice', 'lend')], {}, at(maker)).then(
          () => 'made',
          ({ code }) => code,
        ),
      )
    }
    expect(asked.filter((one) => one === 'made')).toHaveLength(246)
    expect(asked.at(-1)).toBe('resource-exhausted')
    await cut([grant('practice', 'lend')])
  })
})

describe('may connect', () => {
  it('begins the sign-in of that address, and of no other; the account is the owner’s', async () => {
    const agent = await cut([grant('practice/new', 'connect')])
    const session = await at(agent).connect({ provider: 'practice', bucket: 'new' })
    expect(session).toMatchObject({ state: 'done', account: { userId: 'person:owner', bucket: 'new' } })
    expect(await house.owner.accounts()).toHaveLength(4)
    expect(await refusal(at(agent).connect({ provider: 'practice', bucket: 'other' }))).toMatchObject({
      code: 'not-connected',
    })
    expect(await refusal(at(agent).reconnect('practice/work'))).toMatchObject({ code: 'not-connected' })
    expect(await refusal(at(agent).connect({}))).toMatchObject({ code: 'not-allowed' })
    await deny(agent, 'practice/new')
    expect(await at(agent).accounts()).toEqual([])
    expect(await house.owner.audit({ caller: agent.key.id, verb: 'connect' })).toMatchObject([
      { outcome: 'refused' },
      { outcome: 'refused' },
      { outcome: 'refused' },
      { outcome: 'done', target: 'practice/new' },
      { outcome: 'opened' },
    ])
  })

  it('puts in the place of an account only what is proved to be the same', async () => {
    issue.subject = 'ada'
    await house.owner.connect({ provider: 'practice', bucket: 'ada' })
    const agent = await cut([grant('practice/ada', 'connect'), grant('practice/work', 'connect')])
    expect(await at(agent).reconnect('practice/ada')).toMatchObject({ state: 'done' })
    issue.subject = 'eve'
    expect(await refusal(at(agent).reconnect('practice/ada'))).toMatchObject({ code: 'conflict' })
    // Nobody knows whose the one at this address is.
    expect(await refusal(at(agent).reconnect('practice/work'))).toMatchObject({ code: 'conflict' })
    expect(await refusal(at(agent).reconnect('practice/ada', { insist: true }))).toMatchObject({
      code: 'not-allowed',
    })
    expect(await house.owner.reconnect('practice/work')).toMatchObject({ state: 'done' })
  })
})

const VERBS: readonly May[] = ['lend', 'forward', 'reveal', 'connect']
const ADDRESSES = ['practice', 'practice/work', 'practice/home'] as const
const anyMay = fc.subarray([...VERBS], { minLength: 1 })
const anyGrants = fc
  .subarray([...ADDRESSES], { minLength: 1 })
  .chain((addresses) => fc.tuple(...addresses.map((address) => anyMay.map((may) => ({ address, may })))))

describe('any chain', () => {
  it('gives a child no right that its maker has not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyGrants, { minLength: 2, maxLength: 5 }), async (wishes) => {
        let maker: Desk = house.owner
        let rights: readonly Grant[] = ADDRESSES.map((address) => ({ address, may: VERBS }))
        for (const wish of wishes) {
          const isWithin = wish.every(({ address, may }) => may.every((verb) => has(rights, address, verb)))
          const made = await cut(wish, {}, maker).catch((error: { code: string }) => error.code)
          if (typeof made === 'string') {
            expect([made, isWithin]).toEqual(['not-allowed', false])
            continue
          }
          expect(isWithin).toBe(true)
          for (const { address, may } of await at(made).bindings())
            for (const verb of may) expect(has(rights, address, verb)).toBe(true)
          maker = at(made)
          rights = made.key.grants
        }
        for (const { id } of await house.owner.keys()) await house.owner.endKey(id).catch(() => undefined)
      }),
      { numRuns: 40 },
    )
  })
})

function has(rights: readonly Grant[], address: string, verb: May): boolean {
  return rights.some((one) => one.address === address && one.may.includes(verb))
}
