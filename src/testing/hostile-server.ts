import { createHash, randomBytes } from 'node:crypto'
import type { JWK, JWTPayload } from 'jose'
import { canary } from './canary.ts'
import { honestIdToken, type SigningKey, signingKey } from './signing.ts'
import { type StandInAnswer, type StandInRequest, standIn } from './stand-in.ts'

type Json = Readonly<Record<string, unknown>>

/** What of the server is not as it should be. Each part gets what an honest server would have done. */
export interface Script {
  readonly metadata?: (honest: Json, request: StandInRequest) => StandInAnswer | Promise<StandInAnswer>
  /** What the browser is sent back with. */
  readonly callback?: (honest: URLSearchParams) => void
  readonly token?: (honest: Json, form: URLSearchParams) => StandInAnswer | Promise<StandInAnswer>
  readonly claims?: (honest: JWTPayload) => JWTPayload
  /** Signs, or makes up, the ID token. */
  readonly idToken?: (claims: JWTPayload, keys: readonly SigningKey[]) => Promise<string>
  readonly jwks?: (honest: { readonly keys: readonly JWK[] }) => StandInAnswer
  readonly userinfo?: (honest: Json) => StandInAnswer | Promise<StandInAnswer>
  readonly revoke?: (form: URLSearchParams) => StandInAnswer
  readonly register?: (honest: Json, request: StandInRequest) => StandInAnswer
  /** Where requests for authorization are pushed; there is no such place unless this is set. */
  readonly par?: (form: URLSearchParams) => StandInAnswer
  /** Where tokens are asked about; the same. */
  readonly introspect?: (form: URLSearchParams) => StandInAnswer
}

export interface HostileServer {
  readonly issuer: string
  readonly requests: readonly StandInRequest[]
  /** Every form that reached the token endpoint. */
  readonly forms: readonly URLSearchParams[]
  /** Codes that it issued itself. */
  readonly codes: ReadonlySet<string>
  /** What it issued; none of it may ever be seen outside. */
  readonly issued: readonly string[]
  /** From now on it does this, and everything else honestly. */
  play(script: Script): void
  /** From now on it signs with another key, and shows no older one. */
  rotateKeys(): Promise<void>
  /** Plays the browser: where it is sent when the person agrees. Rejects where it is not sent anywhere. */
  consent(url: URL): Promise<URL>
  close(): Promise<void>
}

export interface HostileOptions {
  /** A path that the issuer has, such as `/tenant`. */
  readonly path?: string
  readonly subject?: string
  readonly alg?: string
  /** The paths of endpoints that a provider names one by one. */
  readonly endpoints?: Readonly<
    Partial<Record<'authorize' | 'token' | 'revoke' | 'userinfo', string | undefined>>
  >
  /** The only addresses it sends a browser back to; without a list, any. */
  readonly redirectUris?: readonly string[]
}

interface Pending {
  readonly clientId: string
  readonly redirectUri: string
  readonly challenge: string | null
  readonly nonce: string | null
}

/** An authorization server on loopback that does, part by part, what it is told, and is honest otherwise. */
export async function hostileServer(options: HostileOptions = {}): Promise<HostileServer> {
  const { path = '', endpoints = {}, subject = 'person-1', alg = 'ES256' } = options
  let script: Script = {}
  let origin = ''
  let issuer = ''
  let keys = [await signingKey(alg)]
  const pending = new Map<string, Pending>()
  const [codes, issued, forms] = [new Set<string>(), [] as string[], [] as URLSearchParams[]]
  const issue = (name: string) => {
    const secret = canary(name)
    issued.push(secret)
    return secret
  }

  async function idTokenFor(claims: JWTPayload): Promise<string> {
    const said = script.claims?.(claims) ?? claims
    return (script.idToken ?? honestIdToken)(said, keys)
  }

  const metadata = async (request: StandInRequest): Promise<StandInAnswer> => {
    const honest = metadataOf(issuer, script)
    return script.metadata?.(honest, request) ?? { body: honest }
  }

  const token = async (request: StandInRequest): Promise<StandInAnswer> => {
    const form = new URLSearchParams(String(await request.body))
    forms.push(form)
    const asked =
      form.get('grant_type') === 'refresh_token' ? renewal(request, form) : redeemed(request, form)
    if (asked === undefined && script.token === undefined)
      return { status: 400, body: { error: 'invalid_grant' } }
    const accessToken = issue('access')
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: issuer,
      sub: subject,
      aud: asked?.clientId ?? 'unknown',
      iat: now,
      exp: now + 300,
      ...(asked?.nonce ? { nonce: asked.nonce } : {}),
      at_hash: createHash('sha256').update(accessToken).digest().subarray(0, 16).toString('base64url'),
    }
    const honest = {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: 300,
      refresh_token: issue('refresh'),
      scope: 'openid profile',
      id_token: await idTokenFor(claims),
    }
    return script.token?.(honest, form) ?? { body: honest }
  }

  /** The code once, by its client, from its address, and with the verifier of its challenge. */
  function redeemed(request: StandInRequest, form: URLSearchParams): Pending | undefined {
    const code = form.get('code') ?? ''
    const it = pending.get(code)
    pending.delete(code)
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url')
    const right =
      it?.clientId === clientOf(request, form) &&
      it.redirectUri === form.get('redirect_uri') &&
      (it.challenge === null || it.challenge === challenge)
    return right ? it : undefined
  }

  function renewal(request: StandInRequest, form: URLSearchParams): Pending | undefined {
    if (!issued.includes(form.get('refresh_token') ?? '')) return undefined
    return { clientId: clientOf(request, form), redirectUri: '', challenge: null, nonce: null }
  }

  const authorize = ({ path: asked }: StandInRequest): StandInAnswer => {
    const params = new URL(asked, origin).searchParams
    const redirectUri = params.get('redirect_uri') ?? ''
    if (options.redirectUris?.includes(redirectUri) === false) return { status: 400 }
    const code = issue('code')
    codes.add(code)
    pending.set(code, {
      clientId: params.get('client_id') ?? '',
      redirectUri,
      challenge: params.get('code_challenge'),
      nonce: params.get('nonce'),
    })
    const answer = new URLSearchParams({ code, state: params.get('state') ?? '', iss: issuer })
    script.callback?.(answer)
    const location = `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${answer}`
    return { status: 302, headers: { location } }
  }

  // RFC 8414 §3.1: a slash at the end of an issuer is left out here.
  const inPath = path.replace(/\/$/, '')
  const there = await standIn({
    [`GET /.well-known/oauth-authorization-server${inPath}`]: metadata,
    [`GET /.well-known/openid-configuration${inPath}`]: metadata,
    [`GET ${inPath}/.well-known/openid-configuration`]: metadata,
    [`GET ${endpoints.authorize ?? '/authorize'}`]: authorize,
    [`POST ${endpoints.token ?? '/token'}`]: token,
    'GET /jwks': () => {
      const honest = { keys: keys.map(({ jwk }) => jwk) }
      return script.jwks?.(honest) ?? { body: honest }
    },
    [`GET ${endpoints.userinfo ?? '/userinfo'}`]: async () => {
      const honest = { sub: subject, name: 'Zoë', email: 'zoe@example.com', email_verified: true }
      return script.userinfo?.(honest) ?? { body: honest }
    },
    [`POST ${endpoints.revoke ?? '/revoke'}`]: async ({ body }) =>
      script.revoke?.(new URLSearchParams(String(await body))) ?? {},
    'POST /par': async ({ body }) => script.par?.(new URLSearchParams(String(await body))) ?? { status: 404 },
    'POST /introspect': async ({ body }) =>
      script.introspect?.(new URLSearchParams(String(await body))) ?? { status: 404 },
    'POST /register': async (request) => {
      const honest = {
        ...JSON.parse(String(await request.body)),
        client_id: `client-${randomBytes(4).toString('hex')}`,
        registration_access_token: issue('registration'),
        registration_client_uri: `${origin}/register/one`,
      }
      return script.register?.(honest, request) ?? { status: 201, body: honest }
    },
    'DELETE /register/one': { status: 204 },
  }).listen()
  origin = there.origin
  issuer = `${origin}${path}`

  return {
    issuer,
    requests: there.requests,
    forms,
    codes,
    issued,
    play: (next) => {
      script = next
    },
    rotateKeys: async () => {
      keys = [await signingKey(alg)]
    },
    consent: async (url) => {
      const answer = await fetch(url, { redirect: 'manual' })
      return new URL(answer.headers.get('location') ?? '')
    },
    close: there.close,
  }
}

/** The endpoints do not depend on the issuer's path: metadata alone say where they are. */
function metadataOf(issuer: string, { par, introspect }: Script): Json {
  const { origin } = new URL(issuer)
  return {
    issuer,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    revocation_endpoint: `${origin}/revoke`,
    userinfo_endpoint: `${origin}/userinfo`,
    jwks_uri: `${origin}/jwks`,
    registration_endpoint: `${origin}/register`,
    ...(par && { pushed_authorization_request_endpoint: `${origin}/par` }),
    ...(introspect && { introspection_endpoint: `${origin}/introspect` }),
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
    id_token_signing_alg_values_supported: ['RS256', 'ES256', 'HS256', 'none'],
    scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
  }
}

/** RFC 6749 §2.3.1: the id is form-encoded before it is base64. */
function clientOf({ headers }: StandInRequest, form: URLSearchParams): string {
  const [, pair] = /^Basic (.+)$/.exec(String(headers['authorization'] ?? '')) ?? []
  if (pair === undefined) return form.get('client_id') ?? ''
  const [id = ''] = Buffer.from(pair, 'base64').toString('utf8').split(':')
  return decodeURIComponent(id.replaceAll('+', ' '))
}
