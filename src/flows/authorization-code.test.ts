import { createHash } from 'node:crypto'
import { calculatePKCECodeChallenge } from 'openid-client'
import { afterEach, describe, expect, it } from 'vitest'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import type { Script } from '../testing/hostile-server.ts'
import {
  hostileStage,
  issuedBy,
  type OAuthScene,
  REDIRECT_URI,
  signInBy,
  visitOf,
} from '../testing/oauth-stage.ts'
import { authorizationCodeFlow } from './authorization-code.ts'

const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function at(scene: Partial<OAuthScene> = {}, script: Script = {}) {
  const stage = await hostileStage({ openCatalogue, openNetwork }, scene)
  closing.push(stage.close)
  stage.there.play(script)
  return { ...stage, flow: authorizationCodeFlow() }
}

/** A provider that names its endpoints one by one, at the hostile server. */
async function atNamed(scene: Partial<OAuthScene> = {}, script: Script = {}) {
  const origin = 'https://acme.example'
  const oauth = { authorize: `${origin}/authorize`, token: `${origin}/token`, revoke: `${origin}/revoke` }
  const stage = await at({ scopes: ['read', 'write'], ...scene }, script)
  const { origin: place } = new URL(stage.there.issuer)
  const files = { builtIn: [{ ...stage.context.provider, oauth, ...scene.provider }], own: [] }
  const catalogue = openCatalogue({ ...files, origins: { acme: place } })
  const provider = catalogue.find('acme')
  if (!provider) throw new Error('there is no provider')
  return { ...stage, context: { ...stage.context, catalogue, provider } }
}

const secret = (text: string | URL) => ({ callback: new Secret(String(text)) })

describe('where the person is sent', () => {
  it('[security 1.3] holds the state it was given, and a nonce and a challenge that are new and of 256 bits', async () => {
    const { context, flow } = await at()
    const [one, two] = [visitOf(await flow.begin(context)), visitOf(await flow.begin(context))]
    const [first, second] = [one.url.searchParams, two.url.searchParams]
    expect(first.get('state')).toBe(context.state)
    for (const name of ['nonce', 'code_challenge']) {
      expect(first.get(name)).toMatch(/^[\w-]{43}$/)
      expect(first.get(name)).not.toBe(second.get(name))
    }
  })

  it('asks for a code, for our client, back to the very address that is open', async () => {
    const { context, flow } = await at({ scopes: ['openid', 'email'] })
    const { url, until } = visitOf(await flow.begin(context))
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'our client:1',
      redirect_uri: REDIRECT_URI,
      scope: 'openid email',
      code_challenge_method: 'S256',
    })
    expect(until.getTime() - Date.now()).toBeGreaterThan(9 * 60_000)
  })

  it('is the same again when it is only looked at', async () => {
    const { context, flow } = await at()
    const first = visitOf(await flow.begin(context))
    const second = visitOf(await flow.next(context, first.memory, undefined))
    expect(second.url.href).toBe(first.url.href)
    expect(second.until).toEqual(first.until)
  })

  it('says what the provider wants to be told besides', async () => {
    const { context, flow } = await atNamed({}, {})
    const oauth = {
      ...context.provider.oauth,
      authorizeParams: { access_type: 'offline' },
      scopeSeparator: ',',
    }
    const provider = { ...context.provider, oauth } as typeof context.provider
    const { url } = visitOf(await flow.begin({ ...context, provider }))
    expect(url.searchParams.get('access_type')).toBe('offline')
    expect(url.searchParams.get('scope')).toBe('read,write')
  })

  it('[security 4.1] [security 4.2] is bound to a verifier of 43 characters by S256', async () => {
    const { context, flow, there } = await at()
    const { url, memory } = visitOf(await flow.begin(context))
    await flow.next(context, memory, secret(await there.consent(url)))
    const verifier = there.forms[0]?.get('code_verifier') ?? ''
    expect(verifier).toMatch(/^[\w.~-]{43}$/)
    expect(url.searchParams.get('code_challenge')).toBe(
      createHash('sha256').update(verifier).digest('base64url'),
    )
  })

  it('[security 4.3] makes the challenge of RFC 7636, appendix B', async () => {
    expect(await calculatePKCECodeChallenge('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
      'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    )
  })

  it('[security 1.10] asks for offline access only where the server knows it', async () => {
    const scopes = ['openid', 'offline_access']
    const scopeAt = async (script: Script) => {
      const { context, flow } = await at({ scopes }, script)
      return visitOf(await flow.begin(context)).url.searchParams.get('scope')
    }
    expect(await scopeAt({})).toBe('openid offline_access')
    expect(await scopeAt({ metadata: (it) => ({ body: { ...it, scopes_supported: ['openid'] } }) })).toBe(
      'openid',
    )
  })

  it('is asked for first where the addresses are not known', async () => {
    const vars = [{ name: 'issuer', label: 'Issuer' }]
    const { context, flow, there } = await at({ oauth: { issuer: 'https://{issuer}' }, provider: { vars } })
    const { origin } = new URL(there.issuer)
    const catalogue = openCatalogue({ builtIn: [context.provider], own: [], origins: { acme: origin } })
    const asked = await flow.begin({ ...context, catalogue })
    if (!('step' in asked)) throw new Error('nothing is asked')
    expect(asked.step).toMatchObject({ ask: 'fill', fields: [{ name: 'issuer', kind: 'text' }] })
    const fill = (issuer: string, { memory } = asked) =>
      flow.next({ ...context, catalogue }, memory, { fields: { issuer: new Secret(issuer) } })
    const again = await fill('127.0.0.1:80/x')
    if (!('step' in again)) throw new Error('it went on')
    expect(again.step).toMatchObject({ ask: 'fill', because: 'this cannot be the issuer of acme' })
    expect(visitOf(await fill('https://login.acme.test', again)).url.origin).toBe(origin)
  })
})

describe('what comes back', () => {
  it('becomes a credential that dies, with what renews it kept apart', async () => {
    const { context, flow, there } = await at()
    const { credential, profile } = await signInBy(flow, context, there.consent)
    expect(Object.keys(credential.worn)).toEqual(['accessToken'])
    expect(Object.keys(credential.kept).toSorted()).toEqual(['idToken', 'refreshToken'])
    expect(credential).toMatchObject({ standing: false, scopes: ['openid', 'profile'], tokenType: 'Bearer' })
    expect(Math.abs((credential.expiresAt?.getTime() ?? 0) - Date.now() - 300_000)).toBeLessThan(10_000)
    expect(profile).toMatchObject({ subject: 'person-1', displayName: 'Zoë', email: 'zoe@example.com' })
    expect(profile.emailVerified).toBe(true)
  })

  it('tells a name that cannot move a cursor, and when the person last signed in', async () => {
    const userinfo = () => ({
      body: { sub: 'person-1', name: '\u001b[2JZ\u202eoë', email: 'a@b', locale: 'de' },
    })
    const { context, flow, there } = await at(
      {},
      { userinfo, claims: (it) => ({ ...it, auth_time: 1_700_000_000 }) },
    )
    const { profile } = await signInBy(flow, context, there.consent)
    expect(profile).toMatchObject({ name: '[2JZoë', emailVerified: false, locale: 'de' })
    expect(profile.authTime).toBe('2023-11-14T22:13:20.000Z')
  })

  it.each<[string, Partial<Record<string, unknown>>, boolean]>([
    ['a life of its own', { expires_in: 60 }, false],
    ['no known end', { expires_in: undefined, refresh_token: undefined }, true],
    ['no known end, though it can be renewed', { expires_in: undefined }, false],
  ])('is standing or not by its end: %s', async (_, change, standing) => {
    const { context, flow, there } = await at({}, { token: (it) => ({ body: { ...it, ...change } }) })
    expect((await signInBy(flow, context, there.consent)).credential.standing).toBe(standing)
  })

  it('is read where the server answers as a form, or refuses with a 200', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
    const { context, flow, there } = await atNamed()
    const provider = {
      ...context.provider,
      oauth: { ...context.provider.oauth, answers: 'form' },
    } as typeof context.provider
    const body = 'access_token=t1&token_type=bearer&scope=repo%2Cgist'
    there.play({ callback: (it) => it.delete('iss'), token: () => ({ headers: form, body }) })
    const { credential } = await signInBy(flow, { ...context, provider }, there.consent)
    expect(credential).toMatchObject({ scopes: ['repo', 'gist'], standing: true })
    const refusal = 'error=bad_verification_code&error_description=x'
    there.play({ callback: (it) => it.delete('iss'), token: () => ({ headers: form, body: refusal }) })
    await expect(signInBy(flow, { ...context, provider }, there.consent)).rejects.toMatchObject({
      code: 'invalid-code',
    })
  })

  it('names an account without OpenID Connect by the provider’s own request', async () => {
    const { context, flow, there } = await atNamed(
      {},
      { callback: (it) => it.delete('iss'), userinfo: () => ({ body: { id: 7, login: 'zoë' } }) },
    )
    const verify = {
      method: 'GET' as const,
      url: 'https://api.acme.test/userinfo',
      ok: [200],
      refused: [401],
      subject: '/id',
      displayName: '/login',
    }
    const { profile } = await signInBy(
      flow,
      { ...context, signIn: { ...context.signIn, verify } },
      there.consent,
    )
    expect(profile).toEqual({ subject: '7', displayName: 'zoë', vars: {} })
    there.play({ callback: (it) => it.delete('iss'), userinfo: () => ({ status: 401 }) })
    const nobody = signInBy(flow, { ...context, signIn: { ...context.signIn, verify } }, there.consent)
    await expect(nobody).rejects.toMatchObject({ code: 'exchange-failed' })
  })

  it('names the place of the account where only the browser knows it', async () => {
    const vars = [{ name: 'site', label: 'Site', choices: ['acme.example', 'acme.test'] }]
    const { context, flow, there } = await atNamed({ provider: { vars, hosts: ['api.{site}'] } })
    const oauth = { ...context.provider.oauth, token: 'https://api.{site}/token' } as NonNullable<
      typeof context.provider.oauth
    >
    const provider = { ...context.provider, oauth }
    const { origin } = new URL(there.issuer)
    const catalogue = openCatalogue({ builtIn: [provider], own: [], origins: { acme: origin } })
    const here = {
      ...context,
      catalogue,
      provider,
      signIn: { ...context.signIn, captures: { domain: 'site' } },
    }
    const told = (site: string | undefined) => {
      const callback = (it: URLSearchParams) => {
        it.delete('iss')
        if (site) it.set('domain', site)
      }
      there.play({ callback })
      return signInBy(flow, here, there.consent)
    }
    expect((await told('acme.test')).profile.vars).toEqual({ site: 'acme.test' })
    for (const wrong of [undefined, 'evil.test', 'acme.test/x'])
      await expect(told(wrong)).rejects.toMatchObject({ code: 'bad-answer' })
    expect(there.forms).toHaveLength(1)
  })
})

describe('what a person pastes', () => {
  const noIss: Script = {
    metadata: (it) => ({ body: { ...it, authorization_response_iss_parameter_supported: false } }),
  }

  it.each<[string, (url: URL) => string]>([
    ['the whole address', (url) => url.href],
    ['the address with blanks around it and a fragment behind it', (url) => `  ${url.href}#_=_\n`],
    ['the code', ({ searchParams: it }) => it.get('code') ?? ''],
    ['code#state', ({ searchParams: it }) => `${it.get('code')}#${it.get('state')}`],
  ])('is taken: %s', async (_, pasted) => {
    const { context, flow, there } = await at({}, noIss)
    const done = await signInBy(flow, context, async (url) => pasted(await there.consent(url)))
    expect(done.profile.subject).toBe('person-1')
  })

  it.each([
    ['nothing', ''],
    ['words', 'it worked'],
    ['[security 1.1] an address somewhere else', 'http://127.0.0.1:49153/cb/one?code=a&state=b'],
    ['[security 1.4] the address of another sign-in', 'http://127.0.0.1:49152/cb/two?code=a&state=b'],
    ['an address without an answer', REDIRECT_URI],
    ['far too much', 'x'.repeat(20_000)],
  ])('is asked for again, with the sign-in still alive: %s', async (_, pasted) => {
    const { context, flow, there } = await at({}, noIss)
    const { url, memory } = visitOf(await flow.begin(context))
    await expect(flow.next(context, memory, secret(pasted))).rejects.toMatchObject({
      code: 'invalid-request',
    })
    expect(there.forms).toHaveLength(0)
    expect(issuedBy(await flow.next(context, memory, secret(await there.consent(url)))).profile.subject).toBe(
      'person-1',
    )
  })

  it('[security 6.2] is not taken without the issuer, where the server always names it', async () => {
    const { context, flow, there } = await at()
    const paste = signInBy(
      flow,
      context,
      async (url) => (await there.consent(url)).searchParams.get('code') ?? '',
    )
    await expect(paste).rejects.toMatchObject({
      code: 'invalid-request',
      hint: expect.stringContaining('whole address'),
    })
    expect(there.forms).toHaveLength(0)
  })

  it('is not taken as code#state with the state of another sign-in', async () => {
    const { context, flow, there } = await at({}, noIss)
    const paste = signInBy(
      flow,
      context,
      async (url) => `${(await there.consent(url)).searchParams.get('code')}#flow-one.other`,
    )
    await expect(paste).rejects.toMatchObject({ code: 'invalid-state' })
    expect(there.forms).toHaveLength(0)
  })
})

describe('a sign-in that does not end well', () => {
  const failing = async (script: Script, scene: Partial<OAuthScene> = {}) => {
    const { context, flow, there } = await at(scene, script)
    return signInBy(flow, context, there.consent)
  }
  const instead =
    (error: string, description = '') =>
    (it: URLSearchParams) => {
      it.delete('code')
      it.set('error', error)
      it.set('error_description', description)
    }

  it('says so when the person said no', async () => {
    await expect(failing({ callback: instead('access_denied') })).rejects.toMatchObject({
      code: 'access-denied',
    })
  })

  it('never repeats what the server says of an error', async () => {
    const words = `<script>${'x'.repeat(300)}`
    const error = await failing({ callback: instead('server_error', words) }).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'exchange-failed' })
    expect(`${error.message} ${error.hint}`).not.toContain('script')
  })

  it.each<[string, string, Script['token']]>([
    ['invalid-code', 'a spent code', () => ({ status: 400, body: { error: 'invalid_grant' } })],
    [
      'provider-not-configured',
      'an unknown client',
      () => ({ status: 401, headers: { 'www-authenticate': 'Basic' }, body: { error: 'invalid_client' } }),
    ],
    ['provider-not-configured', 'an unknown client, without words', () => ({ status: 401 })],
    ['server-error', 'trouble of its own', () => ({ status: 503, body: '<html>' })],
    ['rate-limited', 'too many requests', () => ({ status: 429 })],
    ['bad-answer', 'a refusal without a reason', () => ({ status: 400, body: 'no' })],
    ['answer-lost', 'nothing', () => ({ hangUp: true })],
  ])('says %s for %s', async (code, _, token) => {
    await expect(failing({ token: token as NonNullable<Script['token']> })).rejects.toMatchObject({ code })
  })

  it('passes on what the network says of time', async () => {
    const { context, flow, there } = await at({}, { token: () => ({ afterMs: 5000 }) })
    const network = openNetwork({ allow: [new URL(there.issuer).origin], answerSeconds: 1 })
    closing.push(network.close)
    await expect(signInBy(flow, { ...context, network }, there.consent)).rejects.toMatchObject({
      code: 'answer-timeout',
    })
  })

  it('is over after ten minutes', async () => {
    const { context, flow, there } = await at()
    const { url, memory } = visitOf(await flow.begin(context))
    const late = { ...context, now: () => new Date(Date.now() + 601_000) }
    const answer = secret(await there.consent(url))
    await expect(flow.next(late, memory, answer)).rejects.toMatchObject({ code: 'flow-expired' })
  })

  it('[security 1.14] [security 4.4] forgets the verifier with the first exchange, whether or not it succeeds', async () => {
    for (const token of [undefined, () => ({ status: 400, body: { error: 'invalid_grant' } })]) {
      const { context, flow, there } = await at({}, token ? { token } : {})
      const { url, memory } = visitOf(await flow.begin(context))
      const answer = secret(await there.consent(url))
      await flow.next(context, memory, answer).catch(() => undefined)
      expect(memory.revealBytes().every((byte) => byte === 0)).toBe(true)
      await expect(flow.next(context, memory, answer)).rejects.toMatchObject({ code: 'flow-failed' })
      expect(there.forms).toHaveLength(1)
    }
  })

  it('needs a client of ours, and the same one to the end', async () => {
    const { context, flow, there } = await at()
    await expect(flow.begin({ ...context, client: undefined })).rejects.toMatchObject({
      code: 'provider-not-configured',
    })
    const { url, memory } = visitOf(await flow.begin(context))
    const other = { ...context, client: { clientId: 'another', clientSecret: undefined } }
    await expect(flow.next(other, memory, secret(await there.consent(url)))).rejects.toMatchObject({
      code: 'flow-failed',
    })
    expect(there.forms).toHaveLength(0)
  })
})

describe('our client', () => {
  const clientSecret = `${canary('client')}:%+ü`
  const shownBy = async (clientAuth: 'basic' | 'post', secretOf = clientSecret) => {
    const { context, flow, there } = await atNamed(
      { clientSecret: secretOf },
      { callback: (it) => it.delete('iss') },
    )
    const oauth = { ...context.provider.oauth, clientAuth } as NonNullable<typeof context.provider.oauth>
    await signInBy(flow, { ...context, provider: { ...context.provider, oauth } }, there.consent)
    const sent = there.requests.find(({ path }) => path === '/token')
    return { authorization: sent?.headers['authorization'], form: there.forms[0] }
  }

  it('[security 10.4] form-encodes its id and its secret before they become basic', async () => {
    const { authorization, form } = await shownBy('basic')
    const pair = Buffer.from(String(authorization).slice(6), 'base64').toString()
    expect(pair).toBe(`our+client%3A1:${encodeURIComponent(clientSecret)}`)
    expect(form?.has('client_secret')).toBe(false)
  })

  it('sends its secret in the form where the provider wants it there', async () => {
    const { authorization, form } = await shownBy('post')
    expect(authorization).toBeUndefined()
    expect(form?.get('client_secret')).toBe(clientSecret)
  })

  it('[security 3.4] sends no secret at all where it has none', async () => {
    const { authorization, form } = await shownBy('basic', '')
    expect(authorization).toBeUndefined()
    expect([form?.get('client_id'), form?.has('client_secret')]).toEqual(['our client:1', false])
  })

  it('shows itself as the server wants it where the file guessed wrong', async () => {
    const only = { token_endpoint_auth_methods_supported: ['client_secret_basic'] }
    const { context, flow, there } = await at({}, { metadata: (it) => ({ body: { ...it, ...only } }) })
    await signInBy(flow, context, there.consent)
    expect(there.requests.find(({ path }) => path === '/token')?.headers['authorization']).toMatch(/^Basic /)
  })
})

describe('the operator’s stand-in', () => {
  it('takes the place of the issuer, with and without a path', async () => {
    for (const issuer of ['https://login.acme.test', 'https://login.acme.test/tenant/']) {
      const { pathname } = new URL(issuer)
      const path = pathname === '/' ? '' : pathname
      const stage = await hostileStage({ openCatalogue, openNetwork }, {}, { path })
      closing.push(stage.close)
      const { origin } = new URL(stage.there.issuer)
      const provider = { ...stage.context.provider, oauth: { ...stage.context.provider.oauth, issuer } }
      const catalogue = openCatalogue({
        builtIn: [provider as typeof stage.context.provider],
        own: [],
        origins: { acme: origin },
      })
      const found = catalogue.find('acme')
      if (!found) throw new Error('there is no provider')
      const context = { ...stage.context, catalogue, provider: found }
      const { profile } = await signInBy(authorizationCodeFlow(), context, stage.there.consent)
      expect(profile.subject).toBe('person-1')
    }
  })
})

it('[security 20.1] shows nothing that was issued, in no step, no error and no printed memory', async () => {
  const { context, flow, there } = await at({}, { claims: (it) => ({ ...it, aud: 'somebody else' }) })
  const { url, until, memory } = visitOf(await flow.begin(context))
  const error = await flow.next(context, memory, secret(await there.consent(url))).catch((thrown) => thrown)
  const shown = [
    JSON.stringify({ url, until, memory }),
    String(error.stack),
    JSON.stringify(error),
    String(error.cause),
  ].join()
  for (const one of there.issued) expect(shown).not.toContain(one)
})
