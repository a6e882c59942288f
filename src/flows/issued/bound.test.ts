import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import { errors, type KoaContextWithOIDC } from 'oidc-provider'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FlowContext } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowStep } from '../../model/words.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { flowContract } from '../../testing/flow-contract.ts'
import { type OAuthScene, oauthStage, REDIRECT_URI, signInBy, visitOf } from '../../testing/oauth-stage.ts'
import { enterCode, person, realServer, signingPair } from '../../testing/real-server.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'
import { clientCredentialsFlow } from '../client-credentials.ts'
import { deviceCodeFlow } from '../device-code.ts'

// A certified authorization server that takes pushed requests alone, and proofs with its nonces alone.

const RESOURCE = 'https://api.acme.test/mcp'
const clientSecret = canary('client')
const native = {
  application_type: 'native',
  redirect_uris: [REDIRECT_URI],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  id_token_signed_response_alg: 'ES256',
} as const

let server: Awaited<ReturnType<typeof realServer>>
let keyed: Awaited<ReturnType<typeof signingPair>>

beforeAll(async () => {
  const [signs, shows] = await Promise.all([signingPair('server'), signingPair('client')])
  keyed = shows
  server = await realServer({
    clients: [
      { ...native, client_id: 'our client:1', client_secret: clientSecret, dpop_bound_access_tokens: true },
      { ...native, client_id: 'public', token_endpoint_auth_method: 'none', dpop_bound_access_tokens: true },
      {
        client_id: 'device',
        application_type: 'native',
        redirect_uris: [],
        response_types: [],
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
        dpop_bound_access_tokens: true,
        id_token_signed_response_alg: 'ES256',
      },
      {
        client_id: 'robot',
        client_secret: clientSecret,
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'client_secret_post',
        dpop_bound_access_tokens: true,
        id_token_signed_response_alg: 'ES256',
      },
      {
        ...native,
        client_id: 'keyed',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [shows.shown] },
      },
    ],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    scopes: ['openid', 'offline_access', 'profile', 'read'],
    features: {
      devInteractions: { enabled: true },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: (ctx, form) => {
          ctx.body = form
        },
        successSource: (ctx) => {
          ctx.body = 'done'
        },
      },
      clientCredentials: { enabled: true },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: wantsNonce },
      revocation: { enabled: true, allowedPolicy: () => true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined as never,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, asked) => {
          if (asked !== RESOURCE) throw new errors.InvalidTarget()
          return { scope: 'read', accessTokenFormat: 'opaque', accessTokenTTL: 60 }
        },
      },
    },
    jwks: { keys: [signs.whole] },
  })
})

afterAll(() => server.close())

const opened: FlowContext[] = []
afterEach(async () => {
  for (const { network } of opened.splice(0)) await network.close()
})

function contextAt(scene: Partial<OAuthScene> = {}, change: Partial<FlowContext> = {}): FlowContext {
  const { issuer } = server
  server.reached.length = 0
  const context = {
    ...oauthStage(
      { openCatalogue, openNetwork },
      {
        scopes: ['openid', 'profile', 'offline_access'],
        clientSecret,
        allow: [issuer],
        ...scene,
        oauth: { issuer, dpop: true, authorizeParams: { prompt: 'consent' }, ...scene.oauth },
      },
    ),
    ...change,
  }
  opened.push(context)
  return context
}

/** Of a code that is entered elsewhere it is asked once each time, so that one proves itself without. */
function wantsNonce({ oidc }: KoaContextWithOIDC): boolean {
  return oidc?.body?.['client_id'] !== 'device'
}

const publicClient = { client: { clientId: 'public', clientSecret: undefined } }
const at = (path: string) => server.reached.filter((one) => one.path === path)
const proofs = (path: string) => at(path).map(({ headers }) => String(headers['dpop']))

for (const [name, change] of [
  ['a client with a secret', {}],
  ['a public client', publicClient],
] as const)
  flowContract(`authorization-code, pushed and bound, by ${name}`, async () => {
    const context = contextAt({}, change)
    const go = async (step: FlowStep, code?: string) => {
      if (step.ask !== 'visit') throw new Error('nobody is sent off')
      const back = await person()(step.url)
      if (code !== undefined) back.searchParams.set('code', code)
      return { callback: new Secret(back.href) }
    }
    return {
      flow: () => authorizationCodeFlow(),
      context,
      answer: (step) => go(step),
      wrongAnswer: (step) => go(step, canary('code')),
      secrets: [clientSecret],
      close: async () => {},
    }
  })

flowContract('device-code, bound', async () => {
  let at = Date.now()
  const context = contextAt(
    { signIn: { flow: 'device-code' }, scopes: ['openid', 'offline_access'] },
    {
      client: { clientId: 'device', clientSecret: undefined },
      redirectUri: undefined,
      state: undefined,
      now: () => new Date(at),
    },
  )
  return {
    flow: () => deviceCodeFlow(),
    context,
    answer: () => ({ fields: {} }),
    wrongAnswer: () => ({ fields: {} }),
    enter: ({ code }) => enterCode(new URL(`${server.issuer}/device`), code),
    pass: (until) => {
      at = Math.max(at, until.getTime())
    },
    secrets: [],
    close: async () => {},
  }
})

flowContract('client-credentials, bound', async () => {
  const fields = { clientId: 'robot', clientSecret }
  const file = Object.keys(fields).map((name) => ({ name, label: name, secret: name === 'clientSecret' }))
  const answered = (values: object) => ({
    fields: Object.fromEntries(Object.entries(values).map(([name, text]) => [name, new Secret(text)])),
  })
  return {
    flow: () => clientCredentialsFlow(),
    context: contextAt({ signIn: { flow: 'client-credentials', fields: file }, scopes: ['read'] }),
    answer: () => answered(fields),
    wrongAnswer: () => answered({ ...fields, clientSecret: canary('wrong') }),
    secrets: [clientSecret],
    close: async () => {},
  }
})

describe('a request that is pushed', () => {
  it('[security 9.1] leaves the browser nothing to carry but who asks and its name', async () => {
    const { url, until } = visitOf(await authorizationCodeFlow().begin(contextAt()))
    expect([...url.searchParams.keys()].toSorted()).toEqual(['client_id', 'request_uri'])
    expect(until.getTime() - Date.now()).toBeLessThanOrEqual(60_000)
    const form = at('/request').at(-1)?.form ?? new URLSearchParams()
    for (const name of ['code_challenge', 'state', 'nonce', 'redirect_uri', 'scope', 'dpop_jkt'])
      expect(form.get(name), name).toBeTruthy()
    expect(form.get('client_secret')).toBe(clientSecret)
  })

  it('[security 9.1] is pushed by the same proof of the client as its tokens are asked for with', async () => {
    const context = contextAt(
      { oauth: { clientAuth: 'private_key_jwt' } },
      { client: { clientId: 'keyed', clientSecret: undefined, privateKey: new Secret(keyed.pem) } },
    )
    await signInBy(authorizationCodeFlow(), context, person())
    for (const path of ['/request', '/token']) {
      const { iss, sub, aud } = decodeJwt(at(path).at(-1)?.form.get('client_assertion') ?? '')
      expect({ iss, sub, aud }).toEqual({ iss: 'keyed', sub: 'keyed', aud: server.issuer })
    }
  })

  it('[security 9.1] is good once, and before its time is over; after that it is pushed anew', async () => {
    const flow = authorizationCodeFlow()
    let ahead = 0
    const context = contextAt({}, { now: () => new Date(Date.now() + ahead) })
    const first = visitOf(await flow.begin(context))
    const same = visitOf(await flow.next(context, first.memory, undefined))
    expect(same.url.href).toBe(first.url.href)
    ahead = 61_000
    const anew = visitOf(await flow.next(context, first.memory, undefined))
    expect(anew.url.searchParams.get('request_uri')).not.toBe(first.url.searchParams.get('request_uri'))
    const [one, two] = at('/request')
      .filter(({ form }) => form.has('state'))
      .slice(-2)
    expect(two?.form.get('state')).toBe(one?.form.get('state'))
    ahead = 0
    const callback = new Secret(String(await person()(anew.url)))
    expect(await flow.next(context, anew.memory, { callback })).toHaveProperty('done')
    expect((await person()(anew.url)).searchParams.get('error')).toBe('invalid_request_uri')
  })

  it('[security 9.1] remembers all that the answer must belong to', async () => {
    const flow = authorizationCodeFlow()
    const context = contextAt()
    const { url, memory } = visitOf(await flow.begin(context))
    const back = await person()(url)
    back.searchParams.set('state', 'another')
    await expect(flow.next(context, memory, { callback: new Secret(back.href) })).rejects.toMatchObject({
      code: 'invalid-state',
    })
  })
})

describe('a token that is bound to a key', () => {
  it('[security 9.2] is asked for with proofs that are whole, fresh, and made for that one request', async () => {
    const context = contextAt()
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person())
    await flow.refresh?.(context, credential)
    const all = [...proofs('/request'), ...proofs('/token'), ...proofs('/me')]
    const jtis = all.map((proof) => {
      const header = decodeProtectedHeader(proof)
      expect(header).toMatchObject({ typ: 'dpop+jwt', alg: 'ES256' })
      expect(Object.keys(header.jwk ?? {}).toSorted()).toEqual(['crv', 'kty', 'x', 'y'])
      const pem = jsonwebtokenKey(header.jwk)
      const said = jsonwebtoken.verify(proof, pem, { algorithms: ['ES256'] })
      return typeof said === 'string' ? '' : said.jti
    })
    expect(new Set(jtis).size).toBe(all.length)
    const last = decodeJwt(proofs('/token').at(-1) ?? '')
    expect(last).toMatchObject({ htm: 'POST', htu: `${server.issuer}/token`, nonce: expect.any(String) })
    expect(Math.abs(Number(last.iat) - Date.now() / 1000)).toBeLessThan(10)
    const me = decodeJwt(proofs('/me').at(-1) ?? '')
    const token = credential.worn['accessToken']?.reveal() ?? ''
    expect(me).toMatchObject({ htm: 'GET', htu: `${server.issuer}/me` })
    expect(me['ath']).toBe(createHash('sha256').update(token).digest('base64url'))
  })

  it('[security 9.2] is asked for once more with the nonce, and from then on with the last one told', async () => {
    const context = contextAt()
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person())
    const nonces = (path: string) => proofs(path).map((proof) => decodeJwt(proof)['nonce'] !== undefined)
    // The first of all is refused for want of a nonce; the server's is known from then on.
    expect(nonces('/request')).toEqual([false, true])
    expect(nonces('/token')).toEqual([true])
    // The same origin is a resource server here, and nothing is known of that one's.
    expect(nonces('/me')).toEqual([false, true])
    await flow.refresh?.(context, credential)
    expect(nonces('/token')).toEqual([true, true])
  })

  it('[security 9.2] says in the request which key that is, and stays bound to it for as long as it lives', async () => {
    const context = contextAt({}, publicClient)
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person())
    const once = await flow.refresh?.(context, credential)
    const key = JSON.parse(credential.kept['dpopKey']?.reveal() ?? '{}')
    const jwk = decodeProtectedHeader(proofs('/token').at(-1) ?? '').jwk ?? {}
    expect(at('/request').at(-1)?.form.get('dpop_jkt')).toBe(await calculateJwkThumbprint(jwk))
    expect({ x: jwk.x, y: jwk.y }).toEqual({ x: key.x, y: key.y })
    expect(credential.tokenType).toBe('DPoP')
    expect(once).toMatchObject({ tokenType: 'DPoP' })
    expect(once?.kept['dpopKey']).toBe(credential.kept['dpopKey'])
    expect(Object.keys(credential.worn)).toEqual(['accessToken'])
  })

  it('[security 9.2] is another key for each account', async () => {
    const context = contextAt()
    const keys = await Promise.all(
      [1, 2].map(async () => {
        const { credential } = await signInBy(authorizationCodeFlow(), context, person())
        return credential.kept['dpopKey']?.reveal()
      }),
    )
    expect(new Set(keys).size).toBe(2)
  })

  it('[security 9.2] is not renewed by whoever has not got the key, at a server that keeps to it', async () => {
    const context = contextAt({}, publicClient)
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person())
    const { dpopKey: _, ...kept } = credential.kept
    await expect(flow.refresh?.(context, { ...credential, kept })).rejects.toMatchObject({
      code: expect.stringMatching('access-revoked|bad-answer|provider-not-configured'),
    })
  })

  it('ends at its provider, piece by piece', async () => {
    const context = contextAt()
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person())
    expect((await flow.revoke(context, credential)).map(({ died }) => died)).toEqual([true, true])
  })
})

describe('a token for one resource', () => {
  const forOne = (resource: string) => ({
    oauth: { resource, dpop: true },
    scopes: ['read', 'offline_access'],
    provider: { mcp: '/mcp' },
  })

  it('[security 9.3] is asked for it in the request, with the code and at each renewal', async () => {
    const context = contextAt(forOne(RESOURCE))
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person())
    await flow.refresh?.(context, credential)
    const asked = [...at('/request'), ...at('/token')].map(({ form }) => form.get('resource'))
    expect(new Set(asked)).toEqual(new Set([RESOURCE]))
  })

  it('[security 9.3] is refused by name where the server knows no such resource', async () => {
    const context = contextAt(forOne('https://api.acme.test/other'))
    const asking = (async () => {
      const { url, memory } = visitOf(await authorizationCodeFlow().begin(context))
      const callback = new Secret(String(await person()(url)))
      return authorizationCodeFlow().next(context, memory, { callback })
    })()
    await expect(asking).rejects.toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringContaining('resource'),
    })
  })
})

/** For an independent library, which reads no JWK. */
function jsonwebtokenKey(jwk: object | undefined): KeyObject {
  return createPublicKey({ key: { ...jwk }, format: 'jwk' })
}
