import type { Provider } from '../model/provider.ts'

// A provider has one id and may have several faces: a way in that is called by a name of its own comes first
// where it is meant, and what is other by one way stands in its place for whoever came in by it.

/** Every name by which one of its ways in is meant. */
export function waysOf({ signIns }: Provider): readonly string[] {
  return [...new Set(signIns.flatMap(({ called }) => called))]
}

/** The same provider, with the ways in that are called so before all others. */
export function calledBy(provider: Provider, name: string): Provider {
  const [meant, others] = [true, false].map((is) =>
    provider.signIns.filter(({ called }) => called.includes(name) === is),
  )
  return { ...provider, signIns: [...(meant ?? []), ...(others ?? [])] }
}

const views = new WeakMap<Provider, Map<string, Provider>>()

/** The provider as one way in sees it. It is the same one each time, so that it can be told by being it. */
export function seenBy(provider: Provider, flow: string): Provider {
  const known = views.get(provider) ?? new Map<string, Provider>()
  views.set(provider, known)
  const before = known.get(flow)
  if (before !== undefined) return before
  const view = apart(provider, flow)
  known.set(flow, view)
  return view
}

function apart(provider: Provider, flow: string): Provider {
  const other = provider.signIns.find((signIn) => signIn.flow === flow)?.apart
  if (other === undefined) return provider
  const { mcp, ...rest } = provider
  return {
    ...rest,
    // What belongs to the rest of it is not good elsewhere.
    ...(other.hosts === undefined && mcp !== undefined ? { mcp } : {}),
    hosts: other.hosts ?? provider.hosts,
    headers: other.headers ?? provider.headers,
    oauth: other.oauth ?? provider.oauth,
    registration: other.registration ?? provider.registration,
    revoke: other.revoke ?? provider.revoke,
  }
}
