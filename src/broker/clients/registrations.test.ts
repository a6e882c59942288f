import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSession } from '../../model/words.ts'
import { openPractice } from '../../practice/practice.ts'
import { visitorOf } from '../../practice/visitor.ts'
import { canary } from '../../testing/canary.ts'
import { type HostileServer, hostileServer, type Script } from '../../testing/hostile-server.ts'

let there: HostileServer
let other: HostileServer
let house: TestHouse

beforeEach(async () => {
  there = await hostileServer()
  other = await hostileServer()
})

afterEach(async () => {
  await house?.close()
  await there.close()
  await other.close()
})

const ACME: ProviderFile = {
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.test'],
  oauth: { issuer: 'https://login.acme.test' },
  registration: 'dynamic',
  signIns: [
    {
      flow: 'authorization-code',
      scopes: ['read'],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
    },
  ],
  revoke: { how: 'rfc7009' },
}
const OWN: ProviderFile = {
  ...ACME,
  id: 'own',
  name: 'Own',
  registration: 'yours',
  registrationGuide: { console: 'https://acme.test/apps', minutes: 5 },
}

/** Acme and Own are the same server; the other one is only known by its issuer. */
async function opened(script: Script = {}, ...more: readonly ProviderFile[]): Promise<void> {
  there.play(script)
  const origins = { acme: there.issuer, own: there.issuer, openai: other.issuer }
  house = await openTestHouse({ origins, providers: [ACME, OWN, ...more] })
  // What the servers sign is dated by the clock on the wall.
  house.clock.pass({ seconds: Math.round((Date.now() - house.clock.now().getTime()) / 1000) })
}

function visitOf({ step }: FlowSession): URL {
  if (step?.ask !== 'visit') throw new Error('nobody is sent off')
  return step.url
}

async function signIn(provider = 'acme', at = there): Promise<FlowSession> {
  return finish(await house.owner.connect({ provider }), at)
}

async function finish(session: FlowSession, at = there): Promise<FlowSession> {
  const back = await at.consent(visitOf(session))
  return house.owner.answer(session.id, { callback: new Secret(back.href) })
}

const anyServer = ({ issuer }: HostileServer, bucket = 'default') =>
  house.owner.connect({ provider: 'oidc', bucket, vars: { issuer, host: 'api.acme.test' } })
const registeredAt = ({ requests }: HostileServer) => requests.filter(({ path }) => path === '/register')
const endedAt = ({ requests }: HostileServer) => requests.filter(({ method }) => method === 'DELETE')
const param = (session: FlowSession, name: string) => visitOf(session).searchParams.get(name)
const registration = async () => (await house.owner.registrations())[0]

describe('a sign-in at a server that registers clients by itself', () => {
  it('registers one on the spot, as a native client that comes back to this computer', async () => {
    await opened()
    const session = await house.owner.connect({ provider: 'acme' })
    const [asked] = registeredAt(there)
    const redirectUri = param(session, 'redirect_uri')
    expect(JSON.parse(String(await asked?.body))).toMatchObject({
      client_name: 'Valetkey',
      application_type: 'native',
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'none',
    })
    expect(redirectUri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback\/acme$/)
    expect(await registration()).toEqual({
      id: expect.stringMatching(/^reg-/),
      provider: 'acme',
      issuer: there.issuer,
      clientId: param(session, 'client_id'),
      how: 'dynamic',
      createdAt: house.clock.now(),
      trouble: null,
    })
    expect(await finish(session)).toMatchObject({ state: 'done', account: { providerId: 'acme' } })
  })

  it('uses it again the next time, from the same address and after a restart', async () => {
    await opened()
    const first = await house.owner.connect({ provider: 'acme' })
    await finish(first)
    await house.meanwhile(() => {})
    const second = await house.owner.connect({ provider: 'acme', bucket: 'work' })
    expect(await finish(second)).toMatchObject({ state: 'done' })
    expect(param(second, 'redirect_uri')).toBe(param(first, 'redirect_uri'))
    expect(param(second, 'client_id')).toBe(param(first, 'client_id'))
    expect(registeredAt(there)).toHaveLength(1)
  })

  it('[security 12.7] keeps clients by their issuer, and shows none at another', async () => {
    await opened()
    const sessions = [await anyServer(there), await anyServer(other, 'other')] as const
    const ids = sessions.map((session) => param(session, 'client_id'))
    expect(new Set(ids).size).toBe(2)
    const kept = (await house.owner.registrations()).map(
      ({ issuer, clientId }) => [issuer, clientId] as const,
    )
    expect(new Map(kept)).toEqual(
      new Map([
        [there.issuer, ids[0]],
        [other.issuer, ids[1]],
      ]),
    )
    expect(await finish(sessions[0])).toMatchObject({ state: 'done' })
    expect(await finish(sessions[1], other)).toMatchObject({ state: 'done' })
    for (const [one, id] of [[there, ids[1]] as const, [other, ids[0]] as const]) {
      const seen = await Promise.all(one.requests.map(async ({ path, body }) => path + String(await body)))
      expect(seen.join('\n')).not.toContain(id)
    }
  })

  it('[security 1.4] comes back to a path of its own for every issuer', async () => {
    await opened()
    const paths = [await anyServer(there), await anyServer(other, 'other')].map(
      (session) => new URL(param(session, 'redirect_uri') ?? '').pathname,
    )
    expect(paths).toEqual([there, other].map(({ issuer }) => `/callback/oidc/${new URL(issuer).host}`))
  })

  it('shares a client among the providers of one issuer', async () => {
    await opened()
    await signIn('acme')
    expect(await signIn('own')).toMatchObject({ state: 'done' })
    expect(await house.owner.registrations()).toHaveLength(1)
    expect(await house.as('app:reports').registrations()).toEqual([])
  })

  it('[security 12.7] registers anew where the provider has another issuer now', async () => {
    await opened()
    await signIn()
    const config = join(house.home, 'config', 'config.json')
    await house.meanwhile(() => writeFile(config, JSON.stringify({ origins: { acme: other.issuer } })))
    const session = await house.owner.connect({ provider: 'acme', bucket: 'work' })
    expect(registeredAt(other)).toHaveLength(1)
    expect(visitOf(session).origin).toBe(other.issuer)
    expect(await house.owner.registrations()).toHaveLength(2)
  })

  it('asks which server it is before it registers anywhere', async () => {
    await opened()
    const session = await house.owner.connect({ provider: 'oidc' })
    expect(session.step).toMatchObject({ ask: 'fill' })
    const fields = { issuer: new Secret(` ${there.issuer}\n`), host: new Secret('api.acme.test') }
    const gone = await house.owner.answer(session.id, { fields })
    expect(await finish(gone)).toMatchObject({ state: 'done' })
    expect(await registration()).toMatchObject({ issuer: there.issuer, provider: 'oidc' })
  })

  it('asks again for what cannot be a server', async () => {
    await opened()
    const { id } = await house.owner.connect({ provider: 'oidc' })
    const fields = { issuer: new Secret('localhost'), host: new Secret('api.acme.test') }
    expect((await house.owner.answer(id, { fields })).step).toMatchObject({
      ask: 'fill',
      code: 'invalid-request',
    })
  })

  it('registers one client for two sign-ins at once, and gives the other one back', async () => {
    await opened()
    const begin = (bucket: string) => house.owner.connect({ provider: 'acme', bucket })
    const sessions = await Promise.all([begin('one'), begin('two')])
    expect(new Set(sessions.map((session) => param(session, 'client_id'))).size).toBe(1)
    expect(endedAt(there)).toHaveLength(registeredAt(there).length - 1)
    for (const session of sessions) expect(await finish(session)).toMatchObject({ state: 'done' })
  })

  it('takes any free port where the one it had is taken', async () => {
    await opened()
    const first = await house.owner.connect({ provider: 'acme' })
    await finish(first)
    const { port } = new URL(param(first, 'redirect_uri') ?? '')
    const squatter = createServer().listen(Number(port), '127.0.0.1')
    try {
      const second = await house.owner.connect({ provider: 'acme', bucket: 'work' })
      const uri = new URL(param(second, 'redirect_uri') ?? '')
      expect(uri.pathname).toBe('/callback/acme')
      expect(uri.port).not.toBe(port)
    } finally {
      squatter.close()
    }
  })

  it('registers anew once the secret it was given is over, and keeps the id', async () => {
    const secret = canary('given')
    const soon = Math.round(Date.now() / 1000) + 3600
    await opened({
      metadata: (honest) => ({
        body: { ...honest, token_endpoint_auth_methods_supported: ['client_secret_basic'] },
      }),
      register: (honest) => ({
        status: 201,
        body: { ...honest, client_secret: secret, client_secret_expires_at: soon },
      }),
    })
    await signIn()
    const before = await registration()
    house.clock.pass({ hours: 2 })
    await house.owner.connect({ provider: 'acme', bucket: 'work' })
    const after = await registration()
    expect(after?.id).toBe(before?.id)
    expect(after?.clientId).not.toBe(before?.clientId)
    expect(registeredAt(there)).toHaveLength(2)
    expect(endedAt(there)).toHaveLength(1)
  })

  it('says what to do where the server registers nobody', async () => {
    const without = ({ registration_endpoint: _, ...rest }: Readonly<Record<string, unknown>>) => rest
    await opened({ metadata: (honest) => ({ body: without(honest) }) })
    expect(await refusal(house.owner.connect({ provider: 'acme' }))).toEqual({
      code: 'provider-not-configured',
      message: 'the provider registers no clients by itself',
      hint: 'valetkey register acme --client-id … --secret-stdin < secret.txt',
    })
    expect((await refusal(anyServer(there))).hint).toBe(
      `valetkey register oidc --var issuer=${there.issuer} --client-id … --secret-stdin < secret.txt`,
    )
    expect(await house.owner.registrations()).toEqual([])
  })

  it.each<[string, Script['register'], string]>([
    ['refuses', () => ({ status: 403, body: { error: 'access_denied' } }), 'provider-not-configured'],
    ['has trouble', () => ({ status: 503 }), 'server-error'],
    ['says nothing that makes sense', () => ({ status: 201, body: '<html>' }), 'bad-answer'],
    [
      'registers another address',
      (honest) => ({ status: 201, body: { ...honest, redirect_uris: ['https://evil.test/'] } }),
      'provider-not-configured',
    ],
  ])('keeps nothing where the server %s', async (_, register, code) => {
    await opened(register === undefined ? {} : { register })
    expect(await refusal(house.owner.connect({ provider: 'acme' }))).toMatchObject({ code })
    expect(await house.owner.registrations()).toEqual([])
  })

  it('stands on record as a registration', async () => {
    await opened()
    await house.owner.connect({ provider: 'acme' })
    const [closed, begun] = await house.owner.audit({ verb: 'register' })
    expect(closed).toMatchObject({ target: 'acme', outcome: 'done', detail: 'registered on the spot' })
    expect(begun).toMatchObject({ target: 'acme', outcome: 'opened' })
  })
})

describe('a real authorization server', () => {
  it('registers a client, signs in with it, and forgets it again', async () => {
    await opened()
    const practice = await openPractice()
    try {
      await house.close()
      house = await openTestHouse({ origins: { openai: practice.origin.origin } })
      house.clock.pass({ seconds: Math.round((Date.now() - house.clock.now().getTime()) / 1000) })
      const vars = { issuer: practice.origin.origin, host: 'api.acme.test' }
      const begin = (bucket: string) => house.owner.connect({ provider: 'oidc', bucket, vars })
      const visitor = visitorOf(practice)
      for (const bucket of ['default', 'again']) {
        const session = await begin(bucket)
        const back = await visitor.consent(visitOf(session))
        const done = await house.owner.answer(session.id, { callback: new Secret(back.href) })
        expect(done).toMatchObject({ state: 'done', account: { subject: 'alice' } })
      }
      const [made, ...more] = await house.owner.registrations()
      expect(more).toEqual([])
      expect(await house.owner.refresh('oidc')).toMatchObject({ status: 'connected' })
      expect(await house.owner.unregister(made?.id ?? '', { insist: true })).toMatchObject({ state: 'died' })
      const asked = { provider: 'oidc', clientId: made?.clientId ?? '', vars: { issuer: vars.issuer } }
      expect(await refusal(house.owner.register(asked))).toMatchObject({ code: 'invalid-credentials' })
    } finally {
      await practice.close()
    }
  })
})

describe('a client of the person’s own', () => {
  const own = (clientSecret: string | undefined, more = {}) =>
    house.owner.register({
      provider: 'own',
      clientId: 'mine',
      ...(clientSecret !== undefined && { clientSecret: new Secret(clientSecret) }),
      ...more,
    })
  const answering = (error: string, status = 400): Script => ({
    token: () => ({ status, body: { error } }),
  })

  it('is asked for in a command where there is none', async () => {
    await opened()
    expect(await refusal(house.owner.connect({ provider: 'own' }))).toEqual({
      code: 'provider-not-configured',
      message: 'Own is signed in to by a client of your own, and there is none yet',
      hint: 'valetkey register own --client-id … --secret-stdin < secret.txt',
    })
    expect(there.requests).toEqual([])
  })

  it('is asked at the token endpoint whether it is known, by a code that cannot exist', async () => {
    await opened()
    expect(await own(canary('secret'))).toMatchObject({ clientId: 'mine', how: 'yours', checked: true })
    const [form] = there.forms
    expect(form?.get('grant_type')).toBe('authorization_code')
    expect(form?.get('redirect_uri')).toBe('http://127.0.0.1/callback/own')
    expect(there.codes.has(form?.get('code') ?? '')).toBe(false)
  })

  it.each([
    ['invalid_client', 401],
    ['incorrect_client_credentials', 200],
    ['unauthorized_client', 400],
  ])('is not kept where the provider says %s, unless its owner insists', async (error, status) => {
    await opened(answering(error, status))
    expect(await refusal(own(canary('secret')))).toEqual({
      code: 'invalid-credentials',
      message: 'Own does not know this client id with this secret',
      hint: 'copy both once more, or add --insist to keep it all the same',
    })
    expect(await house.owner.registrations()).toEqual([])
    expect(await own(canary('secret'), { insist: true })).toMatchObject({ checked: false })
    expect(await house.owner.registrations()).toHaveLength(1)
  })

  it.each<[string, Script]>([
    ['says something else', answering('invalid_request')],
    ['has trouble', { token: () => ({ status: 502 }) }],
    ['cannot be found', { metadata: () => ({ status: 404 }) }],
  ])('is kept unchecked where the provider %s', async (_, script) => {
    await opened(script)
    expect(await own(canary('secret'))).toMatchObject({ checked: false })
  })

  it('is used from then on, at the address that was shown for it', async () => {
    await opened()
    await own(canary('secret'))
    const session = await house.owner.connect({ provider: 'own' })
    expect(param(session, 'client_id')).toBe('mine')
    expect(param(session, 'redirect_uri')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback\/own$/)
    expect(await finish(session)).toMatchObject({ state: 'done' })
    expect(registeredAt(there)).toEqual([])
  })

  it('goes before one that is made on the spot', async () => {
    await opened()
    await house.owner.register({ provider: 'acme', clientId: 'mine' })
    expect(param(await house.owner.connect({ provider: 'acme' }), 'client_id')).toBe('mine')
    expect(registeredAt(there)).toEqual([])
  })

  it('keeps the id of what it replaces, which is given back', async () => {
    await opened()
    await signIn()
    const before = await registration()
    const after = await house.owner.register({ provider: 'acme', clientId: 'mine' })
    expect(after.id).toBe(before?.id)
    expect(await house.owner.registrations()).toMatchObject([
      { id: after.id, clientId: 'mine', how: 'yours' },
    ])
    expect(endedAt(there)).toHaveLength(1)
  })

  it('is for one server alone, where the provider may be any', async () => {
    await opened()
    const clientId = 'mine'
    expect(await refusal(house.owner.register({ provider: 'oidc', clientId }))).toEqual({
      code: 'invalid-request',
      message: 'Any OpenID Connect server: it is not known yet which server this is for',
      hint: 'valetkey register oidc --var issuer=… --client-id … --secret-stdin < secret.txt',
    })
    const vars = { issuer: there.issuer }
    expect(await house.owner.register({ provider: 'oidc', clientId, vars })).toMatchObject({
      issuer: there.issuer,
      checked: true,
    })
    expect(param(await anyServer(there), 'client_id')).toBe('mine')
    expect(param(await anyServer(other, 'other'), 'client_id')).not.toBe('mine')
  })

  it('is told of without its secret, which lies sealed', async () => {
    await opened()
    const secret = canary('secret')
    await own(secret)
    expect(JSON.stringify(await house.owner.registrations())).not.toContain(secret)
    expect(await house.meanwhile((file) => readFile(file, 'latin1'))).not.toContain(secret)
  })

  it('[security 12.7] does not open once its row names another issuer', async () => {
    await opened()
    await own(canary('secret'))
    await house.inFile((file) => file.exec(`update registrations set issuer = '${other.issuer}'`))
    expect(await refusal(anyServer(other))).toMatchObject({ code: 'tampered' })
    expect(other.requests).toEqual([])
  })

  it.each(['clientSecret', 'terms'])('is not used any more once its %s was taken away', async (field) => {
    await opened()
    await own(canary('secret'))
    await house.inFile((file) => file.exec(`delete from sealed where field = '${field}'`))
    expect(await refusal(house.owner.connect({ provider: 'own' }))).toMatchObject({ code: 'tampered' })
    await own(canary('again'))
    expect(await house.owner.connect({ provider: 'own' })).toMatchObject({ state: 'asking' })
  })

  it.each([
    ['azure-openai', {}, 'Azure OpenAI is not signed in to by a client'],
    ['own', { vars: { tenant: 'x' } }, 'Own: nothing is called tenant'],
    ['own', { clientId: ' ' }, 'a client needs its id'],
    ['oidc', { vars: { issuer: 'x' } }, 'Any OpenID Connect server: no server has such an address'],
  ])('is refused where it makes no sense, at %s with %o', async (provider, more, message) => {
    await opened()
    const request = { provider, clientId: 'mine', ...more }
    expect(await refusal(house.owner.register(request))).toMatchObject({ code: 'invalid-request', message })
  })

  it('is nobody’s but the owner’s to register', async () => {
    await opened()
    const request = { provider: 'own', clientId: 'mine' }
    expect(await refusal(house.as('app:reports').register(request))).toMatchObject({ code: 'not-allowed' })
  })
})

describe('a client that comes along', () => {
  const BROUGHT = { ...OWN, id: 'brought', oauth: { ...OWN.oauth, clientId: 'public-client' } }

  it('is used where the provider file names it, with nothing to register', async () => {
    await opened({}, { ...BROUGHT, oauth: { issuer: there.issuer, clientId: 'public-client' } })
    const session = await house.owner.connect({ provider: 'brought' })
    expect(param(session, 'client_id')).toBe('public-client')
  })
})

describe('a client that is described by a document', () => {
  const DESCRIBED = { ...OWN, id: 'described', name: 'Described', registration: 'metadata-document' } as const
  const document = (uri: string) => ({
    client_id: uri,
    client_name: 'Valetkey',
    redirect_uris: ['http://127.0.0.1/callback/document'],
  })
  const described = async (change: (honest: object) => unknown = (honest) => honest, at = '/userinfo') => {
    const clientId = `${there.issuer}${at}`
    await opened({ userinfo: () => ({ body: change(document(clientId)) }) }, DESCRIBED)
    return house.owner.register({ provider: 'described', clientId })
  }

  it('[security 12.8] is read, and used with the address that it names', async () => {
    expect(await described()).toMatchObject({ how: 'metadata-document', checked: true })
  })

  it.each<[string, (honest: object) => unknown, string?]>([
    ['is that of another client', (honest) => ({ ...honest, client_id: 'https://evil.test/client.json' })],
    ['has no name', (honest) => ({ ...honest, client_name: undefined })],
    [
      'comes back to nowhere on this computer',
      (honest) => ({ ...honest, redirect_uris: ['https://a.test/'] }),
    ],
    ['is none', () => 'nothing'],
    ['is not there', (honest) => honest, '/elsewhere'],
    ['has no path', (honest) => honest, '/'],
  ])('[security 12.8] is refused where the document %s', async (_, change, at) => {
    const { code } = await refusal(described(change, at))
    expect(['invalid-request', 'bad-answer']).toContain(code)
    expect(await house.owner.registrations()).toEqual([])
  })
})

describe('unregistering', () => {
  it('deletes the client at its server, by the token that came with it', async () => {
    await opened()
    const { id } = await house.owner.connect({ provider: 'acme' })
    await house.owner.cancel(id)
    const { id: reg = '' } = (await registration()) ?? {}
    expect(await house.owner.unregister(reg)).toEqual({
      what: 'client',
      state: 'died',
      how: 'deleted at the provider',
    })
    const [ended] = endedAt(there)
    const token = there.issued.find((one) => one.includes('registration'))
    expect(ended?.headers['authorization']).toBe(`Bearer ${token}`)
    expect(await house.owner.registrations()).toEqual([])
    await house.inFile((file) => {
      expect(file.prepare('select count(*) n from sealed where record = ?').get(reg)).toEqual({ n: 0 })
    })
  })

  it('names the accounts that would be left without it, and goes on only if told so', async () => {
    await opened()
    await signIn()
    await finish(await house.owner.connect({ provider: 'acme', bucket: 'work' }))
    await finish(await anyServer(other), other)
    const reg = (await house.owner.registrations()).find(({ provider }) => provider === 'acme')?.id ?? ''
    expect(await refusal(house.owner.unregister(reg))).toEqual({
      code: 'conflict',
      message: 'there are accounts that cannot be renewed without it: acme, acme/work',
      hint: `valetkey unregister ${reg} --yes`,
    })
    expect(endedAt(there)).toEqual([])
    expect(await house.owner.unregister(reg, { insist: true })).toMatchObject({ state: 'died' })
    expect(await house.owner.registrations()).toMatchObject([{ provider: 'oidc' }])
  })

  it('says where the person can delete what no token came for', async () => {
    await opened()
    const { id } = await house.owner.register({ provider: 'own', clientId: 'mine' })
    expect(await house.owner.unregister(id)).toEqual({
      what: 'client',
      state: 'alive',
      how: 'only you can delete it, at https://acme.test/apps',
    })
  })

  it('finds nothing where there is nothing', async () => {
    await opened()
    expect(await refusal(house.owner.unregister('reg-nothing'))).toEqual({
      code: 'not-found',
      message: 'there is no such registration',
      hint: 'valetkey registrations',
    })
  })
})

describe('a client that the provider stopped knowing', () => {
  it('[security 2.3] is a fault of the configuration: no account ends over it', async () => {
    await opened()
    await house.owner.register({ provider: 'own', clientId: 'mine', clientSecret: new Secret(canary('old')) })
    await signIn('own')
    there.play({ token: () => ({ status: 401, body: { error: 'invalid_client' } }) })
    expect(await refusal(house.owner.refresh('own'))).toMatchObject({ code: 'provider-not-configured' })
    house.clock.pass({ hours: 1 })
    expect(await refusal(house.owner.lend({ address: 'own' }))).toMatchObject({
      code: 'provider-not-configured',
    })
    expect((await house.owner.accounts())[0]).not.toMatchObject({ status: 'needs-reauth' })
    there.play({})
    const clientSecret = new Secret(canary('new'))
    await house.owner.register({ provider: 'own', clientId: 'mine', clientSecret })
    expect(await house.owner.refresh('own')).toMatchObject({ status: 'connected' })
  })

  it('[security 2.3] nor over one that is not registered any more', async () => {
    await opened()
    await signIn()
    const { id = '' } = (await registration()) ?? {}
    await house.owner.unregister(id, { insist: true })
    expect(await refusal(house.owner.refresh('acme'))).toMatchObject({ code: 'provider-not-configured' })
    expect((await house.owner.accounts())[0]).not.toMatchObject({ status: 'needs-reauth' })
  })
})

describe('the gallery', () => {
  const cardOf = async (id: string) => (await house.owner.providers()).find((card) => card.id === id)

  it('begins with what needs nothing, and says how long the rest takes', async () => {
    await opened()
    const cards = await house.owner.providers()
    const needs = cards.map((card) => card.needs)
    expect(needs).toEqual(
      needs
        .toSorted()
        .toReversed()
        .toSorted((a, b) => (a === b ? 0 : a === 'nothing' ? -1 : 1)),
    )
    expect(needs[0]).toBe('nothing')
    expect(cards.find(({ id }) => id === 'google')).toMatchObject({
      needs: 'own-client',
      ownClient: { minutes: 10 },
    })
  })

  it('says what a person has to copy in order to make a client of their own', async () => {
    await opened()
    expect((await cardOf('own'))?.ownClient).toEqual({
      flow: 'authorization-code',
      redirectUri: 'http://127.0.0.1/callback/own',
      scopes: ['read'],
      console: 'https://acme.test/apps',
      minutes: 5,
      note: null,
      asks: [],
    })
    expect((await cardOf('oidc'))?.ownClient).toMatchObject({
      redirectUri: 'http://127.0.0.1:17771/callback/oidc/{issuer}',
      asks: [{ name: 'issuer', kind: 'text' }],
    })
    expect((await cardOf('datadog'))?.ownClient).toMatchObject({
      redirectUri: 'http://127.0.0.1:8080/callback',
      asks: [],
    })
    expect((await cardOf('openai'))?.ownClient).toBeNull()
  })

  it('asks for no client any more once there is one', async () => {
    await opened()
    expect(await cardOf('own')).toMatchObject({ needs: 'own-client' })
    await house.owner.register({ provider: 'own', clientId: 'mine' })
    expect(await cardOf('own')).toMatchObject({ needs: 'nothing' })
  })
})
