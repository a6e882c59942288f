import { INSTALLATION } from '../model/caller.ts'
import type { Rows, VaultRow } from '../model/storage.ts'

/** The vault as it stands in a storage; undefined until somebody founded it. */
export async function standingRow(rows: Rows): Promise<VaultRow | undefined> {
  return await rows.get('vault', { owner: INSTALLATION })
}

/** A commit may fail after it was on disk. Only when the vault surely has not that key is it undone. */
export async function settled(
  change: Promise<void>,
  masterId: string,
  { rows, undo }: { readonly rows: Rows; readonly undo: () => Promise<void> },
): Promise<void> {
  try {
    await change
  } catch (error) {
    const after = await standingRow(rows)
    if (after?.masterId === masterId) return
    await undo()
    throw error
  }
}
