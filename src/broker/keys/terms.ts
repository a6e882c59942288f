import { type Grant, type Limits, ValetkeyError } from '#client'
import { Secret } from '../../model/secret.ts'
import type { KeyRow, Rows } from '../../model/storage.ts'
import type { Kit } from '../kit.ts'

/** The process that a caller ends with. */
export interface Running {
  readonly pid: number
  /** What tells it from others of that number. */
  readonly mark: string
}

/** What a key is and may is sealed, so that nobody gives himself more by writing into the table. */
export interface Terms extends Pick<KeyRow, 'id' | 'parent' | 'kind' | 'name' | 'until'> {
  readonly grants: readonly Grant[]
  /** SHA-256 of what is shown, in base64url; null for a socket. */
  readonly hash: string | null
  readonly thumbprint: string | null
  /** Who may reach its socket. */
  readonly uids: readonly number[]
  readonly endsWith: Running | null
  /** The computer, and the broker's place on it, that a socket and a process are to be looked for at. */
  readonly at: string
}

/** A caller that lives, with what it was given. */
export interface Known {
  readonly row: KeyRow
  readonly terms: Terms
}

export async function putKey(kit: Pick<Kit, 'vault'>, rows: Rows, { row, terms }: Known): Promise<void> {
  await rows.insert('keys', [row])
  await kit.vault.put(rows, placeOf(row), new Secret(JSON.stringify(terms)))
}

/** Throws `tampered` where the row says something else than what was sealed. */
export async function takeTerms(kit: Pick<Kit, 'vault'>, rows: Rows, row: KeyRow): Promise<Terms> {
  const sealed = await kit.vault.take(rows, placeOf(row))
  const terms = sealed && (JSON.parse(sealed.reveal()) as Terms)
  if (terms !== undefined && SAME.every((name) => terms[name] === row[name])) return terms
  throw new ValetkeyError('tampered', `the caller ${row.id} was changed outside Valetkey`, {
    hint: `valetkey keys kill ${row.id}`,
  })
}

const SAME = ['id', 'parent', 'kind', 'name', 'until'] as const

/** What was given at this address; the same address is given once. */
export function grantAt({ grants }: Terms, address: string): Grant | undefined {
  return grants.find((grant) => grant.address === address)
}

export function limitsOf(grant: Grant | undefined): Limits | null {
  return grant?.limits ?? null
}

function placeOf({ owner, id, generation, parent }: KeyRow) {
  return { owner, record: id, field: 'terms', generation, about: parent }
}
