import { EVERY_OWNER } from '../model/storage.ts'
import type { Kit } from './kit.ts'
import { PUT_BACK } from './renewing/ending.ts'

/**
 * In an older copy of a vault the refresh tokens may be older than those that were used since. Each is
 * tried soon, whether or not anybody asks for it, and what comes of that is told with the reason.
 */
export async function suspectAll({ storage, schedule, now }: Kit): Promise<void> {
  const dueAt = now().getTime()
  const living = { owner: EVERY_OWNER, status: { oneOf: ['connected', 'failing'] } } as const
  await storage.transaction('synced', (rows) =>
    rows.update('accounts', { ...living, standing: 0 }, { askedAt: PUT_BACK, dueAt, nextTryAt: null }),
  )
  schedule.expect(dueAt)
}
