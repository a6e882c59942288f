import { decode, type JwtPayload, sign, verify } from 'jsonwebtoken'
import type Provider from 'oidc-provider'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { FlowContext, FlowTurn } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { issuedBy, oauthStage, REDIRECT_URI, signInBy } from '../testing/oauth-stage.ts'
import { person, realServer, signingPair } from '../testing/real-server.ts'
import { authorizationCodeFlow } from './authorization-code.ts'
import { idJagFlow } from './id-jag.ts'

// Two certified servers: one that knows the person, and one that takes its word for whose the token shall be.

const RESOURCE = 'https://api.acme.test/mcp'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'
const OURS = 'our client:1'

type Real = Awaited<ReturnType<typeof realServer>>
type Json = Record<string, unknown>

const [atIdp, atNotes] = [canary('idp'), canary('notes')]
let idp: Real
let notes: Real
let idToken: Secret
let idpContext: FlowContext
/** What of its assertion and of its answer is not as it should be. */
let bent: { claims?: Json; header?: Json; answer?: Json; without?: string }

const client = (secret: string, grant: string) => ({
  client_id: OURS,
  client_secret: secret,
  redirect_uris: [REDIRECT_URI],
  grant_types: ['authorization_code', grant],
  token_endpoint_auth_method: 'client_secret_post' as const,
})
const rooms = { openCatalogue, openNetwork }

/** Checks and signs with a library of its own. */
function vouching(provider: Provider, { pem, publicPem }: { pem: string; publicPem: string }): void {
  const words = [
    'audience',
    'resource',
    'subject_token',
    'subject_token_type',
    'requested_token_type',
    'scope',
  ]
  provider.registerGrantType(
    EXCHANGE,
    async (ctx) => {
      const asked = ctx.oidc.params as Record<string, string>
      const issuer = provider.issuer
      const said = verify(asked['subject_token'] ?? '', publicPem, {
        issuer,
        audience: OURS,
        algorithms: ['ES256'],
      })
      const isAsked =
        asked['requested_token_type'] === ID_JAG && /:id_token$/.test(asked['subject_token_type'] ?? '')
      if (!isAsked) throw new Error('something else was asked for')
      const now = Math.floor(Date.now() / 1000)
      const claims: Json = {
        iss: issuer,
        sub: said.sub,
        aud: asked['audience'],
        client_id: OURS,
        jti: canary('jti'),
        iat: now,
        exp: now + 300,
        email: 'zoe@example.com',
        ...(asked['resource'] && { resource: asked['resource'] }),
        ...bent.claims,
      }
      if (bent.without) delete claims[bent.without]
      const header = { alg: 'ES256' as const, typ: 'oauth-id-jag+jwt', ...bent.header }
      const token = sign(claims, pem, { algorithm: 'ES256', header })
      ctx.body = {
        access_token: token,
        issued_token_type: ID_JAG,
        token_type: 'N_A',
        expires_in: 300,
        ...bent.answer,
      }
    },
    words,
  )
}

/** Gives a token for an assertion that is meant for it and for this client. */
function believing(provider: Provider, publicPem: string): void {
  provider.registerGrantType(
    BEARER,
    async (ctx) => {
      const { assertion = '', scope = '' } = ctx.oidc.params as Record<string, string>
      const options = { issuer: idp.issuer, audience: provider.issuer, algorithms: ['ES256' as const] }
      const said = verify(assertion, publicPem, options) as JwtPayload
      const { typ } = decode(assertion, { complete: true })?.header ?? {}
      const asking = ctx.oidc.client
      if (asking === undefined || said['client_id'] !== asking.clientId || typ !== 'oauth-id-jag+jwt')
        throw new Error('it is meant for another client')
      const token = new provider.ClientCredentials({ client: asking, scope })
      ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: 60, scope }
    },
    ['assertion', 'scope', 'resource'],
  )
}

beforeAll(async () => {
  const pair = await signingPair()
  idp = await realServer({
    jwks: { keys: [pair.whole as never] },
    clients: [{ ...client(atIdp, EXCHANGE), id_token_signed_response_alg: 'ES256' }],
  })
  notes = await realServer({
    clients: [client(atNotes, BEARER)],
    scopes: ['read'],
    features: {
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: () => true },
    },
  })
  vouching(idp.provider, pair)
  believing(notes.provider, pair.publicPem)
  const oauth = { issuer: idp.issuer }
  idpContext = oauthStage(rooms, { oauth, scopes: ['openid'], allow: [idp.issuer], clientSecret: atIdp })
  const { credential } = await signInBy(authorizationCodeFlow(), idpContext, person())
  idToken = credential.kept['idToken'] ?? new Secret('')
})

afterAll(async () => {
  await idpContext.network.close()
  await Promise.all([idp.close(), notes.close()])
})

beforeEach(() => {
  bent = {}
  idp.reached.length = 0
  notes.reached.length = 0
})

function contextAt(known: Readonly<Record<string, string>> = {}, shown: Secret = idToken): FlowContext {
  const from = { name: 'from', label: 'Account that vouches for you', secret: false }
  const context = oauthStage(rooms, {
    oauth: { issuer: notes.issuer, resource: RESOURCE },
    provider: { mcp: '/mcp' },
    scopes: ['read'],
    signIn: { flow: 'id-jag', fields: [from] },
    known,
    allow: [idp.issuer, notes.issuer],
    clientSecret: atNotes,
  })
  const voucherAt = async (address: string) => {
    if (!['okta', 'acct-1'].includes(address))
      throw new ValetkeyError('not-connected', `no account at ${address}`)
    return { account: 'acct-1', address: 'okta', context: idpContext, idToken: shown }
  }
  return { ...context, voucherAt }
}

const fields = (from: string) => ({ fields: { from: new Secret(from) } })
const asked = ({ reached }: Real) =>
  reached.filter(({ path }) => path === '/token').map(({ form }) => Object.fromEntries(form))

flowContract('id-jag, between two real servers', async () => ({
  flow: () => idJagFlow(),
  context: contextAt(),
  answer: () => fields('okta'),
  wrongAnswer: () => fields('nobody'),
  secrets: [idToken.reveal(), atIdp, atNotes],
  close: async () => {},
}))

describe('an account that another one vouches for', () => {
  const flow = idJagFlow()

  it('comes to be without anybody being asked, in two requests', async () => {
    const { credential, profile } = issuedBy(await flow.begin(contextAt({ from: 'okta' })))
    expect(asked(idp)).toMatchObject([
      {
        grant_type: EXCHANGE,
        requested_token_type: ID_JAG,
        audience: notes.issuer,
        resource: RESOURCE,
        subject_token: idToken.reveal(),
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        scope: 'read',
      },
    ])
    expect(asked(notes)).toMatchObject([{ grant_type: BEARER, resource: RESOURCE, scope: 'read' }])
    expect(Object.keys(credential.worn)).toEqual(['accessToken'])
    expect(credential).toMatchObject({ standing: false, scopes: ['read'], tokenType: 'Bearer' })
    expect(credential.kept['voucher']?.reveal()).toBe('acct-1')
    expect(JSON.stringify(Object.keys(credential.kept))).toBe('["voucher","vouchedFor"]')
    expect(profile).toMatchObject({ subject: 'zoe', displayName: 'zoe@example.com' })
  })

  it('shows each server the client that is registered there, and no other', async () => {
    await flow.begin(contextAt({ from: 'okta' }))
    expect(asked(idp)).toMatchObject([{ client_id: OURS, client_secret: atIdp }])
    expect(asked(notes)).toMatchObject([{ client_id: OURS, client_secret: atNotes }])
  })

  it('is renewed in the same way, by an assertion that is new', async () => {
    const context = contextAt({ from: 'okta' })
    const { credential } = issuedBy(await flow.begin(context))
    const next = await flow.refresh?.(context, credential)
    const [first, second] = asked(notes).map(({ assertion }) => assertion)
    expect(second).not.toBe(first)
    expect(next?.worn['accessToken']?.reveal()).not.toBe(credential.worn['accessToken']?.reveal())
  })

  it('is over, and nobody else’s, once the account that vouched is', async () => {
    const { credential } = issuedBy(await flow.begin(contextAt({ from: 'okta' })))
    bent = { claims: { sub: 'eve' } }
    await expect(flow.refresh?.(contextAt(), credential)).rejects.toMatchObject({ code: 'access-revoked' })
    expect(asked(notes)).toHaveLength(1)
  })

  it('is over once the account that vouched is gone', async () => {
    const context = contextAt({ from: 'okta' })
    const { credential } = issuedBy(await flow.begin(context))
    const kept = { ...credential.kept, voucher: new Secret('acct-gone') }
    await expect(flow.refresh?.(context, { ...credential, kept })).rejects.toMatchObject({
      code: 'access-revoked',
    })
  })

  it('is over, or does not come to be, where the word is not taken', async () => {
    const context = contextAt({ from: 'okta' })
    const { credential } = issuedBy(await flow.begin(context))
    const network = {
      ...context.network,
      fetch: async (url: URL, request = {}) =>
        url.href.startsWith(`${notes.issuer}/token`)
          ? Response.json({ error: 'invalid_grant' }, { status: 400 })
          : context.network.fetch(url, request),
    }
    await expect(flow.refresh?.({ ...context, network }, credential)).rejects.toMatchObject({
      code: 'access-revoked',
    })
    await expect(flow.begin({ ...context, network })).rejects.toMatchObject({ code: 'exchange-failed' })
  })

  it('needs somebody who may have it vouch', async () => {
    const { voucherAt: _, ...context } = contextAt({ from: 'okta' })
    await expect(flow.begin(context)).rejects.toMatchObject({ code: 'not-allowed' })
  })

  it('asks which account it is, and again for one that is not there', async () => {
    const first = stepOf(await flow.begin(contextAt()))
    expect(first.step).toMatchObject({ ask: 'fill', fields: [{ name: 'from', kind: 'text' }] })
    const again = stepOf(await flow.next(contextAt(), first.memory, fields('nobody')))
    expect(again.step).toMatchObject({ because: 'no account at nobody', code: 'not-connected' })
    expect(issuedBy(await flow.next(contextAt(), again.memory, fields('okta'))).profile.subject).toBe('zoe')
  })
})

describe('what an identity provider gives', () => {
  const flow = idJagFlow()
  const past = Math.floor(Date.now() / 1000) - 120

  it.each<[string, typeof bent, string]>([
    ['for another server', { claims: { aud: 'https://evil.test' } }, 'aud'],
    ['for several servers', { claims: { aud: ['https://evil.test', RESOURCE] } }, 'aud'],
    ['for nobody', { without: 'aud' }, 'aud'],
    ['of another issuer', { claims: { iss: 'https://evil.test' } }, 'iss'],
    ['for another client', { claims: { client_id: 'another' } }, 'client_id'],
    ['for no client', { without: 'client_id' }, 'client_id'],
    ['for another resource', { claims: { resource: 'https://evil.test/mcp' } }, 'resource'],
    ['that is over', { claims: { exp: past } }, 'exp'],
    ['that never ends', { without: 'exp' }, 'exp'],
    ['about nobody', { without: 'sub' }, 'sub'],
    ['of another kind', { header: { typ: 'JWT' } }, 'typ'],
    ['that is no assertion', { answer: { access_token: 'opaque' } }, 'cannot be read'],
    [
      'that is called an access token',
      { answer: { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' } },
      'something else',
    ],
    ['that is called a bearer token', { answer: { token_type: 'Bearer' } }, 'something else'],
    ['that is nothing', { answer: { access_token: '' } }, 'something else'],
  ])('is shown to nobody where it is one %s', async (_, change, word) => {
    bent = change
    const refused = flow.begin(contextAt({ from: 'okta' }))
    await expect(refused).rejects.toMatchObject({
      code: 'bad-answer',
      message: expect.stringContaining(word),
    })
    expect(asked(idp)).toHaveLength(1)
    expect(asked(notes)).toEqual([])
  })

  it.each([
    ['of another issuer', () => sign({ iss: 'https://evil.test', sub: 'zoe', aud: OURS }, 'x')],
    ['that cannot be read', () => 'no token'],
  ])('is not asked for with an ID token %s', async (_, make) => {
    const refused = flow.begin(contextAt({ from: 'okta' }, new Secret(make())))
    await expect(refused).rejects.toMatchObject({ code: 'needs-reauth', hint: 'valetkey reconnect okta' })
    expect(asked(idp)).toEqual([])
  })

  it.each([
    ['invalid_grant', 'needs-reauth'],
    ['access_denied', 'refused-by-policy'],
    ['invalid_target', 'refused-by-policy'],
    ['unauthorized_client', 'refused-by-policy'],
    ['invalid_client', 'provider-not-configured'],
  ])('may be nothing but %s, and then it is said what helps', async (error, code) => {
    const context = contextAt({ from: 'okta' })
    const network = {
      ...context.network,
      fetch: async (url: URL, request = {}) =>
        url.href.startsWith(`${idp.issuer}/token`)
          ? Response.json({ error }, { status: 400 })
          : context.network.fetch(url, request),
    }
    await expect(flow.begin({ ...context, network })).rejects.toMatchObject({
      code,
      hint: expect.any(String),
    })
    expect(asked(notes)).toEqual([])
  })
})

function stepOf(turn: FlowTurn) {
  if ('step' in turn) return turn
  throw new Error('nothing is asked')
}
