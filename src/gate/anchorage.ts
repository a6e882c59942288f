import { ValetkeyError } from '#client'
import { INSTALLATION } from '../model/caller.ts'
import type { Anchor } from '../model/gate.ts'
import { Secret } from '../model/secret.ts'
import { type AuditBaseRow, EVERY_OWNER, type Rows, type Storage } from '../model/storage.ts'
import type { Place, Vault } from '../model/vault.ts'
import {
  BASE_LABEL,
  genesis,
  HEAD_LABEL,
  type Link,
  parseAnchor,
  parseLink,
  printAnchor,
  printLink,
  same,
} from './layout.ts'

/** Where the chain begins, and whether that was written by this vault. */
export interface Base {
  readonly link: Link
  readonly genuine: boolean
}

/** The rows of a storage, and whether others write to it too. */
type ChainRows = Rows & Pick<Storage, 'shared'>

export type Remembered = Link | 'missing' | 'damaged'

export async function recall(anchor: Anchor, vault: Vault): Promise<Remembered> {
  const bytes = await anchor.read()
  if (bytes === undefined) return 'missing'
  const parsed = parseAnchor(bytes)
  if (parsed === undefined) return 'damaged'
  const mac = await vault.mac(HEAD_LABEL, printLink(parsed.link))
  return same(mac, parsed.mac) ? parsed.link : 'damaged'
}

/** Resolves with what was written. */
export async function remember(anchor: Anchor, vault: Vault, link: Link): Promise<Uint8Array> {
  const bytes = printAnchor(link, await vault.mac(HEAD_LABEL, printLink(link)))
  await anchor.write(bytes)
  return bytes
}

export async function findBase(rows: Rows, vault: Vault): Promise<Base> {
  const [row] = await rows.list(
    'auditBase',
    { owner: INSTALLATION },
    { orderBy: 'seq', descending: true, limit: 1 },
  )
  if (row === undefined) return { link: genesis(vault.id), genuine: true }
  const mac = await vault.mac(BASE_LABEL, printLink(row))
  return { link: row, genuine: same(mac, row.mac) }
}

export async function baseAt(vault: Vault, { seq, hash }: Link): Promise<AuditBaseRow> {
  return { owner: INSTALLATION, seq, hash, mac: await vault.mac(BASE_LABEL, printLink({ seq, hash })) }
}

export async function findHead(rows: Rows, base: Link): Promise<Link> {
  const [last] = await rows.list(
    'audit',
    { owner: EVERY_OWNER },
    { orderBy: 'seq', descending: true, limit: 1 },
  )
  return last === undefined ? base : { seq: last.seq, hash: last.hash }
}

const VOUCHED: Place = { owner: INSTALLATION, record: 'audit', field: 'vouched', generation: 0 }

/** How far the record is vouched for by any of those who write to it. */
export async function findVouched(rows: Rows, vault: Vault): Promise<Link | undefined> {
  try {
    const link = await vault.take(rows, VOUCHED)
    return link && parseLink(link.revealBytes())
  } catch (error) {
    // Forged or missing, it vouches for nothing.
    if (error instanceof ValetkeyError && error.code === 'tampered') return undefined
    throw error
  }
}

/**
 * Vouches for the chain up to a link that is on disk, so that others know as genuine what will not open
 * any more. False where the chain is not the one which another of the writers vouched for.
 */
export function vouchFor(storage: Storage, vault: Vault, link: Link, anew = false): Promise<boolean> {
  return storage.transaction('synced', async (rows) => {
    const there = await findVouched(rows, vault)
    if (!anew && there !== undefined && !(await passesThrough(rows, vault, there))) return false
    if (anew || there === undefined || there.seq < link.seq)
      await vault.put(rows, VOUCHED, new Secret(printLink(link)))
    return true
  })
}

/** Whether the chain still holds a link. What was pruned since was vouched for when it went. */
export async function passesThrough(rows: Rows, vault: Vault, { seq, hash }: Link): Promise<boolean> {
  const there = await entryAt(rows, seq)
  if (there !== undefined) return same(there.hash, hash)
  const { link, genuine } = await findBase(rows, vault)
  return genuine && (link.seq > seq || (link.seq === seq && same(link.hash, hash)))
}

/** What is wrong between the chain and what the anchor remembers, in words; undefined if nothing is. */
export async function anchorTrouble(
  rows: ChainRows,
  base: Base,
  remembered: Remembered,
): Promise<string | undefined> {
  const head = await findHead(rows, base.link)
  if (remembered === 'damaged') return 'the anchor was not made with the key of this vault'
  if (remembered === 'missing') return head.seq === 0 ? undefined : 'the anchor is missing'
  return linkTrouble(rows, base, remembered, head)
}

/** What is wrong if the chain once passed through this link. */
export async function linkTrouble(
  rows: ChainRows,
  base: Base,
  link: Link,
  head: Link,
): Promise<string | undefined> {
  if (link.seq > head.seq) return missingAtTheEnd(link.seq - head.seq)
  if (link.seq < base.link.seq) {
    // Where others write as well, it may have been one of them who pruned.
    return rows.shared && base.genuine ? undefined : 'the anchor is older than the beginning of the record'
  }
  const there = link.seq === base.link.seq ? base.link : await entryAt(rows, link.seq)
  if (there !== undefined && same(there.hash, link.hash)) return undefined
  return `entry ${link.seq} is not the one that was written: an older copy was put back, or entries were changed`
}

function entryAt(rows: Rows, seq: number): Promise<Link | undefined> {
  return rows.get('audit', { owner: EVERY_OWNER, seq })
}

function missingAtTheEnd(count: number): string {
  return count === 1 ? 'the last entry is missing' : `the last ${count} entries are missing`
}
