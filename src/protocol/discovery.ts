import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Network } from '../model/network.ts'
import type { Authority, OAuth } from '../model/provider.ts'
import { type Answer, ask, refuseTrouble } from './ask.ts'
import { ALGORITHMS, isSafe, issuerOf, namedEndpoints, type Server, serverSchema } from './server.ts'
import { strictObject } from './strict-json.ts'

const MOST_AGE_MS = 24 * 60 * 60 * 1000
const MOST_KEPT = 100

/** What of RFC 8414 and OpenID Connect Discovery is read at all. */
const documentSchema = z.object({
  issuer: z.string(),
  authorization_endpoint: z.string(),
  token_endpoint: z.string(),
  revocation_endpoint: z.string().optional(),
  userinfo_endpoint: z.string().optional(),
  jwks_uri: z.string().optional(),
  registration_endpoint: z.string().optional(),
  authorization_response_iss_parameter_supported: z.boolean().default(false),
  code_challenge_methods_supported: z.array(z.string()).default([]),
  id_token_signing_alg_values_supported: z.array(z.string()).default(['RS256']),
  token_endpoint_auth_methods_supported: z.array(z.string()).optional(),
  scopes_supported: z.array(z.string()).optional(),
  client_id_metadata_document_supported: z.boolean().default(false),
})

/** Servers that were found lately, by their issuer. */
export type FoundServers = Map<string, { readonly server: Server; readonly at: Date }>

/** Finds the server of an issuer by its metadata, or remembers it, for a day at most. */
export async function discover(
  network: Network,
  issuer: string,
  { found, now }: { readonly found: FoundServers; readonly now: () => Date },
): Promise<Server> {
  const kept = found.get(issuer)
  if (kept && now().getTime() - kept.at.getTime() < MOST_AGE_MS) return kept.server
  const server = judgeMetadata(issuer, strictObject((await metadataAt(network, issuer, now)).text))
  found.delete(issuer)
  for (const oldest of [...found.keys()].slice(0, Math.max(0, found.size - MOST_KEPT + 1)))
    found.delete(oldest)
  found.set(issuer, { server, at: now() })
  return server
}

/** The authorization server: by its issuer's metadata, which the provider file only completes, or by the file alone. */
export async function findServer(
  network: Network,
  oauth: OAuth,
  at: Authority,
  lately: { readonly found: FoundServers; readonly now: () => Date },
): Promise<Server> {
  const { authorize, token, ...named } = namedEndpoints(oauth, at)
  const issuer = issuerOf(oauth, at)
  if (issuer !== undefined) return { ...named, ...(await discover(network, issuer, lately)) }
  if (authorize === undefined || token === undefined)
    throw new ValetkeyError('config-invalid', 'no endpoints')
  return { ...named, issuer: null, authorize, token, tellsIssuer: false, pkce: true, algorithms: [] }
}

/** RFC 8414 §3.1 first, then the two places of OpenID Connect. */
export function wellKnown(issuer: string): readonly URL[] {
  const { origin, pathname, search, hash } = new URL(issuer)
  if (!isSafe(issuer) || search + hash !== '' || /[?#]/.test(issuer))
    throw refused(issuer, 'an issuer is an https address without query and fragment')
  const path = pathname.replace(/\/$/, '')
  const places = [
    `/.well-known/oauth-authorization-server${path}`,
    `/.well-known/openid-configuration${path}`,
    `${path}/.well-known/openid-configuration`,
  ]
  return [...new Set(places)].map((place) => new URL(origin + place))
}

async function metadataAt(network: Network, issuer: string, now: () => Date): Promise<Answer> {
  for (const place of wellKnown(issuer)) {
    const answer = await ask(network, place, {}, { now })
    if (answer.status >= 500 || answer.status === 429) refuseTrouble(answer)
    if (answer.status === 200 && answer.type === 'application/json') return answer
  }
  throw refused(issuer, 'there are no metadata of an authorization server')
}

/** RFC 8414 §3.3: what calls itself by another name is somebody else. */
export function judgeMetadata(issuer: string, document: unknown): Server {
  const read = documentSchema.safeParse(document)
  if (!read.success)
    throw refused(issuer, `its metadata have no usable ${read.error.issues[0]?.path.join('.')}`)
  const said = read.data
  if (said.issuer !== issuer) throw refused(issuer, 'its metadata are those of another issuer')
  const server = serverSchema.safeParse({
    issuer,
    authorize: said.authorization_endpoint,
    token: said.token_endpoint,
    revoke: said.revocation_endpoint,
    userinfo: said.userinfo_endpoint,
    jwks: said.jwks_uri,
    register: said.registration_endpoint,
    tellsIssuer: said.authorization_response_iss_parameter_supported,
    pkce: said.code_challenge_methods_supported.includes('S256'),
    algorithms: ALGORITHMS.filter((one) => said.id_token_signing_alg_values_supported.includes(one)),
    clientAuth: said.token_endpoint_auth_methods_supported,
    scopes: said.scopes_supported,
    clientDocuments: said.client_id_metadata_document_supported || undefined,
  })
  if (server.success) return server.data
  throw refused(
    issuer,
    `its ${server.error.issues[0]?.path[0]?.toString()} endpoint is not reached over https`,
  )
}

function refused(issuer: string, why: string): ValetkeyError {
  const host = URL.parse(issuer)?.host ?? 'this issuer'
  return new ValetkeyError('provider-not-configured', `${host} cannot be signed in to: ${why}`, {
    hint: 'check the issuer, letter by letter',
  })
}
