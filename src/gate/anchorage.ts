import { INSTALLATION } from '../model/caller.ts'
import type { Anchor } from '../model/gate.ts'
import { type AuditBaseRow, EVERY_OWNER, type Rows } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import {
  BASE_LABEL,
  genesis,
  HEAD_LABEL,
  type Link,
  parseAnchor,
  printAnchor,
  printLink,
  same,
} from './layout.ts'

/** Where the chain begins, and whether that was written by this vault. */
export interface Base {
  readonly link: Link
  readonly genuine: boolean
}

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

/** What is wrong between the chain and what the anchor remembers, in words; undefined if nothing is. */
export async function anchorTrouble(
  rows: Rows,
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
  rows: Rows,
  base: Base,
  link: Link,
  head: Link,
): Promise<string | undefined> {
  if (link.seq > head.seq) return missingAtTheEnd(link.seq - head.seq)
  if (link.seq < base.link.seq) return 'the anchor is older than the beginning of the record'
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
