import type { NewEntry } from '../model/gate.ts'

/** What repeats an entry that is on record, and how often it did since that was last written down. */
export interface Repeats {
  readonly entry: NewEntry
  /** When the first of them was. */
  readonly at: number
  readonly times: number
}

/**
 * Counts in memory what is lent again on a lease whose opening is on record: the same caller, proved by the same,
 * the same account, purpose and lease. The counts are written soon after.
 */
interface Tally {
  /** The place of the opening that this repeats, and it is counted; undefined where it has to be written itself. */
  count(entry: NewEntry, at: number): number | undefined
  /** It is on record, at this place. */
  wrote(entry: NewEntry, seq: number): void
  /** Whether something is counted that is not written. */
  readonly owes: boolean
  take(): readonly Repeats[]
  /** They could not be written. They were answered, so they are kept; nothing more is counted on top of them. */
  putBack(some: readonly Repeats[]): void
  /** Whatever comes next is written itself, as an opening. */
  forget(): void
}

interface Known {
  readonly entry: NewEntry
  readonly seq: number
  since: number
  times: number
}

/** More leases than this are not in use at once; then it begins anew. */
const MOST = 10_000

// Beyond these a repeat is written itself, and all that was counted with it: where this process has no moment to
// spare, nobody is answered ahead of the record, and who asks on and on lets the others have their turn.
const MOST_UNWRITTEN = 1_000
const UNWRITTEN_MS = 50

export function openTally(): Tally {
  const openings = new Map<string, Known>()
  let counted: Known[] = []
  let owed: readonly Repeats[] = []
  let unwritten = 0
  let since = 0

  function isDue(at: number): boolean {
    return unwritten >= MOST_UNWRITTEN || (unwritten > 0 && Math.abs(at - since) >= UNWRITTEN_MS)
  }

  function forget(): void {
    openings.clear()
  }

  return {
    count(entry, at) {
      if (!isLending(entry) || entry.opened !== undefined) return undefined
      const known = openings.get(nameOf(entry))
      if (known === undefined || !isSame(known.entry, entry) || isDue(at)) return undefined
      if (unwritten === 0) since = at
      unwritten += 1
      if (known.times === 0) {
        known.since = at
        counted.push(known)
      }
      known.times += 1
      return known.seq
    },
    wrote({ opened: _, ...entry }, seq) {
      if (!isLending(entry) || openings.has(nameOf(entry))) return
      if (openings.size >= MOST) forget()
      openings.set(nameOf(entry), { entry, seq, since: 0, times: 0 })
    },
    get owes() {
      return counted.length > 0 || owed.length > 0
    },
    take() {
      const now = counted.map((known) => {
        const { entry, since: at, times } = known
        known.times = 0
        return { entry, at, times }
      })
      const all = [...owed, ...now]
      counted = []
      owed = []
      unwritten = 0
      return all
    },
    putBack(some) {
      forget()
      owed = [...some, ...owed]
    },
    forget,
  }
}

/** What is lent within a turn is one entry with those of the same turn as well. */
export function isRepeat(one: NewEntry, other: NewEntry): boolean {
  return one.opened === undefined && other.opened === undefined && isLending(one) && isSame(one, other)
}

function isLending({ verb, outcome, detail }: NewEntry): boolean {
  return verb === 'lend' && outcome === 'done' && detail !== undefined
}

function isSame(one: NewEntry, other: NewEntry): boolean {
  return (
    one.detail === other.detail &&
    one.verb === other.verb &&
    one.outcome === other.outcome &&
    one.caller === other.caller &&
    one.owner === other.owner &&
    one.target === other.target &&
    one.proof === other.proof
  )
}

/** The lease has an id that no other one has. */
function nameOf({ detail, proof }: NewEntry): string {
  return `${detail} ${proof}`
}
