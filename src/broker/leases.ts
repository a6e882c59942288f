import { type LeaseEnd, type LeaseVerb, ValetkeyError } from '#client'
import { type Caller, isOwner } from '../model/caller.ts'
import type { AccountRow, LeaseRow, Rows } from '../model/storage.ts'
import type { Lease } from '../model/words.ts'
import { addressOf, dateOrNull } from './accounts.ts'
import { behind, type Kit } from './kit.ts'

/** A caller that forwards again within this time is still at the same lending. */
const FORWARD_LEASE_MS = 5 * 60_000

/** Puts a lending on record. Repeats of one caller within a live lease share it and are counted. */
export async function openLease(
  kit: Kit,
  caller: Caller,
  account: AccountRow,
  verb: LeaseVerb,
  dies: Date | null = null,
): Promise<Lease> {
  const now = kit.now().getTime()
  const until = verb === 'forward' ? now + FORWARD_LEASE_MS : (dies?.getTime() ?? null)
  return kit.storage.transaction('soon', async (rows) => {
    const { owner, id: accountId } = account
    const asked = { owner, accountId, caller: caller.id, verb, endedAt: null }
    const live = (await rows.list('leases', asked)).find((one) => isLive(one, now))
    const lease: LeaseRow =
      live === undefined
        ? {
            id: `lease-${kit.newId()}`,
            ...asked,
            openedAt: now,
            lastAt: now,
            until,
            endsBy: endOf(verb, until),
            count: 1,
          }
        : { ...live, lastAt: now, until, count: live.count + 1 }
    if (live === undefined) await rows.insert('leases', [lease])
    else await rows.update('leases', { owner, id: live.id }, { lastAt: now, until, count: lease.count })
    await rows.update('accounts', { owner, id: accountId }, { lastUsedAt: now })
    return viewLease(lease, account)
  })
}

/** The live ones; the owner sees everybody's. */
export async function listLeases(kit: Kit, caller: Caller): Promise<readonly Lease[]> {
  const { owner } = caller
  const now = kit.now().getTime()
  const where = { owner, endedAt: null, ...(isOwner(caller) ? {} : { caller: caller.id }) }
  const rows = await kit.storage.list('leases', where, { orderBy: 'openedAt', descending: true })
  const accounts = new Map((await kit.storage.list('accounts', { owner })).map((one) => [one.id, one]))
  return rows.flatMap((row) => {
    const account = accounts.get(row.accountId)
    return account !== undefined && isLive(row, now) ? [viewLease(row, account)] : []
  })
}

/** Takes a lease off the live list. What was already handed out lives until its own end. */
export async function endLease(kit: Kit, caller: Caller, id: string): Promise<void> {
  const passage = await kit.gate.pass(caller, 'end-lease', { name: id })
  await behind(passage, async () => {
    const ended = await kit.storage.transaction('synced', (rows) =>
      endLeases(kit, rows, { owner: caller.owner, id }, 'ended'),
    )
    if (ended === 0)
      throw new ValetkeyError('not-found', 'there is no such lease', { hint: 'valetkey leases' })
  })
}

/** Ends those of these leases that are not over by themselves, and says how many they were. */
export async function endLeases(
  kit: Kit,
  rows: Rows,
  which: Pick<LeaseRow, 'owner'> & Partial<Pick<LeaseRow, 'id' | 'accountId' | 'caller'>>,
  endsBy: LeaseEnd,
): Promise<number> {
  const now = kit.now().getTime()
  const live = (await rows.list('leases', { ...which, endedAt: null })).filter((one) => isLive(one, now))
  const ids = live.map(({ id }) => id)
  if (ids.length === 0) return 0
  return rows.update('leases', { owner: which.owner, id: { oneOf: ids } }, { endedAt: now, endsBy })
}

function isLive({ until }: LeaseRow, now: number): boolean {
  return until === null || until > now
}

function endOf(verb: LeaseVerb, until: number | null): LeaseEnd {
  if (verb === 'forward') return 'forward'
  return until === null ? 'revocation' : 'expiry'
}

function viewLease(row: LeaseRow, account: AccountRow): Lease {
  return {
    id: row.id,
    accountId: row.accountId,
    address: addressOf(account),
    caller: row.caller,
    verb: row.verb,
    openedAt: new Date(row.openedAt),
    until: dateOrNull(row.until),
    endsBy: row.endsBy,
    endedAt: dateOrNull(row.endedAt),
    count: row.count,
  }
}
