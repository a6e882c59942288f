import type { Caller } from '../model/caller.ts'
import type { RevokedPiece } from '../model/flow.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Receipt } from '../model/words.ts'
import { addressOf, viewAccount } from './accounts.ts'
import { takeGrant } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { endAtProvider } from './settle.ts'
import { flowContext } from './turns.ts'

/** Ends an account: upstream first, then here, whether or not the provider answered. */
export async function revoke(kit: Kit, caller: Caller, text: string): Promise<Receipt> {
  const passage = await kit.gate.pass(caller, 'revoke', { address: text })
  return behind(
    passage,
    async () => {
      const account = accountOf(passage, text)
      const lines = await endUpstream(kit, account)
      const ended = await eraseHere(kit, account)
      kit.happenings.tell(account.owner, 'revoked', await viewAccount(kit, { ...account, status: 'revoked' }))
      return { accountId: account.id, address: addressOf(account), at: kit.now(), lines, ...ended }
    },
    ({ lines }) => `${lines.filter((line) => line.died).length} of ${lines.length} died at the provider`,
  )
}

/** A grant that no longer opens cannot be ended at the provider, but it can still be erased. */
async function endUpstream(kit: Kit, account: AccountRow): Promise<readonly RevokedPiece[]> {
  const provider = kit.catalogue.find(account.provider)
  const grant = await takeGrant(kit, kit.storage, account).catch(() => undefined)
  if (provider === undefined || grant === undefined) {
    return [{ what: 'credential', died: false, how: 'it could not be read any more' }]
  }
  const context = flowContext(kit, provider, account.flow, grant.profile.vars)
  return endAtProvider(kit, account.flow, context, grant)
}

async function eraseHere(
  kit: Kit,
  account: AccountRow,
): Promise<Pick<Receipt, 'leasesEnded' | 'bindingsEnded'>> {
  const { owner, id } = account
  const now = kit.now().getTime()
  return kit.storage.transaction('synced', async (rows) => {
    await kit.vault.erase(rows, owner, id)
    const bindings = await rows.list('bindings', { owner, accountId: id })
    for (const binding of bindings) await kit.vault.erase(rows, owner, binding.id)
    await rows.remove('bindings', { owner, accountId: id })
    const over = { endedAt: now, endsBy: 'revocation' as const }
    const leasesEnded = await rows.update('leases', { owner, accountId: id, endedAt: null }, over)
    await rows.update(
      'accounts',
      { owner, id },
      { status: 'revoked', reason: null, changedAt: now, dueAt: null, expiresAt: null },
    )
    return { leasesEnded, bindingsEnded: bindings.length }
  })
}
