import { request } from 'node:http'
import * as oauth from 'openid-client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { providerSchema } from '../model/provider.ts'
import { canary } from '../testing/canary.ts'
import { LIVES } from './choices.ts'
import { openPractice, type Practice } from './practice.ts'
import { type Answers, type Visitor, visitorOf } from './visitor.ts'

const REDIRECT = 'http://127.0.0.1:53122/a/path/nobody/guesses'

let practice: Practice
let visitor: Visitor
let client: oauth.Configuration
let time: number

beforeEach(async () => {
  time = Date.now()
  practice = await openPractice({ now: () => new Date(time) })
  visitor = visitorOf(practice)
  client = await clientOf(practice.client.clientId)
})

afterEach(() => practice.close())

function clientOf(id: string, secret?: string): Promise<oauth.Configuration> {
  return oauth.discovery(practice.origin, id, secret, secret === undefined ? oauth.None() : undefined, {
    execute: [oauth.allowInsecureRequests],
  })
}

/** A link to sign in, and what is needed to finish. */
async function begin(wishes: Record<string, string> = {}, by = client) {
  const pkceCodeVerifier = oauth.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier, expectedState: canary('state'), expectedNonce: canary('nonce') }
  const link = oauth.buildAuthorizationUrl(by, {
    redirect_uri: REDIRECT,
    scope: 'openid profile email offline_access',
    prompt: 'consent',
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...wishes,
  })
  return { link, finish: (back: URL) => oauth.authorizationCodeGrant(by, back, checks) }
}

async function signIn(answers?: Answers, wishes?: Record<string, string>) {
  const { link, finish } = await begin(wishes)
  return finish(await visitor.consent(link, answers))
}

function refresh(token: string | undefined) {
  return oauth.refreshTokenGrant(client, token ?? '')
}

function userinfo(token: string) {
  return fetch(new URL('/me', practice.origin), { headers: { authorization: `Bearer ${token}` } })
}

async function counts(): Promise<Record<string, number>> {
  const answer = await fetch(new URL('/practice/counts', practice.origin))
  return (await answer.json()) as Record<string, number>
}

async function control(): Promise<string> {
  return (await visitor.open(new URL('/practice', practice.origin))).answer.text()
}

function at(path: string): URL {
  return new URL(path, practice.origin)
}

describe('what it says of itself', () => {
  it('is discovered under its own issuer, with every endpoint on loopback', () => {
    const found = client.serverMetadata()
    expect(found.issuer).toBe(practice.origin.origin)
    expect(found.code_challenge_methods_supported).toEqual(['S256'])
    expect(found.authorization_response_iss_parameter_supported).toBe(true)
    expect(found.scopes_supported).toEqual(expect.arrayContaining(['openid', 'profile', 'email']))
    const endpoints = Object.entries(found).filter(([name]) => name.endsWith('_endpoint'))
    expect(endpoints.map(([name]) => name)).toEqual(
      expect.arrayContaining([
        'authorization_endpoint',
        'token_endpoint',
        'userinfo_endpoint',
        'revocation_endpoint',
        'introspection_endpoint',
        'registration_endpoint',
        'device_authorization_endpoint',
      ]),
    )
    for (const [, link] of endpoints) expect(new URL(String(link)).origin).toBe(practice.origin.origin)
  })

  it('comes with a provider file of the declared form', () => {
    const file = providerSchema.parse(practice.file)
    expect(file.oauth?.issuer).toBe(practice.origin.origin)
    expect(file.hosts).toEqual([practice.origin.host])
  })

  it('answers to its own name only, so that no other name leads a page here', async () => {
    const status = await new Promise((resolve) => {
      const { port } = practice.origin
      request({ port, host: '127.0.0.1', path: '/practice/counts', headers: { host: 'elsewhere.test' } })
        .on('response', (answer) => resolve(answer.resume().statusCode))
        .end()
    })
    expect(status).toBe(421)
  })
})

describe('a sign-in', () => {
  it('ends with a token that userinfo accepts, and with the identity of who was chosen', async () => {
    const tokens = await signIn({ person: 'bob' })
    expect(tokens.claims()?.sub).toBe('bob')
    expect(await oauth.fetchUserInfo(client, tokens.access_token, 'bob')).toEqual({
      sub: 'bob',
      name: 'Bob',
      preferred_username: 'bob',
      locale: 'de-DE',
      email: 'bob@example.com',
      email_verified: false,
    })
  })

  it.each([...LIVES.keys()])('hands out an access that lives %i seconds when so chosen', async (seconds) => {
    const tokens = await signIn({ seconds: seconds as 5 })
    expect(tokens.expires_in).toBe(seconds)
    time += (seconds - 1) * 1000
    expect((await userinfo(tokens.access_token)).status).toBe(200)
    time += 2000
    expect((await userinfo(tokens.access_token)).status).toBe(401)
    const fresh = await refresh(tokens.refresh_token)
    expect(fresh.expires_in).toBe(seconds)
    expect((await userinfo(fresh.access_token)).status).toBe(200)
  })

  it('comes back to any port and path on loopback, and to nowhere else', async () => {
    for (const place of ['http://127.0.0.1:1/', 'http://127.0.0.1:65535/x/y', 'http://[::1]:8080/cb']) {
      const { link } = await begin({ redirect_uri: place })
      expect((await visitor.consent(link)).href).toMatch(place)
    }
    for (const place of [
      'https://elsewhere.test/cb',
      'http://localhost:80/cb',
      'http://127.0.0.1.elsewhere.test/',
    ]) {
      const { link } = await begin({ redirect_uri: place })
      const { url, answer } = await visitor.open(link)
      expect([url.origin, answer.status]).toEqual([practice.origin.origin, 400])
    }
  })

  it('is not begun without a code challenge', async () => {
    const { link } = await begin()
    link.searchParams.delete('code_challenge')
    link.searchParams.delete('code_challenge_method')
    const { url } = await visitor.open(link)
    expect(url.searchParams.get('error')).toBe('invalid_request')
  })

  it('tells the client when the person says no', async () => {
    const { link } = await begin()
    const back = await visitor.consent(link, { decision: 'deny' })
    expect(back.searchParams.get('error')).toBe('access_denied')
    expect(back.searchParams.get('state')).toBe(link.searchParams.get('state'))
    expect(back.searchParams.get('iss')).toBe(practice.origin.origin)
    expect(await counts()).toMatchObject({ denied: 1, allowed: 0, tokens: 0 })
  })

  it('is not answered by whoever was merely sent its link', async () => {
    const { link } = await begin()
    const { url } = await visitor.open(link)
    const other = visitorOf(practice)
    expect((await other.open(url)).answer.status).toBe(400)
    expect((await other.send(url, { person: 'bob', seconds: '300', decision: 'allow' })).status).toBe(400)
    expect(await counts()).toMatchObject({ allowed: 0 })
  })

  it('is not answered by a form of another page, on this computer or elsewhere', async () => {
    const { link } = await begin()
    const { url } = await visitor.open(link)
    const fields = { person: 'bob', seconds: '300', decision: 'allow' }
    for (const from of ['http://127.0.0.1:1', 'https://elsewhere.test', 'null'])
      expect((await visitor.send(url, fields, from)).status).toBe(403)
    expect(await counts()).toMatchObject({ allowed: 0 })
  })

  it('refuses what is not among the choices', async () => {
    const { link } = await begin()
    const { url } = await visitor.open(link)
    for (const odd of [{ person: 'mallory' }, { seconds: '86400' }]) {
      const answer = await visitor.send(url, { person: 'bob', seconds: '5', decision: 'allow', ...odd })
      expect(answer.status).toBe(400)
    }
  })

  it('does not disturb another one in the same browser', async () => {
    const [first, second] = [await begin(), await begin()]
    const pages = [await visitor.open(first.link), await visitor.open(second.link)]
    const answer = async (page: number, person: string) => {
      const { url } = pages[page] ?? { url: practice.origin }
      const fields = { person, seconds: '5', decision: 'allow' }
      const next = (await visitor.send(url, fields)).headers.get('location')
      return (await visitor.open(new URL(next ?? '', url))).url
    }
    const bob = await second.finish(await answer(1, 'bob'))
    const alice = await first.finish(await answer(0, 'alice'))
    expect([alice.claims()?.sub, bob.claims()?.sub]).toEqual(['alice', 'bob'])
  })

  it('gives no refresh token to who did not ask to come back', async () => {
    const tokens = await signIn({}, { scope: 'openid' })
    expect(tokens.refresh_token).toBeUndefined()
  })
})

describe('a refresh token', () => {
  it('is another one at every refresh when it rotates, and the whole grant ends when an old one comes back', async () => {
    const first = await signIn({ rotates: true })
    const second = await refresh(first.refresh_token)
    expect(second.refresh_token).not.toBe(first.refresh_token)
    await expect(refresh(first.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' })
    await expect(refresh(second.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' })
    expect((await userinfo(second.access_token)).status).toBe(401)
    expect(await counts()).toMatchObject({ tokens: 2, refreshes: 1, refused: 2 })
  })

  it('is taken again within the grace, each time for another successor, and not a second later', async () => {
    await practice.close()
    practice = await openPractice({ now: () => new Date(time), grace: 10 })
    visitor = visitorOf(practice)
    client = await clientOf(practice.client.clientId)
    time = Math.ceil(time / 1000) * 1000
    const first = await signIn({ rotates: true })
    const second = await refresh(first.refresh_token)
    time += 9900
    const third = await refresh(first.refresh_token)
    expect(new Set([first, second, third].map((tokens) => tokens.refresh_token)).size).toBe(3)
    expect((await refresh(third.refresh_token)).refresh_token).toBeDefined()
    expect(await counts()).toMatchObject({ tokens: 4, refreshes: 3, refused: 0 })
    time += 200
    await expect(refresh(first.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' })
    await expect(refresh(second.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  it('stays the same, and goes on working, when it does not rotate', async () => {
    const first = await signIn({ rotates: false })
    for (const _ of [1, 2, 3]) {
      const next = await refresh(first.refresh_token)
      expect(next.refresh_token).toBe(first.refresh_token)
    }
    expect(await counts()).toMatchObject({ tokens: 4, refreshes: 3, refused: 0 })
  })

  it('ends with its access when it is revoked as RFC 7009 says', async () => {
    const tokens = await signIn()
    await oauth.tokenRevocation(client, tokens.refresh_token ?? '')
    expect((await userinfo(tokens.access_token)).status).toBe(401)
    await expect(refresh(tokens.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' })
    expect(await counts()).toMatchObject({ revocations: 1 })
    expect(await control()).toContain('None yet')
  })

  it('is told to be active, and no longer', async () => {
    const { access_token: token } = await signIn({ seconds: 5 })
    expect(await oauth.tokenIntrospection(client, token)).toMatchObject({ active: true, sub: 'alice' })
    time += 6000
    expect(await oauth.tokenIntrospection(client, token)).toEqual({ active: false })
  })
})

describe('the control page', () => {
  const firstGrant = (page: string) => /name="grant" value="([^"]+)"/.exec(page)?.[1] ?? ''

  it('lists the grants that are alive, and revokes one of them now and leaves the others', async () => {
    const kept = await signIn({ person: 'alice' })
    const lost = await signIn({ person: 'bob' })
    const page = await control()
    expect(page).toContain('<b>Alice</b> to Valetkey')
    expect(page.indexOf('<b>Bob</b>')).toBeLessThan(page.indexOf('<b>Alice</b>'))
    const answer = await visitor.send(at('/practice/revoke'), { grant: firstGrant(page) })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/practice'])
    await expect(refresh(lost.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' })
    expect((await userinfo(lost.access_token)).status).toBe(401)
    expect((await userinfo(kept.access_token)).status).toBe(200)
    expect(await control()).not.toContain('<b>Bob</b>')
  })

  it('obeys only forms of its own', async () => {
    const { access_token: token } = await signIn()
    const grant = firstGrant(await control())
    for (const from of ['http://127.0.0.1:1', 'https://elsewhere.test', 'null']) {
      expect((await visitor.send(at('/practice/revoke'), { grant }, from)).status).toBe(403)
      expect((await visitor.send(at('/practice/down'), {}, from)).status).toBe(403)
    }
    const bare = await fetch(at('/practice/down'), { method: 'POST', body: new URLSearchParams() })
    expect(bare.status).toBe(403)
    expect((await userinfo(token)).status).toBe(200)
  })

  it('makes every endpoint answer 503 for ten seconds', async () => {
    const tokens = await signIn()
    await visitor.send(at('/practice/down'), {})
    expect(await control()).toContain('Up again in 10 seconds')
    for (const path of ['/auth', '/token', '/me', '/interaction/x', '/.well-known/openid-configuration']) {
      const answer = await fetch(at(path), { method: path === '/token' ? 'POST' : 'GET' })
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10'])
    }
    time += 9_999
    expect((await userinfo(tokens.access_token)).status).toBe(503)
    time += 1
    expect((await userinfo(tokens.access_token)).status).toBe(200)
    expect(await counts()).toMatchObject({ unavailable: 6 })
  })
})

describe('its pages', () => {
  it('run no script, are shown in no frame, and let forms lead back to the client alone', async () => {
    const { link } = await begin()
    const { answer } = await visitor.open(link)
    const policy = answer.headers.get('content-security-policy')
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; form-action /)
    expect(policy).toContain("form-action 'self' http://127.0.0.1:53122; ")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await answer.text()).not.toContain('<script')
  })

  it('show the name of a stranger as text', async () => {
    const { client_id: id } = await register({ client_name: '<b onclick="x">&Mallory' })
    const { link } = await begin({}, await clientOf(id))
    const page = await (await visitor.open(link)).answer.text()
    expect(page).toContain('&lt;b onclick=&quot;x&quot;&gt;&amp;Mallory')
    expect(page).not.toContain('<b onclick')
  })

  it('choose beforehand who the client expects', async () => {
    const { link } = await begin({ login_hint: 'bob' })
    expect(await (await visitor.open(link)).answer.text()).toContain('value="bob" checked')
  })
})

async function register(metadata: Record<string, unknown>) {
  const answer = await fetch(at('/reg'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [REDIRECT],
      ...metadata,
    }),
  })
  expect(answer.status).toBe(201)
  return (await answer.json()) as Record<string, string> & { readonly client_id: string }
}

describe('other ways in', () => {
  it('registers a client by itself, which may then sign in, look itself up and leave', async () => {
    const made = await register({ client_name: 'Newcomer' })
    const { link, finish } = await begin({}, await clientOf(made.client_id))
    const tokens = await finish(await visitor.consent(link))
    expect(tokens.claims()?.sub).toBe('alice')
    const headers = { authorization: `Bearer ${made['registration_access_token']}` }
    const place = String(made['registration_client_uri'])
    expect((await fetch(place, { headers })).status).toBe(200)
    expect((await fetch(place, { method: 'DELETE', headers })).status).toBe(204)
    expect(await counts()).toMatchObject({ registrations: 1 })
  })

  it('does not let a stranger come back to a path that it did not name', async () => {
    const { client_id: id } = await register({})
    const { link } = await begin({ redirect_uri: 'http://127.0.0.1:53122/elsewhere' }, await clientOf(id))
    expect((await visitor.open(link)).answer.status).toBe(400)
  })

  it('connects a device by the code that it shows', async () => {
    await signIn({ person: 'alice' })
    const device = await oauth.initiateDeviceAuthorization(client, { scope: 'openid' })
    await visitor.enter(device.user_code, { person: 'bob', seconds: 30 })
    const tokens = await oauth.pollDeviceAuthorizationGrant(client, { ...device, interval: 0.1 })
    expect(tokens.expires_in).toBe(30)
    expect(await (await userinfo(tokens.access_token)).json()).toEqual({ sub: 'bob' })
  })
})

describe('a device', () => {
  async function poll(device_code: string): Promise<string | undefined> {
    const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
    const body = new URLSearchParams({ grant_type, device_code, client_id: practice.client.clientId })
    const answer = await fetch(at('/token'), { method: 'POST', body })
    return ((await answer.json()) as { error?: string }).error
  }
  const begin = () => oauth.initiateDeviceAuthorization(client, { scope: 'openid' })

  it('is told how often it may ask', async () => {
    expect(await begin()).toMatchObject({ interval: 2 })
  })

  it('that asks sooner is counted, and told to slow down from then on', async () => {
    const { device_code } = await begin()
    time += 1999
    expect(await poll(device_code)).toBe('slow_down')
    time += 6999
    expect(await poll(device_code)).toBe('slow_down')
    time += 12_000
    expect(await poll(device_code)).toBe('authorization_pending')
    expect(await counts()).toMatchObject({
      devices: 1,
      polls: 3,
      hurried: 2,
      slowed: 2,
      belated: 0,
      refused: 0,
    })
  })

  it('that asks twice at once is counted', async () => {
    const { device_code } = await begin()
    time += 2000
    await Promise.all([poll(device_code), poll(device_code)])
    expect(await counts()).toMatchObject({ polls: 2, hurried: 1 })
  })

  it('that asks after it was over is counted', async () => {
    const { device_code, user_code } = await begin()
    await visitor.enter(user_code, { decision: 'deny' })
    time += 2000
    expect(await poll(device_code)).toBe('access_denied')
    time += 2000
    await poll(device_code)
    expect(await counts()).toMatchObject({ hurried: 0, belated: 1 })
  })

  it('that waits is told to slow down when that is wished', async () => {
    const { device_code } = await begin()
    await visitor.send(at('/practice/slower'), {})
    time += 2000
    expect(await poll(device_code)).toBe('slow_down')
    time += 7000
    expect(await poll(device_code)).toBe('authorization_pending')
  })
})

describe('a program of its own', () => {
  it('gets a token for the secret that the control page shows', async () => {
    const { clientId, clientSecret } = practice.program
    expect(await control()).toContain(clientSecret)
    const program = await clientOf(clientId, clientSecret)
    const { access_token: token } = await oauth.clientCredentialsGrant(program)
    expect(await oauth.tokenIntrospection(program, token)).toMatchObject({
      active: true,
      client_id: clientId,
    })
    const wrong = await clientOf(clientId, canary('wrong'))
    await expect(oauth.clientCredentialsGrant(wrong)).rejects.toMatchObject({ error: 'invalid_client' })
  })
})

describe('its door', () => {
  it('says so when the port is taken', async () => {
    await expect(openPractice({ port: Number(practice.origin.port) })).rejects.toMatchObject({
      code: 'port-taken',
      message: expect.stringContaining(practice.origin.port),
    })
  })

  it('shuts when it is closed, and another one can open on the same port', async () => {
    const other = await openPractice()
    await other.close()
    await expect(fetch(new URL('/practice/counts', other.origin))).rejects.toThrow()
    const again = await openPractice({ port: Number(other.origin.port) })
    expect(again.origin.href).toBe(other.origin.href)
    await again.close()
  })
})
