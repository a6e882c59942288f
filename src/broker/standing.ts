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
  const rows = await kit.storage.list('accounts', { owner: caller.owner }, { orderBy: 'connectedAt' })
  const living = rows.filter((account) => account.status !== 'revoked')
  if (isOwner(caller)) return Promise.all(living.map((account) => viewAccount(kit, account)))
  const bound = new Set((await bindingsOf(kit, caller)).map((binding) => binding.accountId))
  return Promise.all(living.filter(({ id }) => bound.has(id)).map((account) => viewAccount(kit, account)))
}
