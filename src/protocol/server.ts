import type { ServerMetadata } from 'openid-client'
import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Authority, OAuth } from '../model/provider.ts'

/** The only algorithms that an ID token may be signed with: `none` and shared secrets are not among them. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

const endpoint = z.string().refine(isSafe, 'is not reached over https')

/** An authorization server, and nothing of it that was not judged. Plain, so that it can be remembered. */
export const serverSchema = z.strictObject({
  /** Compared to the letter; null for a server whose endpoints the provider names one by one. */
  issuer: z.string().nullable(),
  authorize: endpoint,
  token: endpoint,
  revoke: endpoint.optional(),
  userinfo: endpoint.optional(),
  jwks: endpoint.optional(),
  register: endpoint.optional(),
  /** Its answers always name it (RFC 9207). */
  tellsIssuer: z.boolean(),
  /** It said so, or its provider did. */
  pkce: z.boolean(),
  algorithms: z.array(z.enum(ALGORITHMS)),
  clientAuth: z.array(z.string()).optional(),
  scopes: z.array(z.string()).optional(),
  /** It takes the address of a document for a client's id. */
  clientDocuments: z.boolean().optional(),
})

export type Server = z.infer<typeof serverSchema>

/** The endpoints that a provider names itself. */
export type Named = Readonly<Partial<Pick<Server, 'authorize' | 'token' | 'revoke' | 'userinfo'>>>

/** Without a promise of PKCE a stolen code could be redeemed; nothing weaker is tried instead. */
export function refuseDowngrade({ pkce }: OAuth, server: Server): void {
  if (pkce === 'none' || server.pkce) return
  throw new ValetkeyError('provider-not-configured', 'the provider does not promise PKCE with S256', {
    hint: 'its metadata name no code_challenge_methods_supported',
  })
}

// RFC 8252 §7.3: loopback is known by its literal, and by no name.
const LOOPBACK = new Set(['127.0.0.1', '[::1]'])

/** Https, or plain http to this very computer, where the network has the last word. */
export function isSafe(link: string): boolean {
  const url = URL.parse(link)
  if (url === null || url.username + url.password + url.hash !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname))
}

/** The endpoints of a provider file, with its variables filled in or the operator's stand-in in their place. */
export function namedEndpoints(oauth: OAuth, { place }: Authority): Named {
  const names = ['authorize', 'token', 'revoke', 'userinfo'] as const
  return Object.fromEntries(
    names.flatMap((name) => {
      const link = oauth[name]
      return link === undefined ? [] : [[name, place(link).href]]
    }),
  )
}

/** The provider's issuer, to the letter. */
export function issuerOf({ issuer }: OAuth, { place }: Authority): string | undefined {
  // An address parser adds a slash to a bare host; behind a last segment there is nothing it could add.
  return issuer === undefined ? undefined : place(`${issuer}/-`).href.slice(0, -2)
}

/** The same server in the words of RFC 8414, for the library. */
export function metadataOf(server: Server): ServerMetadata {
  const { issuer, authorize, token, revoke, userinfo, jwks, tellsIssuer, algorithms } = server
  return {
    issuer: issuer ?? new URL(authorize).origin,
    authorization_endpoint: authorize,
    token_endpoint: token,
    ...(revoke === undefined ? {} : { revocation_endpoint: revoke }),
    ...(userinfo === undefined ? {} : { userinfo_endpoint: userinfo }),
    ...(jwks === undefined ? {} : { jwks_uri: jwks }),
    authorization_response_iss_parameter_supported: tellsIssuer,
    id_token_signing_alg_values_supported: [...algorithms],
  }
}

/** How a client that has a secret shows it here: as its provider says, unless the server says otherwise. */
export function clientAuthOf(server: Server, declared: OAuth['clientAuth']): OAuth['clientAuth'] {
  const known = server.clientAuth?.flatMap((one) => WAYS.get(one) ?? [])
  return known === undefined || known.includes(declared) ? declared : (known[0] ?? declared)
}

const WAYS: ReadonlyMap<string, OAuth['clientAuth']> = new Map([
  ['client_secret_basic', 'basic'],
  ['client_secret_post', 'post'],
])
