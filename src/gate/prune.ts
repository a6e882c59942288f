import { INSTALLATION } from '../model/caller.ts'
import { EVERY_OWNER, type Rows, type Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import { baseAt, findBase } from './anchorage.ts'
import type { Link } from './layout.ts'

/** The last entry that may go: everything up to the first that is not older, and never `own` itself. */
export async function lastToGo(rows: Rows, before: Date, own: number): Promise<Link | undefined> {
  const [first] = await rows.list(
    'audit',
    { owner: EVERY_OWNER, at: { atLeast: before.getTime() } },
    { orderBy: 'seq', limit: 1 },
  )
  const seq = Math.min(first?.seq ?? own, own) - 1
  return rows.get('audit', { owner: EVERY_OWNER, seq })
}

/** Removes the older end of the chain and remembers where it begins from then on. */
export async function removeUpTo(
  { storage, vault }: { readonly storage: Storage; readonly vault: Vault },
  last: Link,
): Promise<void> {
  const base = await findBase(storage, vault)
  if (last.seq <= base.link.seq) return
  const row = await baseAt(vault, last)
  await storage.transaction('synced', async (rows) => {
    await rows.remove('auditBase', { owner: INSTALLATION })
    await rows.insert('auditBase', [row])
    await rows.remove('audit', { owner: EVERY_OWNER, seq: { before: last.seq + 1 } })
  })
}
