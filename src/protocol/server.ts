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
  /** Where a browser is sent; a server for programs alone has no such place. */
  authorize: endpoint.optional(),
  token: endpoint,
  revoke: endpoint.optional(),
  userinfo: endpoint.optional(),
  jwks: endpoint.optional(),
  register: endpoint.optional(),
  /** Where a code is had that a person enters elsewhere (RFC 8628). */
  device: endpoint.optional(),
  /** Where a request for authorization is pushed (RFC 9126), and whether it takes them in no other way. */
  par: endpoint.optional(),
  requiresPar: z.boolean().optional(),
  /** Where a token is asked about (RFC 7662). */
  introspect: endpoint.optional(),
  /** The same places for a client that shows a certificate (RFC 8705 §5). */
  aliases: z
    .strictObject({
      token: endpoint.optional(),
      revoke: endpoint.optional(),
      introspect: endpoint.optional(),
      par: endpoint.optional(),
      device: endpoint.optional(),
      userinfo: endpoint.optional(),
    })
    .optional(),
  /** With what a proof of possession may be signed (RFC 9449); unsaid is not known. */
  dpopAlgorithms: z.array(z.string()).optional(),
  /** Its answers always name it (RFC 9207). */
  tellsIssuer: z.boolean(),
  /** It said so, or its provider did. */
  pkce: z.boolean(),
  algorithms: z.array(z.enum(ALGORITHMS)),
  clientAuth: z.array(z.string()).optional(),
  scopes: z.array(z.string()).optional(),
  /** It takes the address of a document for a client's id. */
  clientDocuments: z.boolean().optional(),
  /** It takes the word of an identity provider for whose account it is. */
  takesIdJag: z.boolean().optional(),
})

export type Server = z.infer<typeof serverSchema>

/** The endpoints that a provider names itself. */
export type Named = Readonly<
  Partial<Pick<Server, 'authorize' | 'token' | 'revoke' | 'userinfo' | 'device' | 'par' | 'introspect'>>
>

/** A browser can be sent nowhere at a server that has no place for it. */
export function refuseBrowserless({ authorize }: Server): void {
  if (authorize !== undefined) return
  throw new ValetkeyError('provider-not-configured', 'the provider names no place to sign in at', {
    hint: 'it issues tokens to programs alone, or its metadata name no authorization_endpoint',
  })
}

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
  const names = ['authorize', 'token', 'revoke', 'userinfo', 'par', 'introspect'] as const
  const links = [
    ...names.map((name) => [name, oauth[name]] as const),
    ['device', oauth.device?.authorize] as const,
  ]
  return Object.fromEntries(
    links.flatMap(([name, link]) => (link === undefined ? [] : [[name, place(link).href]])),
  )
}

/** The provider's issuer, to the letter. */
export function issuerOf({ issuer }: OAuth, { place }: Authority): string | undefined {
  // An address parser adds a slash to a bare host; behind a last segment there is nothing it could add.
  return issuer === undefined ? undefined : place(`${issuer}/-`).href.slice(0, -2)
}

/** By what name each place is known in the metadata of a server. */
export const IN_WORDS = {
  token: 'token_endpoint',
  revoke: 'revocation_endpoint',
  introspect: 'introspection_endpoint',
  par: 'pushed_authorization_request_endpoint',
  device: 'device_authorization_endpoint',
  userinfo: 'userinfo_endpoint',
} as const

type Place = keyof typeof IN_WORDS

/** The same server in the words of RFC 8414, for the library. */
export function metadataOf(server: Server): ServerMetadata {
  const { issuer, authorize, token, jwks, aliases, tellsIssuer, algorithms } = server
  return {
    issuer: issuer ?? new URL(authorize ?? token).origin,
    ...(authorize === undefined ? {} : { authorization_endpoint: authorize }),
    ...inWords(server),
    ...(aliases === undefined ? {} : { mtls_endpoint_aliases: inWords(aliases) }),
    ...(jwks === undefined ? {} : { jwks_uri: jwks }),
    authorization_response_iss_parameter_supported: tellsIssuer,
    id_token_signing_alg_values_supported: [...algorithms],
  }
}

function inWords(places: Readonly<Partial<Record<Place, string | undefined>>>): Record<string, string> {
  return Object.fromEntries(
    (Object.keys(IN_WORDS) as Place[]).flatMap((name) => {
      const link = places[name]
      return link === undefined ? [] : [[IN_WORDS[name], link]]
    }),
  )
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
