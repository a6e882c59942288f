import type { AccountRow } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'
import { tell } from '../telling.ts'
import { announcementsOf, isOverByItself } from './calendar.ts'

/** Tells that the grant will be over. Of several that were missed the latest is told, and each of them once. */
export async function announce(kit: Kit, account: AccountRow): Promise<AccountRow> {
  const { owner, id, generation, diesAt, warnedAt } = account
  const now = kit.now().getTime()
  const due = diesAt === null ? [] : announcementsOf(diesAt).filter((date) => date <= now)
  if (due.every((date) => date <= (warnedAt ?? 0)) || isOverByItself(account, kit.now())) return account
  const told = { ...account, warnedAt: now }
  const changed = await kit.storage.update('accounts', { owner, id, generation, warnedAt }, { warnedAt: now })
  if (changed > 0) await tell(kit, 'expiring', told)
  return told
}
