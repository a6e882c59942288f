import type { Provider } from '../model/provider.ts'
import type { Flaw } from './judge-host.ts'
import { flawsOfEndpoint, LINKS } from './judge-oauth.ts'
import { placeholders } from './template.ts'

const TOKENS = ['accessToken', 'refreshToken']
const CLIENT_ID = '{clientId}'

/** The request that ends tokens shows them and the client's secret, so it goes where both are known already. */
export function* flawsOfRevoke(provider: Provider): Generator<Flaw> {
  const { revoke, oauth } = provider
  if (revoke.how === 'rfc7009' && !oauth?.revoke && !oauth?.issuer && !oauth?.resource)
    yield { field: 'revoke.how', words: 'needs an issuer, or the endpoint oauth.revoke' }
  if (revoke.how !== 'request') return
  if (!oauth) yield { field: 'revoke.how', words: 'needs oauth' }
  const [, origin = '', path = ''] = /^(https?:\/\/[^/?#]*)(.*)$/.exec(revoke.url) ?? []
  yield* flawsOfEndpoint(provider, origin + path.replaceAll(CLIENT_ID, 'x'), 'revoke.url')
  if (!hostsOf(provider).includes(hostOf(revoke.url)))
    yield { field: 'revoke.url', words: 'must go to one of hosts, or to a host of oauth' }
  const named = Object.values(revoke.json).flatMap(placeholders)
  if (!named.some((name) => TOKENS.includes(name)))
    yield { field: 'revoke.json', words: 'must name {accessToken} or {refreshToken}' }
  const unknown = named.find((name) => !TOKENS.includes(name) && `{${name}}` !== CLIENT_ID)
  if (unknown)
    yield { field: 'revoke.json', words: `names {${unknown}}, which is nothing that is known then` }
}

/** A pin of a host that the provider does not have would protect nothing, and look as if it did. */
export function* flawsOfPins(provider: Provider): Generator<Flaw> {
  // The metadata of an issuer may name any host.
  if (provider.oauth?.issuer ?? provider.oauth?.resource) return
  const known = hostsOf(provider).map((host) => host.replace(/:\d+$/, ''))
  for (const host of Object.keys(provider.pins))
    if (!known.includes(host)) yield { field: `pins.${host}`, words: 'is none of its hosts' }
}

function hostsOf({ hosts, oauth }: Provider): readonly string[] {
  return [...hosts, ...LINKS.flatMap((name) => (oauth?.[name] ? hostOf(oauth[name]) : []))]
}

function hostOf(link: string): string {
  return /^https?:\/\/([^/?#]*)/.exec(link)?.[1] ?? ''
}
