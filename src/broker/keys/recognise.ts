import { createHash, timingSafeEqual } from 'node:crypto'
import type { Caller, CallerId, Proof } from '../../model/caller.ts'
import type { Secret } from '../../model/secret.ts'
import { EVERY_OWNER, type Rows } from '../../model/storage.ts'
import { readKeyText } from '../../model/valet-key.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { lineOf } from './line.ts'
import { type Known, takeTerms } from './terms.ts'

export function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/** The caller that shows this key. Unknown, ended and over are one and the same: nobody. */
export async function recognise(kit: Kit, shown: Secret, proof: Proof): Promise<Caller | undefined> {
  const read = readKeyText(shown.reveal())
  if (read === undefined) return undefined
  kit.vault.refuseLocked()
  const known = await kit.storage.transaction('soon', (rows) => livingKey(kit, rows, `key:${read.id}`))
  if (known === undefined || !isSame(known.terms.hash, digestOf(read.secret))) return undefined
  const { row, terms } = known
  // A key that is bound to another one is worth nothing without it, even to whoever stole it.
  if (terms.thumbprint !== null && terms.thumbprint !== proof.thumbprint) return undefined
  return { id: row.id, owner: row.owner, proof }
}

async function livingKey(kit: Kit, rows: Rows, id: CallerId): Promise<Known | undefined> {
  const row = await rows.get('keys', { owner: EVERY_OWNER, id })
  if (row === undefined || row.kind !== 'key') return undefined
  if ((await lineOf(rows, row, kit.now().getTime())).length === 0) return undefined
  const terms = await unlessTampered(takeTerms(kit, rows, row))
  return terms && { row, terms }
}

function isSame(kept: string | null, shown: string): boolean {
  const [one, other] = [Buffer.from(kept ?? ''), Buffer.from(shown)]
  return one.length === other.length && timingSafeEqual(one, other)
}
