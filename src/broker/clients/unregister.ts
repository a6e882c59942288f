import { type ReceiptLine, type UnregisterRequest, ValetkeyError } from '#client'
import { type Caller, INSTALLATION } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import { type AccountRow, EVERY_OWNER, type RegistrationRow } from '../../model/storage.ts'
import { unregister as endAtServer } from '../../protocol/registration.ts'
import { addressOf } from '../accounts.ts'
import { takeOutline } from '../grants.ts'
import { behind, type Kit, unlessTampered } from '../kit.ts'
import { providerOf } from '../provenance.ts'
import { isByClient, issuerAt, type Registered, takeRegistered } from './clients.ts'

/** Ends the client at its server too, where that lets us; accounts that would be left without one are named. */
export async function unregister(
  kit: Kit,
  caller: Caller,
  id: string,
  { insist = false }: UnregisterRequest = {},
): Promise<ReceiptLine> {
  const passage = await kit.gate.pass(caller, 'unregister', { name: id })
  return behind(
    passage,
    async () => {
      const row = await kit.storage.get('registrations', { owner: INSTALLATION, id })
      if (row === undefined) throw notThere()
      if (!insist) await refuseWhileUsed(kit, caller, row)
      const registered = await unlessTampered(takeRegistered(kit, kit.storage, row))
      const line = await givenBack(kit, registered ?? { row, terms: {} })
      await kit.storage.transaction('synced', async (rows) => {
        await kit.vault.erase(rows, INSTALLATION, id)
        await rows.remove('registrations', { owner: INSTALLATION, id })
      })
      return line
    },
    ({ how }) => how,
  )
}

/** Without its client an account can neither be renewed nor ended at its provider. */
async function refuseWhileUsed(kit: Kit, caller: Caller, row: RegistrationRow): Promise<void> {
  const users = await usersOf(kit, row)
  if (users.length === 0) return
  const own = users.filter(({ owner }) => owner === caller.owner).map(addressOf)
  const others = users.length - own.length
  const all = [...own, ...(others > 0 ? [`${others} of other people`] : [])].join(', ')
  throw new ValetkeyError('conflict', `there are accounts that cannot be renewed without it: ${all}`, {
    hint: `valetkey unregister ${row.id} --yes`,
  })
}

/** Whose accounts came to be by the client at an issuer. */
export async function usersOf(
  kit: Kit,
  { issuer }: Pick<RegistrationRow, 'issuer'>,
): Promise<readonly AccountRow[]> {
  const living = (await kit.storage.list('accounts', { owner: EVERY_OWNER })).filter(
    ({ status, flow }) => status !== 'revoked' && isByClient(kit, flow),
  )
  const used = await Promise.all(
    living.map(async (account) => {
      const outline = await unlessTampered(takeOutline(kit, kit.storage, account))
      const provider = providerOf(kit, account, outline?.profile)
      const { vars = {}, ownServer } = outline?.profile ?? {}
      return provider && (ownServer ?? issuerAt(kit, provider, vars)) === issuer
    }),
  )
  return living.filter((_, at) => used[at])
}

/** What becomes of a client at its provider, once it is not ours any more. */
export async function givenBack(
  kit: Kit,
  { row, terms: { management } }: Pick<Registered, 'row' | 'terms'>,
): Promise<ReceiptLine> {
  const what = 'client'
  if (management === undefined) return { what, state: 'alive', how: staying(kit, row) }
  const { uri, token } = management
  const gone = await endAtServer(kit.network, { management: { uri, token: new Secret(token) } }).catch(
    () => false,
  )
  return {
    what,
    state: gone ? 'died' : 'alive',
    how: gone ? 'deleted at the provider' : 'the provider did not delete it',
  }
}

function staying({ catalogue }: Kit, { provider, how }: RegistrationRow): string {
  if (how === 'dynamic') return 'the provider keeps no way to delete it'
  const at = catalogue.find(provider)?.registrationGuide?.console
  return at === undefined ? 'only you can delete it, at the provider' : `only you can delete it, at ${at}`
}

function notThere(): ValetkeyError {
  return new ValetkeyError('not-found', 'there is no such registration', { hint: 'valetkey registrations' })
}
