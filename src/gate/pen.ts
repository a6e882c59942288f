import { setImmediate as turnOver } from 'node:timers/promises'
import { type AuditVerb, ValetkeyError } from '#client'
import type { NewEntry } from '../model/gate.ts'
import { Secret } from '../model/secret.ts'
import type { AuditRow, Durability, Rows, Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import { findHead, passesThrough } from './anchorage.ts'
import { canonical, hashOf, type Link, placeOf, same } from './layout.ts'

/** What is written in the same transaction as the entries of a turn, so that it stands with them or not at all. */
export interface Beside {
  write(rows: Rows): Promise<void>
  /** Nothing of it stands. */
  undone(): void
}

interface PenParts {
  readonly storage: Storage
  readonly vault: Vault
  readonly now: () => Date
  /** False while a sync is owed: then nothing may wait for the next one. */
  readonly maySoon: () => boolean
  /** Taken in the moment in which the entries of a turn are. */
  readonly beside?: (() => Beside | undefined) | undefined
  /** Told after each batch. */
  readonly wrote: (durability: Durability) => void
}

/** Writes entries to the end of the chain. */
interface Pen {
  /** Where the chain stands; undefined until the pen was put there. */
  readonly head: Link | undefined
  /** The last link that is known to be on disk: the chain passes through it for ever. */
  readonly sure: Link | undefined
  put(head: Link | undefined, sure?: Link): void
  /** Told of a link that was found on disk. */
  settle(link: Link): void
  write(entry: NewEntry): Promise<number>
  /** Resolves when nothing is waiting any more. */
  drained(): Promise<void>
}

interface Waiting {
  readonly entry: NewEntry
  readonly at: number
  readonly written: (seq: number) => void
  readonly refused: (error: ValetkeyError) => void
  /** Those who wait for the same entry. */
  readonly others: Pick<Waiting, 'written' | 'refused'>[]
}

/** They happen often and give out only what soon dies; a power cut may cost the last 50 ms of them. */
const SOON: readonly AuditVerb[] = ['lend', 'forward']

export function openPen({ storage, vault, now, maySoon, beside, wrote }: PenParts): Pen {
  let head: Link | undefined
  let sure: Link | undefined
  let waiting: Waiting[] = []
  let flushing: Promise<void> | undefined

  function write(entry: NewEntry): Promise<number> {
    return new Promise((written, refused) => {
      const last = waiting.at(-1)
      if (last !== undefined && isRepeat(last.entry, entry)) last.others.push({ written, refused })
      else waiting.push({ entry, at: now().getTime(), written, refused, others: [] })
      flushing ??= flushAll()
    })
  }

  async function flushAll(): Promise<void> {
    while (waiting.length > 0) {
      await turnOver()
      const batch = waiting
      waiting = []
      await flush(batch, beside?.())
    }
    flushing = undefined
  }

  async function flush(batch: readonly Waiting[], also: Beside | undefined): Promise<void> {
    const durability = batch.every(({ entry }) => SOON.includes(entry.verb)) && maySoon() ? 'soon' : 'synced'
    try {
      const rows = storage.shared
        ? await addBehind(batch, durability, also)
        : await add(batch, durability, also)
      head = rows.at(-1)
      if (durability === 'synced') sure = head
      rows.forEach(({ seq }, index) => {
        for (const { written } of waitingFor(batch[index])) written(seq)
      })
      wrote(durability)
    } catch (error) {
      also?.undone()
      for (const { refused } of batch.flatMap(waitingFor)) refused(notRecorded(error))
    }
  }

  async function add(
    batch: readonly Waiting[],
    durability: Durability,
    also: Beside | undefined,
  ): Promise<readonly AuditRow[]> {
    if (head === undefined) throw lockedError()
    const rows = await chained(batch, head)
    await storage.transaction(durability, async (to) => {
      await to.insert('audit', rows)
      await also?.write(to)
    })
    return rows
  }

  /**
   * Where others write to the same chain, it is in their turn with them, and behind what they wrote. What
   * was sealed beforehand is good when nobody wrote since.
   */
  async function addBehind(
    batch: readonly Waiting[],
    durability: Durability,
    also: Beside | undefined,
  ): Promise<readonly AuditRow[]> {
    const known = head
    if (known === undefined) throw lockedError()
    const ready = await chained(batch, known)
    const inTurn = async (to: Rows) => {
      const there = await presentHead(to, known)
      const rows = there === known ? ready : await chained(batch, there, to)
      await to.insert('audit', rows)
      await also?.write(to)
      return rows
    }
    return storage.transaction(durability, inTurn, { turn: 'audit' })
  }

  /**
   * The chain may have grown, and a server that crashed may have lost what it had not synced. What is
   * known to be on disk is never lost like that.
   */
  async function presentHead(rows: Rows, known: Link): Promise<Link> {
    if (sure === undefined) throw lockedError()
    const there = await findHead(rows, sure)
    if (there.seq === known.seq && same(there.hash, known.hash)) return known
    if (await passesThrough(rows, vault, sure)) return there
    throw cutError(sure)
  }

  async function chained(batch: readonly Waiting[], after: Link, within?: Rows): Promise<AuditRow[]> {
    const rows: AuditRow[] = []
    let { seq, hash } = after
    for (const { entry, at, others } of batch) {
      seq += 1
      const row = await sealedRow(vault, counted(entry, 1 + others.length), seq, at, within)
      hash = hashOf(hash, row)
      rows.push({ ...row, hash })
    }
    return rows
  }

  return {
    get head() {
      return head
    },
    get sure() {
      return sure
    },
    put(link, known = link) {
      head = link
      sure = known
    },
    settle(link) {
      if (sure !== undefined && sure.seq < link.seq) sure = link
    },
    write,
    drained: async () => flushing,
  }
}

function waitingFor(one: Waiting | undefined) {
  return one === undefined ? [] : [one, ...one.others]
}

/** The same caller is lent the same on the same lease, in the very same turn: that is one entry, which says how often. */
function isRepeat(one: NewEntry, other: NewEntry): boolean {
  return (
    other.verb === 'lend' &&
    other.outcome === 'done' &&
    other.detail !== undefined &&
    other.opened === undefined &&
    one.detail === other.detail &&
    one.verb === 'lend' &&
    one.outcome === 'done' &&
    one.opened === undefined &&
    one.caller === other.caller &&
    one.owner === other.owner &&
    one.target === other.target &&
    one.proof === other.proof
  )
}

function counted(entry: NewEntry, times: number): NewEntry {
  return times === 1 ? entry : { ...entry, detail: `${entry.detail}, ${times} times` }
}

async function sealedRow(
  vault: Vault,
  entry: NewEntry,
  seq: number,
  at: number,
  within?: Rows,
): Promise<Omit<AuditRow, 'hash'>> {
  const { owner } = entry
  const text = new Secret(canonical({ ...entry, seq, at }))
  const { keyId, bytes } = await vault.seal(placeOf({ owner, seq }), text, within)
  return { owner, seq, at, keyId, sealed: bytes }
}

export function lockedError(): ValetkeyError {
  return new ValetkeyError('locked', 'the vault is locked, so nothing can be put on record', {
    hint: 'valetkey vault unlock',
  })
}

function cutError({ seq }: Link): ValetkeyError {
  return new ValetkeyError('vault-restored', `entry ${seq} of the record is not the one that was written`, {
    hint: 'valetkey vault accept-restore',
  })
}

/** A vault that is locked, or not as it was left, is said as such; all else is a record that could not be written. */
export function notRecorded(cause: unknown): ValetkeyError {
  if (cause instanceof ValetkeyError && ['locked', 'vault-restored'].includes(cause.code)) return cause
  const full = cause instanceof ValetkeyError && cause.code === 'disk-full'
  return new ValetkeyError('not-recorded', 'this could not be put on record, so it was not done', {
    hint: full ? 'free disk space, then try again' : "look at the vault's folder, then try again",
    cause,
  })
}
