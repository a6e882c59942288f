import type { Claim, DueTable, Tables } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'
import { upTo } from '../patience.ts'
import { clockWatch } from './clock-watch.ts'

/** Rings once after a time. What it gives back takes that back. */
export type Timer = (milliseconds: number, ring: () => void) => () => void

/** Nothing is kept alive by it. */
export const usualTimer: Timer = (milliseconds, ring) => {
  const timer = setTimeout(ring, milliseconds).unref()
  return () => clearTimeout(timer)
}

/** However late the next thing is due: another broker may write something earlier, or the clock be set. */
const LONGEST_SLEEP_MS = 30_000
/** What is due, and somebody else has in hand, is not asked for over and over. */
const IN_VAIN_MS = 1_000
const CLOSED_WITHIN_MS = 5_000

/** One kind of what has to be done at a time. */
export interface Chore {
  /** When the next is due, unless there is no room for it. */
  next(): Promise<number | undefined>
  /** Takes in hand what is due, as much as there is room for, and says how much that was. */
  begin(): Promise<number>
  /** All that is in hand. */
  done(): Promise<void>
}

interface ChoreParts<T extends DueTable> {
  readonly table: T
  readonly also?: NonNullable<Claim<T>['also']>
  /** How many are in hand at once. */
  readonly atOnce: number
  /** For how long nobody else takes it in hand. After that it is due again, if it was not dealt with. */
  readonly heldMs: number
  readonly work: (row: Tables[T]) => Promise<void>
}

/** All that has to be done without anybody asking for it. */
export interface Schedule {
  /** Says of something that it is due then. */
  expect(at: number | null | undefined): void
  /** Does all that is due. */
  tick(): Promise<void>
  /** Waits for what is in hand, but not for ever. */
  close(): Promise<void>
}

export function chore<T extends DueTable>(
  kit: Kit,
  { table, also, atOnce, heldMs, work }: ChoreParts<T>,
): Chore {
  const inHand = new Map<string, Promise<void>>()
  let left = false

  function take(row: Tables[T]): void {
    if (inHand.has(row.id)) return
    const done = work(row)
      .catch(() => undefined)
      .then(() => {
        inHand.delete(row.id)
        if (left) kit.schedule.expect(0)
      })
    inHand.set(row.id, done)
  }

  return {
    next: async () => (inHand.size < atOnce ? kit.storage.nextDue(table) : undefined),
    async begin() {
      const now = kit.now().getTime()
      const limit = atOnce - inHand.size
      if (limit > 0) {
        const rows = await kit.storage.claim(table, {
          dueBefore: now,
          until: now + heldMs,
          limit,
          ...(also && { also }),
        })
        left = rows.length === limit
        for (const row of rows) take(row)
        return rows.length
      }
      left = true
      return 0
    },
    done: async () => void (await Promise.all(inHand.values())),
  }
}

/** Awake only while something is due. The chores may be made of the schedule itself, so they are asked for late. */
export function openSchedule(kit: () => Kit, timer: Timer, chores: () => readonly Chore[]): Schedule {
  let closed = false
  let wakesAt = Number.POSITIVE_INFINITY
  let stop = () => {}
  let inVain = 0
  let last: Promise<number> = Promise.resolve(0)
  let isAsked = false
  const watchClock = clockWatch(kit)

  function wakeAt(at: number): void {
    if (closed || at >= wakesAt) return
    stop()
    wakesAt = at
    const sleep = Math.min(Math.max(at - kit().now().getTime(), 0), LONGEST_SLEEP_MS)
    stop = timer(sleep, () => {
      wakesAt = Number.POSITIVE_INFINITY
      void look()
    })
  }

  /** One look comes after the other; whoever asks while one is still to come is served by that. */
  function look(): Promise<number> {
    if (isAsked) return last
    isAsked = true
    last = last.then(async () => {
      isAsked = false
      const begun = await begin().catch(() => 0)
      await sleep(begun).catch(() => wakeAt(kit().now().getTime() + LONGEST_SLEEP_MS))
      return begun
    })
    return last
  }

  async function begin(): Promise<number> {
    if (isResting(kit()) || closed) return 0
    await kit().sweep()
    await watchClock().catch(() => undefined)
    let begun = 0
    for (const one of chores()) begun += await one.begin()
    return begun
  }

  async function sleep(begun: number): Promise<void> {
    const now = kit().now().getTime()
    const due = isResting(kit()) ? [] : await Promise.all(chores().map((one) => one.next()))
    const next = Math.min(...due.map((time) => time ?? Number.POSITIVE_INFINITY), now + LONGEST_SLEEP_MS)
    inVain = begun === 0 && next <= now ? inVain + 1 : 0
    wakeAt(inVain === 0 ? next : now + Math.min(IN_VAIN_MS * 2 ** (inVain - 1), LONGEST_SLEEP_MS))
  }

  async function settled(): Promise<void> {
    await Promise.all(chores().map((one) => one.done()))
  }

  return {
    expect: (at) => {
      if (at !== null && at !== undefined) wakeAt(at)
    },
    async tick() {
      while ((await look()) > 0) await settled()
    },
    async close() {
      closed = true
      stop()
      await upTo(CLOSED_WITHIN_MS, last.then(settled))
    },
  }
}

/** Nothing is done in a locked vault, nor in an older copy that nobody has accepted yet. */
function isResting({ vault, chain }: Kit): boolean {
  return vault.locked || chain.restored
}
