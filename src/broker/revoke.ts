import { ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import type { Receipt } from '../model/words.ts'
import { addressOf, showAccount } from './accounts.ts'
import { callersBoundTo } from './bindings.ts'
import { takeHolding } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { endLeases } from './leases.ts'
import { endSession } from './sessions.ts'
import { endUpstream } from './upstream.ts'

/** Ends an account: upstream first, then here, whether or not the provider answered. */
export async function revoke(kit: Kit, caller: Caller, text: string): Promise<Receipt> {
  const passage = await kit.gate.pass(caller, 'revoke', { address: text })
  return behind(
    passage,
    async () => {
      const holding = await takeHolding(kit, accountOf(passage, text))
      const { account } = holding
      const bound = await callersBoundTo(kit, account)
      const lines = await endUpstream(kit, holding)
      const ended = await eraseHere(kit, account)
      const shown = await showAccount(kit, account.owner, account.id)
      if (shown !== undefined) kit.happenings.tell(account.owner, 'revoked', shown, bound)
      return { accountId: account.id, address: addressOf(account), at: kit.now(), lines, ...ended }
    },
    ({ lines }) => `${lines.filter((line) => line.died).length} of ${lines.length} died at the provider`,
  )
}

/** The account stays as history; all that it could be used by is gone. */
async function eraseHere(
  kit: Kit,
  account: AccountRow,
): Promise<Pick<Receipt, 'leasesEnded' | 'bindingsEnded'>> {
  const { owner, id: accountId } = account
  return kit.storage.transaction('synced', async (rows) => {
    await markRevoked(kit, rows, account)
    await kit.vault.erase(rows, owner, accountId)
    const bindings = await rows.list('bindings', { owner, accountId })
    for (const binding of bindings) await kit.vault.erase(rows, owner, binding.id)
    await rows.remove('bindings', { owner, accountId })
    await endSignIns(kit, rows, account)
    const leasesEnded = await endLeases(kit, rows, { owner, accountId }, 'revocation')
    return { leasesEnded, bindingsEnded: bindings.length }
  })
}

/** What was put in its place since the provider was asked would be erased without being ended there. */
async function markRevoked(kit: Kit, rows: Rows, account: AccountRow): Promise<void> {
  const { owner, id, generation } = account
  const over = { status: 'revoked', reason: null, dueAt: null, expiresAt: null } as const
  const moved = { changedAt: kit.now().getTime(), generation: generation + 1 }
  const changed = await rows.update('accounts', { owner, id, generation }, { ...over, ...moved })
  if (changed === 0)
    throw new ValetkeyError('conflict', `${addressOf(account)} was changed at the same moment`)
}

/** No sign-in that is still under way brings it back. */
async function endSignIns(kit: Kit, rows: Rows, account: AccountRow): Promise<void> {
  const { owner, id: accountId, provider } = account
  const failure = {
    code: 'not-connected',
    detail: `${addressOf(account)} was revoked meanwhile`,
    hint: `valetkey connect ${provider}`,
  }
  for (const session of await rows.list('flowSessions', { owner, accountId, state: 'asking' }))
    await endSession(kit, session, 'failed', { failure }, rows)
}
