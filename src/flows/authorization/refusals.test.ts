import { afterEach, describe, expect, it } from 'vitest'
import type { FlowContext } from '../../model/flow.ts'
import type { Network } from '../../model/network.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import type { HostileServer, Script } from '../../testing/hostile-server.ts'
import { hostileStage, issuedBy, type OAuthScene, signInBy, visitOf } from '../../testing/oauth-stage.ts'
import { standIn } from '../../testing/stand-in.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function at(script: Script = {}, scene: Partial<OAuthScene> = {}) {
  const stage = await hostileStage({ openCatalogue, openNetwork }, scene)
  closing.push(stage.close)
  stage.there.play(script)
  return { ...stage, flow: authorizationCodeFlow() }
}

/** A whole sign-in against the script. */
async function signIn(script: Script) {
  const { there, context, flow } = await at(script)
  const outcome = await signInBy(flow, context, there.consent).then(
    ({ credential }) => ({ credential, error: undefined }),
    (error) => ({ credential: undefined, error }),
  )
  return { there, context, flow, ...outcome }
}

const metadata = (change: Readonly<Record<string, unknown>>): Script => ({
  metadata: (honest) => ({ body: { ...honest, ...change } }),
})

const token = (change: Readonly<Record<string, unknown>>): Script => ({
  token: (honest) => ({ body: { ...honest, ...change } }),
})

const callback = (change: (it: URLSearchParams) => void): Script => ({ callback: change })

function tokenRequests({ requests }: HostileServer) {
  return requests.filter(({ path }) => path === '/token')
}

describe('OAuth 2.0 security best practice', () => {
  it('[security 1.4] remembers before the person leaves whose answer it awaits', async () => {
    const { there, context, flow } = await at()
    const { memory } = visitOf(await flow.begin(context))
    expect(JSON.parse(memory.reveal()).server.issuer).toBe(there.issuer)
  })

  it('[security 1.5] proves the public client by PKCE as well as the confidential one', async () => {
    for (const clientSecret of ['', canary('client')]) {
      const { there, context, flow } = await at({}, { clientSecret })
      await signInBy(flow, context, there.consent)
      expect(there.forms[0]?.get('code_verifier')).toMatch(/^[\w.~-]{43}$/)
    }
  })

  it.each([
    ['no methods at all', { code_challenge_methods_supported: undefined }],
    ['only plain', { code_challenge_methods_supported: ['plain'] }],
    ['an empty list', { code_challenge_methods_supported: [] }],
  ])('[security 1.6] sends nobody to a server that promises no S256: %s', async (_, change) => {
    const { context, flow } = await at(metadata(change))
    await expect(flow.begin(context)).rejects.toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringContaining('PKCE'),
    })
  })

  it('[security 1.6] leaves PKCE out only where the provider file says so', async () => {
    const { there, context, flow } = await at(metadata({ code_challenge_methods_supported: [] }))
    const oauth = { ...context.provider.oauth, pkce: 'none' } as NonNullable<typeof context.provider.oauth>
    const here = { ...context, provider: { ...context.provider, oauth } }
    const { url, memory } = visitOf(await flow.begin(here))
    expect(url.searchParams.has('code_challenge')).toBe(false)
    const answer = { callback: new Secret(String(await there.consent(url))) }
    expect(issuedBy(await flow.next(here, memory, answer)).profile.subject).toBe('person-1')
    expect(there.forms[0]?.has('code_verifier')).toBe(false)
  })

  it.each(['access_token', 'id_token', 'token', 'response'])(
    '[security 1.7] refuses an answer that brings %s through the browser',
    async (name) => {
      const { there, error } = await signIn(callback((it) => it.set(name, 'x.y.z')))
      expect(error).toMatchObject({ code: 'invalid-state' })
      expect(tokenRequests(there)).toHaveLength(0)
    },
  )

  it('[security 1.7] asks for nothing but a code, in the query or by a form', async () => {
    const { context, flow } = await at()
    const { url } = visitOf(await flow.begin(context))
    expect(url.searchParams.getAll('response_type')).toEqual(['code'])
    expect(url.searchParams.has('response_mode')).toBe(false)
  })

  it('[security 1.9] replaces a refresh token whole, and with it the access token', async () => {
    const { there, context, flow, credential } = await signIn({})
    if (!credential) throw new Error('nothing was issued')
    const next = await flow.refresh?.(context, credential)
    expect(there.forms[1]?.get('refresh_token')).toBe(credential.kept['refreshToken']?.reveal())
    for (const [now, before] of [
      [next?.kept['refreshToken'], credential.kept['refreshToken']],
      [next?.worn['accessToken'], credential.worn['accessToken']],
    ]) {
      expect(there.issued).toContain(now?.reveal())
      expect(now?.reveal()).not.toBe(before?.reveal())
    }
  })

  it('[security 1.11] asks a token endpoint for nothing but a code or a refresh token', async () => {
    const { there, context, flow, credential } = await signIn({})
    if (credential) await flow.refresh?.(context, credential)
    expect(there.forms.map((form) => form.get('grant_type'))).toEqual(['authorization_code', 'refresh_token'])
  })

  it.each([
    'authorization_endpoint',
    'token_endpoint',
    'revocation_endpoint',
    'userinfo_endpoint',
    'jwks_uri',
    'registration_endpoint',
  ])(
    '[security 1.13] [security 2.1] [security 8.3] sends nobody to a server whose %s is not reached over https',
    async (name) => {
      for (const link of [
        'http://acme.example/x',
        'http://localhost:1/x',
        'file:///etc/passwd',
        'javascript:alert(1)',
        'https://u:p@acme.example/',
        '//acme.example/x',
      ]) {
        const { context, flow } = await at(metadata({ [name]: link }))
        await expect(flow.begin(context)).rejects.toMatchObject({ code: 'provider-not-configured' })
      }
    },
  )

  it('[security 1.15] [security 2.6] puts no token into an address, and the access token into a header', async () => {
    const { there, context, flow, credential } = await signIn({})
    if (credential) await flow.refresh?.(context, credential)
    if (credential) await flow.revoke(context, credential)
    const tokens = there.issued.filter((one) => !there.codes.has(one))
    for (const { path } of there.requests) for (const one of tokens) expect(path).not.toContain(one)
    const asked = there.requests.find(({ path }) => path === '/userinfo')
    expect(asked?.headers['authorization']).toBe(`Bearer ${credential?.worn['accessToken']?.reveal()}`)
  })

  it('[security 1.16] refuses an access token that the ID token was not made with', async () => {
    const { error } = await signIn({ claims: (it) => ({ ...it, at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }) })
    expect(error).toMatchObject({ code: 'bad-answer', message: expect.stringContaining('"at_hash"') })
  })

  it('[security 1.17] sends what it got to no place that the issuer did not name', async () => {
    const elsewhere = await standIn({ '*': {} }).listen()
    closing.push(elsewhere.close)
    const { there, context, flow } = await at()
    const { memory, url } = visitOf(await flow.begin(context))
    there.play(metadata({ token_endpoint: `${elsewhere.origin}/token` }))
    await flow.next(context, memory, { callback: new Secret(String(await there.consent(url))) })
    expect(elsewhere.requests).toHaveLength(0)
  })

  it.each([301, 302, 303, 307, 308])(
    '[security 1.18] does not follow a token endpoint that answers %i',
    async (status) => {
      const elsewhere = await standIn({ '*': { body: {} } }).listen()
      closing.push(elsewhere.close)
      const { context, flow, there } = await at({
        token: () => ({ status, headers: { location: elsewhere.origin } }),
      })
      const network = openNetwork({ allow: [new URL(there.issuer).origin, elsewhere.origin] })
      closing.push(network.close)
      await expect(signInBy(flow, { ...context, network }, there.consent)).rejects.toMatchObject({
        code: 'bad-answer',
      })
      expect(elsewhere.requests).toHaveLength(0)
    },
  )
})

describe('OAuth 2.1', () => {
  it('[security 2.2] [security 3.5] [security 6.2] takes an answer only with the state of this very sign-in', async () => {
    const changes: ((it: URLSearchParams) => void)[] = [
      (it) => it.delete('state'),
      (it) => it.set('state', ''),
      (it) => it.set('state', 'flow-one.other'),
      (it) => it.set('state', `${it.get('state')} `),
      (it) => it.set('state', (it.get('state') ?? '').toUpperCase()),
    ]
    for (const change of changes) {
      const { there, error } = await signIn(callback(change))
      expect(error).toMatchObject({ code: 'invalid-state' })
      expect(tokenRequests(there)).toHaveLength(0)
    }
  })

  const refreshWith = async (script: Script, before: Script = {}) => {
    const { there, context, flow, credential } = await signIn(before)
    if (!credential) throw new Error('nothing was issued')
    there.play(script)
    const refreshed = await flow.refresh?.(context, credential).catch((error) => error)
    return { credential, refreshed }
  }

  it.each<[string, string, NonNullable<Script['token']>]>([
    ['access-revoked', 'invalid_grant', () => ({ status: 400, body: { error: 'invalid_grant' } })],
    ['provider-not-configured', 'invalid_client', () => ({ status: 401, body: { error: 'invalid_client' } })],
    [
      'provider-not-configured',
      'unauthorized_client',
      () => ({ status: 400, body: { error: 'unauthorized_client' } }),
    ],
    ['server-error', 'a 500', () => ({ status: 500, body: { error: 'invalid_grant' } })],
    [
      'server-error',
      'temporarily_unavailable',
      () => ({ status: 400, body: { error: 'temporarily_unavailable' } }),
    ],
    ['rate-limited', 'a 429', () => ({ status: 429, body: { error: 'invalid_grant' } })],
    ['answer-lost', 'a broken connection', () => ({ hangUp: true })],
    ['bad-answer', 'an opaque 400', () => ({ status: 400, body: 'Bad Request' })],
    [
      'bad-answer',
      'a 400 with JSON and no error',
      () => ({ status: 400, body: { message: 'invalid_grant' } }),
    ],
    [
      'bad-answer',
      'a 403 from a wall in between',
      () => ({ status: 403, headers: { 'content-type': 'text/html' }, body: '<html>' }),
    ],
  ])(
    '[security 2.3] [security 10.3] says %s at a refresh for %s, and ends the account by nothing but invalid_grant',
    async (code, _, answer) => {
      const { refreshed } = await refreshWith({ token: answer })
      expect(refreshed).toMatchObject({ name: 'ValetkeyError', code })
      expect(refreshed.reaction === 'reconnect').toBe(code === 'access-revoked')
    },
  )

  it('[security 2.4] keeps the old refresh token where none comes, and takes the new one where one does', async () => {
    const without = await refreshWith(token({ refresh_token: undefined }))
    expect(without.refreshed.kept['refreshToken'].reveal()).toBe(
      without.credential.kept['refreshToken']?.reveal(),
    )
    const rotated = await refreshWith({})
    expect(rotated.refreshed.kept['refreshToken'].reveal()).not.toBe(
      rotated.credential.kept['refreshToken']?.reveal(),
    )
    const empty = await refreshWith(token({ refresh_token: '' }))
    expect(empty.refreshed.kept['refreshToken'].reveal()).toBe(
      empty.credential.kept['refreshToken']?.reveal(),
    )
  })

  it('[security 2.5] does not let a narrower answer narrow what was granted', async () => {
    const { credential, refreshed } = await refreshWith(token({ scope: 'openid' }))
    expect(refreshed.scopes).toEqual(credential.scopes)
  })

  it('has nothing to refresh with where nothing was given for it', async () => {
    const { refreshed } = await refreshWith({}, token({ refresh_token: undefined }))
    expect(refreshed).toMatchObject({ code: 'refresh-not-available' })
  })

  it('shows a refresh token to no issuer but the one that gave it', async () => {
    const { there, context, flow, credential } = await signIn({})
    const other = await at()
    if (!credential) throw new Error('nothing was issued')
    await expect(
      flow.refresh?.({ ...other.context, network: context.network }, credential),
    ).rejects.toMatchObject({})
    await expect(flow.refresh?.(other.context, credential)).rejects.toMatchObject({ code: 'needs-reauth' })
    expect([there.forms.length, other.there.forms.length]).toEqual([1, 0])
  })
})

describe('an answer of another issuer', () => {
  it('[security 6.1] is held against the issuer whose metadata were validated, not against what they say later', async () => {
    const { there, context, flow } = await at()
    const { url, memory } = visitOf(await flow.begin(context))
    there.play({
      metadata: (it) => ({ body: { ...it, issuer: 'https://evil.test' } }),
      callback: (it) => it.set('iss', 'https://evil.test'),
    })
    const answer = { callback: new Secret(String(await there.consent(url))) }
    await expect(flow.next(context, memory, answer)).rejects.toMatchObject({ code: 'invalid-state' })
  })

  it('[security 6.2] is refused without iss where the server always sends it', async () => {
    const { error, there } = await signIn(callback((it) => it.delete('iss')))
    expect(error).toMatchObject({ code: 'invalid-state' })
    expect(tokenRequests(there)).toHaveLength(0)
  })

  it.each<[string, (issuer: string) => string]>([
    ['another', () => 'https://evil.test'],
    ['with a slash behind it', (it) => `${it}/`],
    ['in capitals', (it) => it.replace('http', 'HTTP')],
    ['percent-encoded', (it) => it.replace('127', '%3127')],
    ['with a port spelled differently', (it) => it.replace(/:(\d+)$/, ':0$1')],
    ['empty', () => ''],
  ])('[security 6.2] is refused with an iss that is %s, advertised or not', async (_, change) => {
    for (const advertised of [true, false]) {
      const script = metadata({ authorization_response_iss_parameter_supported: advertised })
      const { error, there } = await signIn({
        ...script,
        callback: (it) => it.set('iss', change(it.get('iss') ?? '')),
      })
      expect(error).toMatchObject({ code: 'invalid-state' })
      expect(tokenRequests(there)).toHaveLength(0)
    }
  })

  it('[security 6.2] is taken without iss where the server never promised one', async () => {
    const script = metadata({ authorization_response_iss_parameter_supported: undefined })
    const { credential } = await signIn({ ...script, ...callback((it) => it.delete('iss')) })
    expect(credential?.tokenType).toBe('Bearer')
  })

  it('[security 6.3] neither decides nor shows anything by its error', async () => {
    const words = `call +49 30 ${canary('words')}`
    for (const change of [
      (it: URLSearchParams) => it.set('iss', 'https://evil.test'),
      (it: URLSearchParams) => it.set('state', 'x'),
    ]) {
      const { error } = await signIn(
        callback((it) => {
          change(it)
          it.delete('code')
          it.set('error', 'access_denied')
          it.set('error_description', words)
          it.set('error_uri', 'https://evil.test/help')
        }),
      )
      expect(error).toMatchObject({ code: 'invalid-state' })
      for (const shown of [error.message, error.hint, String(error.cause)])
        expect(shown).not.toMatch(/CANARY|evil|denied/)
    }
  })

  it.each(['iss', 'code', 'state', 'error'])(
    '[security 6.4] is refused when it says %s twice',
    async (name) => {
      const { error, there } = await signIn(
        callback((it) => {
          if (name === 'error') it.append(name, 'access_denied')
          it.append(name, it.get(name) ?? '')
        }),
      )
      expect(error).toMatchObject({ code: 'invalid-state' })
      expect(tokenRequests(there)).toHaveLength(0)
    },
  )
})

describe('metadata', () => {
  it.each<[string, (issuer: string) => unknown]>([
    ['another', () => 'https://evil.test'],
    ['with a slash behind it', (it) => `${it}/`],
    ['in capitals', (it) => it.replace('http', 'HTTP')],
    ['missing', () => undefined],
    ['a list', (it) => [it]],
  ])('[security 8.1] of an issuer that is %s are refused', async (_, change) => {
    const { context, flow } = await at({
      metadata: (it) => ({ body: { ...it, issuer: change(String(it['issuer'])) } }),
    })
    await expect(flow.begin(context)).rejects.toMatchObject({ code: 'provider-not-configured' })
  })

  it('[security 8.1] of an issuer that ends with a slash are taken as they are', async () => {
    const stage = await hostileStage({ openCatalogue, openNetwork }, {}, { path: '/' })
    closing.push(stage.close)
    const { profile } = await signInBy(authorizationCodeFlow(), stage.context, stage.there.consent)
    expect(profile.subject).toBe('person-1')
  })

  it('[security 8.2] are looked for in the three places, one after the other', async () => {
    const stage = await hostileStage({ openCatalogue, openNetwork }, {}, { path: '/tenant' })
    closing.push(stage.close)
    const last = '/tenant/.well-known/openid-configuration'
    stage.there.play({ metadata: (body, { path }) => (path === last ? { body } : { status: 404 }) })
    await authorizationCodeFlow().begin(stage.context)
    expect(stage.there.requests.map(({ path }) => path)).toEqual([
      '/.well-known/oauth-authorization-server/tenant',
      '/.well-known/openid-configuration/tenant',
      last,
    ])
  })

  it('[security 8.4] are remembered for a day, and no longer', async () => {
    const { there, context, flow } = await at()
    const inHours = (hours: number) =>
      flow.begin({ ...context, now: () => new Date(Date.now() + hours * 3_600_000) })
    await inHours(0)
    await inHours(23)
    expect(there.requests).toHaveLength(1)
    await inHours(25)
    expect(there.requests).toHaveLength(2)
  })

  it.each<[string, Script['metadata'], string]>([
    [
      'too large',
      () => ({ headers: { 'content-type': 'application/json' }, body: `{"x":"${'x'.repeat(1_100_000)}"}` }),
      'response-too-large',
    ],
    ['no JSON', () => ({ headers: { 'content-type': 'application/json' }, body: '<html>' }), 'bad-answer'],
    [
      'no text',
      () => ({ headers: { 'content-type': 'application/json' }, body: new Uint8Array([0xff, 0xfe]) }),
      'bad-answer',
    ],
    [
      'of another type',
      (it) => ({ headers: { 'content-type': 'text/html' }, body: JSON.stringify(it) }),
      'provider-not-configured',
    ],
    [
      'ambiguous',
      (it) => ({
        headers: { 'content-type': 'application/json' },
        body: `{"issuer":"x",${JSON.stringify(it).slice(1)}`,
      }),
      'bad-answer',
    ],
    ['of a server in trouble', () => ({ status: 503 }), 'server-error'],
  ])('[security 8.4] are refused when they are %s', async (_, answer, code) => {
    const { context, flow } = await at({ metadata: answer as NonNullable<Script['metadata']> })
    await expect(flow.begin(context)).rejects.toMatchObject({ code })
  })

  it('[security 8.4] are not followed to another place', async () => {
    const elsewhere = await standIn({ '*': { body: {} } }).listen()
    closing.push(elsewhere.close)
    const { context, flow, there } = await at({
      metadata: () => ({ status: 302, headers: { location: elsewhere.origin } }),
    })
    const network = openNetwork({ allow: [new URL(there.issuer).origin, elsewhere.origin] })
    closing.push(network.close)
    await expect(flow.begin({ ...context, network })).rejects.toMatchObject({
      code: 'provider-not-configured',
    })
    expect(elsewhere.requests).toHaveLength(0)
  })
})

describe('a server', () => {
  it('cannot say something in our place by a query of its own', async () => {
    for (const name of ['client_id', 'redirect_uri', 'state', 'code_challenge']) {
      const { context, flow } = await at({
        metadata: (it) => ({
          body: { ...it, authorization_endpoint: `${it['authorization_endpoint']}?${name}=evil` },
        }),
      })
      await expect(flow.begin(context)).rejects.toMatchObject({ code: 'provider-not-configured' })
    }
  })

  it('may have a query of its own otherwise', async () => {
    const { context, flow } = await at({
      metadata: (it) => ({
        body: { ...it, authorization_endpoint: `${it['authorization_endpoint']}?tenant=7` },
      }),
    })
    expect(visitOf(await flow.begin(context)).url.searchParams.get('tenant')).toBe('7')
  })

  it.each([{ jwks_uri: undefined }, { id_token_signing_alg_values_supported: ['HS256', 'none'] }])(
    'is not signed in to with OpenID Connect when nothing could be verified: %j',
    async (change) => {
      const { there, context, flow } = await at(metadata(change))
      await expect(flow.begin(context)).rejects.toMatchObject({ code: 'provider-not-configured' })
      expect(there.requests).toHaveLength(1)
    },
  )
})

describe('a token answer', () => {
  const answered = (body: string, type = 'application/json'): Script => ({
    token: () => ({ headers: { 'content-type': type }, body }),
  })

  it.each<[string, Script]>([
    ['without access_token', token({ access_token: undefined })],
    ['with an empty access_token', token({ access_token: '' })],
    ['with an access_token that is a number', token({ access_token: 7 })],
    ['without token_type', token({ token_type: undefined })],
    ['with an unknown token_type', token({ token_type: 'mac' })],
    ['with a token_type that was not asked for', token({ token_type: 'DPoP' })],
    ['with a status of its own', { token: (body) => ({ status: 202, body }) }],
  ])('[security 10.1] is refused %s', async (_, script) => {
    expect((await signIn(script)).error).toMatchObject({ code: 'bad-answer' })
  })

  it.each(['bearer', 'BEARER', 'bEARER'])('[security 10.1] may write its type as %s', async (type) => {
    expect((await signIn(token({ token_type: type }))).credential?.tokenType).toBe('Bearer')
  })

  it.each<[unknown, number | null]>([
    [undefined, null],
    ['3600', 3600],
    [60.9, 60],
    [0, null],
    [-1, null],
    ['-5', null],
    ['soon', null],
    [null, null],
    [{}, null],
    [1e18, null],
    ['315360001', null],
    [315_360_000, 315_360_000],
  ])('[security 10.1] with expires_in of %j lives %s seconds', async (expires, seconds) => {
    const { credential } = await signIn(token({ expires_in: expires, refresh_token: undefined }))
    if (seconds === null) return expect(credential?.expiresAt).toBeNull()
    expect(Math.abs((credential?.expiresAt?.getTime() ?? 0) - Date.now() - seconds * 1000)).toBeLessThan(
      10_000,
    )
  })

  it.each<[string, Script, string]>([
    [
      'no JSON by its type',
      answered('{"access_token":"a","token_type":"bearer"}', 'text/plain'),
      'bad-answer',
    ],
    [
      'a form, which this provider does not speak',
      answered('access_token=a&token_type=bearer', 'application/x-www-form-urlencoded'),
      'bad-answer',
    ],
    ['too large', answered(`{"x":"${'x'.repeat(1_100_000)}"}`), 'response-too-large'],
    ['ambiguous', answered('{"access_token":"a","token_type":"bearer","access_token":"b"}'), 'bad-answer'],
    [
      'ambiguous by an escape',
      answered('{"access_token":"a","token_type":"bearer","access\\u005ftoken":"b"}'),
      'bad-answer',
    ],
    ['behind a byte order mark', answered('\ufeff{"access_token":"a","token_type":"bearer"}'), 'bad-answer'],
    ['cut off', answered('{"access_token":"a"'), 'answer-lost'],
    ['a list', answered('[]'), 'bad-answer'],
    [
      'without end',
      { token: () => ({ headers: { 'content-type': 'application/json' }, body: endless() }) },
      'response-too-large',
    ],
  ])('[security 10.3] is refused when it is %s', async (_, script, code) => {
    expect((await signIn(script)).error).toMatchObject({ code })
  })

  async function* endless() {
    for (;;) yield 'x'.repeat(65_536)
  }
})

describe('an end', () => {
  const ended = async (
    revoke?: NonNullable<Script['revoke']>,
    change?: (context: FlowContext) => FlowContext,
  ) => {
    const { there, context, flow, credential } = await signIn({})
    if (!credential) throw new Error('nothing was issued')
    const asked: URLSearchParams[] = []
    there.play({
      revoke: (form) => {
        asked.push(form)
        return revoke?.(form) ?? {}
      },
    })
    const pieces = await flow.revoke(change?.(context) ?? context, credential)
    return { pieces, asked, credential }
  }

  it('[security 7.1] comes to the refresh token first, and then to the access token', async () => {
    const { pieces, asked, credential } = await ended()
    expect(asked.map((form) => [form.get('token'), form.get('token_type_hint')])).toEqual([
      [credential.kept['refreshToken']?.reveal(), 'refresh_token'],
      [credential.worn['accessToken']?.reveal(), 'access_token'],
    ])
    expect(pieces.map(({ what, died }) => [what, died])).toEqual([
      ['refresh token', true],
      ['access token', true],
    ])
  })

  it('[security 7.1] is told apart from what the server does not end, or cannot end now', async () => {
    const answers = [{ status: 400, body: { error: 'unsupported_token_type' } }, { status: 503 }]
    const { pieces } = await ended(() => answers.shift() ?? {})
    expect(pieces).toEqual([
      { what: 'refresh token', died: false, how: expect.stringContaining('unsupported_token_type') },
      { what: 'access token', died: false, how: 'the provider has trouble of its own', again: {} },
    ])
  })

  it('is told not to have come when nobody could be reached', async () => {
    const gone: Network = { fetch: () => Promise.reject(new TypeError('bare')), close: async () => {} }
    const { pieces } = await ended(undefined, (context) => ({ ...context, network: gone }))
    expect(pieces.map(({ died }) => died)).toEqual([false, false])
    expect(pieces[0]?.how).toContain('could not be reached')
  })

  it('is the person’s own where the provider has no place for it', async () => {
    const byHand = { how: 'console', at: 'https://acme.example/apps' } as const
    const { pieces, asked } = await ended(undefined, (context) => ({
      ...context,
      provider: { ...context.provider, revoke: byHand },
    }))
    expect(asked).toHaveLength(0)
    expect(pieces[0]).toEqual({
      what: 'refresh token',
      died: false,
      how: 'only you can end it, at https://acme.example/apps',
    })
  })
})
