import type { Changed } from '../model/storage.ts'
import { showAccount } from './accounts.ts'
import { callersBoundTo } from './bindings.ts'
import type { Kit } from './kit.ts'

/**
 * What other brokers did to an account is told here as well, where it changed the account's status. What
 * happened while the line to the database was broken is not told afterwards.
 */
export function hearOthers(kit: Kit): void {
  let last: Promise<void> = Promise.resolve()
  kit.storage.changes?.((what) => {
    if (what === 'missed' || what.own || what.table !== 'accounts') return
    last = last.then(() => passOn(kit, what)).catch(() => undefined)
  })
}

async function passOn(kit: Kit, { owner, record: id, was, is }: Changed): Promise<void> {
  // Nothing but the erasing of its owner takes an account away.
  if (is === null) return kit.happenings.forget(owner)
  if (is === was || kit.vault.locked) return
  const account = await kit.storage.get('accounts', { owner, id })
  const shown = account?.status === is ? await showAccount(kit, owner, id) : undefined
  if (account !== undefined && shown !== undefined)
    kit.happenings.tell(owner, is, shown, await callersBoundTo(kit, account))
}
