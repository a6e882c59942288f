import { INSTALLATION } from '../../model/caller.ts'
import { type AccountRow, EVERY_OWNER, type RegistrationRow, type Rows } from '../../model/storage.ts'
import { showAccount } from '../accounts.ts'
import type { Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { tell } from '../telling.ts'
import { broughtAlong, listAlong } from './clients.ts'

/**
 * What a client is refused for stands on its registration, and is the trouble of every account of that
 * client. Null: it is accepted again.
 */
export async function markClient(
  kit: Kit,
  { account, profile, from: { issuer } }: Whole,
  trouble: string | null,
  wasFailing = false,
): Promise<void> {
  if (issuer === null) return
  if (trouble !== null && profile.ownServer === undefined) await listed(kit, account, issuer)
  const mine = { owner: INSTALLATION, issuer } as const
  const there: RegistrationRow | undefined = await kit.storage.get('registrations', mine)
  if (there === undefined || there.trouble === trouble) return
  const others = await othersOf(kit, account, trouble !== null || wasFailing)
  const before = await statusesOf(kit, others)
  await kit.storage.update('registrations', mine, { trouble })
  // One that is refused alone is not asked about at every success of another.
  if (wasFailing) await tryAgainSoon(kit, kit.storage, there)
  await tellChanges(kit, others, before)
}

/** What stood against all accounts of a client is over for all of them. */
export async function tryAgainSoon(
  { now, schedule }: Kit,
  rows: Rows,
  { provider, trouble }: Pick<RegistrationRow, 'provider' | 'trouble'>,
): Promise<void> {
  const dueAt = now().getTime()
  const failing = { owner: EVERY_OWNER, provider, status: 'failing', reason: trouble } as const
  if ((await rows.update('accounts', failing, { nextTryAt: null, dueAt })) > 0) schedule.expect(dueAt)
}

async function listed(kit: Kit, account: AccountRow, issuer: string): Promise<void> {
  const provider = kit.catalogue.find(account.provider, account.flow)
  const client = provider && broughtAlong(kit, provider)
  if (provider && client) await listAlong(kit, provider, issuer, client)
}

/** Those of the same provider that have no trouble of their own. Of the one that had, others tell. */
async function othersOf(
  { storage }: Kit,
  { id, provider }: AccountRow,
  isTold: boolean,
): Promise<readonly AccountRow[]> {
  const all = await storage.list('accounts', { owner: EVERY_OWNER, provider, status: 'connected' })
  return all.filter((account) => account.id !== id || !isTold)
}

async function statusesOf(kit: Kit, accounts: readonly AccountRow[]) {
  const shown = await Promise.all(accounts.map(({ owner, id }) => showAccount(kit, owner, id)))
  return shown.map((account) => account?.status)
}

async function tellChanges(
  kit: Kit,
  accounts: readonly AccountRow[],
  before: Awaited<ReturnType<typeof statusesOf>>,
): Promise<void> {
  const now = await statusesOf(kit, accounts)
  for (const [at, account] of accounts.entries()) {
    const status = now[at]
    if (status !== undefined && status !== before[at]) await tell(kit, status, account)
  }
}
