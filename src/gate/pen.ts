import { setImmediate as turnOver } from 'node:timers/promises'
import { type AuditVerb, ValetkeyError } from '#client'
import type { NewEntry } from '../model/gate.ts'
import { Secret } from '../model/secret.ts'
import type { AuditRow, Durability, Rows, Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import { findHead, passesThrough } from './anchorage.ts'
import { canonical, hashOf, type Link, placeOf, same } from './layout.ts'
import { isRepeat, openTally, type Repeats } from './tally.ts'

/** What is written in the same transaction as the entries of a turn, so that it stands with them or not at all. */
export interface Beside {
  write(rows: Rows): Promise<void>
  /** Nothing of it stands; it is to be written with the next entries. */
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
  /** Told that something was counted, which has to be written before long. */
  readonly counted: () => void
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
  /** Resolves with its place, or with that of the entry which it repeats. */
  write(entry: NewEntry): Promise<number>
  /** Resolves when nothing is waiting any more, and what was counted is written or could not be. */
  drained(): Promise<void>
  /** Whether the last that was counted could not be written. */
  readonly owes: boolean
}

interface Waiting {
  readonly entry: NewEntry
  readonly at: number
  /** Those who wait for this entry. */
  readonly those: {
    readonly written: (seq: number) => void
    readonly refused: (error: ValetkeyError) => void
  }[]
}

type Line = Pick<Repeats, 'entry' | 'at' | 'times'>

/** They happen often and give out only what soon dies; a power cut may cost the last 50 ms of them. */
const SOON: readonly AuditVerb[] = ['lend', 'forward']

export function openPen({ storage, vault, now, maySoon, beside, wrote, counted }: PenParts): Pen {
  const tally = openTally()
  let owes = false
  let head: Link | undefined
  let sure: Link | undefined
  let waiting: Waiting[] = []
  let flushing: Promise<void> | undefined

  function write(entry: NewEntry): Promise<number> {
    const at = now().getTime()
    const opening = head !== undefined && maySoon() ? tally.count(entry, at) : undefined
    if (opening === undefined) return writeItself(entry, at)
    counted()
    return Promise.resolve(opening)
  }

  function writeItself(entry: NewEntry, at: number): Promise<number> {
    return new Promise((written, refused) => {
      const last = waiting.at(-1)
      if (last !== undefined && isRepeat(last.entry, entry)) last.those.push({ written, refused })
      else waiting.push({ entry, at, those: [{ written, refused }] })
      flushing ??= flushAll()
    })
  }

  async function flushAll(): Promise<void> {
    do {
      await turnOver()
      const batch = waiting
      waiting = []
      await flush(batch, tally.take(), beside?.())
    } while (waiting.length > 0)
    flushing = undefined
  }

  async function flush(
    batch: readonly Waiting[],
    repeats: readonly Repeats[],
    also: Beside | undefined,
  ): Promise<void> {
    const durability = batch.every(({ entry }) => SOON.includes(entry.verb)) && maySoon() ? 'soon' : 'synced'
    const lines = [...repeats, ...batch.map(({ entry, at, those }) => ({ entry, at, times: those.length }))]
    if (lines.length === 0) return
    try {
      const rows = storage.shared
        ? await addBehind(lines, durability, also)
        : await add(lines, durability, also)
      head = rows.at(-1)
      if (durability === 'synced') sure = head
      owes = false
      rows.slice(repeats.length).forEach(({ seq }, index) => {
        const { entry, those } = batch[index] ?? { those: [] }
        if (entry !== undefined && !storage.shared) tally.wrote(entry, seq)
        for (const { written } of those) written(seq)
      })
      wrote(durability)
    } catch (error) {
      also?.undone()
      tally.putBack(repeats)
      owes = repeats.length > 0
      if (owes) counted()
      for (const { refused } of batch.flatMap(({ those }) => those)) refused(notRecorded(error))
    }
  }

  async function add(
    lines: readonly Line[],
    durability: Durability,
    also: Beside | undefined,
  ): Promise<readonly AuditRow[]> {
    if (head === undefined) throw lockedError()
    const rows = await chained(lines, head)
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
    lines: readonly Line[],
    durability: Durability,
    also: Beside | undefined,
  ): Promise<readonly AuditRow[]> {
    const known = head
    if (known === undefined) throw lockedError()
    const ready = await chained(lines, known)
    const inTurn = async (to: Rows) => {
      const there = await presentHead(to, known)
      const rows = there === known ? ready : await chained(lines, there, to)
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

  async function chained(lines: readonly Line[], after: Link, within?: Rows): Promise<AuditRow[]> {
    const rows: AuditRow[] = []
    let { seq, hash } = after
    for (const { entry, at, times } of lines) {
      seq += 1
      const row = await sealedRow(vault, saidOften(entry, times), seq, at, within)
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
      tally.forget()
      head = link
      sure = known
    },
    settle(link) {
      if (sure !== undefined && sure.seq < link.seq) sure = link
    },
    write,
    async drained() {
      await flushing
      if (head !== undefined && tally.owes) flushing ??= flushAll()
      await flushing
    },
    get owes() {
      return owes
    },
  }
}

function saidOften(entry: NewEntry, times: number): NewEntry {
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
