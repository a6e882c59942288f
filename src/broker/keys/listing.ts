import { type Caller, isCallerId, isOwner } from '../../model/caller.ts'
import type { ValetKey } from '../../model/words.ts'
import { dateOrNull } from '../accounts.ts'
import { behind, type Kit, unlessTampered } from '../kit.ts'
import { cutOffEnded, endMadeBy } from './ending.ts'
import { isOver, madeBy, noSuchKey } from './line.ts'
import { type Known, takeTerms } from './terms.ts'

/** Those that live, the oldest first. What was changed from outside may nothing, and its owner sees that. */
export async function listKeys(kit: Kit, caller: Caller): Promise<readonly ValetKey[]> {
  const now = kit.now().getTime()
  const { owner } = caller
  return kit.storage.transaction('soon', async (rows) => {
    const all = isOwner(caller) ? await rows.list('keys', { owner }) : await madeBy(rows, caller)
    const seen: ValetKey[] = []
    for (const row of all.toSorted((one, other) => one.createdAt - other.createdAt)) {
      const terms = await unlessTampered(takeTerms(kit, rows, row))
      if (terms === undefined && !isOwner(caller)) continue
      const shown = { row, terms: terms ?? NOTHING }
      if (!isOver(row, now)) seen.push(viewKey(shown, kit.keyring.socketOf(row.id)))
    }
    return seen
  })
}

const NOTHING = { grants: [], thumbprint: null }

export function viewKey(
  { row, terms }: Pick<Known, 'row'> & { readonly terms: Pick<Known['terms'], 'grants' | 'thumbprint'> },
  socket: string | null,
): ValetKey {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    parent: row.parent,
    grants: terms.grants,
    socket,
    thumbprint: terms.thumbprint,
    createdAt: new Date(row.createdAt),
    until: dateOrNull(row.until),
  }
}

/** Ends it, and all that were made by it, at once. */
export async function endKey(kit: Kit, caller: Caller, id: string): Promise<void> {
  const passage = await kit.gate.pass(caller, 'end-key', { name: id })
  await behind(
    passage,
    async () => {
      const { owner } = caller
      if (!isCallerId(id)) throw noSuchKey()
      const ended = await kit.storage.transaction('synced', (rows) =>
        endMadeBy(kit, rows, { owner, id }, { itself: true }),
      )
      if (!ended.rows.some((row) => row.id === id)) throw noSuchKey()
      await cutOffEnded(kit, ended, caller)
      return ended
    },
    ({ rows, leases }) => `${rows.length} callers and ${leases} leases ended`,
  )
}
