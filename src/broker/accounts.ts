import { type Address, formatAddress, parseAddress, ValetkeyError } from '#client'
import type { OwnerId } from '../model/caller.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import type { Account } from '../model/words.ts'
import { takeOutline } from './grants.ts'
import { type Kit, unlessTampered } from './kit.ts'

export const ACCOUNT_ID = 'acct-'

/** Reads an address as it was typed: aliases are resolved, and what is no address is refused. */
export function readAddress(kit: Kit, text: string): Address {
  const address = parseAddress(text)
  if (address === undefined) {
    throw new ValetkeyError('invalid-request', 'this is not an account', {
      hint: 'write it as provider or provider/bucket',
    })
  }
  return { ...address, provider: kit.catalogue.find(address.provider)?.id ?? address.provider }
}

/** The living account at an address or under an id. A revoked one is history, and not found. */
export async function findAccount(
  kit: Kit,
  rows: Rows,
  owner: OwnerId,
  text: string,
): Promise<AccountRow | undefined> {
  const where = text.startsWith(ACCOUNT_ID) ? { owner, id: text } : { owner, ...readAddress(kit, text) }
  const found = await rows.list('accounts', where)
  return found.find((account) => account.status !== 'revoked')
}

/** The account as it is shown at this moment; undefined when there never was one. */
export async function showAccount(kit: Kit, owner: OwnerId, id: string): Promise<Account | undefined> {
  return kit.storage.transaction('soon', async (rows) => {
    const account = await rows.get('accounts', { owner, id })
    return account && viewAccount(kit, rows, account)
  })
}

/**
 * The account as it is shown. Its name and subject are sealed, its credential stays so; where they do
 * not open any more the account is shown all the same, and says so.
 */
export async function viewAccount(kit: Kit, rows: Rows, account: AccountRow): Promise<Account> {
  const gone = account.status === 'revoked'
  const outline = gone ? undefined : await unlessTampered(takeOutline(kit, rows, account))
  const damaged = !gone && outline === undefined
  return {
    id: account.id,
    providerId: account.provider,
    userId: account.owner,
    displayName:
      outline?.profile.displayName ?? kit.catalogue.find(account.provider)?.name ?? account.provider,
    bucket: account.bucket,
    subject: outline?.profile.subject ?? null,
    scopes: outline?.scopes ?? [],
    status: damaged ? 'needs-reauth' : account.status,
    reason: damaged ? 'its credential was changed outside Valetkey' : account.reason,
    warnings: [],
    forwardOnly: outline?.standing ?? account.standing === 1,
    connectedAt: new Date(account.connectedAt),
    tokenExpiresAt: dateOrNull(account.expiresAt),
    lastUsedAt: dateOrNull(account.lastUsedAt),
  }
}

export function addressOf(account: AccountRow): string {
  return formatAddress(account)
}

export function dateOrNull(milliseconds: number | null): Date | null {
  return milliseconds === null ? null : new Date(milliseconds)
}
