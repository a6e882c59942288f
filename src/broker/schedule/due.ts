import { createHash } from 'node:crypto'
import type { AccountRow } from '../../model/storage.ts'
import { type Grant, isRenewable } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { diesAtOf, nextDateOf } from './calendar.ts'
import { isAhead } from './clock-watch.ts'
import { rotationDueAt } from './rotation-times.ts'

const DAY_MS = 24 * 60 * 60_000
const LONGEST_MARGIN_MS = 5 * 60_000
/** A credential is renewed in the last tenth of its life, or five minutes before its end. */
const MARGIN_OF_LIFE = 0.1
/** Over so much of their life before that, those that were issued together are renewed one after the other. */
const SPREAD_OF_LIFE = 1 / 3
const LONGEST_SPREAD_MS = 60 * 60_000
/** Whoever used it within this time is expected to come again. */
const RECENT_MS = 7 * DAY_MS
/** What nobody uses is renewed after half of the time in which its grant would die of that. */
const KEPT_ALIVE_AT = 0.5
const LONGEST_SLEEP_MS = 30 * DAY_MS

type Times = Pick<AccountRow, 'expiresAt' | 'dueAt' | 'diesAt' | 'warnedAt'>

/** How long before its end a credential is renewed where nobody asked for more. */
export function usualMargin({ credential: { expiresAt }, issuedAt }: Grant): number {
  return Math.min(lifeOf(expiresAt, issuedAt) * MARGIN_OF_LIFE, LONGEST_MARGIN_MS)
}

export function lifeOf(expiresAt: Date | null, issuedAt: Date): number {
  return expiresAt === null ? 0 : expiresAt.getTime() - issuedAt.getTime()
}

/** The times of an account that this grant is written for: `before` says what was told of the coming end. */
export function timesOf(kit: Kit, before: AccountRow, grant: Grant): Times {
  const dates = diesAtOf(before, grant, kit.now())
  const expiresAt = grant.credential.expiresAt?.getTime() ?? null
  return {
    ...dates,
    expiresAt,
    dueAt: earliest(nextWorkAt(kit, before, grant, true), nextDateOf(dates), rotationDueAt(before)),
  }
}

/** When its credential is renewed ahead of time: never later than the usual margin, and not all at once. */
function renewalAt(kit: Kit, account: AccountRow, grant: Grant): number | null {
  const { credential, issuedAt } = grant
  if (credential.expiresAt === null || !isRenewable(kit, account, credential)) return null
  if (isAhead(kit, issuedAt)) return kit.now().getTime()
  const spread = Math.min(lifeOf(credential.expiresAt, issuedAt) * SPREAD_OF_LIFE, LONGEST_SPREAD_MS)
  return Math.floor(credential.expiresAt.getTime() - usualMargin(grant) - spread * shareOf(account))
}

/** When a grant that nobody uses is renewed lest it die of that; null where it is not known to. */
function keptAliveAt(kit: Kit, account: AccountRow, grant: Grant): number | null {
  const { credential, issuedAt } = grant
  const { idleEndsAt } = credential
  if (!idleEndsAt || !isRenewable(kit, account, credential)) return null
  if (isAhead(kit, issuedAt)) return kit.now().getTime()
  const life = lifeOf(idleEndsAt, issuedAt) * (1 - SPREAD_OF_LIFE * shareOf(account))
  return Math.floor(issuedAt.getTime() + Math.min(life * KEPT_ALIVE_AT, LONGEST_SLEEP_MS))
}

/**
 * When the provider is asked next. What is worn may be all that the grant hangs on, so that it is kept alive in
 * good time also while it is in use; of what nobody uses only the grant is kept alive.
 */
export function nextWorkAt(kit: Kit, account: AccountRow, grant: Grant, inUse: boolean): number | null {
  const kept = keptAliveAt(kit, account, grant)
  return inUse ? earliest(renewalAt(kit, account, grant), kept) : kept
}

/** Whether somebody is expected to come for it. */
export function isInUse({ lastUsedAt }: AccountRow, { issuedAt }: Grant, now: Date): boolean {
  if (lastUsedAt === null) return false
  return lastUsedAt >= issuedAt.getTime() || now.getTime() - lastUsedAt < RECENT_MS
}

export function earliest(...times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null)
  return known.length === 0 ? null : Math.min(...known)
}

/** From 0 to 1, the same for an account each time, and another for each account. */
function shareOf({ id }: AccountRow): number {
  return createHash('sha256').update(id).digest().readUInt32BE() / 2 ** 32
}
