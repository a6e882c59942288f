import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../test/practice.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'

const key = `sk-${canary('openai')}`

let house: TestHouse
let issue: Issue

beforeEach(async () => {
  const made = tokenFlow()
  issue = made.issue
  house = await openTestHouse({ flows: [apiKeyFlow, made.flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
  await house.owner.connect({
    provider: 'key',
    vars: { host: 'api.example.com' },
    fields: { key: new Secret(key) },
  })
})

afterEach(() => house.close())

const lend = (more = {}) => house.owner.lend({ address: 'practice', ...more })
const hours = (count: number) => new Date(house.clock.now().getTime() + count * 3_600_000)

describe('lending', () => {
  it('hands out what soon dies, and says when', async () => {
    const lent = await lend()
    expect(lent.token.reveal()).toBe(issue.token)
    expect(Object.keys(lent.fields)).toEqual(['accessToken'])
    expect(lent).toMatchObject({ tokenType: 'Bearer', expiresAt: hours(1), scopes: ['read'] })
    expect(lent.lease).toMatchObject({
      address: 'practice',
      caller: 'person:owner',
      verb: 'lend',
      openedAt: house.clock.now(),
      until: hours(1),
      endsBy: 'expiry',
      endedAt: null,
      count: 1,
    })
  })

  it('never hands out what is kept', async () => {
    expect(Object.values((await lend()).fields).map((field) => field.reveal())).not.toContain(issue.kept)
  })

  it('shares a live lease with the caller who comes again, and counts', async () => {
    const first = await lend()
    house.clock.pass({ minutes: 10 })
    const second = await lend()
    expect(second.lease).toEqual({ ...first.lease, count: 2, lastUsedAt: house.clock.now() })
    expect(await house.owner.leases()).toEqual([second.lease])
  })

  it('gives every caller a lease of their own, however many come at once', async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    const app = house.as('app:reports')
    await Promise.all(Array.from({ length: 20 }, () => [lend(), app.lend({ address: 'practice' })]).flat())
    const leases = await house.owner.leases()
    expect(leases.map(({ caller, count }) => [caller, count]).toSorted()).toEqual([
      ['app:reports', 20],
      ['person:owner', 20],
    ])
    expect((await app.leases()).map(({ caller }) => caller)).toEqual(['app:reports'])
  })

  it('refuses what would be dead before the caller is done with it', async () => {
    house.clock.pass({ minutes: 50 })
    await lend({ minValidity: 599 })
    expect(await refusal(lend({ minValidity: 600 }))).toEqual({
      code: 'token-expired',
      message: 'the access to practice ends too soon',
      hint: 'valetkey reconnect practice',
    })
  })

  it('gives whoever states no need any token that is still alive, and never a dead one', async () => {
    house.clock.pass({ hours: 1, seconds: -1 })
    await lend()
    house.clock.pass({ seconds: 1 })
    for (const minValidity of [undefined, 0, -3600, Number.NaN])
      expect(await refusal(lend({ minValidity }))).toMatchObject({ code: 'token-expired' })
  })

  it('goes on with the token that a reconnecting brought', async () => {
    house.clock.pass({ hours: 2 })
    await house.owner.reconnect('practice')
    expect((await lend()).token.reveal()).toBe(issue.token)
  })

  it('says where it was last used', async () => {
    await lend()
    const [account] = await house.owner.accounts()
    expect(account).toMatchObject({ lastUsedAt: house.clock.now(), tokenExpiresAt: hours(1) })
  })

  it('stands on record with what it was for', async () => {
    const { lease } = await lend({ purpose: 'the weekly report' })
    const [entry] = await house.owner.audit({ verb: 'lend' })
    const detail = `the weekly report, ${lease.id}`
    expect(entry).toMatchObject({ target: 'practice', outcome: 'done', detail })
    const other = await lend()
    expect((await house.owner.audit({ verb: 'lend' }))[0]).toMatchObject({ detail: other.lease.id })
    await refusal(house.as('app:reports').lend({ address: 'practice' }))
    const [refused] = await house.owner.audit({ verb: 'lend' })
    expect(refused).toMatchObject({ caller: 'app:reports', outcome: 'refused', code: 'not-connected' })
  })
})

describe('what never dies by itself', () => {
  it('is lent to nobody, not even to its owner', async () => {
    await house.owner.bind({
      caller: 'app:reports',
      address: 'key',
      may: ['lend', 'forward', 'reveal'],
      asks: 'never',
    })
    for (const desk of [house.owner, house.as('app:reports')])
      expect(await refusal(desk.lend({ address: 'key' }))).toEqual({
        code: 'forward-only',
        message: 'the key of key never dies by itself, so it is not handed out',
        hint: 'valetkey forward key GET /… (or valetkey reveal key)',
      })
  })

  it('is not lent either when its row is made to say otherwise', async () => {
    await house.inFile((file) => file.exec('update accounts set standing = 0, expiresAt = 4102444800000'))
    expect(await refusal(house.owner.lend({ address: 'key' }))).toMatchObject({ code: 'forward-only' })
    expect((await house.owner.accounts()).find(({ providerId }) => providerId === 'key')).toMatchObject({
      forwardOnly: true,
    })
  })

  it('is also a token that names no end', async () => {
    issue.lifeSeconds = null
    await house.owner.connect({ provider: 'practice', bucket: 'endless' })
    expect(await refusal(house.owner.lend({ address: 'practice/endless' }))).toMatchObject({
      code: 'forward-only',
    })
  })
})

describe('revealing', () => {
  const reveal = (desk = house.owner) => desk.reveal({ address: 'key' })

  it('needs a binding that says so, from the owner too', async () => {
    expect(await refusal(reveal())).toMatchObject({
      code: 'not-allowed',
      hint: 'valetkey bind me key --may reveal --until 10m',
    })
    await house.owner.bind({ caller: 'app:reports', address: 'key', may: ['forward'], asks: 'never' })
    expect(await refusal(reveal(house.as('app:reports')))).toMatchObject({ code: 'not-allowed' })
  })

  it('hands out the secret itself while the binding lives, and every list shows that', async () => {
    const until = new Date(house.clock.now().getTime() + 600_000)
    await house.owner.bind({ caller: 'person:owner', address: 'key', may: ['reveal'], until })
    expect(await house.owner.bindings()).toMatchObject([{ caller: 'person:owner', may: ['reveal'], until }])
    const lent = await reveal()
    expect(lent.token.reveal()).toBe(key)
    expect(lent.lease).toMatchObject({ verb: 'reveal', until: null, endsBy: 'revocation' })
    house.clock.pass({ minutes: 10 })
    expect(await refusal(reveal())).toMatchObject({ code: 'not-allowed' })
  })
})

describe('the list of leases', () => {
  it('holds those that are live, the latest first', async () => {
    await lend()
    house.clock.pass({ minutes: 30 })
    await house.owner.bind({ caller: 'node:n1', address: 'practice', may: ['lend'], asks: 'never' })
    await house.as('node:n1').lend({ address: 'practice' })
    expect((await house.owner.leases()).map(({ caller }) => caller)).toEqual(['node:n1', 'person:owner'])
    house.clock.pass({ minutes: 30 })
    expect(await house.owner.leases()).toEqual([])
  })

  it('loses a lease that its owner ends, once', async () => {
    const { lease } = await lend()
    expect(await refusal(house.as('app:reports').endLease(lease.id))).toMatchObject({ code: 'not-allowed' })
    await house.owner.endLease(lease.id)
    expect(await house.owner.leases()).toEqual([])
    expect(await refusal(house.owner.endLease(lease.id))).toMatchObject({ code: 'not-found' })
    expect((await lend()).lease).toMatchObject({ count: 1 })
  })

  it('ends with the binding by which it was lent', async () => {
    const { id } = await house.owner.bind({
      caller: 'node:n1',
      address: 'practice',
      may: ['lend'],
      asks: 'never',
    })
    await house.as('node:n1').lend({ address: 'practice' })
    await lend()
    await house.owner.unbind(id)
    expect((await house.owner.leases()).map(({ caller }) => caller)).toEqual(['person:owner'])
  })

  it('leaves nothing behind for ever', async () => {
    await lend()
    house.clock.pass({ hours: 2 })
    await house.owner.reconnect('practice')
    await house.owner.endLease((await lend()).lease.id)
    await house.owner.bind({ caller: 'person:owner', address: 'key', may: ['reveal'] })
    await house.owner.endLease((await house.owner.reveal({ address: 'key' })).lease.id)
    const left = () => house.inFile((file) => file.prepare('select id from leases').all().length)
    expect(await left()).toBe(3)
    house.clock.pass({ hours: 8 * 24 })
    await house.owner.leases()
    expect(await left()).toBe(0)
  })
})
