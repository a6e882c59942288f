import type { OwnerId } from '../../model/caller.ts'
import type { Provider } from '../../model/provider.ts'
import { discover } from '../../protocol/discovery.ts'
import { issuerOf } from '../../protocol/server.ts'
import type { Kit } from '../kit.ts'
import { keepNoted } from './authority.ts'

const FLOW = 'id-jag'
const BEARER = { header: 'authorization', prefix: 'Bearer ', field: 'accessToken' } as const

/**
 * The same provider with a way in for whoever an identity provider vouches for, where its authorization server
 * takes that. Of our own files nothing is changed by what a server says.
 */
export async function withVouching(kit: Kit, owner: OwnerId, provider: Provider): Promise<Provider> {
  const { oauth, signIns } = provider
  const [first] = signIns
  if (oauth?.resource === undefined || kit.catalogue.isBuiltIn(provider.id)) return provider
  if (first === undefined || signIns.some(({ flow }) => flow === FLOW)) return provider
  const at = kit.catalogue.authority(provider, {})
  const issuer = at && issuerOf(oauth, at)
  if (issuer === undefined) return provider
  const server = await discover(kit.network, issuer, { found: new Map(), now: kit.now })
  if (!server.takesIdJag) return provider
  const from = { name: 'from', label: 'Account that vouches for you', secret: false }
  const way = { flow: FLOW, scopes: [...first.scopes], present: [BEARER], fields: [from] }
  const next = { ...provider, signIns: [...signIns, way] }
  return keepNoted(kit, owner, next, 'it takes the word of an identity provider')
}
