import { setTimeout as pause } from 'node:timers/promises'
import { type Fate, parseAddress, type ReceiptLine } from '#client'
import { type Caller, type CallerId, isOwner } from '../../model/caller.ts'
import type { RevokedPiece } from '../../model/flow.ts'
import { EVERY_OWNER, type OutboxRow } from '../../model/storage.ts'
import type { Pending } from '../../model/words.ts'
import type { Kit } from '../kit.ts'
import { upTo } from '../patience.ts'
import { serverOf } from '../schedule/breaker.ts'
import { LANES } from './lanes.ts'
import { strike, takeOwed } from './owed.ts'
import { ASKED_WITHIN_MS, endUpstream, notEnded, type Owed } from './upstream.ts'

const SECOND_MS = 1000
/** Whoever dies over an entry is succeeded after this. */
export const IN_HAND_MS = ASKED_WITHIN_MS + 10 * SECOND_MS
/** Whoever revokes is not kept waiting for a provider for longer. */
const PATIENCE_MS = 10 * SECOND_MS
/** How soon a lane may be free again. */
const LANE_MS = 50
const FIRST_WAIT_MS = 5 * SECOND_MS
const LONGEST_WAIT_MS = 60 * 60 * SECOND_MS
const DAYS = 7
const DAY_MS = 24 * 60 * 60 * SECOND_MS
const GIVEN_UP_MS = DAYS * DAY_MS
/** Nor before it was tried so often: a clock that is ahead for a moment gives nothing up. */
const LEAST_TRIES = 8

const QUEUED = `it is tried again until it is done, for up to ${DAYS} days`

/** What came of one try, and whether there will be another. */
interface Tried {
  readonly lines: readonly ToldLine[]
  readonly over: boolean
  /** Over, and the provider was never asked to any purpose. */
  readonly givenUp: boolean
}

/** A line, and whether it is of something that was never lent to anybody. */
export type ToldLine = ReceiptLine & Pick<RevokedPiece, 'within'>

export type Told = ReadonlyMap<string, readonly ToldLine[]>

/**
 * Tells the providers at once what was entered a moment ago, as far as they listen. What is not done when
 * patience is over stays in the outbox, and its end goes on record by itself.
 */
export async function tellNow(
  kit: Kit,
  entries: readonly OutboxRow[],
  patience = PATIENCE_MS,
): Promise<Told> {
  const told = new Map<string, readonly ToldLine[]>()
  const lines = [...Map.groupBy(entries, providerOf).values()].map((line) => [...line])
  let isHeard = true
  async function work(left: OutboxRow[]): Promise<void> {
    while (isHeard) {
      const entry = left.shift()
      if (entry === undefined) return
      const said = await tellOne(kit, entry, () => isHeard).catch(() => undefined)
      if (isHeard && said !== undefined) told.set(entry.id, said)
    }
  }
  await upTo(patience, Promise.all(lines.map((line) => atOnce(line.length, () => work(line)))))
  isHeard = false
  await letGo(kit, lines.flat())
  return told
}

/** One entry that was due and is in hand. */
export async function tellOwed(kit: Kit, entry: OutboxRow): Promise<void> {
  await tellOne(kit, entry)
}

/** What a broker that died over its first try had in hand, where nobody else can be at work on it. */
export async function takeUpOutbox({ storage, now }: Kit): Promise<void> {
  if (storage.shared) return
  await storage.update('outbox', { owner: EVERY_OWNER, tries: 0 }, { dueAt: now().getTime() })
}

/** For the owner alone. */
export async function listOutbox(kit: Kit, caller: Caller): Promise<readonly Pending[]> {
  if (!isOwner(caller)) return []
  const rows = await kit.storage.list('outbox', { owner: caller.owner }, { orderBy: 'createdAt' })
  return rows.map(({ id, accountId, about, createdAt, tries, dueAt, trouble }) => ({
    id,
    accountId,
    address: about,
    since: new Date(createdAt),
    tries,
    nextTryAt: new Date(dueAt),
    until: new Date(createdAt + GIVEN_UP_MS),
    reason: trouble,
  }))
}

/** What nobody could be told of in time. */
export function queued(how = 'the provider was not asked yet'): ReceiptLine {
  return { what: 'credential', state: 'queued', how: `${how}; ${QUEUED}` }
}

/** What was changed outside, or is gone. */
export function unreadable(): ReceiptLine {
  return { what: 'credential', state: 'alive', how: 'it could not be read any more' }
}

/** Nothing of it is in anybody's hands any more. */
export function isDead(lines: readonly ToldLine[]): boolean {
  return lines.every(({ state, within }) => state === 'died' || within)
}

/** As it is told outside. */
export function asSaid(lines: readonly ToldLine[]): readonly ReceiptLine[] {
  return lines.map(({ what, state, how }) => ({ what, state, how }))
}

/** How it went, for the record. */
export function inShort(lines: readonly ReceiptLine[]): string {
  const count = (state: Fate) => lines.filter((line) => line.state === state).length
  const waiting = count('queued')
  return `${count('died')} of ${lines.length} died at the provider${waiting > 0 ? `, ${waiting} queued` : ''}`
}

/** One provider that hangs keeps only its own waiting. */
function providerOf({ about }: OutboxRow): string {
  return parseAddress(about)?.provider ?? about
}

/** The end is on record before the entry is gone. Who dies in between says it once more, which does no harm. */
async function tellOne(kit: Kit, entry: OutboxRow, isHeard = () => false): Promise<readonly ToldLine[]> {
  const { lines, over, givenUp } = await tryOnce(kit, entry, isHeard)
  if (!over) return lines
  let isRecorded = false
  const record = async () => {
    if (isRecorded || isHeard()) return
    isRecorded = true
    await putOnRecord(kit, entry, lines, givenUp ? 'failed' : 'done')
  }
  await record()
  await strike(kit, entry)
  await record()
  return lines
}

async function tryOnce(kit: Kit, entry: OutboxRow, isAwaited: () => boolean): Promise<Tried> {
  const owed = await takeOwed(kit, entry)
  const pieces = owed === undefined ? notEnded(unreadable().how) : await inTurn(kit, entry, owed, isAwaited)
  if (pieces === undefined) return { lines: [queued()], over: false, givenUp: false }
  const open = pieces.filter(({ again }) => again !== undefined)
  const isLate = kit.now().getTime() >= entry.createdAt + GIVEN_UP_MS && entry.tries + 1 >= LEAST_TRIES
  const lines = pieces.map((piece) => lineOf(piece, isLate))
  if (open.length === 0 || isLate) return { lines, over: true, givenUp: open.length > 0 }
  await putOff(kit, entry, open)
  return { lines, over: false, givenUp: false }
}

/** Undefined where it was not its turn; then it comes again later. Whoever is waited for waits for a lane. */
async function inTurn(
  kit: Kit,
  entry: OutboxRow,
  owed: Owed,
  isAwaited: () => boolean,
): Promise<readonly RevokedPiece[] | undefined> {
  const server = serverOf({ account: owed.account, from: owed.grant.from })
  let turn = kit.lanes.enter(server)
  while ('againMs' in turn && !turn.quiet && isAwaited()) {
    await pause(LANE_MS)
    turn = kit.lanes.enter(server)
  }
  if ('againMs' in turn) return comeAgain(kit, entry, turn.againMs)
  try {
    const pieces = await endUpstream(kit, owed)
    const alone = askedFor(pieces)
    if (alone > 0) kit.lanes.leaveAlone(server, alone)
    return pieces
  } finally {
    turn.over()
  }
}

/** It was not tried, so that does not count as a try. */
async function comeAgain(kit: Kit, { owner, id, dueAt }: OutboxRow, wait: number): Promise<undefined> {
  const next = Math.ceil(kit.now().getTime() + wait)
  await kit.storage.update('outbox', { owner, id, dueAt }, { dueAt: next })
  kit.schedule.expect(next)
}

/** For how long the provider wants to be left alone; a day at most. */
function askedFor(pieces: readonly RevokedPiece[]): number {
  return Math.min(Math.max(0, ...pieces.map(({ again }) => again?.after ?? 0)) * SECOND_MS, DAY_MS)
}

function lineOf({ what, died, how, again, within }: RevokedPiece, isLate = false): ToldLine {
  if (died) return { what, state: 'died', how }
  if (again === undefined) return { what, state: 'alive', how, ...(within && { within }) }
  if (isLate) return { what, state: 'alive', how: `${how}; given up after ${DAYS} days` }
  return { what, state: 'queued', how: `${how}; ${QUEUED}` }
}

/** One try is made when it would be given up, whatever the provider asked for. */
async function putOff(kit: Kit, entry: OutboxRow, open: readonly RevokedPiece[]): Promise<void> {
  const { owner, id, dueAt, tries, createdAt } = entry
  const usual = Math.min(FIRST_WAIT_MS * 2 ** Math.min(tries, 20), LONGEST_WAIT_MS)
  const wait = Math.max(askedFor(open), usual * (0.75 + Math.random() / 2))
  const now = kit.now().getTime()
  const end = createdAt + GIVEN_UP_MS
  const next = Math.ceil(now < end ? Math.min(now + wait, end) : now + wait)
  const trouble = [...new Set(open.map(({ how }) => how))].join('; ')
  await kit.storage.update('outbox', { owner, id, dueAt }, { dueAt: next, tries: tries + 1, trouble })
  kit.schedule.expect(next)
}

/** What was taken in hand and not begun is due at once. */
async function letGo(kit: Kit, entries: readonly OutboxRow[]): Promise<void> {
  if (entries.length === 0) return
  const dueAt = kit.now().getTime()
  await kit.storage.transaction('soon', async (rows) => {
    for (const { owner, id, dueAt: until } of entries)
      await rows.update('outbox', { owner, id, dueAt: until }, { dueAt })
  })
  kit.schedule.expect(dueAt)
}

/** Nobody waits for it any more, so the broker says how it ended, in the owner's name. */
export async function putOnRecord(
  kit: Kit,
  { owner, about }: Pick<OutboxRow, 'owner' | 'about'>,
  lines: readonly ReceiptLine[],
  outcome: 'done' | 'failed' = 'done',
): Promise<void> {
  const why = lines.find(({ state }) => state === 'alive')?.how
  await kit.chain.append({
    owner,
    caller: owner as CallerId,
    proof: 'broker',
    verb: 'revoke',
    target: about,
    outcome,
    detail: [inShort(lines), why ?? []].flat().join(': '),
  })
}

/** Several hands, and no more than there is work for, or lanes to it. */
async function atOnce(most: number, work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: Math.min(most, LANES) }, work))
}
