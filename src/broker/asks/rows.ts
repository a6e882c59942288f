import type { Decision, May, Who } from '#client'
import { Secret } from '../../model/secret.ts'
import type { AskRow, Rows } from '../../model/storage.ts'
import type { Ask } from '../../model/words.ts'
import { dateOrNull } from '../accounts.ts'
import { type Kit, unlessTampered } from '../kit.ts'

/** What is wished, by whom and why, and what became of it: sealed, so that nobody allows himself anything. */
export interface Terms {
  readonly address: string
  readonly may: readonly May[]
  readonly reason: string
  readonly who: Who
  readonly program: string
  readonly state: AskRow['state']
  readonly decision: Decision | null
  readonly until: number | null
  /** The account that it was decided for. Another one at the same address later is not meant. */
  readonly accountId: string | null
}

/** An ask as the broker works with it. */
export interface Asking {
  readonly row: AskRow
  readonly terms: Terms
}

/** Nothing where there is none, and where it was changed from outside. */
export async function readAsking(kit: Kit, rows: Rows, row: AskRow | undefined): Promise<Asking | undefined> {
  const sealed = row && (await unlessTampered(kit.vault.take(rows, placeOf(row))))
  const terms = sealed && (JSON.parse(sealed.reveal()) as Terms)
  if (row === undefined || terms?.state !== row.state || terms.until !== row.until) return undefined
  return { row, terms }
}

/** Writes it down as it stands now, in the place of what was there. */
export async function writeAsking(
  kit: Kit,
  rows: Rows,
  before: AskRow | Omit<AskRow, 'generation' | 'state' | 'until'>,
  terms: Terms,
): Promise<Asking> {
  const { owner, id } = before
  const { state, until } = terms
  const generation = ('generation' in before ? before.generation : 0) + 1
  const row: AskRow = { ...before, state, until, generation }
  if ((await rows.update('asks', { owner, id }, row)) === 0) await rows.insert('asks', [row])
  await kit.vault.erase(rows, owner, id)
  await kit.vault.put(rows, placeOf(row), new Secret(JSON.stringify(terms)))
  return { row, terms }
}

/** Whether it still waits for an answer, or still allows or refuses what it was decided to. */
export function isCurrent({ terms: { until } }: Asking, now: Date): boolean {
  return until === null || until > now.getTime()
}

export function viewAsk(asking: Asking, now: Date): Ask {
  const { row, terms } = asking
  const { who, address, may, reason, state, decision } = terms
  const lapsed = state === 'pending' && !isCurrent(asking, now)
  return {
    id: row.id,
    caller: row.caller,
    who,
    address,
    may,
    reason,
    state: lapsed ? 'lapsed' : state,
    decision,
    askedAt: new Date(row.askedAt),
    until: dateOrNull(terms.until),
  }
}

function placeOf({ owner, id: record, generation, caller, likeness }: AskRow) {
  return { owner, record, field: 'ask', generation, about: `${caller} ${likeness}` }
}
