import type { AccountRow } from '../../model/storage.ts'
import type { Grant } from '../grants.ts'

const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS
/** So long before its end a grant is announced to be dying, each time once. */
const ANNOUNCED_MS = [14 * DAY_MS, 7 * DAY_MS, DAY_MS]
/** Servers tell a life and not an end, so the same end is told a little different each time. */
const SAME_MS = HOUR_MS

type Dates = Pick<AccountRow, 'diesAt' | 'warnedAt'>

/**
 * When the grant itself is over. What lies before it was known counts as announced. What was renewed
 * after its end has none that is known.
 */
export function diesAtOf(before: Dates, { credential, issuedAt }: Grant, now: Date): Dates {
  const diesAt = credential.grantEndsAt?.getTime() ?? null
  if (diesAt === null || diesAt <= issuedAt.getTime()) return { diesAt: null, warnedAt: null }
  const same = before.diesAt !== null && Math.abs(before.diesAt - diesAt) < SAME_MS
  return same ? { diesAt: before.diesAt, warnedAt: before.warnedAt } : { diesAt, warnedAt: now.getTime() }
}

/** The next day on which something is to be said or done about the end. */
export function nextDateOf({ diesAt, warnedAt }: Dates): number | null {
  if (diesAt === null) return null
  return announcementsOf(diesAt).find((date) => date > (warnedAt ?? 0)) ?? diesAt
}

export function isExpiring({ diesAt, status }: AccountRow, now: Date): boolean {
  const [first = 0] = ANNOUNCED_MS
  const lives = status === 'connected' || status === 'failing'
  return lives && diesAt !== null && diesAt - first <= now.getTime()
}

export function isOverByItself({ diesAt }: Dates, now: Date): boolean {
  return diesAt !== null && diesAt <= now.getTime()
}

/** The days on which it is announced. */
export function announcementsOf(diesAt: number): readonly number[] {
  return ANNOUNCED_MS.map((before) => diesAt - before)
}
