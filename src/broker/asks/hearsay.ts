import type { Changed } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'
import { readAsking, viewAsk } from './rows.ts'
import { wake } from './waiting.ts'

/** More are not open at once; then it begins anew. */
const MOST_REMEMBERED = 1000

/** Tells here what was asked and decided at another broker, each once. */
export function hearAsks(kit: Kit): (what: Changed) => Promise<void> {
  const known = new Map<string, string>()
  return async ({ owner, record: id, own }) => {
    const row = await kit.storage.get('asks', { owner, id })
    if (row === undefined || known.get(id) === row.state) return
    if (known.size >= MOST_REMEMBERED) known.clear()
    known.set(id, row.state)
    if (own || kit.vault.locked) return
    wake(kit, id)
    const asking = await readAsking(kit, kit.storage, row)
    if (asking === undefined || row.state === 'lapsed') return
    const name = row.state === 'pending' ? 'asked' : 'decided'
    kit.happenings.tellAsk(owner, name, viewAsk(asking, kit.now()))
  }
}
