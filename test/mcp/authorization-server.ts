import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import Provider, { type Configuration, type JWK } from 'oidc-provider'
import { openStore, type Store } from '../../src/practice/store.ts'

export const SCOPES = ['notes:read', 'notes:write'] as const

/** What an authorization server did, as its tests count it. */
export interface Counts {
  codes: number
  refreshes: number
  registrations: number
  /** What was asked for at its endpoints, as far as it was said in the open. */
  readonly asked: { readonly at: string; readonly params: Readonly<Record<string, string>> }[]
}

export interface AuthorizationServer {
  readonly origin: URL
  readonly issuer: string
  readonly counts: Counts
  readonly jwks: { keys: JWK[] }
  /** How long access tokens live that are issued from now on. */
  accessSeconds: number
  /** Everybody takes back what they said yes to. */
  endGrants(): void
  close(): Promise<void>
}

const TOLD = ['resource', 'scope', 'grant_type', 'prompt', 'code_challenge_method', 'client_id']

/** A real authorization server that lets everybody in as Ada, and issues tokens for one resource each. */
export async function openAuthorizationServer(server: Server = createServer()): Promise<AuthorizationServer> {
  const origin = await listen(server)
  const issuer = origin.origin
  const key = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) }
  const signing = { ...key, kid: 'signing', use: 'sig', alg: 'ES256' } as JWK
  const counts: Counts = { codes: 0, refreshes: 0, registrations: 0, asked: [] }
  const there = { accessSeconds: 3600 }
  const store = openStore(() => new Date())
  const grants: string[] = []
  const provider = new Provider(issuer, configuration(signing, there, store))
  provider.silent = true
  provider.on('grant.success', ({ oidc }) => {
    const { grant_type: type } = oidc.params ?? {}
    if (type === 'refresh_token') counts.refreshes += 1
    if (type === 'authorization_code') counts.codes += 1
    note(counts, 'token', oidc.params)
  })
  provider.on('registration_create.success', ({ oidc }) => {
    counts.registrations += 1
    counts.asked.push({ at: 'registration', params: textsOf(oidc.body) })
  })
  provider.on('authorization.success', ({ oidc }) => note(counts, 'authorization', oidc.params))
  const answer = provider.callback()
  server.on('request', (request, response) =>
    request.url?.startsWith('/interaction/')
      ? void letIn(provider, request, response).then((grant) => grants.push(grant))
      : void answer(request, response),
  )
  const { d: _, ...visible } = signing
  return Object.assign(there, {
    origin,
    issuer,
    counts,
    jwks: { keys: [visible] },
    endGrants: () => {
      for (const grant of grants) store.end(grant)
    },
    close: () => close(server),
  })
}

function note({ asked }: Counts, at: string, params: unknown): void {
  const all = textsOf(params)
  asked.push({
    at,
    params: Object.fromEntries(TOLD.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]]))),
  })
}

function textsOf(params: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries((params ?? {}) as object).map(([name, value]) => [name, String(value)]),
  )
}

function configuration(signing: JWK, life: { readonly accessSeconds: number }, store: Store): Configuration {
  return {
    adapter: store.adapter,
    jwks: { keys: [signing] },
    clockTolerance: 0,
    scopes: ['openid', 'offline_access'],
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    pkce: { required: () => true },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    rotateRefreshToken: true,
    expiresWithSession: () => false,
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    ttl: {
      AccessToken: (_, token) => token.resourceServer?.accessTokenTTL ?? 3600,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 600,
    },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: SCOPES.join(' '),
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: life.accessSeconds,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    clientBasedCORS: () => false,
    fetch: () => Promise.reject(new Error('nobody is asked')),
  }
}

/** Says yes to whatever is asked, and which grant that made. */
async function letIn(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<string> {
  const { params } = await provider.interactionDetails(request, response)
  const { client_id: clientId, scope = '', resource } = params as Record<string, string | undefined>
  const grant = new provider.Grant({ accountId: 'ada', clientId: clientId ?? '' })
  grant.addOIDCScope('openid offline_access')
  if (resource !== undefined) grant.addResourceScope(resource, scope)
  const grantId = await grant.save()
  await provider.interactionFinished(request, response, {
    login: { accountId: 'ada' },
    consent: { grantId },
  })
  return grantId
}

export async function listen(server: Server): Promise<URL> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen({ host: '127.0.0.1', port: 0 }, resolve)
  await promise
  const address = server.address()
  return new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`)
}

export async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  server.closeAllConnections()
  await promise
}
