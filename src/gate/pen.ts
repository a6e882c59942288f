import { setImmediate as turnOver } from 'node:timers/promises'
import { type AuditVerb, ValetkeyError } from '#client'
import type { NewEntry } from '../model/gate.ts'
import { Secret } from '../model/secret.ts'
import type { AuditRow, Durability, Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import { canonical, hashOf, type Link, placeOf } from './layout.ts'

interface PenParts {
  readonly storage: Storage
  readonly vault: Vault
  readonly now: () => Date
  /** False while a sync is owed: then nothing may wait for the next one. */
  readonly maySoon: () => boolean
  /** Told after each batch. */
  readonly wrote: (durability: Durability) => void
}

/** Writes entries to the end of the chain. */
interface Pen {
  /** Where the chain stands; undefined until the pen was put there. */
  readonly head: Link | undefined
  put(head: Link | undefined): void
  write(entry: NewEntry): Promise<number>
  /** Resolves when nothing is waiting any more. */
  drained(): Promise<void>
}

interface Waiting {
  readonly entry: NewEntry
  readonly at: number
  readonly written: (seq: number) => void
  readonly refused: (error: ValetkeyError) => void
}

/** They happen often and give out only what soon dies; a power cut may cost the last 50 ms of them. */
const SOON: readonly AuditVerb[] = ['lend', 'forward']

export function openPen({ storage, vault, now, maySoon, wrote }: PenParts): Pen {
  let head: Link | undefined
  let waiting: Waiting[] = []
  let flushing: Promise<void> | undefined

  function write(entry: NewEntry): Promise<number> {
    return new Promise((written, refused) => {
      waiting.push({ entry, at: now().getTime(), written, refused })
      flushing ??= flushAll()
    })
  }

  async function flushAll(): Promise<void> {
    while (waiting.length > 0) {
      await turnOver()
      const batch = waiting
      waiting = []
      await flush(batch)
    }
    flushing = undefined
  }

  async function flush(batch: readonly Waiting[]): Promise<void> {
    const durability = batch.every(({ entry }) => SOON.includes(entry.verb)) && maySoon() ? 'soon' : 'synced'
    try {
      const rows = await chained(batch)
      await storage.transaction(durability, (to) => to.insert('audit', rows))
      head = rows.at(-1)
      rows.forEach(({ seq }, index) => {
        batch[index]?.written(seq)
      })
      wrote(durability)
    } catch (error) {
      for (const { refused } of batch) refused(notRecorded(error))
    }
  }

  async function chained(batch: readonly Waiting[]): Promise<AuditRow[]> {
    if (head === undefined) throw lockedError()
    const rows: AuditRow[] = []
    let { seq, hash } = head
    for (const { entry, at } of batch) {
      seq += 1
      const row = await sealedRow(vault, entry, seq, at)
      hash = hashOf(hash, row)
      rows.push({ ...row, hash })
    }
    return rows
  }

  return {
    get head() {
      return head
    },
    put(link) {
      head = link
    },
    write,
    drained: async () => flushing,
  }
}

async function sealedRow(
  vault: Vault,
  entry: NewEntry,
  seq: number,
  at: number,
): Promise<Omit<AuditRow, 'hash'>> {
  const { owner } = entry
  const text = new Secret(canonical({ ...entry, seq, at }))
  const { keyId, bytes } = await vault.seal(placeOf({ owner, seq }), text)
  return { owner, seq, at, keyId, sealed: bytes }
}

export function lockedError(): ValetkeyError {
  return new ValetkeyError('locked', 'the vault is locked, so nothing can be put on record', {
    hint: 'valetkey vault unlock',
  })
}

/** A locked vault is said as such; everything else is a record that could not be written. */
export function notRecorded(cause: unknown): ValetkeyError {
  if (cause instanceof ValetkeyError && cause.code === 'locked') return cause
  const full = cause instanceof ValetkeyError && cause.code === 'disk-full'
  return new ValetkeyError('not-recorded', 'this could not be put on record, so it was not done', {
    hint: full ? 'free disk space, then try again' : "look at the vault's folder, then try again",
    cause,
  })
}
