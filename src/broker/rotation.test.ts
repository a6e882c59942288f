import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { PRACTICE } from '../../test/practice.ts'
import { renewingFlow, type Upstream } from '../../test/renewing.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import type { Flow } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type ListeningStandIn, standIn } from '../testing/stand-in.ts'

const key = (name: string) => ({ key: new Secret(canary(name)) })
const WHERE = { vars: { host: 'api.example.com' } }
const DAY_MS = 24 * 60 * 60_000

let provider: ListeningStandIn
let house: TestHouse
let upstream: Upstream
let flow: Flow

beforeEach(async () => {
  const made = renewingFlow()
  upstream = made.upstream
  flow = { ...made.flow }
  provider = await standIn({ '*': { status: 500 } }).listen()
  house = await openTestHouse({
    origins: { github: provider.origin },
    flows: [apiKeyFlow, flow],
    providers: [PRACTICE],
  })
  await house.owner.connect({ provider: 'practice' })
  await house.owner.connect({ provider: 'key', ...WHERE, fields: key('first') })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const account = async (id: string) =>
  (await house.owner.accounts()).find(({ providerId }) => providerId === id)
const passDays = async (days: number) => {
  for (const _ of Array.from({ length: days })) {
    house.clock.pass({ hours: 24 })
    await house.tick()
  }
}
/** The events that were told of by now. */
async function told(): Promise<readonly string[]> {
  const events: string[] = []
  const signal = AbortSignal.timeout(300)
  for await (const told of house.owner.events({ after: '0-0', signal }))
    if ('account' in told) events.push(`${told.name} ${told.account.providerId}`)
  return events
}

describe('rotating a key that nothing can prove', () => {
  it('asks before what works is given up for it', async () => {
    const session = await house.owner.rotate('key', { fields: key('second') })
    expect(session).toMatchObject({
      state: 'asking',
      step: {
        ask: 'fill',
        code: 'invalid-credentials',
        because: expect.stringContaining('nothing to prove'),
      },
    })
    await house.owner.cancel(session.id)
    expect((await house.owner.audit({ verb: 'rotate' }))[0]).toMatchObject({ detail: 'cancelled' })
  })

  it('keeps it when the person insists, from the beginning or when asked', async () => {
    const before = await account('key')
    const first = await house.owner.rotate('key', { fields: key('second'), insist: true })
    expect(first).toMatchObject({ state: 'done', account: { id: before?.id } })
    const { id, step } = await house.owner.rotate('key', { fields: key('third') })
    const confirm = step?.ask === 'fill' ? step.fields.find(({ kind }) => kind === 'confirm') : undefined
    const fields = { ...key('third'), [confirm?.name ?? '']: new Secret('yes') }
    expect(await house.owner.answer(id, { fields })).toMatchObject({ state: 'done' })
  })

  it('is not asked for where nothing is given up', async () => {
    const session = await house.owner.connect({
      provider: 'key',
      bucket: 'two',
      ...WHERE,
      fields: key('other'),
    })
    expect(session.state).toBe('done')
    expect(await house.owner.reconnect('key', { fields: key('fresh') })).toMatchObject({ state: 'done' })
  })
})

describe('rotating what renews itself', () => {
  it('asks nobody: its provider gives another refresh token, and the old one is not shown again', async () => {
    const [before, old] = [await account('practice'), upstream.kept]
    const { lease } = await house.owner.lend({ address: 'practice' })
    const session = await house.owner.rotate('practice')
    expect(session).toMatchObject({ state: 'done', account: { id: before?.id } })
    expect(session.receipt).toMatchObject({
      lines: [
        {
          what: 'refresh token',
          state: 'alive',
          how: 'the provider put another one in its place, and does not say whether the old one is dead',
        },
      ],
      livesOn: [{ caller: 'person:owner', until: lease.until }],
    })
    expect(upstream.kept).not.toBe(old)
    expect(upstream.ended).toEqual([])
    expect(await house.owner.flow(session.id)).toEqual(session)
    expect((await house.owner.lend({ address: 'practice' })).token.reveal()).toBe(upstream.token)
  })

  it('signs in anew where its provider leaves the refresh token as it is', async () => {
    flow.refresh = async ({ now }, before) => ({
      ...before,
      worn: { accessToken: new Secret(canary('fresh')) },
      expiresAt: new Date(now().getTime() + 3_600_000),
    })
    const old = upstream.kept
    const { receipt } = await house.owner.rotate('practice')
    expect(upstream.kept).not.toBe(old)
    expect(upstream.ended).toHaveLength(1)
    expect(receipt?.lines).toMatchObject([{ what: 'access token', state: 'died' }])
  })

  it('changes nothing when the provider has trouble', async () => {
    const old = upstream.kept
    upstream.meanwhile = () => Promise.reject(new ValetkeyError('network-error', 'it is down'))
    flow.refresh = async (context) => {
      await upstream.meanwhile(context)
      throw new Error('it is not reached')
    }
    expect(await refusal(house.owner.rotate('practice'))).toMatchObject({ code: 'network-error' })
    expect(await account('practice')).toMatchObject({ status: 'failing', reason: 'it is down' })
    expect(upstream.kept).toBe(old)
    await house.owner.lend({ address: 'practice' })
  })

  it('is done by signing in where that is asked for', async () => {
    const asked = upstream.asked
    await house.owner.rotate('practice', { flow: 'token' })
    expect(upstream.asked).toBe(asked)
  })
})

describe('rotating by rule', () => {
  it('counts from when the secret was issued, and shows when it is time', async () => {
    const issued = house.clock.now().getTime()
    house.clock.pass({ hours: 48 })
    const shown = await house.owner.rotateEvery('key', 90)
    expect(shown.rotateAt).toEqual(new Date(issued + 90 * DAY_MS))
    expect((await house.owner.rotateEvery('key', null)).rotateAt).toBe(null)
    const entries = await house.owner.audit({ verb: 'rotate' })
    expect(entries.map(({ detail }) => detail)).toEqual([
      'by no rule any more',
      undefined,
      'every 90 days from now on',
      undefined,
    ])
  })

  it('warns of a key that only a person can rotate, and tells that once', async () => {
    await house.owner.rotateEvery('key', 30)
    await passDays(29)
    expect(await account('key')).toMatchObject({ warnings: [] })
    await passDays(3)
    expect(await account('key')).toMatchObject({ warnings: ['rotation-due'], status: 'connected' })
    expect((await told()).filter((one) => one === 'rotation-due key')).toHaveLength(1)
    await house.owner.rotate('key', { fields: key('second'), insist: true })
    expect(await account('key')).toMatchObject({
      warnings: [],
      rotateAt: new Date(house.clock.now().getTime() + 30 * DAY_MS),
    })
    await passDays(31)
    expect((await told()).filter((one) => one === 'rotation-due key')).toHaveLength(2)
  }, 60_000)

  it('does it by itself where the provider gives another refresh token', async () => {
    await house.owner.rotateEvery('practice', 30)
    const old = upstream.kept
    await passDays(31)
    expect(upstream.kept).not.toBe(old)
    expect(await account('practice')).toMatchObject({ warnings: [] })
    expect(await told()).not.toContain('rotation-due practice')
  }, 60_000)

  it('tells the owner, once, where the provider never gives another one', async () => {
    flow.refresh = async ({ now }, before) => ({
      ...before,
      worn: { accessToken: new Secret(canary('fresh')) },
      expiresAt: new Date(now().getTime() + 3_600_000),
    })
    await house.owner.rotateEvery('practice', 30)
    await passDays(33)
    expect((await told()).filter((one) => one === 'rotation-due practice')).toHaveLength(1)
    expect(await account('practice')).toMatchObject({ warnings: ['rotation-due'] })
  }, 60_000)

  it('is for the owner to say', async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'key', may: ['forward'], asks: 'never' })
    const refused = house.as('app:reports').rotateEvery('key', 1)
    expect(await refusal(refused)).toMatchObject({ code: 'not-allowed' })
    expect(await refusal(house.owner.rotateEvery('openai', 1))).toMatchObject({ code: 'not-connected' })
  })
})
