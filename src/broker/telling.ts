import type { EventName } from '#client'
import type { AccountRow } from '../model/storage.ts'
import { showAccount } from './accounts.ts'
import { callersBoundTo } from './bindings.ts'
import type { Kit } from './kit.ts'

/** Tells a change of an account's state to whoever may know of the account. */
export async function tell(
  kit: Kit,
  name: EventName,
  account: AccountRow,
  bound?: readonly string[],
): Promise<void> {
  const shown = await showAccount(kit, account.owner, account.id)
  if (shown === undefined) return
  kit.happenings.tell(account.owner, name, shown, bound ?? (await callersBoundTo(kit, account)))
}
