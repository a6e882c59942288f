import { EVERY_OWNER, type LeaseRow, type Rows } from '../../model/storage.ts'
import { sweepAsks } from '../asks/sweep.ts'
import { endRows } from '../keys/ending.ts'
import type { Kit } from '../kit.ts'
import { expireSession, stopWaiting } from '../sign-ins/sessions.ts'
import { forgetOldUsage } from '../usage.ts'

const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS
const LEASES_KEPT_MS = 7 * DAY_MS

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
    forgetRefused(kit)
  }
}

/**
 * Ends the sign-ins that nobody finished, so that no secret stays with them, and forgets sign-ins and
 * callers that have been over for a day, and leases for a week: what happened stands in the record. Counts are
 * kept for longer.
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
    await sweepAsks(kit, rows, now)
    await rows.remove('leases', { owner, endedAt: { before: now - LEASES_KEPT_MS } })
    await rows.remove('leases', { owner, until: { before: now - LEASES_KEPT_MS } })
    await forgetRepeated(rows, now)
    await forgetOldUsage(rows, now)
    const over = await rows.list('keys', { owner, until: { before: yesterday } })
    await endRows(kit, rows, over)
    return sessions
  })
  for (const { id } of expired) await stopWaiting(kit, id)
}

/**
 * What never dies by itself is on the list until it is revoked; of many times that a caller was handed the
 * same, for whatever purpose, the latest is enough for that.
 */
async function forgetRepeated(rows: Rows, now: number): Promise<void> {
  const old = {
    owner: EVERY_OWNER,
    until: null,
    endedAt: null,
    lastAt: { before: now - LEASES_KEPT_MS },
  } as const
  const all = await rows.list('leases', old, { orderBy: 'lastAt', descending: true })
  for (const [, ...earlier] of Map.groupBy(all, likeness).values())
    for (const { owner, id } of earlier) await rows.remove('leases', { owner, id })
}

function likeness({ accountId, caller, verb }: LeaseRow): string {
  return JSON.stringify([accountId, caller, verb])
}

function forgetRefused({ refusedFresh, monotonic }: Kit): void {
  for (const [id, { until }] of refusedFresh) if (until <= monotonic()) refusedFresh.delete(id)
}
