import { EVERY_OWNER } from '../model/storage.ts'
import type { Kit } from './kit.ts'
import { expireSession, stopWaiting } from './sessions.ts'

const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS

/** Sweeps now and then, whenever somebody comes by: an idle house gathers nothing. */
export function sweeper(kit: Kit): () => Promise<void> {
  let last = Number.NEGATIVE_INFINITY
  return async () => {
    const now = kit.now().getTime()
    // Until an older copy is accepted, nothing in it is touched.
    if (now - last < HOUR_MS || kit.vault.locked || kit.chain.restored) return
    last = now
    // Nobody's verb fails over it; what is left is swept an hour later.
    await sweep(kit, now).catch(() => undefined)
  }
}

/**
 * Ends the sign-ins that nobody finished, so that no secret stays with them, and forgets sign-ins
 * and leases that have been over for a day: what happened stands in the record.
 */
async function sweep(kit: Kit, now: number): Promise<void> {
  const owner: typeof EVERY_OWNER = EVERY_OWNER
  const yesterday = now - DAY_MS
  const expired = await kit.storage.transaction('synced', async (rows) => {
    const overdue = { owner, state: 'asking', expiresAt: { before: now } } as const
    const sessions = await rows.list('flowSessions', overdue)
    for (const session of sessions) await expireSession(kit, session, rows)
    const old = { owner, expiresAt: { before: yesterday } } as const
    for (const session of await rows.list('flowSessions', old))
      await kit.vault.erase(rows, session.owner, session.id)
    await rows.remove('flowSessions', old)
    await rows.remove('leases', { owner, endedAt: { before: yesterday } })
    await rows.remove('leases', { owner, until: { before: yesterday } })
    return sessions
  })
  for (const { id } of expired) await stopWaiting(kit, id)
}
