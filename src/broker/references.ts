import { ValetkeyError } from '#client'
import { type Caller, type OwnerId, THE_PERSON } from '../model/caller.ts'
import { isReference, type Read, type References } from '../model/references.ts'

/** So long a value is believed of which nobody says how long it lives. */
const BELIEVED_MS = 5 * 60_000
/** Whoever just failed is not tried again for everybody who asks. */
const FAILED_MS = 3_000
/** More than this is not in use at once. */
const MOST = 1_000

/** What was read elsewhere, for as long as it may be believed, and in memory alone. */
export interface Readings {
  /** At least so long it has to be alive still, where it ever ends. */
  read(owner: OwnerId, reference: string, leftMs?: number): Promise<Read>
  forget(owner: OwnerId, references: Iterable<string>): void
  forgetAll(): void
}

interface Parts {
  readonly references?: References | undefined
  readonly now: () => Date
  readonly monotonic: () => number
}

interface Kept {
  readonly outcome: Promise<Read>
  /** By the clock that only goes forward; undefined while it is being read. */
  goodUntil?: number
  until: Date | null
}

export function openReadings({ references, now, monotonic }: Parts): Readings {
  const all = new Map<string, Kept>()

  function begin(key: string, reference: string): Kept {
    const outcome = references === undefined ? Promise.reject(unfollowed()) : references.read(reference)
    const kept: Kept = { outcome, until: null }
    sweep()
    all.set(key, kept)
    outcome.then(
      (read) => {
        kept.until = read.until
        kept.goodUntil = monotonic() + believedMs(read, now())
      },
      () => {
        kept.goodUntil = monotonic() + FAILED_MS
      },
    )
    return kept
  }

  function sweep(): void {
    for (const [key, { goodUntil }] of all)
      if (goodUntil !== undefined && goodUntil <= monotonic()) all.delete(key)
    if (all.size >= MOST) all.clear()
  }

  function isGood({ goodUntil, until }: Kept, leftMs: number): boolean {
    if (goodUntil === undefined) return true
    return goodUntil > monotonic() && (until === null || until.getTime() - now().getTime() > leftMs)
  }

  return {
    read(owner, reference, leftMs = 0) {
      const key = `${owner} ${reference}`
      const there = all.get(key)
      return (there !== undefined && isGood(there, leftMs) ? there : begin(key, reference)).outcome
    },
    forget(owner, some) {
      for (const reference of some) all.delete(`${owner} ${reference}`)
    },
    forgetAll: () => all.clear(),
  }
}

function believedMs({ until, again }: Read, now: Date): number {
  const ends = [until, again].flatMap((end) => (end ? [end.getTime() - now.getTime()] : []))
  return until === null ? Math.min(BELIEVED_MS, ...ends) : Math.min(...ends)
}

/** A reference runs programs and shows tokens of whoever Valetkey runs for, so it is theirs alone to give. */
export function refuseReferences(caller: Caller, given: readonly string[]): void {
  if (mayRefer(caller) || !given.some(isReference)) return
  throw new ValetkeyError('not-allowed', 'only the owner may say where a value is to be read', {
    hint: 'ask the owner to connect it',
  })
}

/** What is remembered of an account may have been said by anybody, and refers to nothing. */
export function withoutReferences(vars: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(vars).filter(([, text]) => !isReference(text)))
}

export function mayRefer({ id, owner }: { readonly id: string; readonly owner: string }): boolean {
  return id === owner && owner === THE_PERSON
}

function unfollowed(): ValetkeyError {
  return new ValetkeyError('reference-unreadable', 'references are not followed here', {
    hint: 'connect it with the value itself',
  })
}
