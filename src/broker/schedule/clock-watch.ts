import { type AccountRow, EVERY_OWNER, type Rows } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** Nobody waits for longer than a day after trouble, however long a provider wants to be left alone. */
const LONGEST_WAIT_MS = DAY_MS + HOUR_MS
/** By itself nothing is put off for longer; what is due later has a date of its own in its row. */
const LONGEST_SLEEP_MS = 31 * DAY_MS
/** So much a clock may be wrong without anything coming of it, and the clocks of two brokers may be apart. */
const ALLOWED_MS = MINUTE_MS

/** What was issued by a clock that was ahead names times that are of no use. */
export function isAhead({ now }: Pick<Kit, 'now'>, issuedAt: Date): boolean {
  return issuedAt.getTime() > now().getTime() + ALLOWED_MS
}

/**
 * Sees to it that nothing sleeps on by a clock that was ahead: looked for at the start, and whenever the
 * clock was set back.
 */
export function clockWatch(kit: () => Kit): () => Promise<void> {
  let ahead = Number.POSITIVE_INFINITY
  return async () => {
    const offset = kit().now().getTime() - kit().monotonic()
    if (offset < ahead - ALLOWED_MS) {
      await setRight(kit())
      ahead = offset
    } else ahead = Math.max(ahead, offset)
  }
}

async function setRight({ storage, now: clock }: Kit): Promise<void> {
  const now = clock().getTime()
  await storage.transaction('soon', async (rows) => {
    const owner: typeof EVERY_OWNER = EVERY_OWNER
    const lives = { owner, status: { oneOf: ['connected', 'failing'] } } as const
    const future = { atLeast: now + ALLOWED_MS }
    const tooLate = { atLeast: now + LONGEST_WAIT_MS }
    await rows.update('accounts', { ...lives, nextTryAt: tooLate }, { nextTryAt: null, dueAt: now })
    await rows.update('accounts', { ...lives, warnedAt: future }, { warnedAt: null, dueAt: now })
    await rows.update('accounts', { ...lives, changedAt: future }, { dueAt: now })
    await wake(rows, lives, now)
    await rows.update('outbox', { owner, dueAt: tooLate }, { dueAt: now })
  })
}

/** Looked at once more is soon looked at, so what only may be wrong is woken as well. */
async function wake(rows: Rows, lives: Parameters<typeof rows.list<'accounts'>>[1], now: number) {
  const late = await rows.list('accounts', { ...lives, dueAt: { atLeast: now + LONGEST_SLEEP_MS } })
  for (const { owner, id } of late.filter(hasNoDate))
    await rows.update('accounts', { owner, id }, { dueAt: now })
}

function hasNoDate({ dueAt, expiresAt, diesAt, rotateAt }: AccountRow): boolean {
  return (dueAt ?? 0) > Math.max(expiresAt ?? 0, diesAt ?? 0, rotateAt ?? 0)
}
