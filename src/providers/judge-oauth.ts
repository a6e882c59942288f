import { wornFields } from '../model/provider/worn.ts'
import type { OAuth, Provider, SignIn } from '../model/provider.ts'
import { isScope } from '../protocol/scopes.ts'
import { isAddressOf } from './destination.ts'
import { type Flaw, flawsOfHost, undeclared } from './judge-host.ts'
import { placeholders } from './template.ts'
import { seenBy } from './ways.ts'

/** What an authorization server issues, by the name under which it is worn; no person fills it in. */
export const ISSUED = 'accessToken'

/** The fields that a sign-in issues, so that nobody is asked for them. */
export function issuedBy({ oauth }: Provider, { mint, present }: SignIn): readonly string[] {
  const keys = present.flatMap((way) => (mint && 'sigv4' in way ? wornFields(way) : []))
  return oauth || mint?.how === 'github-app' ? [ISSUED, ...keys] : keys
}

export const LINKS = [
  'issuer',
  'authorize',
  'token',
  'revoke',
  'userinfo',
  'refresh',
  'par',
  'introspect',
] as const

/** What a request for authorization says of itself, so that no file can say it in our place. */
const OURS = new Set([
  'response_type',
  'client_id',
  'redirect_uri',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'resource',
  'request',
  'request_uri',
  'dpop_jkt',
])

export function* flawsOfOAuth(provider: Provider): Generator<Flaw> {
  yield* flawsOfServer(provider)
  for (const [i, signIn] of provider.signIns.entries()) {
    const seen = seenBy(provider, signIn.flow)
    yield* flawsOfScopes(seen.oauth, signIn, `signIns[${i}].scopes`)
  }
}

export function* flawsOfServer(provider: Provider): Generator<Flaw> {
  const { oauth } = provider
  if (oauth === undefined) return
  for (const name of LINKS) yield* flawsOfEndpoint(provider, oauth[name], `oauth.${name}`)
  yield* flawsOfIssuer(oauth.issuer)
  yield* flawsOfParams(oauth)
  yield* flawsOfResource(provider, oauth)
}

/** An endpoint gets the code, the client's secret and the refresh token, so it moves as little as a host. */
export function* flawsOfEndpoint(
  provider: Provider,
  link: string | undefined,
  field: string,
): Generator<Flaw> {
  if (link === undefined) return
  yield* undeclared(provider, link, field)
  const [, host = '', rest = ''] = /^https?:\/\/([^/?#]*)(.*)$/.exec(link) ?? []
  if (rest.includes('#') || host.includes('@')) yield { field, words: 'must have no fragment and no user' }
  const [variable = ''] = placeholders(link)
  if (!isAddressOf(provider, variable)) yield* flawsOfHost(provider, host, field)
  else if (link !== `https://{${variable}}`) yield { field, words: 'must be this variable and nothing else' }
}

/** Issuers are compared to the letter, so one that an address parser would change could never be met. */
function* flawsOfIssuer(issuer: string | undefined): Generator<Flaw> {
  if (issuer === undefined || placeholders(issuer).length > 0) return
  const href = URL.parse(issuer)?.href
  if (href !== issuer && href !== `${issuer}/`)
    yield { field: 'oauth.issuer', words: 'must be written as its server writes it' }
  if (/[?#]/.test(issuer)) yield { field: 'oauth.issuer', words: 'must have no query and no fragment' }
}

/** It is found by asking its MCP server, and its tokens go to no other. */
function* flawsOfResource({ hosts, mcp, vars }: Provider, { resource }: OAuth): Generator<Flaw> {
  if (resource === undefined) return
  if (mcp === undefined) yield { field: 'oauth.resource', words: 'needs mcp, the path of the server' }
  if (vars.length > 0) yield { field: 'oauth.resource', words: 'is of one server, so there are no vars' }
  const url = URL.parse(resource)
  if (url?.host !== hosts[0]) yield { field: 'oauth.resource', words: 'must be at the first of hosts' }
  if (resource.includes('#')) yield { field: 'oauth.resource', words: 'must have no fragment' }
}

function* flawsOfParams({ authorizeParams }: OAuth): Generator<Flaw> {
  const ours = Object.keys(authorizeParams).find((name) => OURS.has(name))
  if (ours) yield { field: `oauth.authorizeParams.${ours}`, words: 'is not for a provider to set' }
  const mode = authorizeParams['response_mode'] ?? 'query'
  if (mode !== 'query' && mode !== 'form_post')
    yield { field: 'oauth.authorizeParams.response_mode', words: 'must be "query" or "form_post"' }
}

/** Who signs in with OpenID Connect proves it by a signature, and only an issuer has keys. */
function* flawsOfScopes(oauth: OAuth | undefined, { scopes }: SignIn, field: string): Generator<Flaw> {
  if (scopes.length > 0 && !oauth) yield { field, words: 'needs oauth' }
  if (scopes.includes('openid') && !oauth?.issuer && oauth?.idToken !== 'unread')
    yield { field, words: 'with openid needs an oauth.issuer' }
  if (!scopes.every(isScope))
    yield { field, words: 'must be visible ASCII, without spaces, quotes and backslashes' }
}
