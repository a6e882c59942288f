import type { LeaseVerb, Usage, UsageQuery } from '#client'
import { type Caller, isOwner } from '../model/caller.ts'
import { EVERY_OWNER, type Rows, type UsageRow } from '../model/storage.ts'
import { ACCOUNT_ID, addressOf, readAddress } from './accounts.ts'
import type { Kit } from './kit.ts'

const DAY_MS = 24 * 60 * 60_000
const KEPT_DAYS = 400
const USUAL_DAYS = 30

const COLUMN = { lend: 'lends', forward: 'forwards', reveal: 'reveals' } as const satisfies Record<
  LeaseVerb,
  keyof UsageRow
>

/** A row of this name beside the days counts what a budget was used for. It stands behind every day there is. */
export const BUDGET_DAY = '~'

/** Whose use of which account on which day. */
export type UsageKey = Pick<UsageRow, 'owner' | 'accountId' | 'caller' | 'day'>

/** `2026-11-20`, by UTC. */
export function dayOf(milliseconds: number): string {
  const number = Math.floor(milliseconds / DAY_MS)
  if (number !== latest.number) latest = { number, name: new Date(milliseconds).toISOString().slice(0, 10) }
  return latest.name
}

/** Nearly all that is counted is counted on one day. */
let latest = { number: Number.NaN, name: '' }

/** Counts on, or back, and says how much that makes. It has to be a part of the transaction in which the use is written down. */
export async function countUse(rows: Rows, key: UsageKey, verb: LeaseVerb, times: number): Promise<number> {
  const column = COLUMN[verb]
  const there = await rows.get('usage', key)
  const counted = Math.max(0, (there?.[column] ?? 0) + times)
  const none = { lends: 0, forwards: 0, reveals: 0 }
  if (there !== undefined) await rows.update('usage', key, { [column]: counted })
  else await rows.insert('usage', [{ ...key, ...none, [column]: counted }])
  return counted
}

/** How often it was, known without looking. Zero where nothing was counted yet. */
export function setUse(rows: Rows, key: UsageKey, verb: LeaseVerb, counted: number): Promise<number> {
  return rows.update('usage', key, { [COLUMN[verb]]: counted })
}

/** The owner sees everybody's, anybody else their own. */
export async function listUsage(kit: Kit, caller: Caller, query: UsageQuery = {}): Promise<readonly Usage[]> {
  const { owner } = caller
  const days = Math.min(Math.max(1, query.days ?? USUAL_DAYS), KEPT_DAYS + 1)
  const whose = isOwner(caller) ? query.caller : caller.id
  if (query.caller !== undefined && query.caller !== whose) return []
  await kit.chain.caughtUp()
  const since = dayOf(kit.now().getTime() - (days - 1) * DAY_MS)
  return kit.storage.transaction('soon', async (rows) => {
    const accounts = new Map((await accountsAt(kit, rows, caller, query)).map((one) => [one.id, one]))
    const by = whose === undefined ? {} : { caller: whose as UsageRow['caller'] }
    const used = await rows.list('usage', { owner, ...by, day: { atLeast: since, before: BUDGET_DAY } })
    const seen = used.flatMap(({ owner: _, ...row }) => {
      const account = accounts.get(row.accountId)
      return account === undefined || isNothing(row) ? [] : [{ ...row, address: addressOf(account) }]
    })
    return seen.toSorted(latestFirst)
  })
}

/** Those that were revoked included: what was done by them stays true. */
async function accountsAt(kit: Kit, rows: Rows, { owner }: Caller, { address }: UsageQuery) {
  if (address === undefined) return rows.list('accounts', { owner })
  const at = address.startsWith(ACCOUNT_ID) ? { id: address } : readAddress(kit, address)
  return rows.list('accounts', { owner, ...at })
}

function latestFirst(one: Usage, other: Usage): number {
  if (one.day !== other.day) return one.day < other.day ? 1 : -1
  return one.address.localeCompare(other.address, 'en') || one.caller.localeCompare(other.caller, 'en')
}

function isNothing({ lends, forwards, reveals }: Pick<Usage, 'lends' | 'forwards' | 'reveals'>): boolean {
  return lends + forwards + reveals === 0
}

export async function forgetOldUsage(rows: Rows, now: number): Promise<void> {
  await rows.remove('usage', { owner: EVERY_OWNER, day: { before: dayOf(now - KEPT_DAYS * DAY_MS) } })
}
