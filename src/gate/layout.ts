import { hash, timingSafeEqual } from 'node:crypto'
import type { NewEntry } from '../model/gate.ts'
import type { AuditRow } from '../model/storage.ts'
import type { Place } from '../model/vault.ts'

// An entry is one row: seq | owner | at | key id | sealed | hash.
//
// `sealed` is the whole entry as canonical JSON (keys in alphabetical order, no blanks, time in
// milliseconds since 1970), sealed for the place (owner, record "audit", field seq, generation 0).
// Its place authenticates seq and owner, and it repeats the time, so none of these can be changed
// without the owner's key.
//
// `hash` is SHA-256 over: the hash before | seq | owner | at | key id | sealed. Each part is
// preceded by its length in 4 bytes; seq and at are 8 bytes; the high byte comes first.
// The hash before the first entry is SHA-256 over: "valetkey audit chain 1" | the vault's id.
//
// A link is a place in the chain: seq (8) | hash (32).
// The anchor is: version (1) | link (40) | MAC over the link under the label "audit head".
// Where several processes write to one chain, the furthest link that one of them found on disk is sealed
// for the place (owner "installation", record "audit", field "vouched", generation 0).
// After entries were pruned, the base holds the link of the last one that was removed, and a MAC
// over it under the label "audit base".

const GENESIS = 'valetkey audit chain 1'
const ANCHOR_VERSION = 1
const HASH_BYTES = 32
const LINK_BYTES = 8 + HASH_BYTES

export const HEAD_LABEL = 'audit head'
export const BASE_LABEL = 'audit base'

/** A place in the chain. */
export interface Link {
  readonly seq: number
  readonly hash: Uint8Array
}

/** An entry as it is sealed. */
export interface WrittenEntry extends NewEntry {
  readonly seq: number
  readonly at: number
}

type Whole = { readonly [K in keyof Required<WrittenEntry>]: WrittenEntry[K] }

/** What is undefined is left out. */
export function canonical(entry: WrittenEntry): string {
  const inOrder: Whole = {
    at: entry.at,
    caller: entry.caller,
    code: entry.code,
    detail: entry.detail,
    opened: entry.opened,
    outcome: entry.outcome,
    owner: entry.owner,
    proof: entry.proof,
    seq: entry.seq,
    target: entry.target,
    verb: entry.verb,
  }
  return JSON.stringify(inOrder)
}

export function placeOf({ owner, seq }: Pick<AuditRow, 'owner' | 'seq'>): Place {
  return { owner, record: 'audit', field: String(seq), generation: 0 }
}

export function hashOf(before: Uint8Array, row: Omit<AuditRow, 'hash'>): Uint8Array {
  return digest([before, eight(row.seq), bytes(row.owner), eight(row.at), bytes(row.keyId), row.sealed])
}

export function genesis(vaultId: string): Link {
  return { seq: 0, hash: digest([bytes(GENESIS), bytes(vaultId)]) }
}

export function printLink({ seq, hash }: Link): Uint8Array {
  return Buffer.concat([eight(seq), hash])
}

export function printAnchor(link: Link, mac: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(ANCHOR_VERSION), printLink(link), mac])
}

export function parseLink(bytes: Uint8Array): Link {
  const all = Buffer.from(bytes)
  return { seq: Number(all.readBigUInt64BE(0)), hash: all.subarray(8, LINK_BYTES) }
}

export function parseAnchor(anchor: Uint8Array): { link: Link; mac: Uint8Array } | undefined {
  if (anchor[0] !== ANCHOR_VERSION || anchor.length <= 1 + LINK_BYTES) return undefined
  return { link: parseLink(anchor.subarray(1)), mac: anchor.subarray(1 + LINK_BYTES) }
}

export function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}

function digest(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0
  for (const part of parts) size += 4 + part.length
  const all = Buffer.allocUnsafe(size)
  let at = 0
  for (const part of parts) {
    at = all.writeUInt32BE(part.length, at)
    all.set(part, at)
    at += part.length
  }
  return hash('sha256', all, 'buffer')
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'utf8')
}

function eight(number: number): Uint8Array {
  const all = Buffer.alloc(8)
  all.writeBigUInt64BE(BigInt(number))
  return all
}
