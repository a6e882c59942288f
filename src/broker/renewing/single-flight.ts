import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import type { AccountRow, Held } from '../../model/storage.ts'
import { addressOf } from '../accounts.ts'
import { takeWhole, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { upTo } from '../patience.ts'
import { livingOf } from './ending.ts'
import { ANSWERED_WITHIN_MS, lives } from './renewing.ts'
import { WRITTEN_WITHIN_MS } from './replacing.ts'
import { isWaiting, stillTroubled } from './trouble.ts'

/** Whoever asked before us may live and have its answer, and bring it when the database is back. */
const BROUGHT_WITHIN_MS = 3_000
/** A broker that dies over a renewal is succeeded after this; one that lives is done before it. */
const HELD_MS = BROUGHT_WITHIN_MS + ANSWERED_WITHIN_MS + WRITTEN_WITHIN_MS + 5_000
/** Whoever has something that is still alive is not kept waiting for another broker's renewal. */
const PATIENCE_MS = 2_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000
const RELEASES = 20

type Renewing = (present: Whole) => Promise<Whole>

/** However many ask for it at once, here or at other brokers, the provider is asked once, and all hear what came of it. */
export function once(kit: Kit, whole: Whole, renewing: Renewing): Promise<Whole> {
  const { id } = whole.account
  const underWay =
    kit.refreshing.get(id) ?? inHand(kit, whole, renewing).finally(() => kit.refreshing.delete(id))
  kit.refreshing.set(id, underWay)
  return underWay
}

/**
 * Whoever ends waits for the answers that are under way: one that nobody writes down is lost. A provider
 * that says nothing is not waited for without end.
 */
export function renewalsOver({ refreshing }: Kit, milliseconds: number): Promise<void> {
  return upTo(milliseconds, Promise.allSettled(refreshing.values()))
}

/** Of several brokers one takes the account in hand; the others wait for what it writes. */
async function inHand(kit: Kit, before: Whole, renewing: Renewing): Promise<Whole> {
  const { account } = before
  const patience = lives(before.credential, kit.now()) ? PATIENCE_MS : HELD_MS + PATIENCE_MS
  const begun = performance.now()
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
    const held = await kit.storage.hold(account.owner, recordOf(account), HELD_MS)
    const present = await presentOf(kit, before, held && renewing).finally(() => held && letGo(held))
    if (present !== undefined) return present
    if (performance.now() - begun > patience) throw busy(account)
    await stirred(kit, account.id, wait * (0.5 + Math.random()))
  }
}

/** Whether another broker has it in hand at this moment. One that died is found out by asking again. */
export async function isElsewhere({ storage }: Kit, account: AccountRow): Promise<boolean> {
  const held = await storage.hold(account.owner, recordOf(account), LONGEST_PAUSE_MS)
  await held?.release()
  return held === undefined
}

function recordOf({ id }: AccountRow): string {
  return `refresh ${id}`
}

/** Until another broker writes something about the account, and not for longer than this. */
async function stirred({ awaited }: Kit, id: string, milliseconds: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const all = awaited.get(id) ?? new Set()
  awaited.set(id, all.add(resolve))
  await upTo(milliseconds, promise)
  all.delete(resolve)
  if (all.size === 0) awaited.delete(id)
}

/**
 * What somebody else wrote since it was read, be it trouble. Where nobody did, it is renewed, if that is
 * ours to do.
 */
async function presentOf(kit: Kit, { account }: Whole, renewing?: Renewing): Promise<Whole | undefined> {
  let present = await takeWhole(kit, account)
  if (renewing !== undefined && mayBeBrought(kit, present.account)) {
    await pause(BROUGHT_WITHIN_MS)
    present = await takeWhole(kit, account)
  }
  const { generation, tries } = present.account
  if (generation !== account.generation) livingOf(present)
  if (generation !== account.generation && lives(present.credential, kit.now())) return present
  if (tries > account.tries && isWaiting(present.account, kit.now()))
    throw stillTroubled(kit, present.account)
  return renewing?.(present)
}

/** Nobody wrote what came of the last call, and it was not ours. */
function mayBeBrought({ storage, unwritten }: Kit, { id, askedAt }: AccountRow): boolean {
  return storage.shared === true && askedAt !== null && !unwritten.has(id)
}

/** Where the database is away at the moment, others do not have to wait until the time is over. */
async function letGo(held: Held, tries = RELEASES): Promise<void> {
  await held.release().catch(() => {
    if (tries > 1) void pause(LONGEST_PAUSE_MS, undefined, { ref: false }).then(() => letGo(held, tries - 1))
  })
}

function busy(account: AccountRow): ValetkeyError {
  const message = `${addressOf(account)} is being renewed by another broker`
  return new ValetkeyError('conflict', message, { hint: 'try again in a moment' })
}
