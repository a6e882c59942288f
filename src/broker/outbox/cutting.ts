import type { AccountRow, FlowSessionRow, LeaseRow, OutboxRow, Rows } from '../../model/storage.ts'
import type { LivesOn } from '../../model/words.ts'
import { addressOf, dateOrNull } from '../accounts.ts'
import { type Holding, holdingIn } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { endLeases } from '../leases.ts'
import { mintOf } from '../minting/lendable.ts'
import { endSession } from '../sign-ins/sessions.ts'
import { IN_HAND_MS } from './outbox.ts'
import { owe } from './owed.ts'

/** What it was that was cut off, and what its provider has to be told of it. */
export interface Cut {
  readonly account: AccountRow
  readonly owed: readonly OutboxRow[]
  readonly isReadable: boolean
  /** What was handed out of it and is not dead yet. */
  readonly lent: readonly LivesOn[]
  /** All that was handed out of it is among what is owed; false where some was minted that nobody ends. */
  readonly isAllKnown: boolean
  /** The sign-ins that were ended with it. */
  readonly sessions: readonly FlowSessionRow[]
  readonly leasesEnded: number
  readonly bindingsEnded: number
}

/**
 * The account stays as history; all that it could be used by is gone from here, and lies in the outbox until
 * its provider knows. What others wrote until this moment is part of it, so nothing slips through.
 */
export async function cutOff(kit: Kit, rows: Rows, of: AccountRow): Promise<Cut> {
  const holding = await holdingIn(kit, rows, of)
  const { account } = holding
  const { owner, id: accountId } = account
  const lent = await lentOf(kit, rows, { owner, accountId }, () => addressOf(account))
  const mint = mintOf(kit, account)
  const since = await firstLent(rows, account)
  await markRevoked(kit, rows, account)
  await kit.vault.erase(rows, owner, accountId)
  const owed: OutboxRow[] = []
  const from = kit.now().getTime() + IN_HAND_MS
  for (const grant of grantsOf(kit, holding)) owed.push(await owe(kit, rows, account, grant, from))
  const bindings = await rows.list('bindings', { owner, accountId })
  for (const binding of bindings) await kit.vault.erase(rows, owner, binding.id)
  await rows.remove('bindings', { owner, accountId })
  const sessions = await endSignIns(kit, rows, account)
  const leasesEnded = await endLeases(kit, rows, { owner, accountId }, 'revocation')
  const isReadable = holding.grant !== undefined
  const isAllKnown = mint === undefined || (mint.ends === true && kit.minted.knowsAll(since))
  return {
    account,
    owed,
    isReadable,
    lent,
    isAllKnown,
    sessions,
    leasesEnded,
    bindingsEnded: bindings.length,
  }
}

/** What was handed out and may be used by whoever has it, though nobody lends it to him any more. */
export async function lentOf(
  kit: Kit,
  rows: Rows,
  which: Pick<LeaseRow, 'owner'> & Partial<Pick<LeaseRow, 'accountId' | 'caller'>>,
  addressOf: (accountId: string) => string,
): Promise<readonly LivesOn[]> {
  const now = kit.now().getTime()
  const live = await rows.list('leases', { ...which, endedAt: null })
  return live
    .filter(({ verb, until }) => verb !== 'forward' && (until === null || until > now))
    .map(({ accountId, caller, until }) => ({
      address: addressOf(accountId),
      caller,
      until: dateOrNull(until),
    }))
}

/** When the first of what lives on was handed out. */
async function firstLent(rows: Rows, { owner, id: accountId }: AccountRow): Promise<number> {
  const live = await rows.list('leases', { owner, accountId, endedAt: null })
  const handed = live.filter(({ verb }) => verb !== 'forward')
  return Math.min(...handed.map(({ openedAt }) => openedAt))
}

/** Its own, what the provider answered a moment ago and could not be written yet, and what was minted of it. */
function grantsOf(kit: Kit, { account, grant }: Holding) {
  if (grant === undefined) return []
  const minted = mintOf(kit, account)?.ends ? kit.minted.of(account.id) : []
  const fresh = kit.unwritten.get(account.id)
  const isCurrent = fresh?.generation === account.generation
  const others = [...(isCurrent ? [fresh.credential] : []), ...minted]
  const all = [grant, ...others.map((credential) => ({ ...grant, credential }))]
  return all.filter(({ credential: { worn, kept } }) => Object.keys({ ...worn, ...kept }).length > 0)
}

async function markRevoked(kit: Kit, rows: Rows, { owner, id, generation }: AccountRow): Promise<void> {
  const never = { dueAt: null, expiresAt: null, nextTryAt: null, askedAt: null, rotateAt: null, diesAt: null }
  const moved = { changedAt: kit.now().getTime(), generation: generation + 1 }
  await rows.update('accounts', { owner, id }, { status: 'revoked', reason: null, ...never, ...moved })
}

/** No sign-in that is still under way brings it back. */
async function endSignIns(kit: Kit, rows: Rows, account: AccountRow): Promise<FlowSessionRow[]> {
  const { owner, id: accountId, provider } = account
  const failure = {
    code: 'not-connected',
    detail: `${addressOf(account)} was revoked meanwhile`,
    hint: `valetkey connect ${provider}`,
  }
  const ended: FlowSessionRow[] = []
  for (const session of await rows.list('flowSessions', { owner, accountId, state: 'asking' }))
    ended.push(await endSession(kit, session, 'failed', { failure }, rows))
  return ended
}
