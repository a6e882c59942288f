import { type LeaseEnd, type LeaseQuery, ValetkeyError } from '#client'
import { type Caller, isOwner } from '../model/caller.ts'
import type { AccountRow, LeaseRow, Rows } from '../model/storage.ts'
import type { EndedLease, Lease } from '../model/words.ts'
import { addressOf, dateOrNull } from './accounts.ts'
import { isOver } from './forwarding/streams.ts'
import { behind, type Kit } from './kit.ts'

const DAY_MS = 24 * 60 * 60_000

/** The live ones, or those that are over since yesterday; the owner sees everybody's. */
export async function listLeases(
  kit: Kit,
  caller: Caller,
  { ended = false }: LeaseQuery = {},
): Promise<readonly Lease[]> {
  await kit.chain.caughtUp()
  const { owner } = caller
  const whose = { owner, ...(isOwner(caller) ? {} : { caller: caller.id }) }
  const rows = ended ? await endedOf(kit, whose) : await liveOf(kit, whose)
  const accounts = new Map((await kit.storage.list('accounts', { owner })).map((one) => [one.id, one]))
  return rows.flatMap((row) => {
    const account = accounts.get(row.accountId)
    return account === undefined ? [] : [viewLease(row, account)]
  })
}

type Whose = Pick<LeaseRow, 'owner'> & Partial<Pick<LeaseRow, 'caller'>>

async function liveOf({ storage, now }: Kit, whose: Whose): Promise<LeaseRow[]> {
  const live = { ...whose, endedAt: null }
  const rows = await storage.list('leases', live, { orderBy: 'openedAt', descending: true })
  return rows.filter((one) => isLive(one, now().getTime()))
}

/** The latest end first. What nobody ended was over when its time was. */
async function endedOf({ storage, now: clock }: Kit, whose: Whose): Promise<LeaseRow[]> {
  const now = clock().getTime()
  const yesterday = { atLeast: now - DAY_MS }
  const ended = await storage.list('leases', { ...whose, endedAt: yesterday })
  const ran = await storage.list('leases', { ...whose, endedAt: null, until: yesterday })
  const over = ran.filter((one) => !isLive(one, now)).map((one) => ({ ...one, endedAt: one.until }))
  return [...ended, ...over].toSorted((one, other) => (other.endedAt ?? 0) - (one.endedAt ?? 0))
}

/** Cuts off what goes through here at once. What was already handed out lives until its own end. */
export async function endLease(kit: Kit, caller: Caller, id: string): Promise<EndedLease> {
  const passage = await kit.gate.pass(caller, 'end-lease', { name: id })
  return behind(
    passage,
    async () => {
      const { row, account } = await endOne(kit, caller, id)
      const { owner, accountId, caller: borrower } = row
      const whose = { owner, accountId, caller: borrower, lease: id }
      const cut = kit.streams.cut(whose, isOver('its owner ended the lease'))
      return { lease: viewLease(row, account), lines: [whatBecame(kit, row, account, cut)] }
    },
    ({ lease, lines }) => `${lease.verb} of ${lease.address} to ${lease.caller}: ${lines[0]?.state}`,
  )
}

async function endOne(kit: Kit, { owner }: Caller, id: string) {
  return kit.storage.transaction('synced', async (rows) => {
    const ended = await endLeases(kit, rows, { owner, id }, 'ended')
    const row = await rows.get('leases', { owner, id })
    const account = row && (await rows.get('accounts', { owner, id: row.accountId }))
    if (ended === 0 || row === undefined || account === undefined)
      throw new ValetkeyError('not-found', 'there is no such lease', { hint: 'valetkey leases' })
    return { row, account }
  })
}

/** What this ended, and what it could not. */
function whatBecame(kit: Kit, { verb, until }: LeaseRow, account: AccountRow, cut: number) {
  const address = addressOf(account)
  if (verb === 'forward') {
    const others = kit.storage.shared ? '; other brokers cut theirs within seconds' : ''
    return { what: 'requests under way', state: 'died', how: `${cut} cut off here${others}` } as const
  }
  if (verb === 'reveal' || until === null) {
    const how = `it was shown and never dies by itself; to end it: valetkey rotate ${address}`
    return { what: 'secret', state: 'alive', how } as const
  }
  const end = new Date(until).toISOString()
  const how = `it lives on at the provider until ${end}; to end it before: valetkey revoke ${address}`
  return { what: 'access token', state: 'alive', how } as const
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

export function isLive({ until }: { readonly until: number | null }, now: number): boolean {
  return until === null || until > now
}

export function viewLease(row: LeaseRow, account: AccountRow): Lease {
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
    lastUsedAt: new Date(row.lastAt),
    count: row.count,
    purpose: row.purpose,
    scopes: row.scopes?.split(' ') ?? [],
    audience: row.audience,
    repositories: row.repositories?.split(' ') ?? [],
  }
}
