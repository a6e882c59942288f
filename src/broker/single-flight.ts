import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import type { AccountRow, Held } from '../model/storage.ts'
import { addressOf } from './accounts.ts'
import { takeWhole, type Whole } from './grants.ts'
import type { Kit } from './kit.ts'
import { ANSWERED_WITHIN_MS, lives, livingOf, WRITTEN_WITHIN_MS } from './renewing.ts'

/** A broker that dies over a renewal is succeeded after this; one that lives is done before it. */
const HELD_MS = ANSWERED_WITHIN_MS + WRITTEN_WITHIN_MS + 5_000
/** Whoever has something that is still alive is not kept waiting for another broker's renewal. */
const PATIENCE_MS = 2_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 500
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

/** Of several brokers one takes the account in hand; the others wait for what it writes. */
async function inHand(kit: Kit, before: Whole, renewing: Renewing): Promise<Whole> {
  const { account } = before
  const patience = lives(before.credential, kit.now()) ? PATIENCE_MS : HELD_MS + PATIENCE_MS
  let waited = 0
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
    const held = await kit.storage.hold(account.owner, `refresh ${account.id}`, HELD_MS)
    const present = await presentOf(kit, before, held && renewing).finally(() => held && letGo(held))
    if (present !== undefined) return present
    if (waited > patience) throw busy(account)
    const milliseconds = wait * (0.5 + Math.random())
    await pause(milliseconds)
    waited += milliseconds
  }
}

/** What somebody else wrote since it was read. Where nobody did, it is renewed, if that is ours to do. */
async function presentOf(kit: Kit, { account }: Whole, renewing?: Renewing): Promise<Whole | undefined> {
  const present = await takeWhole(kit, account)
  if (present.account.generation !== account.generation) return livingOf(present)
  return renewing?.(present)
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
