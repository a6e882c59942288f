import { type Caller, isOwner } from '../model/caller.ts'
import type { Standing, Target } from '../model/gate.ts'
import type { Account } from '../model/words.ts'
import { findAccount, viewAccount } from './accounts.ts'
import { bindingsOf } from './bindings.ts'
import { rightsOf, standingOf } from './keys/standing.ts'
import type { Kit } from './kit.ts'

/** The same as `standing`, looked up where it is not remembered. */
export async function recalledStanding(kit: Kit, caller: Caller, target: Target): Promise<Standing> {
  const { address } = target
  if (address === undefined) return standing(kit, caller, target)
  const since = kit.memory.moment()
  const known = kit.memory.standing(caller, address)
  if (known !== undefined) return known
  const found = await standing(kit, caller, target)
  kit.memory.keepStanding(caller, address, found, since)
  return found
}

/** What the gate has to know of a caller and an address before it judges. */
export async function standing(kit: Kit, caller: Caller, target: Target): Promise<Standing> {
  if (target.address === undefined) return standingOf(kit, caller, target)
  const account = await findAccount(kit, kit.storage, caller.owner, target.address)
  return { account, ...(await rightsOf(kit, caller, account ?? target.address)) }
}

/** The owner sees all of their accounts, anybody else those they are bound to. */
export async function listAccounts(kit: Kit, caller: Caller): Promise<readonly Account[]> {
  await kit.chain.caughtUp()
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
