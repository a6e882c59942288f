import { type Caller, isOwner } from '../model/caller.ts'
import type { Standing, Target } from '../model/gate.ts'
import type { Account } from '../model/words.ts'
import { findAccount, viewAccount } from './accounts.ts'
import { bindingFor, bindingsOf } from './bindings.ts'
import type { Kit } from './kit.ts'

/** What the gate has to know of a caller and an address before it judges. */
export async function standing(kit: Kit, caller: Caller, target: Target): Promise<Standing> {
  if (target.address === undefined) return { account: undefined, binding: undefined }
  const account = await findAccount(kit, kit.storage, caller.owner, target.address)
  const binding = account && (await bindingFor(kit, caller, account))
  return { account, binding }
}

/** The owner sees all of their accounts, anybody else those they are bound to. */
export async function listAccounts(kit: Kit, caller: Caller): Promise<readonly Account[]> {
  const { owner } = caller
  const bound = isOwner(caller) ? undefined : (await bindingsOf(kit, caller)).map((one) => one.accountId)
  return kit.storage.transaction('soon', async (rows) => {
    const shown: Account[] = []
    for (const account of await rows.list('accounts', { owner }, { orderBy: 'connectedAt' }))
      if (account.status !== 'revoked' && (bound?.includes(account.id) ?? true))
        shown.push(await viewAccount(kit, rows, account))
    return shown
  })
}
