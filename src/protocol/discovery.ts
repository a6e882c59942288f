import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Network } from '../model/network.ts'
import type { Authority, OAuth } from '../model/provider.ts'
import { type Answer, ask, refuseTrouble } from './ask.ts'
import { ID_JAG_PROFILE, JWT_BEARER } from './id-jag.ts'
import {
  ALGORITHMS,
  IN_WORDS,
  isSafe,
  issuerOf,
  type Named,
  namedEndpoints,
  type Server,
  serverSchema,
} from './server.ts'
import { strictObject } from './strict-json.ts'

const MOST_AGE_MS = 24 * 60 * 60 * 1000
const MOST_KEPT = 100

/** What of RFC 8414 and OpenID Connect Discovery is read at all. */
const documentSchema = z.object({
  issuer: z.string(),
  authorization_endpoint: z.string().optional(),
  token_endpoint: z.string(),
  revocation_endpoint: z.string().optional(),
  userinfo_endpoint: z.string().optional(),
  jwks_uri: z.string().optional(),
  registration_endpoint: z.string().optional(),
  device_authorization_endpoint: z.string().optional(),
  pushed_authorization_request_endpoint: z.string().optional(),
  require_pushed_authorization_requests: z.boolean().default(false),
  introspection_endpoint: z.string().optional(),
  mtls_endpoint_aliases: z.record(z.string(), z.unknown()).optional(),
  dpop_signing_alg_values_supported: z.array(z.string()).optional(),
  authorization_response_iss_parameter_supported: z.boolean().default(false),
  code_challenge_methods_supported: z.array(z.string()).default([]),
  id_token_signing_alg_values_supported: z.array(z.string()).default(['RS256']),
  token_endpoint_auth_methods_supported: z.array(z.string()).optional(),
  scopes_supported: z.array(z.string()).optional(),
  client_id_metadata_document_supported: z.boolean().default(false),
  grant_types_supported: z.array(z.string()).default([]),
  authorization_grant_profiles_supported: z.array(z.string()).optional(),
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
  const { token, ...named } = namedEndpoints(oauth, at)
  const issuer = issuerOf(oauth, at)
  if (issuer !== undefined) return completed(await discover(network, issuer, lately), named)
  if (token === undefined) throw new ValetkeyError('config-invalid', 'no endpoints')
  return { ...named, issuer: null, token, tellsIssuer: false, pkce: true, algorithms: [] }
}

/** What the metadata do not speak of is where the provider file says. */
function completed(server: Server, named: Named): Server {
  const said = Object.entries(server).filter(([, value]) => value !== undefined)
  return serverSchema.parse({ ...named, ...Object.fromEntries(said) })
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
    device: said.device_authorization_endpoint,
    par: said.pushed_authorization_request_endpoint,
    requiresPar: said.require_pushed_authorization_requests || undefined,
    introspect: said.introspection_endpoint,
    aliases: said.mtls_endpoint_aliases && aliasesIn(said.mtls_endpoint_aliases),
    dpopAlgorithms: said.dpop_signing_alg_values_supported,
    tellsIssuer: said.authorization_response_iss_parameter_supported,
    pkce: said.code_challenge_methods_supported.includes('S256'),
    algorithms: ALGORITHMS.filter((one) => said.id_token_signing_alg_values_supported.includes(one)),
    clientAuth: said.token_endpoint_auth_methods_supported,
    scopes: said.scopes_supported,
    clientDocuments: said.client_id_metadata_document_supported || undefined,
    takesIdJag: takesIdJag(said) || undefined,
  })
  if (server.success) return server.data
  throw refused(
    issuer,
    `its ${server.error.issues[0]?.path[0]?.toString()} endpoint is not reached over https`,
  )
}

function aliasesIn(said: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.entries(IN_WORDS).flatMap(([name, word]) =>
      Object.hasOwn(said, word) ? [[name, said[word]]] : [],
    ),
  )
}

/** Where it does not name the profiles of grants that it knows, a grant by assertion may be of that one. */
function takesIdJag(said: z.infer<typeof documentSchema>): boolean {
  const { grant_types_supported: grants, authorization_grant_profiles_supported: profiles } = said
  return profiles === undefined ? grants.includes(JWT_BEARER) : profiles.includes(ID_JAG_PROFILE)
}

function refused(issuer: string, why: string): ValetkeyError {
  const host = URL.parse(issuer)?.host ?? 'this issuer'
  return new ValetkeyError('provider-not-configured', `${host} cannot be signed in to: ${why}`, {
    hint: 'check the issuer, letter by letter',
  })
}
