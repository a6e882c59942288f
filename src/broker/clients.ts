import { INSTALLATION } from '../model/caller.ts'
import type { Client } from '../model/flow.ts'
import type { Provider } from '../model/provider.ts'
import type { RegistrationRow } from '../model/storage.ts'
import type { Kit } from './kit.ts'

/** Our client at a provider: the owner's own before one that came with Valetkey. */
export async function clientOf(kit: Kit, provider: Provider): Promise<Client | undefined> {
  const row = await kit.storage.get('registrations', { owner: INSTALLATION, provider: provider.id })
  if (row === undefined) return kit.clients[provider.id]
  return { clientId: row.clientId, clientSecret: await kit.vault.take(kit.storage, sealedAt(row)) }
}

/** The id is sealed with its secret, so that neither is shown with another's. */
export function sealedAt({ id, provider, clientId, generation }: RegistrationRow) {
  const about = JSON.stringify([provider, clientId])
  return { owner: INSTALLATION, record: id, field: 'clientSecret', generation, about }
}
