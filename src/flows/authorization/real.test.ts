import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { FlowContext } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowAnswer, FlowStep } from '../../model/words.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { flowContract } from '../../testing/flow-contract.ts'
import { oauthStage, REDIRECT_URI, signInBy, visitOf } from '../../testing/oauth-stage.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

// A certified authorization server, asked over real sockets; only the person is played.

const CLIENT = 'our client:1'
const clientSecret = canary('client')

async function realServer() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT,
        client_secret: clientSecret,
        application_type: 'native',
        token_endpoint_auth_method: 'client_secret_basic',
        redirect_uris: [REDIRECT_URI],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: 'Zoë', email: 'zoe@example.com', email_verified: true }),
    }),
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    features: {
      revocation: { enabled: true, allowedPolicy: () => true },
      devInteractions: { enabled: true },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: 60,
      AuthorizationCode: 60,
      RefreshToken: 600,
      IdToken: 60,
      Grant: 600,
      Session: 600,
      Interaction: 60,
    },
    cookies: { keys: ['only for this test'] },
    jwks: { keys: [await privateKey()] },
  })
  provider.silent = true
  server.on('request', provider.callback())
  const close = async () => {
    server.close()
    server.closeAllConnections()
  }
  return { issuer, close }
}

async function privateKey(): Promise<Record<string, unknown> & { kty: string }> {
  const { privateKey: key } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  const { kty = 'EC', crv, x, y, d } = await crypto.subtle.exportKey('jwk', key)
  return { kty, crv, x, y, d, alg: 'ES256', use: 'sig', kid: 'one' }
}

/** A browser with cookies, and a person in front of it who signs in and agrees, or says no. */
function person(choice: 'agrees' | 'says no' = 'agrees') {
  const jar = new Map<string, string>()
  const go = async (url: URL, form?: URLSearchParams): Promise<URL> => {
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(form ? { method: 'POST', body: form } : {}),
    })
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split('=')
      jar.set(name, value)
    }
    const location = answer.headers.get('location')
    if (location?.startsWith(REDIRECT_URI)) return new URL(location)
    if (location) return go(new URL(location, url))
    return act(url, await answer.text())
  }
  const act = async (url: URL, page: string): Promise<URL> => {
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1]
    if (prompt === undefined) throw new Error(`nobody knows what to do at ${url.pathname}`)
    if (choice === 'says no') return go(new URL(`${url.pathname}/abort`, url))
    return go(url, new URLSearchParams({ prompt, login: 'zoe', password: 'x' }))
  }
  return (url: URL) => go(url)
}

let server: Awaited<ReturnType<typeof realServer>>

beforeAll(async () => {
  // It warns of its own interactions and its store in memory, which are just what is wanted here.
  const said = vi.spyOn(console, 'warn').mockReturnValue()
  server = await realServer()
  said.mockRestore()
})

afterAll(() => server.close())

function contextAt(change: Partial<FlowContext> = {}): FlowContext {
  const { issuer } = server
  const oauth = { issuer, authorizeParams: { prompt: 'consent' } }
  const scene = {
    oauth,
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    clientSecret,
    allow: [issuer],
  }
  return { ...oauthStage({ openCatalogue, openNetwork }, scene), ...change }
}

flowContract('authorization-code, at a real server', async () => {
  const context = contextAt()
  const urlOf = (step: FlowStep) => {
    if (step.ask !== 'visit') throw new Error('nobody is sent off')
    return step.url
  }
  const answer = async (step: FlowStep, change = (_: URL) => {}): Promise<FlowAnswer> => {
    const back = await person()(urlOf(step))
    change(back)
    return { callback: new Secret(back.href) }
  }
  return {
    flow: () => authorizationCodeFlow(),
    context,
    answer: (step) => answer(step),
    wrongAnswer: (step) => answer(step, ({ searchParams }) => searchParams.set('code', canary('code'))),
    secrets: [clientSecret],
    close: context.network.close,
  }
})

describe('at a real server', () => {
  const userinfo = async (token: string) =>
    (await fetch(`${server.issuer}/me`, { headers: { authorization: `Bearer ${token}` } })).status

  it('an account is connected, refreshed twice, used and ended', async () => {
    const context = contextAt()
    const flow = authorizationCodeFlow()
    const { credential, profile } = await signInBy(flow, context, person())
    expect(profile).toMatchObject({
      subject: 'zoe',
      name: 'Zoë',
      email: 'zoe@example.com',
      emailVerified: true,
    })
    const once = await flow.refresh?.(context, credential)
    const twice = once && (await flow.refresh?.(context, once))
    if (!once || !twice) throw new Error('nothing was refreshed')
    const tokens = [credential, once, twice].map(({ worn }) => worn['accessToken']?.reveal() ?? '')
    const renewals = [credential, once, twice].map(({ kept }) => kept['refreshToken']?.reveal())
    expect([new Set(tokens).size, new Set(renewals).size]).toEqual([3, 3])
    expect(await userinfo(tokens[2] ?? '')).toBe(200)
    const pieces = await flow.revoke(context, twice)
    expect(pieces.map(({ what, died }) => [what, died])).toEqual([
      ['refresh token', true],
      ['access token', true],
    ])
    expect(await userinfo(tokens[2] ?? '')).toBe(401)
    await expect(flow.refresh?.(context, twice)).rejects.toMatchObject({ code: 'access-revoked' })
    await context.network.close()
  })

  it('a refresh token that was rotated away is over, and says so', async () => {
    const context = contextAt()
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person())
    await flow.refresh?.(context, credential)
    await expect(flow.refresh?.(context, credential)).rejects.toMatchObject({ code: 'access-revoked' })
    await context.network.close()
  })

  it('a person who says no is heard', async () => {
    const context = contextAt()
    await expect(signInBy(authorizationCodeFlow(), context, person('says no'))).rejects.toMatchObject({
      code: 'access-denied',
    })
    await context.network.close()
  })

  it('[security 1.1] [security 1.5] a code is worth nothing with another address, another verifier or another client', async () => {
    const flow = authorizationCodeFlow()
    const context = contextAt()
    const changes: ((memory: Record<string, unknown>) => FlowContext)[] = [
      (memory) => {
        memory['redirectUri'] = 'http://127.0.0.1:49152/cb/two'
        return context
      },
      (memory) => {
        memory['verifier'] = 'x'.repeat(43)
        return context
      },
      () => ({ ...context, client: { clientId: CLIENT, clientSecret: new Secret(canary('wrong')) } }),
    ]
    for (const change of changes) {
      const { url, memory } = visitOf(await flow.begin(context))
      const held = JSON.parse(memory.reveal())
      const changed = change(held)
      const back = await person()(url)
      back.pathname = new URL(held.redirectUri).pathname
      const answer = { callback: new Secret(back.href) }
      const code = expect.stringMatching('invalid-code|provider-not-configured')
      await expect(flow.next(changed, new Secret(JSON.stringify(held)), answer)).rejects.toMatchObject({
        code,
      })
    }
    await context.network.close()
  })

  it('[security 1.14] a code is redeemed once, and a second time ends what it gave', async () => {
    const flow = authorizationCodeFlow()
    const context = contextAt()
    const { url, memory } = visitOf(await flow.begin(context))
    const copy = new Secret(memory.revealBytes())
    const answer = { callback: new Secret((await person()(url)).href) }
    expect(await flow.next(context, memory, answer)).toHaveProperty('done')
    await expect(flow.next(context, copy, answer)).rejects.toMatchObject({ code: 'invalid-code' })
    await context.network.close()
  })
})
