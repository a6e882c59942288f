import type { CallerId, OwnerId } from '../../model/caller.ts'
import type { Rows } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'

/** Nothing of what a caller asked for, and was allowed, outlives the caller's rights. */
export async function endAsks(
  kit: Kit,
  rows: Rows,
  { owner, caller }: { readonly owner: OwnerId; readonly caller: CallerId },
): Promise<void> {
  for (const { id } of await rows.list('asks', { owner, caller })) await kit.vault.erase(rows, owner, id)
  await rows.remove('asks', { owner, caller })
}
