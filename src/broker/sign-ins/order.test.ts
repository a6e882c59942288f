import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { type VendorLogins, vendorLogins } from '../../../test/vendor-logins.ts'
import type { CallerId } from '../../model/caller.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { ConnectRequest, FlowSession } from '../../model/words.ts'
import { canary } from '../../testing/canary.ts'

const BEARER = [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }]
const KEY = {
  flow: 'api-key',
  fields: [{ name: 'key', label: 'API key' }],
  present: [{ header: 'authorization', prefix: 'Bearer ', field: 'key' }],
}

/** By code, by browser, by key: in this order, and the last can always be done. */
const SHOP: ProviderFile = {
  id: 'shop',
  name: 'Shop',
  category: 'other',
  hosts: ['api.shop.test'],
  oauth: {
    authorize: 'https://login.shop.test/authorize',
    token: 'https://login.shop.test/token',
    device: { authorize: 'https://login.shop.test/api/v1/oauth2/device/code' },
  },
  registration: 'yours',
  signIns: [
    {
      flow: 'authorization-code',
      scopes: ['read'],
      optionalScopes: [{ name: 'write', label: 'Change things' }],
      present: BEARER,
    },
    { flow: 'device-code', scopes: ['read'], present: BEARER },
    KEY,
  ],
  revoke: { how: 'console' },
}

let there: VendorLogins
let house: TestHouse

beforeEach(async () => {
  there = await vendorLogins()
  const { origin } = there
  const origins = { shop: origin, openai: origin, microsoft: origin, spotify: origin }
  house = await openTestHouse({ origins, providers: [SHOP] })
})

afterEach(async () => {
  await house.close()
  await there.close()
})

const connect = (more: ConnectRequest = {}) => house.owner.connect({ provider: 'shop', ...more })
const register = () => house.owner.register({ provider: 'shop', clientId: 'mine', insist: true })
const flowOf = ({ flow }: FlowSession) => flow

const thrown = (work: Promise<unknown>) => work.catch((error: unknown) => error)

function visitOf({ step }: FlowSession): URL {
  if (step?.ask !== 'visit') throw new Error('nobody is sent off')
  return step.url
}

async function back(session: FlowSession, told: Record<string, string> = {}): Promise<FlowSession> {
  const url = visitOf(session)
  const callback = new URL(url.searchParams.get('redirect_uri') ?? '')
  const code = there.consent(url)
  const params = Object.keys(told).length === 0 ? { code } : told
  for (const [name, value] of Object.entries({ ...params, state: url.searchParams.get('state') ?? '' }))
    callback.searchParams.set(name, value)
  return house.owner.answer(session.id, { callback: new Secret(callback.href) })
}

describe('the way that is taken where nobody says which', () => {
  it('is the first that can work here: without a client of one’s own the key', async () => {
    const session = await connect()
    expect(session).toMatchObject({ state: 'asking', flow: 'api-key', step: { ask: 'fill' }, notice: null })
    expect(session.passedOver).toEqual(
      ['the browser', 'a code on any device'].map((label) => ({
        flow: expect.any(String),
        label,
        why: 'Shop is signed in to by a client of your own, and there is none yet',
        hint: 'valetkey register shop --client-id … --secret-stdin < secret.txt',
      })),
    )
  })

  it('is the browser once there is a client', async () => {
    await register()
    expect(await connect()).toMatchObject({ flow: 'authorization-code', passedOver: [] })
  })

  it('needs no browser where there is none', async () => {
    await register()
    const session = await connect({ noBrowser: true })
    expect(session).toMatchObject({
      flow: 'device-code',
      passedOver: [{ flow: 'authorization-code', why: 'it needs a browser on this computer' }],
    })
    expect(session.passedOver[0]?.hint).toContain('--flow authorization-code')
  })

  it.each([
    ['a key is at hand', { bringsKey: true }],
    ['a key was brought along', { fields: { key: new Secret(canary('brought')) } }],
  ])('asks for a key where %s', async (_, more) => {
    await register()
    expect(flowOf(await connect(more))).toBe('api-key')
  })

  it('is the one that was asked for, whatever stands against it', async () => {
    expect(await thrown(connect({ flow: 'authorization-code' }))).toMatchObject({
      code: 'provider-not-configured',
      hint: expect.stringContaining('valetkey register shop'),
      instead: { flow: 'api-key', label: 'a key' },
    })
  })

  it('says what is missing by the first way, where no way can work', async () => {
    expect(await refusal(connect({ vars: { tenant: 'x' } }))).toMatchObject({
      code: 'invalid-request',
      message: 'Shop asks for nothing called tenant',
    })
  })
})

describe('the way that comes next', () => {
  it('is offered while one goes on, and after it failed: a key last', async () => {
    await register()
    const session = await connect()
    expect(session.instead).toMatchObject({ flow: 'device-code' })
    await refusal(back(session, { error: 'access_denied' }))
    const failed = await house.owner.flow(session.id)
    expect(failed).toMatchObject({ state: 'failed', failure: { code: 'access-denied' } })
    expect(failed.instead).toEqual({ flow: 'device-code', label: 'a code on any device' })
    const byCode = await connect({ flow: 'device-code' })
    expect(byCode.instead).toEqual({ flow: 'api-key', label: 'a key' })
  })

  it('comes along with the error, for whoever sees nothing else', async () => {
    await register()
    const session = await connect()
    expect(await thrown(back(session, { error: 'access_denied' }))).toMatchObject({
      code: 'access-denied',
      instead: { flow: 'device-code' },
    })
  })

  it('is none that needs a browser where there is none', async () => {
    await register()
    const { id } = await connect({ noBrowser: true, flow: 'api-key' })
    expect((await house.owner.flow(id)).instead).toMatchObject({ flow: 'device-code' })
  })

  it('is not offered where another way would change nothing', async () => {
    const session = await connect()
    await house.owner.cancel(session.id)
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'cancelled', instead: null })
  })

  it('is remembered through the end of the sign-in: no browser stays no browser', async () => {
    await register()
    const { id } = await connect({ noBrowser: true })
    house.clock.pass({ minutes: 11 })
    const over = await house.owner.flow(id)
    expect(over).toMatchObject({ state: 'failed', failure: { code: 'flow-expired' } })
    expect(over.passedOver).toMatchObject([{ flow: 'authorization-code' }])
    expect(over.instead).toMatchObject({ flow: 'api-key' })
  })
})

describe('what is asked for', () => {
  const scopeOf = (session: FlowSession) => visitOf(session).searchParams.get('scope')

  it('is the least, and more only where it is wished for', async () => {
    await register()
    expect(scopeOf(await connect())).toBe('read')
    expect(scopeOf(await connect({ bucket: 'more', scopes: ['write'] }))).toBe('read write')
  })

  it('is asked for again along with what was granted', async () => {
    await register()
    await back(await connect())
    const session = await house.owner.reconnect('shop', { scopes: ['write'] })
    expect(scopeOf(session)).toBe('read write')
    await back(session)
    expect(scopeOf(await house.owner.reconnect('shop'))).toBe('read write')
  })

  it('is told where it was not granted, by name', async () => {
    await register()
    there.grant('read')
    await back(await connect({ scopes: ['write'] }))
    const [account] = await house.owner.accounts()
    expect(account).toMatchObject({
      warnings: ['missing-scopes'],
      missingScopes: ['write'],
      scopes: ['read'],
    })
    there.grant('read write')
    await back(await house.owner.reconnect('shop', { scopes: ['write'] }))
    expect((await house.owner.accounts())[0]).toMatchObject({ warnings: [], missingScopes: [] })
  })

  it('is only what the provider lists, for whoever is not the owner', async () => {
    await register()
    const grants = [{ address: 'shop/app', may: ['connect'] }] as const
    const { key } = await house.owner.narrow({ kind: 'key', grants })
    const asApp = (scopes: readonly string[]) =>
      house.as(key.id as CallerId).connect({ provider: 'shop', bucket: 'app', scopes })
    expect(await thrown(asApp(['of-their-own']))).toMatchObject({
      code: 'invalid-request',
      message: 'Shop knows no scope called of-their-own',
      hint: 'it knows read, write',
    })
    expect(scopeOf(await asApp(['write']))).toBe('read write')
    expect(scopeOf(await connect({ scopes: ['of-their-own'] }))).toBe('read of-their-own')
    expect(await refusal(connect({ bucket: 'odd', scopes: ['a"b'] }))).toMatchObject({
      code: 'invalid-request',
    })
  })
})

describe('a client of the owner’s own, at a server of its own', () => {
  const elsewhere = () => ({
    authorize: new URL('/authorize', there.origin),
    token: new URL('/v1/other/token', there.origin),
  })

  it('signs in there and nowhere else, and what is issued goes where a key goes', async () => {
    const secret = canary('client')
    await house.owner.register({
      provider: 'openai',
      clientId: 'mine',
      clientSecret: new Secret(secret),
      endpoints: { authorize: elsewhere().authorize, token: new URL('/token', there.origin) },
    })
    const session = await house.owner.connect({ provider: 'openai', flow: 'authorization-code' })
    expect(visitOf(session).searchParams.get('client_id')).toBe('mine')
    expect(visitOf(session).searchParams.has('codex_cli_simplified_flow')).toBe(false)
    expect(await back(session)).toMatchObject({ state: 'done', account: { providerId: 'openai' } })
    expect(there.asked).toMatchObject([{ path: '/token', said: { client_secret: secret } }])
    const answer = await house.owner.forward({
      address: 'openai',
      method: 'GET',
      path: 'https://api.openai.com/v1/models',
    })
    expect(answer.status).toBe(200)
    expect(there.requests.at(-1)?.headers['authorization']).toBe(`Bearer ${there.issued[0]}`)
    house.clock.pass({ hours: 2 })
    await house.owner.refresh('openai')
    expect(there.asked.at(-1)).toMatchObject({ path: '/token', said: { grant_type: 'refresh_token' } })
  })

  it('outlives a restart, and is told of by the account when it is to be unregistered', async () => {
    const token = new URL('/token', there.origin)
    const endpoints = { authorize: elsewhere().authorize, token }
    const { id } = await house.owner.register({ provider: 'openai', clientId: 'mine', endpoints })
    await back(await house.owner.connect({ provider: 'openai', flow: 'authorization-code' }))
    await house.meanwhile(() => {})
    house.clock.pass({ hours: 2 })
    await house.owner.refresh('openai')
    expect(await refusal(house.owner.unregister(id))).toMatchObject({
      code: 'conflict',
      message: 'there are accounts that cannot be renewed without it: openai',
    })
    await house.owner.unregister(id, { insist: true })
    house.clock.pass({ hours: 2 })
    expect(await refusal(house.owner.refresh('openai'))).toMatchObject({ code: 'provider-not-configured' })
  })

  it('is not registered at an address that others could read on the way', async () => {
    const { token } = elsewhere()
    const endpoints = { authorize: new URL('http://login.example.com/authorize'), token }
    expect(
      await refusal(house.owner.register({ provider: 'openai', clientId: 'mine', endpoints })),
    ).toMatchObject({
      code: 'invalid-request',
      message: 'the address given for authorize is not reached over https',
    })
  })
})

describe('a way by a code, where there is no client of one’s own yet', () => {
  it.each([
    ['microsoft', {}, 'valetkey register microsoft --var tenant=… --client-id'],
    ['microsoft', { vars: { tenant: 'acme.test' } }, 'register microsoft --var tenant=acme.test --client-id'],
    ['gitlab', { flow: 'device-code' }, 'valetkey register gitlab --var'],
    ['salesforce', { flow: 'device-code' }, 'valetkey register salesforce --var login=… --client-id'],
    ['google-drive', { flow: 'device-code' }, 'valetkey register google-drive --client-id'],
    ['oidc', { flow: 'device-code' }, 'valetkey register oidc --var issuer=… --client-id'],
    ['oauth', { flow: 'device-code' }, 'valetkey register oauth --var token=… --client-id'],
  ])('says which command registers one, and asks nobody: %s', async (provider, more, hint) => {
    expect(await thrown(house.owner.connect({ provider, ...more }))).toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringMatching(/is signed in to by a client of your own, and there is none yet$/),
      hint: expect.stringContaining(hint),
    })
    expect(await house.owner.flows()).toEqual([])
  })

  it('is begun once there is one, and not at another of its servers', async () => {
    const microsoft = (tenant: string) =>
      house.owner.register({ provider: 'microsoft', clientId: 'mine', vars: { tenant }, insist: true })
    await microsoft('acme.test')
    const elsewhere = house.owner.connect({ provider: 'microsoft', vars: { tenant: 'other.test' } })
    expect(await refusal(elsewhere)).toMatchObject({ code: 'provider-not-configured' })
    // The server that is asked now knows of no codes.
    const there = house.owner.connect({ provider: 'microsoft', vars: { tenant: 'acme.test' } })
    expect(await refusal(there)).not.toMatchObject({ code: 'provider-not-configured' })
  })
})

describe('a way for programs, beside those for persons', () => {
  it('is taken where its client is brought along, or it is asked for', async () => {
    const fields = { clientId: new Secret('mine'), clientSecret: new Secret(canary('program')) }
    const vars = { token: 'https://login.acme.test/token', host: 'api.acme.test' }
    const asked = await house.owner.connect({ provider: 'oauth', flow: 'client-credentials', vars })
    expect(asked).toMatchObject({ flow: 'client-credentials', step: { ask: 'fill' } })
    const names = asked.step?.ask === 'fill' ? asked.step.fields.map(({ name }) => name) : []
    expect(names).toEqual(['clientId', 'clientSecret', 'privateKey', 'certificate', 'scopes'])
    const brought = house.owner.connect({ provider: 'spotify', fields })
    expect(await thrown(brought)).not.toMatchObject({ code: 'provider-not-configured' })
  })

  it('is not what a person gets who means themselves', async () => {
    expect(await refusal(house.owner.connect({ provider: 'spotify' }))).toMatchObject({
      code: 'provider-not-configured',
      hint: 'valetkey register spotify --client-id … --secret-stdin < secret.txt',
    })
  })
})
