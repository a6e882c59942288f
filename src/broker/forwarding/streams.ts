import { ValetkeyError } from '#client'
import type { CallerId, OwnerId } from '../../model/caller.ts'
import { EVERY_OWNER, type LeaseRow, type Storage } from '../../model/storage.ts'
import type { Vault } from '../../model/vault.ts'
import { isNarrowed } from '../keys/line.ts'
import { leasesStill } from '../keys/rights.ts'

/** So often the leases of what is under way are looked at: other brokers end some, too. */
const LOOK_MS = 2_000
/** How long a caller that forwards again is still at the same lending. */
export const FORWARD_LEASE_MS = 5 * 60_000

interface Whose {
  readonly owner: OwnerId
  readonly accountId: string
  readonly caller: CallerId
}

/** One request that is being forwarded, until the last of its answer was passed on. */
export interface Stream {
  /** Aborted when its lease is over. */
  readonly signal: AbortSignal
  belongsTo(lease: string): void
  /** It is over; where a reason is named, it is cut off for that. */
  end(why?: unknown): void
}

export type Which = Partial<Whose> & { readonly lease?: string }

/** All that is being forwarded at this moment by this broker. */
export interface Streams {
  /** It is there to be cut from now on, before its lease is known. */
  open(whose: Whose): Stream
  /** Cuts off what is meant, and says how much that was. */
  cut(which: Which, why: ValetkeyError): number
  /** Somebody says that this lease was ended. It is looked up at once: who says so proves nothing. */
  lookAt(lease: string): void
}

interface Open extends Whose {
  readonly cutter: AbortController
  lease: string | undefined
}

interface StreamsParts {
  readonly storage: Storage
  readonly vault: Vault
  readonly now: () => Date
}

export function openStreams(parts: StreamsParts): Streams {
  const all = new Set<Open>()
  let looking: NodeJS.Timeout | undefined

  /** A request whose lease is not known yet may be just about to get the one that ends. */
  function cut({ lease, ...whose }: Which, why: ValetkeyError): number {
    const meant = [...all].filter(
      (one) => isOf(one, whose) && (lease === undefined || (one.lease ?? lease) === lease),
    )
    for (const one of meant) end(one, why)
    return meant.length
  }

  function end(one: Open, why?: unknown): void {
    if (!all.delete(one)) return
    if (why !== undefined) one.cutter.abort(why)
    if (all.size > 0) return
    clearTimeout(looking)
    looking = undefined
  }

  /** While the database is away nobody can have ended anything. */
  function lookLater(): void {
    const mine = setTimeout(async () => {
      if (parts.vault.locked) cut({}, isLocked())
      else await look(parts, [...all], end).catch(() => undefined)
      if (looking === mine) lookLater()
    }, LOOK_MS)
    looking = mine.unref()
  }

  return {
    cut,
    lookAt(lease) {
      const meant = [...all].filter((one) => one.lease === lease)
      void look(parts, meant, end).catch(() => undefined)
    },
    open(whose) {
      const one: Open = { ...whose, cutter: new AbortController(), lease: undefined }
      all.add(one)
      if (looking === undefined) lookLater()
      return {
        signal: one.cutter.signal,
        belongsTo: (lease) => {
          one.lease = lease
        },
        end: (why) => end(one, why),
      }
    },
  }
}

export function isLocked(): ValetkeyError {
  return new ValetkeyError('locked', 'the vault was locked meanwhile', { hint: 'valetkey vault unlock' })
}

export function isOver(what: string): ValetkeyError {
  return new ValetkeyError('cancelled', `${what}, so this request was cut off`)
}

function isOf(one: Open, whose: Partial<Whose>): boolean {
  return (Object.keys(whose) as (keyof Whose)[]).every((name) => one[name] === whose[name])
}

/** Ends what is over by its lease or its binding, and keeps the leases of the rest alive. */
async function look(
  { storage, vault, now }: StreamsParts,
  all: readonly Open[],
  end: (one: Open, why: unknown) => void,
) {
  const known = all.flatMap((one) => (one.lease === undefined ? [] : [{ one, lease: one.lease }]))
  if (known.length === 0) return
  const ids = [...new Set(known.map(({ lease }) => lease))]
  const at = now().getTime()
  const owner: typeof EVERY_OWNER = EVERY_OWNER
  const live = await storage.transaction('soon', async (rows) => {
    const leases = await rows.list('leases', { owner, id: { oneOf: ids }, endedAt: null })
    const bound = await rows.list('bindings', {
      owner,
      accountId: { oneOf: [...new Set(leases.map((one) => one.accountId))] },
    })
    const there = bound.filter(({ until }) => until === null || until > at).map(nameOf)
    const narrowed = await leasesStill({ vault, now }, rows, leases)
    const isBound = (one: LeaseRow) => !isNarrowed(one.caller) && there.includes(nameOf(one))
    const may = leases.filter((one) => one.caller === one.owner || isBound(one) || narrowed.has(one.id))
    const until = at + FORWARD_LEASE_MS
    const short = may.filter((one) => (one.until ?? until) - at < FORWARD_LEASE_MS / 2).map(({ id }) => id)
    if (short.length > 0) await rows.update('leases', { owner, id: { oneOf: short } }, { lastAt: at, until })
    return new Set(may.map(({ id }) => id))
  })
  for (const { one, lease } of known) if (!live.has(lease)) end(one, isOver('the lease was ended'))
}

function nameOf({ accountId, caller }: Pick<LeaseRow, 'accountId' | 'caller'>): string {
  return `${accountId} ${caller}`
}
