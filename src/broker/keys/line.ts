import { ValetkeyError } from '#client'
import type { CallerId, OwnerId } from '../../model/caller.ts'
import type { KeyRow, Rows } from '../../model/storage.ts'

/** So many callers may be narrowed one from the other. */
export const MOST_DEEP = 8

/** A caller, as its rows know it. */
export interface Who {
  readonly owner: OwnerId
  readonly id: CallerId
}

/** A caller that another one made: it lives in a row of its own, and has no rights without it. */
export function isNarrowed(id: string): id is `key:${string}` | `socket:${string}` {
  return id.startsWith('key:') || id.startsWith('socket:')
}

/** Itself, who made it, and who made that one. Empty where one of them has ended, so that nothing is left of it. */
export async function lineOf(rows: Rows, { owner, id }: Who, now: number): Promise<readonly KeyRow[]> {
  const line: KeyRow[] = []
  for (let next: CallerId = id; isNarrowed(next); ) {
    const row: KeyRow | undefined = await rows.get('keys', { owner, id: next })
    if (row === undefined || isOver(row, now) || line.length >= MOST_DEEP) return []
    line.push(row)
    next = row.parent
  }
  return line
}

/** All that were made by it, and by those. */
export async function madeBy(rows: Rows, { owner, id }: Who): Promise<readonly KeyRow[]> {
  const all = await rows.list('keys', { owner })
  const below = new Set<CallerId>([id])
  // Whoever was made later stands below, so one more look finds all that the last one found the makers of.
  for (let before = 0; before < below.size; ) {
    before = below.size
    for (const row of all) if (below.has(row.parent)) below.add(row.id)
  }
  below.delete(id)
  return all.filter((row) => below.has(row.id))
}

/** A caller and all who were made by it, or with it by the same one: what is given to many is shared by these. */
export async function familyOf(rows: Rows, who: Who, now: number): Promise<ReadonlySet<CallerId>> {
  const [first = who.id] = (await lineOf(rows, who, now)).map(({ id }) => id).slice(-1)
  const living = (await madeBy(rows, { ...who, id: first })).filter((row) => !isOver(row, now))
  return new Set([first, ...living.map(({ id }) => id)])
}

export function isOver({ until }: { readonly until: number | null }, now: number): boolean {
  return until !== null && until <= now
}

/** The earliest of the times at which one of them is over. */
export function endOf(line: readonly { readonly until: number | null }[]): number | null {
  const ends = line.flatMap(({ until }) => until ?? [])
  return ends.length === 0 ? null : Math.min(...ends)
}

export function noSuchKey(): ValetkeyError {
  return new ValetkeyError('not-found', 'there is no such key', { hint: 'valetkey keys' })
}
