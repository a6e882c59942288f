import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import type { AccountRow } from '../../model/storage.ts'
import { type Grant, putGrant, putInUse } from '../grants.ts'
import type { Kit } from '../kit.ts'

/** So long a database may be away when an answer has to be written. */
export const WRITTEN_WITHIN_MS = 10_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1_000

/** Undefined, and nothing is written, where the account is not the generation any more that was read. */
export async function replace(
  kit: Kit,
  before: AccountRow,
  grant: Grant,
  change: (present: AccountRow) => Partial<AccountRow>,
): Promise<AccountRow | undefined> {
  const { owner, id, generation } = before
  const next = await kit.storage.transaction('synced', async (rows) => {
    // Not all that is written about an account moves its generation: what its owner wished meanwhile stands.
    const present = await rows.get('accounts', { owner, id, generation })
    if (present === undefined) return undefined
    const set = { ...change(present), generation: generation + 1, changedAt: kit.now().getTime() }
    const changed = await rows.update('accounts', { owner, id, generation }, set)
    const row = { ...present, ...set }
    if (changed > 0) await putGrant(kit, rows, row, grant)
    return changed > 0 ? row : undefined
  })
  if (next === undefined) return undefined
  putInUse(kit, next, grant)
  kit.schedule.expect(next.dueAt)
  return next
}

/** What was answered is not to be had again, so it is written as soon as that is possible. */
export async function persistently<R>(write: () => Promise<R>): Promise<R> {
  let waited = 0
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
    try {
      return await write()
    } catch (error) {
      const mayPass = error instanceof ValetkeyError && error.retryable
      if (!mayPass || waited + wait > WRITTEN_WITHIN_MS) throw error
      await pause(wait)
      waited += wait
    }
  }
}
