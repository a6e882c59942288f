import { ValetkeyError } from '#client'
import { type Caller, INSTALLATION } from '../model/caller.ts'
import type { Provider } from '../model/provider.ts'
import type { RegistrationRow } from '../model/storage.ts'
import type { RegisterRequest, Registration } from '../model/words.ts'
import { sealedAt } from './clients.ts'
import { behind, type Kit } from './kit.ts'
import { findProvider } from './sign-ins.ts'

/** One registration a provider; a new one takes the place of what was there. */
export async function register(kit: Kit, caller: Caller, request: RegisterRequest): Promise<Registration> {
  const passage = await kit.gate.pass(caller, 'register', { name: request.provider })
  return behind(passage, () => writeRegistration(kit, findProvider(kit, request.provider), request, 'yours'))
}

async function writeRegistration(
  kit: Kit,
  provider: Provider,
  { clientId, clientSecret }: Pick<RegisterRequest, 'clientId' | 'clientSecret'>,
  how: RegistrationRow['how'],
): Promise<Registration> {
  if (clientId.trim() === '') throw new ValetkeyError('invalid-request', 'a client needs its id')
  return kit.storage.transaction('synced', async (rows) => {
    const mine = { owner: INSTALLATION, provider: provider.id } as const
    const old = await rows.get('registrations', mine)
    const row: RegistrationRow = {
      ...mine,
      id: old?.id ?? `reg-${kit.newId()}`,
      how,
      issuer: provider.oauth?.issuer ?? provider.oauth?.authorize ?? provider.id,
      clientId: clientId.trim(),
      generation: (old?.generation ?? 0) + 1,
      createdAt: kit.now().getTime(),
    }
    await rows.remove('registrations', mine)
    await kit.vault.erase(rows, INSTALLATION, row.id)
    await rows.insert('registrations', [row])
    if (clientSecret !== undefined) await kit.vault.put(rows, sealedAt(row), clientSecret)
    return view(row)
  })
}

export async function unregister(kit: Kit, caller: Caller, id: string): Promise<void> {
  const passage = await kit.gate.pass(caller, 'unregister', { name: id })
  await behind(passage, async () => {
    const removed = await kit.storage.transaction('synced', async (rows) => {
      await kit.vault.erase(rows, INSTALLATION, id)
      return rows.remove('registrations', { owner: INSTALLATION, id })
    })
    if (removed === 0)
      throw new ValetkeyError('not-found', 'there is no such registration', {
        hint: 'valetkey registrations',
      })
  })
}

export async function listRegistrations(kit: Kit): Promise<readonly Registration[]> {
  const rows = await kit.storage.list('registrations', { owner: INSTALLATION }, { orderBy: 'createdAt' })
  return rows.map(view)
}

function view({ id, provider, issuer, clientId, how, createdAt }: RegistrationRow): Registration {
  return { id, provider, issuer, clientId, how, createdAt: new Date(createdAt) }
}
