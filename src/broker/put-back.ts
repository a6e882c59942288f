import { EVERY_OWNER } from '../model/storage.ts'
import { endAllCallers } from './keys/ending.ts'
import type { Kit } from './kit.ts'
import { PUT_BACK } from './renewing/ending.ts'

/**
 * In an older copy of a vault the refresh tokens may be older than those that were used since. Each is
 * tried soon, whether or not anybody asks for it, and what comes of that is told with the reason. And callers
 * that were ended since would live again in it: all of those that were narrowed are ended.
 */
export async function suspectAll(kit: Kit): Promise<void> {
  const { storage, schedule, now } = kit
  await endAllCallers(kit, EVERY_OWNER)
  const dueAt = now().getTime()
  const living = { owner: EVERY_OWNER, status: { oneOf: ['connected', 'failing'] } } as const
  await storage.transaction('synced', (rows) =>
    rows.update('accounts', { ...living, standing: 0 }, { askedAt: PUT_BACK, dueAt, nextTryAt: null }),
  )
  schedule.expect(dueAt)
}
