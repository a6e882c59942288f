import { wornFields } from '../model/provider/worn.ts'
import type { Provider } from '../model/provider.ts'
import type { Flaw } from './judge-host.ts'
import { flawsOfRequest, hostsOf, TOKENS } from './judge-request.ts'
import { placeholders } from './template.ts'

/** The request that ends tokens shows them and the client's secret, so it goes where both are known already. */
export function* flawsOfRevoke(provider: Provider): Generator<Flaw> {
  const { revoke, oauth, signIns } = provider
  if (revoke.how === 'rfc7009' && !oauth?.revoke && !oauth?.issuer && !oauth?.resource)
    yield { field: 'revoke.how', words: 'needs an issuer, or the endpoint oauth.revoke' }
  if (revoke.how !== 'request') return
  if (!oauth) yield { field: 'revoke.how', words: 'needs oauth' }
  yield* flawsOfRequest(provider, revoke, { field: 'revoke' })
  const { auth, form = {}, json = {}, query, headers } = revoke
  const named = [form, json, query, headers].flatMap((texts) => Object.values(texts).flatMap(placeholders))
  const worn = auth === 'token' ? signIns.flatMap(({ present }) => present.flatMap(wornFields)) : []
  const isWhose = named.some((name) => provider.vars.some((variable) => variable.name === name))
  if (revoke.ends.length > 0 && !isWhose)
    yield { field: 'revoke.ends', words: 'needs a variable in the request, which says whose they are' }
  if (revoke.ends.length === 0 && ![...named, ...worn].some((name) => TOKENS.some((token) => token === name)))
    yield {
      field: `revoke.${revoke.form ? 'form' : 'json'}`,
      words: 'must name {accessToken} or {refreshToken}',
    }
}

/** A pin of a host that the provider does not have would protect nothing, and look as if it did. */
export function* flawsOfPins(provider: Provider): Generator<Flaw> {
  // The metadata of an issuer may name any host.
  if (provider.oauth?.issuer ?? provider.oauth?.resource) return
  const known = hostsOf(provider).map((host) => host.replace(/:\d+$/, ''))
  for (const host of Object.keys(provider.pins))
    if (!known.includes(host)) yield { field: `pins.${host}`, words: 'is none of its hosts' }
}
