import type { LeaseVerb } from '#client'
import type { CallerId, OwnerId } from '../../model/caller.ts'
import type { LeaseRow, Rows } from '../../model/storage.ts'
import { countUse, dayOf, setUse, type UsageKey } from '../usage.ts'

/** A use of a lease that is on the list already. */
export interface Use {
  readonly owner: OwnerId
  readonly accountId: string
  readonly caller: CallerId
  readonly verb: LeaseVerb
  readonly lease: string
  readonly at: number
  /** When what was lent is dead. */
  readonly until: number | null
}

interface OfLease extends Pick<Use, 'owner' | 'accountId' | 'at' | 'until'> {
  readonly times: number
}

interface OfDay {
  readonly key: UsageKey
  readonly verb: LeaseVerb
  readonly times: number
}

/**
 * Counts uses in memory until they are written down together with the entries that tell of them, in the same
 * transaction: what is on record is counted, and what could not be put on record is not.
 */
export interface Ledger {
  count(use: Use, times?: number): void
  /** How often this lease was used beside what is written of it. */
  owed(lease: string): number
  /** Takes what was counted until now, to be written; undefined where there is nothing. */
  take(): Taken | undefined
  /** To be told inside of the transaction of whoever counts by another way than this. */
  forget(): void
}

export interface Taken {
  write(rows: Rows): Promise<void>
  /** It could not be written, and is counted still. Who was refused for that takes back what was his. */
  undone(): void
}

/** When an account was used last is written to the second: it is for people to read. */
const A_SECOND_MS = 1000
const MOST_KNOWN = 10_000

type LeaseNow = Pick<LeaseRow, 'count' | 'lastAt' | 'until' | 'endedAt'>

export function openLedger(): Ledger {
  let leases = new Map<string, OfLease>()
  let days = new Map<string, OfDay>()
  // What was written last, so that it need not be read to be counted on.
  const known = new Map<string, LeaseNow>()
  const uses = new Map<string, number>()
  const usedAt = new Map<string, number>()

  function count(use: Use, times = 1): void {
    const { owner, accountId, caller, verb, lease, at, until } = use
    countLease(lease, { owner, accountId, times, at, until })
    const day = dayOf(at)
    const name = `${accountId} ${caller} ${verb} ${day} ${owner}`
    countDay(name, { key: { owner, accountId, caller, day }, verb, times })
  }

  function countLease(lease: string, { times, at, until, ...whose }: OfLease): void {
    const before = leases.get(lease) ?? { times: 0, at, until }
    leases.set(lease, {
      ...whose,
      times: before.times + times,
      at: Math.max(at, before.at),
      until: later(before.until, until),
    })
  }

  function countDay(name: string, of: OfDay): void {
    days.set(name, { ...of, times: (days.get(name)?.times ?? 0) + of.times })
  }

  function take(): Taken | undefined {
    if (leases.size === 0) return undefined
    const taken = { leases, days }
    leases = new Map()
    days = new Map()
    return {
      async write(rows) {
        for (const [id, use] of taken.leases) await writeLease(rows, id, use)
        for (const [name, use] of taken.days) await writeDay(rows, name, use)
      },
      undone() {
        forget()
        for (const [id, use] of taken.leases) countLease(id, use)
        for (const [name, use] of taken.days) countDay(name, use)
      },
    }
  }

  function forget(): void {
    for (const remembered of [known, uses, usedAt]) remembered.clear()
  }

  /** What is over stays so, and was used all the same. What was taken back to nothing was no lending. */
  async function writeLease(rows: Rows, id: string, use: OfLease): Promise<void> {
    const { owner, times, at } = use
    if (times > 0) await writeUsed(rows, use)
    const there = known.get(id) ?? (await rows.get('leases', { owner, id }))
    if (there === undefined) return
    const count = there.count + times
    if (count < 1) {
      known.delete(id)
      return void (await rows.remove('leases', { owner, id }))
    }
    const lastAt = Math.max(there.lastAt, at)
    const lasts = there.endedAt === null ? later(there.until, use.until) : there.until
    const until = lasts === there.until ? {} : { until: lasts }
    const changed = await rows.update('leases', { owner, id }, { count, lastAt, ...until })
    if (changed > 0) keep(known, id, { count, lastAt, until: lasts, endedAt: there.endedAt })
  }

  async function writeUsed(rows: Rows, { owner, accountId, at }: OfLease): Promise<void> {
    if (Math.abs(at - (usedAt.get(accountId) ?? 0)) < A_SECOND_MS) return
    await rows.update('accounts', { owner, id: accountId }, { lastUsedAt: at })
    keep(usedAt, accountId, at)
  }

  async function writeDay(rows: Rows, name: string, { key, verb, times }: OfDay): Promise<void> {
    if (times === 0) return
    const before = uses.get(name)
    const now = before === undefined ? 0 : Math.max(0, before + times)
    const isSet = before !== undefined && (await setUse(rows, key, verb, now)) > 0
    if (isSet) return keep(uses, name, now)
    // Of an owner who was erased meanwhile nothing is counted.
    const { owner, accountId: id } = key
    if ((await rows.get('accounts', { owner, id })) === undefined) return
    keep(uses, name, await countUse(rows, key, verb, times))
  }

  return { count, owed: (lease) => leases.get(lease)?.times ?? 0, take, forget }
}

function keep<T>(where: Map<string, T>, key: string, value: T): void {
  if (where.size >= MOST_KNOWN) where.clear()
  where.set(key, value)
}

/** Null is never. */
function later(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : Math.max(one, other)
}
