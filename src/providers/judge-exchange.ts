import type { Provider, SignIn } from '../model/provider.ts'
import type { Flaw } from './judge-host.ts'
import { flawsOfRequest } from './judge-request.ts'

/** What was issued is shown to none but hosts of the provider, and what comes of it has to be somewhere. */
export function* flawsOfExchange(
  provider: Provider,
  { exchange, fields }: SignIn,
  at: string,
): Generator<Flaw> {
  if (exchange === undefined) return
  const field = `${at}.exchange`
  if (!provider.oauth) yield { field, words: 'needs oauth' }
  if ('how' in exchange) return
  const { request, renew, whose, renewableAfterSeconds = 0, seconds = renewableAfterSeconds } = exchange
  yield* flawsOfRequest(provider, request, { field: `${field}.request`, fields })
  if (renew !== 'again') yield* flawsOfRequest(provider, renew, { field: `${field}.renew`, fields })
  if (whose) yield* flawsOfRequest(provider, whose.request, { field: `${field}.whose.request`, fields })
  if (renewableAfterSeconds > 0 && seconds <= renewableAfterSeconds)
    yield { field: `${field}.seconds`, words: 'must be longer than renewableAfterSeconds' }
  if (exchange.over.some(({ at: pointer, is }) => (pointer === undefined) !== (is === undefined)))
    yield { field: `${field}.over`, words: 'says where something stands and what, or neither' }
}

/** A key that signs what it asks for is taken whole, in a field of this name, and asks its own server. */
export function* flawsOfAssertion(
  { oauth }: Provider,
  { assertion, fields }: SignIn,
  at: string,
): Generator<Flaw> {
  if (assertion === undefined) return
  const field = `${at}.assertion`
  if (!oauth) yield { field, words: 'needs oauth' }
  if (!fields.some(({ name, secret }) => name === 'key' && secret))
    yield { field, words: 'needs a secret field "key", which the document is given in' }
}
