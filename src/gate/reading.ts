import { ValetkeyError } from '#client'
import type { OwnerId } from '../model/caller.ts'
import type { AuditRow, Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import type { AuditEntry, AuditQuery } from '../model/words.ts'
import { placeOf, type WrittenEntry } from './layout.ts'

/** What a row turned out to hold: an entry, nothing readable any more, or something else than was written. */
type Opened = WrittenEntry | 'erased' | 'changed'

const LIMIT = 100
const PAGE = 500

interface ReadingParts {
  readonly storage: Storage
  readonly vault: Vault
}

/**
 * An entry whose owner was erased stays sealed for good; another one that does not open was changed.
 * The vault says the same of both, so the storage is asked whether the key is still there.
 */
export async function openRow({ storage, vault }: ReadingParts, row: AuditRow): Promise<Opened> {
  try {
    const text = await vault.open(placeOf(row), { keyId: row.keyId, bytes: row.sealed })
    const entry: WrittenEntry = JSON.parse(text.reveal())
    // Its place authenticates seq and owner, but not the time.
    return entry.at === row.at ? entry : 'changed'
  } catch (error) {
    if (!(error instanceof ValetkeyError) || error.code !== 'tampered') throw error
    const key = await storage.get('dataKeys', { owner: row.owner, id: row.keyId })
    return key === undefined ? 'erased' : 'changed'
  }
}

/** An owner's entries, newest first. */
export async function readEntries(
  parts: ReadingParts,
  owner: OwnerId,
  query: AuditQuery,
): Promise<readonly AuditEntry[]> {
  const { limit = LIMIT } = query
  const found: AuditEntry[] = []
  let before = Number.MAX_SAFE_INTEGER
  while (found.length < limit) {
    const rows = await parts.storage.list(
      'audit',
      { owner, seq: { before }, ...(query.since && { at: { atLeast: query.since.getTime() } }) },
      { orderBy: 'seq', descending: true, limit: PAGE },
    )
    for (const row of rows) {
      const entry = await openRow(parts, row)
      if (entry === 'changed') throw changed(row)
      if (entry !== 'erased' && fits(entry, query)) found.push({ ...entry, at: new Date(entry.at) })
    }
    if (rows.length < PAGE) break
    before = rows.at(-1)?.seq ?? 0
  }
  return found.slice(0, limit)
}

function fits(entry: WrittenEntry, { verb, caller }: AuditQuery): boolean {
  return (verb === undefined || entry.verb === verb) && (caller === undefined || entry.caller === caller)
}

function changed({ seq }: AuditRow): ValetkeyError {
  return new ValetkeyError('tampered', `entry ${seq} of the record was changed`, {
    hint: 'valetkey audit verify',
  })
}
