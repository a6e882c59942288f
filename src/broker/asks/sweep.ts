import { type AskRow, EVERY_OWNER, type Rows } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'
import { readAsking, writeAsking } from './rows.ts'

const KEPT_MS = 24 * 60 * 60_000

/** Writes down what has lapsed, and forgets what has been over for a day: what happened stands in the record. */
export async function sweepAsks(kit: Kit, rows: Rows, now: number): Promise<void> {
  const owner: typeof EVERY_OWNER = EVERY_OWNER
  for (const row of await rows.list('asks', { owner, until: { before: now - KEPT_MS } }))
    await eraseAsking(kit, rows, row)
  for (const row of await rows.list('asks', { owner, until: null, askedAt: { before: now - KEPT_MS } }))
    await eraseAsking(kit, rows, row)
  for (const row of await rows.list('asks', { owner, state: 'pending', until: { before: now + 1 } })) {
    const asking = await readAsking(kit, rows, row)
    if (asking === undefined) await eraseAsking(kit, rows, row)
    else await writeAsking(kit, rows, row, { ...asking.terms, state: 'lapsed' })
  }
}

async function eraseAsking(kit: Kit, rows: Rows, { owner, id }: AskRow): Promise<void> {
  await rows.remove('asks', { owner, id })
  await kit.vault.erase(rows, owner, id)
}
