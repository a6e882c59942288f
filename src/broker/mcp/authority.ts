import type { OwnerId } from '../../model/caller.ts'
import type { Provider, ProviderFile } from '../../model/provider.ts'
import { askResource } from '../../protocol/protected-resource.ts'
import { behind, type Kit } from '../kit.ts'
import { onBehalfOf } from '../refresh.ts'

const LONGEST_DETAIL = 200

/** Where a provider's MCP server is; undefined for one that has none. */
export function serverAt({ catalogue }: Kit, provider: Provider): URL | undefined {
  const { mcp, vars } = provider
  return mcp === undefined || vars.length > 0
    ? undefined
    : new URL(mcp, catalogue.destination(provider, {}).base)
}

/** The path that a request to a provider means: its MCP server is reached by `/mcp`, wherever it is. */
export function pathAt({ mcp }: Provider, path: string): string {
  if (mcp === undefined || !/^\/mcp(\?|$)/.test(path)) return path
  const query = path.slice('/mcp?'.length)
  return query === '' ? mcp : `${mcp}${mcp.includes('?') ? '&' : '?'}${query}`
}

/**
 * The provider as its server describes itself now. Another authorization server takes the place of the one
 * before: what that one issued, and the client that it knows, are of no use from then on (the grants say
 * where they came from). Scopes that were asked for once are asked for again.
 */
export async function asFoundNow(kit: Kit, owner: OwnerId, provider: Provider): Promise<Provider> {
  const { oauth } = provider
  const url = serverAt(kit, provider)
  if (oauth?.resource === undefined || url === undefined || kit.catalogue.isBuiltIn(provider.id))
    return provider
  const { now } = kit
  const found = await askResource(kit.network, url, { now, known: oauth.issuer })
  const { issuer, resource } = found
  const dpop = found.dpop || oauth.dpop
  const keeping = issuer === oauth.issuer
  if (keeping && resource === oauth.resource && dpop === oauth.dpop && !adds(provider, found.scopes))
    return provider
  const next = withScopes({ ...provider, oauth: { ...oauth, issuer, resource, dpop } }, found.scopes, {
    keeping,
  })
  return keepNoted(kit, owner, next, keeping ? wishes(found.scopes) : `it is signed in to at ${issuer} now`)
}

export function wishes(scopes: readonly string[]): string {
  return `it asks for ${scopes.join(' ')}`
}

/** What a server changes by what it says of itself goes on record too. */
export async function keepNoted(
  kit: Kit,
  owner: OwnerId,
  next: ProviderFile,
  detail: string,
): Promise<Provider> {
  const passage = await kit.gate.pass(onBehalfOf({ owner }), 'add-provider', { name: next.id })
  return behind(
    passage,
    () => kit.catalogue.keep(next),
    () => detail.slice(0, LONGEST_DETAIL),
  )
}

/** Whether these are more than what is asked for already. */
export function adds({ signIns }: Provider, scopes: readonly string[]): boolean {
  return signIns.some((signIn) => scopes.some((scope) => !signIn.scopes.includes(scope)))
}

/** The same provider, of which the union of old and new scopes is asked from now on. */
export function withScopes(
  provider: ProviderFile,
  scopes: readonly string[],
  { keeping = true } = {},
): ProviderFile {
  const signIns = provider.signIns.map((signIn) => ({
    ...signIn,
    scopes: [...new Set([...(keeping ? (signIn.scopes ?? []) : []), ...scopes])],
  }))
  return { ...provider, signIns }
}
