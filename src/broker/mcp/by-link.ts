import { parseAddress, ValetkeyError } from '#client'
import type { Caller } from '../../model/caller.ts'
import type { Provider, ProviderFile } from '../../model/provider.ts'
import { askResource, type ProtectedResource } from '../../protocol/protected-resource.ts'
import { isSafe } from '../../protocol/server.ts'
import { behind, type Kit } from '../kit.ts'
import { asFoundNow, serverAt } from './authority.ts'
import { withVouching } from './offers.ts'

/** Whether a provider is named by the address of its server. */
export function isLink(provider: string | undefined): provider is string {
  return provider !== undefined && /^[a-z][a-z0-9+.-]*:\/\//i.test(provider)
}

/**
 * The provider whose MCP server is at this address. One that nobody knows yet is asked how it is signed in to,
 * and written down as a provider of the owner's own, with that host alone for its credentials to go to.
 */
export async function providerByLink(
  kit: Kit,
  caller: Caller,
  { link, as }: { readonly link: string; readonly as?: string | undefined },
): Promise<Provider> {
  const url = readLink(link)
  if (as !== undefined && !isName(as)) throw noName()
  const there = known(kit, url, as)
  if (there !== undefined) return asFoundNow(kit, caller.owner, there)
  const passage = await kit.gate.pass(caller, 'add-provider', { name: as ?? kit.catalogue.freeName(url) })
  return behind(
    passage,
    async () => {
      if (as !== undefined && kit.catalogue.find(as) !== undefined) throw taken(as)
      const found = await askResource(kit.network, url, { now: kit.now })
      const there = known(kit, url, as)
      if (there !== undefined) return there
      const made = await kept(kit, url, { as, found })
      // What else its authorization server takes is no reason not to be connected.
      return withVouching(kit, caller.owner, made).catch(() => made)
    },
    ({ id, hosts }) => `${id}, at ${hosts.join(', ')}`,
  )
}

function readLink(link: string): URL {
  const url = URL.parse(link)
  if (url === null || !isSafe(link))
    throw new ValetkeyError('invalid-request', 'this is not the address of a server that can be connected', {
      hint: 'an address with https://; on this computer http://127.0.0.1 with its port',
    })
  return url
}

interface Found {
  readonly as: string | undefined
  readonly found: ProtectedResource
}

/** What the server says of itself may be nothing that a provider file could say. */
async function kept(kit: Kit, url: URL, { as, found }: Found): Promise<Provider> {
  try {
    return await kit.catalogue.keep(fileFor(as ?? kit.catalogue.freeName(url), url, found))
  } catch (error) {
    if (!(error instanceof ValetkeyError) || error.code !== 'config-invalid') throw error
    const why = error.message.replace(/^\S+\.json: /, '')
    throw new ValetkeyError('provider-not-configured', `${url.host} cannot be connected: ${why}`, {
      hint: 'see whether the address is right',
    })
  }
}

function isName(text: string): boolean {
  return !text.includes('/') && parseAddress(text)?.provider === text
}

function noName(): ValetkeyError {
  return new ValetkeyError('invalid-request', 'this cannot be the name of a provider', {
    hint: 'lower-case letters, digits, dots and dashes, such as notion-mcp',
  })
}

function known(kit: Kit, url: URL, as: string | undefined): Provider | undefined {
  const there = kit.catalogue.list().find((provider) => serverAt(kit, provider)?.href === url.href)
  if (there === undefined || as === undefined || as === there.id) return there
  throw new ValetkeyError('conflict', `this server is known as ${there.id} already`, {
    hint: `valetkey connect ${there.id}/${as} connects another account there`,
  })
}

function taken(name: string): ValetkeyError {
  return new ValetkeyError('conflict', `another provider is called ${name}`, { hint: 'choose another name' })
}

const BEARER = { header: 'authorization', prefix: 'Bearer ', field: 'accessToken' } as const
/** By which a program comes in with nobody behind it, where its server has made a client for it. */
const AS_A_PROGRAM = [
  { name: 'clientId', label: 'Client id', secret: false },
  { name: 'clientSecret', label: 'Client secret', secret: true, optional: true },
  { name: 'privateKey', label: 'Private key', secret: true, optional: true },
  { name: 'certificate', label: 'Certificate', secret: false, optional: true },
]

function fileFor(id: string, url: URL, { issuer, resource, scopes, dpop }: ProtectedResource): ProviderFile {
  return {
    id,
    name: url.host,
    category: 'other',
    hosts: [url.host],
    mcp: url.pathname + url.search,
    oauth: { issuer, resource, ...(dpop && { dpop }) },
    registration: 'dynamic',
    signIns: [
      { flow: 'authorization-code', scopes: [...scopes], present: [BEARER] },
      { flow: 'client-credentials', scopes: [...scopes], present: [BEARER], fields: AS_A_PROGRAM },
    ],
    revoke: { how: 'rfc7009' },
  }
}
