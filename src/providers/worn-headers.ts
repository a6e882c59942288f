import type { Provider } from '../model/provider.ts'

/** The headers that some provider's credential is worn in, in lower case. */
export function wornHeaders(providers: readonly Provider[]): readonly string[] {
  const ways = providers.flatMap(({ signIns }) => signIns.flatMap(({ present }) => present))
  return [...new Set(ways.map((way) => ('basic' in way ? 'authorization' : way.header.toLowerCase())))]
}
