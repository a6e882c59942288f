import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import Provider, { type JWK } from 'oidc-provider'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { FlowContext, FlowTurn } from '../model/flow.ts'
import type { Outgoing } from '../model/network.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { issuedBy, oauthStage } from '../testing/oauth-stage.ts'
import { clientCredentialsFlow } from './client-credentials.ts'

// A certified authorization server, asked over real sockets.

const RESOURCE = 'https://api.acme.test/mcp'
const clientSecret = canary('client')
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const jwk = JSON.stringify(keys.privateKey.export({ format: 'jwk' }))

async function realServer() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const machine = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }
  const key = { ...keys.publicKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' } as JWK
  const provider = new Provider(issuer, {
    clients: [
      {
        ...machine,
        client_id: 'a-secret:1',
        client_secret: clientSecret,
        token_endpoint_auth_method: 'client_secret_basic',
      },
      {
        ...machine,
        client_id: 'a-key',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [key] },
      },
    ],
    scopes: ['read', 'write'],
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
    features: {
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: () => true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'read write',
          accessTokenFormat: 'opaque',
          accessTokenTTL: 90,
        }),
      },
    },
    ttl: { ClientCredentials: 60 },
  })
  provider.silent = true
  server.on('request', provider.callback())
  const close = async () => {
    server.close()
    server.closeAllConnections()
  }
  return { issuer, close }
}

let server: Awaited<ReturnType<typeof realServer>>
let asked: { readonly url: string; readonly headers: Headers; readonly form: URLSearchParams }[]

beforeAll(async () => {
  // It warns of its store in memory, which is just what is wanted here.
  const said = vi.spyOn(console, 'warn').mockReturnValue()
  server = await realServer()
  said.mockRestore()
})

afterAll(() => server.close())

function contextAt(known: Readonly<Record<string, string>> = {}, more: object = {}): FlowContext {
  asked = []
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: { issuer: server.issuer, ...more },
      scopes: ['read'],
      signIn: {
        flow: 'client-credentials',
        fields: [
          { name: 'clientId', label: 'Client id', secret: false },
          { name: 'clientSecret', label: 'Client secret', secret: true, optional: true },
          { name: 'privateKey', label: 'Private key', secret: true, optional: true },
        ],
        console: 'https://acme.test/clients',
      },
      known,
      allow: [server.issuer],
    },
  )
  const { network } = context
  const fetch = (url: URL, request: Outgoing = {}) => {
    const form = new URLSearchParams(String(request.body ?? ''))
    asked.push({ url: url.pathname, headers: new Headers(request.headers as Record<string, string>), form })
    return network.fetch(url, request)
  }
  return { ...context, client: undefined, network: { ...network, fetch } }
}

const bySecret = { clientId: 'a-secret:1', clientSecret }
const byKey = { clientId: 'a-key', privateKey: pem }
const fields = (values: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)])),
})

flowContract('client-credentials, at a real server', async () => ({
  flow: () => clientCredentialsFlow(),
  context: contextAt(),
  answer: () => fields(bySecret),
  wrongAnswer: () => fields({ ...bySecret, clientSecret: canary('wrong') }),
  secrets: [clientSecret],
  close: async () => {},
}))

function tokenRequest() {
  const found = asked.filter(({ url }) => url === '/token').at(-1)
  if (found === undefined) throw new Error('no token was asked for')
  return found
}

describe('a program’s own standing at a server', () => {
  const flow = clientCredentialsFlow()

  it('is the client’s secret, shown as RFC 6749 has it, and a token that soon dies', async () => {
    const { credential, profile } = issuedBy(await flow.begin(contextAt(bySecret)))
    const { headers, form } = tokenRequest()
    const shown = Buffer.from(`a-secret%3A1:${clientSecret}`).toString('base64')
    expect(headers.get('authorization')).toBe(`Basic ${shown}`)
    expect(Object.fromEntries(form)).toEqual({ grant_type: 'client_credentials', scope: 'read' })
    expect(Object.keys(credential.worn)).toEqual(['accessToken'])
    expect(Object.keys(credential.kept)).toEqual(['clientId', 'clientSecret'])
    expect(credential).toMatchObject({ standing: false, scopes: ['read'], tokenType: 'Bearer' })
    const lives = Number(credential.expiresAt) - Date.now()
    expect(lives).toBeGreaterThan(50_000)
    expect(lives).toBeLessThanOrEqual(60_000)
    expect(profile).toMatchObject({ subject: 'a-secret:1' })
  })

  it.each([
    ['a PEM', pem],
    ['a PEM that lost its line ends', pem.replaceAll('\n', ' ')],
    ['a PEM with its line ends spelled out', pem.trim().replaceAll('\n', '\\n')],
    ['a JWK', jwk],
  ])(
    '[security 1.12] [security 10.2] is its private key, of which only a signature is shown: %s',
    async (_, privateKey) => {
      const { credential } = issuedBy(await flow.begin(contextAt({ clientId: 'a-key', privateKey })))
      const { headers, form } = tokenRequest()
      const assertion = form.get('client_assertion') ?? ''
      expect(headers.has('authorization')).toBe(false)
      expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      expect(decodeProtectedHeader(assertion)).toMatchObject({ alg: 'ES256' })
      const { iss, sub, aud, exp = 0, iat = 0, jti } = decodeJwt(assertion)
      expect({ iss, sub, aud }).toEqual({ iss: 'a-key', sub: 'a-key', aud: server.issuer })
      expect(exp - iat).toBeLessThanOrEqual(60)
      expect(jti).toMatch(/^[\w-]{16,}$/)
      expect(Object.keys(credential.kept)).toEqual(['clientId', 'privateKey'])
    },
  )

  it('[security 10.2] signs anew each time', async () => {
    const context = contextAt(byKey)
    const { credential } = issuedBy(await flow.begin(context))
    const first = tokenRequest().form.get('client_assertion')
    const next = await flow.refresh?.(context, credential)
    expect(tokenRequest().form.get('client_assertion')).not.toBe(first)
    expect(next?.worn['accessToken']?.reveal()).not.toBe(credential.worn['accessToken']?.reveal())
    expect(next?.kept['privateKey']?.reveal()).toBe(pem.trim())
    expect(flow.renews?.(credential)).toBe(true)
  })

  it('[security 9.3] asks for the one resource that it is for', async () => {
    const context = contextAt(bySecret)
    const provider = { ...context.provider, oauth: { ...context.provider.oauth, resource: RESOURCE } }
    await flow.begin({ ...context, provider } as FlowContext)
    expect(tokenRequest().form.get('resource')).toBe(RESOURCE)
  })

  it.each([
    ['nothing to prove itself by', { clientId: 'a-key' }, 'invalid-credentials'],
    ['a secret that is not its own', { ...bySecret, clientSecret: canary('wrong') }, 'invalid-credentials'],
    ['a key that is not its own', { clientId: 'a-key', privateKey: another() }, 'invalid-credentials'],
    ['what is no key', { clientId: 'a-key', privateKey: canary('key') }, 'key-format'],
    ['a key that cannot sign', { clientId: 'a-key', privateKey: exchanging() }, 'key-format'],
  ])('asks again for a client with %s, and repeats nothing of it', async (_, values, code) => {
    const first = stepOf(await flow.begin(contextAt()))
    const again = stepOf(await flow.next(contextAt(), first.memory, fields(values)))
    expect(again.step).toMatchObject({ ask: 'fill', code, at: new URL('https://acme.test/clients') })
    for (const secret of Object.values(values).filter((value) => value !== 'a-key' && value !== 'a-secret:1'))
      expect(JSON.stringify(again.step)).not.toContain(secret.slice(0, 40))
  })

  it('is over when its server no longer knows it', async () => {
    const context = contextAt(bySecret)
    const { credential } = issuedBy(await flow.begin(context))
    const gone = { ...credential, kept: { ...credential.kept, clientSecret: new Secret(canary('old')) } }
    await expect(flow.refresh?.(context, gone)).rejects.toMatchObject({ code: 'access-revoked' })
  })

  it('says what died when it is ended, and who can end the rest', async () => {
    const context = contextAt(byKey)
    const { credential } = issuedBy(await flow.begin(context))
    expect(await flow.revoke(context, credential)).toEqual([
      { what: 'access token', died: true, how: 'ended at the provider' },
      { what: 'private key', died: false, how: 'only you can end it, at https://acme.test/clients' },
    ])
    expect(asked.at(-1)?.url).toBe('/token/revocation')
  })
})

function stepOf(turn: FlowTurn) {
  if (!('step' in turn)) throw new Error('nobody is asked')
  return turn
}

function another(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()
}

function exchanging(): string {
  return generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
