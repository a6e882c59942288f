import { setImmediate as breath } from 'node:timers/promises'
import type { Anchor } from '../model/gate.ts'
import { type AuditRow, EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { Vault } from '../model/vault.ts'
import type { AuditVerdict } from '../model/words.ts'
import {
  anchorTrouble,
  type Base,
  findBase,
  findHead,
  findVouched,
  linkTrouble,
  type Remembered,
  recall,
} from './anchorage.ts'
import { hashOf, type Link, same } from './layout.ts'
import { openRow } from './reading.ts'

interface VerifyParts {
  readonly storage: Storage
  readonly vault: Vault
  readonly anchor: Anchor
  readonly now: () => Date
}

/** A stretch of the chain, up to its end. */
interface Stretch {
  /** What the first entry builds on. */
  readonly after: Link
  /** The first row to look at; there should be none before `after`. */
  readonly from: number
  /** Up to here the anchor or the memory of this process vouches for what cannot be opened any more. */
  readonly vouched: number
}

/** How far the walk along the chain has come. */
interface Walk {
  readonly vouched: number
  seq: number
  /** What the next entry may build on: more than one hash after an entry that was changed, none after a gap. */
  hashes: readonly Uint8Array[]
  entries: number
  readonly problems: string[]
}

const PAGE = 10_000
/** How many entries are looked at before others get their turn. */
const STRIDE = 500
const MOST_PROBLEMS = 100
const MOVED = 'the beginning of the record was changed'

/** Recomputes the whole chain, opens every entry, and holds both against what is remembered of the head. */
export async function verifyChain(parts: VerifyParts, head: Link | undefined): Promise<AuditVerdict> {
  const { storage, vault, now } = parts
  const remembered = await recall(parts.anchor, vault)
  const base = await findBase(storage, vault)
  const others = await vouchedByOthers(parts, base)
  const own = head?.seq ?? (typeof remembered === 'string' ? Number.POSITIVE_INFINITY : remembered.seq)
  const walk = await walkAlong(parts, { after: base.link, from: 0, vouched: Math.max(own, others.seq) })
  const trouble =
    (head && (await linkTrouble(storage, base, head, await findHead(storage, base.link)))) ??
    (await anchorTrouble(storage, base, remembered)) ??
    others.trouble
  const problems = [base.genuine ? [] : MOVED, walk.problems, trouble ?? []].flat()
  return {
    ok: problems.length === 0,
    entries: walk.entries,
    head: walk.seq,
    checkedAt: now(),
    problems: shortened(problems),
  }
}

/**
 * What is wrong before anything is added: with the beginning, with the anchor, or with the entries
 * after it, for which nobody else vouches.
 */
export async function troubleAtStart(
  parts: VerifyParts,
  base: Base,
  remembered: Remembered,
): Promise<string | undefined> {
  const trouble = await anchorTrouble(parts.storage, base, remembered)
  if (trouble !== undefined || !base.genuine) return trouble ?? MOVED
  if (typeof remembered === 'string') return undefined
  const others = await vouchedByOthers(parts, base)
  if (others.trouble !== undefined) return others.trouble
  const after = remembered.seq < base.link.seq ? base.link : remembered
  const vouched = Math.max(remembered.seq, others.seq)
  const { problems } = await walkAlong(parts, { after, from: after.seq + 1, vouched })
  return problems[0]
}

/** How far the others who write to the same chain vouch for it, and whether it is still theirs. */
async function vouchedByOthers(
  { storage, vault }: VerifyParts,
  base: Base,
): Promise<{ readonly seq: number; readonly trouble?: string | undefined }> {
  const link = storage.shared ? await findVouched(storage, vault) : undefined
  if (link === undefined) return { seq: 0 }
  const trouble = await linkTrouble(storage, base, link, await findHead(storage, base.link))
  return { seq: link.seq, trouble }
}

async function walkAlong(parts: VerifyParts, { after, from, vouched }: Stretch): Promise<Walk> {
  const walk: Walk = { vouched, seq: after.seq, hashes: [after.hash], entries: 0, problems: [] }
  let next = from
  for (;;) {
    const rows = await parts.storage.list(
      'audit',
      { owner: EVERY_OWNER, seq: { atLeast: next } },
      { orderBy: 'seq', limit: PAGE },
    )
    for (const row of rows) await step(parts, walk, row)
    if (rows.length < PAGE) return walk
    next = walk.seq + 1
  }
}

async function step(parts: VerifyParts, walk: Walk, row: AuditRow): Promise<void> {
  walk.entries += 1
  if (walk.entries % STRIDE === 0) await breath()
  if (row.seq <= walk.seq) {
    walk.problems.push(`entry ${row.seq} was put in before the beginning`)
    return
  }
  if (row.seq > walk.seq + 1) {
    walk.problems.push(missing(walk.seq + 1, row.seq - 1))
    walk.hashes = []
  }
  const whole = follows(walk, row) && (await isGenuine(parts, walk, row))
  if (!whole) walk.problems.push(`entry ${row.seq} was changed`)
  walk.seq = row.seq
}

/** What comes after a changed entry is judged by what that one says of itself and by what is so. */
function follows(walk: Walk, row: AuditRow): boolean {
  const so = walk.hashes.map((before) => hashOf(before, row))
  const right = so.length === 0 || so.some((hash) => same(hash, row.hash))
  walk.hashes = right ? [row.hash] : [row.hash, ...so]
  return right
}

async function isGenuine(parts: VerifyParts, { vouched }: Walk, row: AuditRow): Promise<boolean> {
  const opened = await openRow(parts, row)
  return opened === 'erased' ? row.seq <= vouched : opened !== 'changed'
}

function missing(first: number, last: number): string {
  return first === last ? `entry ${first} is missing` : `entries ${first} to ${last} are missing`
}

function shortened(problems: readonly string[]): readonly string[] {
  if (problems.length <= MOST_PROBLEMS) return problems
  return [...problems.slice(0, MOST_PROBLEMS), `and ${problems.length - MOST_PROBLEMS} more`]
}
