import { wornHeader } from '../model/provider/worn.ts'
import type { Provider } from '../model/provider.ts'

let known: { readonly providers: readonly Provider[]; readonly headers: readonly string[] } | undefined

/** The headers that some provider's credential is worn in, in lower case; the same list for the same providers. */
export function wornHeaders(providers: readonly Provider[]): readonly string[] {
  if (known === undefined || !areSame(known.providers, providers))
    known = { providers, headers: read(providers) }
  return known.headers
}

function read(providers: readonly Provider[]): readonly string[] {
  const ways = providers.flatMap(({ signIns }) => signIns.flatMap(({ present }) => present))
  return [...new Set(ways.map(wornHeader))]
}

function areSame(one: readonly Provider[], other: readonly Provider[]): boolean {
  return one.length === other.length && one.every((provider, at) => provider === other[at])
}
