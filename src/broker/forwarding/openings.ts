import { type LeaseEnd, type LeaseVerb, ValetkeyError } from '#client'
import type { CallerId } from '../../model/caller.ts'
import type { Wish } from '../../model/mint.ts'
import type { AccountRow, LeaseRow, Rows } from '../../model/storage.ts'
import type { Lease } from '../../model/words.ts'
import { isNarrowed } from '../keys/line.ts'
import { mayStill as narrowedMayStill } from '../keys/rights.ts'
import { type Kit, notConnected } from '../kit.ts'
import { isLive, viewLease } from '../leases.ts'
import { countUse, dayOf } from '../usage.ts'
import type { Use } from '../warm/ledger.ts'
import { FORWARD_LEASE_MS } from './streams.ts'
import { together } from './together.ts'

/** A lending that is to be put on record. */
export interface Opening {
  readonly account: AccountRow
  readonly caller: CallerId
  readonly verb: LeaseVerb
  readonly purpose: string | null
  readonly scopes: readonly string[]
  /** What was wished, where it was minted for that. */
  readonly wish?: Wish | undefined
  /** When what is lent is dead; null for never. */
  readonly dies: Date | null
}

export type Openings = (opening: Opening) => Promise<Lease>

type Outcome = Lease | ValetkeyError

/** Those of one moment are written in one go, so that many callers at once do not get in each other's way. */
export function openingsOf(kit: () => Kit): Openings {
  const write = together((all: readonly Opening[]) => writeWhatGoes(kit(), all))
  return async (opening) => {
    const again = usedAgain(kit(), opening)
    if (again !== undefined) return again
    const outcome = await write(opening)
    if (outcome instanceof ValetkeyError) throw outcome
    return outcome
  }
}

/** A lease that is remembered is shared at once: what is counted of it is written with the record of it. */
function usedAgain(kit: Kit, opening: Opening): Lease | undefined {
  const alike = likeness(opening)
  const before = kit.memory.lease(alike)
  const now = kit.now().getTime()
  if (before === undefined || !isLive(before, now)) return undefined
  const until = latest([before, { until: endOf(opening, now) }])
  const lease = { ...before, lastAt: now, until, count: before.count + 1 }
  kit.memory.keepLease(alike, lease, kit.memory.moment())
  kit.ledger.count(useOf(lease, opening))
  return viewLease(lease, opening.account)
}

function useOf({ id: lease, lastAt: at, until }: LeaseRow, { account, caller, verb }: Opening): Use {
  return { owner: account.owner, accountId: account.id, caller, verb, lease, at, until }
}

/** What cannot be written does harm to nobody else's: then each of them is written by itself. */
async function writeWhatGoes(kit: Kit, all: readonly Opening[]): Promise<readonly Outcome[]> {
  try {
    return await writeAll(kit, all)
  } catch (error) {
    if (all.length === 1 || (error instanceof ValetkeyError && error.retryable)) throw error
  }
  const outcomes: Outcome[] = []
  for (const one of all) outcomes.push(...(await writeAll(kit, [one]).catch(failed)))
  return outcomes
}

function failed(error: unknown): readonly Outcome[] {
  if (error instanceof ValetkeyError) return [error]
  return [new ValetkeyError('internal-error', 'this lending could not be put on record', { cause: error })]
}

interface Written {
  readonly name: string
  readonly alike: readonly Opening[]
  /** As it is after all of them; undefined where it was revoked meanwhile. */
  readonly lease: LeaseRow | undefined
}

async function writeAll(kit: Kit, all: readonly Opening[]): Promise<readonly Outcome[]> {
  const since = kit.memory.moment()
  const written = await kit.storage.transaction('soon', async (rows) => {
    const written: Written[] = []
    for (const [name, alike] of Map.groupBy(all, likeness))
      written.push({ name, alike, lease: await writeAlike(kit, rows, alike) })
    return written
  })
  const outcomes = new Map<Opening, Outcome>()
  for (const { name, alike, lease } of written) {
    if (lease === undefined) continue
    kit.memory.keepLease(name, lease, since)
    const before = lease.count - alike.length
    for (const [at, one] of alike.entries())
      outcomes.set(one, viewLease({ ...lease, count: before + at + 1 }, one.account))
  }
  return all.map((opening) => outcomes.get(opening) ?? notConnected(opening.account.provider))
}

/** What may share a lease. */
function likeness({ account: { owner, id }, caller, verb, purpose, scopes, wish }: Opening): string {
  const alike = `${owner} ${id} ${caller} ${verb} ${JSON.stringify(purpose)} ${written(scopes)}`
  return wish === undefined ? alike : `${alike} ${JSON.stringify(forWhat(wish))}`
}

/** What was revoked since the gate was passed is lent to nobody any more. */
async function writeAlike(kit: Kit, rows: Rows, alike: readonly Opening[]): Promise<LeaseRow | undefined> {
  const [opening] = alike
  if (opening === undefined) return undefined
  const { account, caller, verb } = opening
  const { owner, id } = account
  const now = kit.now().getTime()
  kit.ledger.forget()
  if (!(await mayStill(kit, rows, opening, now)) || !(await isUsed(rows, account, now))) return undefined
  const before = await leaseFor(kit, rows, opening, now)
  const count = before.count + alike.length
  const until = latest([before, ...alike.map((one) => ({ until: endOf(one, now) }))])
  await rows.update('leases', { owner, id: before.id }, { lastAt: now, until, count })
  await countUse(rows, { owner, accountId: id, caller, day: dayOf(now) }, verb, alike.length)
  return { ...before, lastAt: now, until, count: count + kit.ledger.owed(before.id) }
}

/** Marks the account as used, unless it was revoked. */
async function isUsed(rows: Rows, { owner, id }: AccountRow, now: number): Promise<boolean> {
  const living = { owner, id, status: { oneOf: ['connected', 'failing', 'needs-reauth'] } } as const
  return (await rows.update('accounts', living, { lastUsedAt: now })) > 0
}

/** By his binding, where he needs one. What it says was judged at the gate. */
async function mayStill(
  kit: Kit,
  rows: Rows,
  { account, caller, verb }: Opening,
  now: number,
): Promise<boolean> {
  const { owner, id: accountId } = account
  if (caller === owner && verb !== 'reveal') return true
  if (isNarrowed(caller)) return narrowedMayStill(kit, rows, { owner, id: caller }, account, verb)
  const binding = await rows.get('bindings', { owner, accountId, caller })
  return binding !== undefined && isLive(binding, now)
}

/** The live one that is shared, or a new one. */
async function leaseFor(kit: Kit, rows: Rows, opening: Opening, now: number): Promise<LeaseRow> {
  const { account, caller, verb, purpose, scopes, wish } = opening
  const { owner, id: accountId } = account
  const what = { purpose, scopes: written(scopes), ...forWhat(wish) }
  const asked = { owner, accountId, caller, verb, ...what, endedAt: null }
  const live = (await rows.list('leases', asked)).find((one) => isLive(one, now))
  if (live !== undefined) return live
  const until = endOf(opening, now)
  const fresh = {
    id: `lease-${kit.newId()}`,
    openedAt: now,
    lastAt: now,
    until,
    endsBy: by(verb, until),
    count: 0,
  }
  await rows.insert('leases', [{ ...asked, ...fresh }])
  return { ...asked, ...fresh }
}

/** What was lent as it came is for nobody and nothing by name. */
function forWhat({ audience, repositories = [] }: Wish = {}): Pick<LeaseRow, 'audience' | 'repositories'> {
  return { audience: audience ?? null, repositories: written(repositories) }
}

const inOrder = new WeakMap<readonly string[], string>()

/** The same scopes are the same in any order. */
function written(scopes: readonly string[]): string | null {
  if (scopes.length === 0) return null
  const known = inOrder.get(scopes) ?? [...new Set(scopes)].toSorted().join(' ')
  inOrder.set(scopes, known)
  return known
}

function endOf({ verb, dies }: Opening, now: number): number | null {
  return verb === 'forward' ? now + FORWARD_LEASE_MS : (dies?.getTime() ?? null)
}

/** What was handed out first may live longer than what was handed out last. */
function latest(all: readonly Pick<LeaseRow, 'until'>[]): number | null {
  const ends = all.map(({ until }) => until ?? Number.POSITIVE_INFINITY)
  const last = Math.max(...ends)
  return last === Number.POSITIVE_INFINITY ? null : last
}

function by(verb: LeaseVerb, until: number | null): LeaseEnd {
  if (verb === 'forward') return 'forward'
  return until === null ? 'revocation' : 'expiry'
}

/** What came to nothing before it was sent was no use. */
export async function takeBack(kit: Kit, lease: Lease, opening: Opening): Promise<void> {
  const { id, accountId, lastUsedAt, until } = lease
  const { account, caller, verb } = opening
  const { owner } = account
  if (kit.storage.shared !== true) {
    kit.memory.forgetLease(likeness(opening))
    const use = { owner, accountId, caller, verb, lease: id, at: lastUsedAt.getTime() }
    return kit.ledger.count({ ...use, until: until?.getTime() ?? null }, -1)
  }
  await kit.storage.transaction('soon', async (rows) => {
    const lease = await rows.get('leases', { owner, id })
    if (lease === undefined) return
    if (lease.count > 1) await rows.update('leases', { owner, id }, { count: lease.count - 1 })
    else await rows.remove('leases', { owner, id })
    await countUse(rows, { owner, accountId, caller, day: dayOf(lastUsedAt.getTime()) }, verb, -1)
  })
}
