import { type AccountWarning, type Address, formatAddress, parseAddress, ValetkeyError } from '#client'
import { INSTALLATION, type OwnerId } from '../model/caller.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import type { Account } from '../model/words.ts'
import { type Outline, takeOutline } from './grants.ts'
import { type Kit, unlessTampered } from './kit.ts'
import { isForwardOnly } from './minting/lendable.ts'
import { providerOf } from './provenance.ts'
import { isExpiring } from './schedule/calendar.ts'
import { isRotationDue } from './schedule/rotation-times.ts'

export const ACCOUNT_ID = 'acct-'

/** Of the standard; servers grant them under other names, or say nothing of them. */
const SPELLED_OTHERWISE = ['openid', 'profile', 'email', 'address', 'phone', 'offline_access']

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
  const standing = gone ? account : await standingOf(rows, account, outline)
  const missingScopes = outline === undefined ? [] : missingOf(kit, account, outline)
  return {
    id: account.id,
    providerId: account.provider,
    userId: account.owner,
    displayName:
      outline?.profile.displayName ?? kit.catalogue.find(account.provider)?.name ?? account.provider,
    bucket: account.bucket,
    subject: outline?.profile.subject ?? null,
    scopes: outline?.scopes ?? [],
    status: standing.status,
    reason: standing.reason,
    warnings: outline === undefined ? [] : warningsOf(kit, account, missingScopes),
    missingScopes,
    forwardOnly:
      outline === undefined
        ? account.standing === 1
        : isBound(outline) || isForwardOnly(kit, account, outline),
    ...(outline?.references && { references: outline.references }),
    connectedAt: new Date(account.connectedAt),
    tokenExpiresAt: dateOrNull(account.expiresAt),
    rotateAt: dateOrNull(account.rotateAt),
    diesAt: dateOrNull(account.diesAt),
    lastUsedAt: dateOrNull(account.lastUsedAt),
  }
}

/** Of a token that is bound to a key of ours a borrower has no use. */
function isBound({ tokenType, kept }: Outline): boolean {
  return tokenType === 'DPoP' && kept.includes('dpopKey')
}

/** What its client is refused for is the trouble of every account of that client. */
async function standingOf(
  rows: Rows,
  account: AccountRow,
  outline: Outline | undefined,
): Promise<Pick<Account, 'status' | 'reason'>> {
  if (outline === undefined)
    return { status: 'needs-reauth', reason: 'its credential was changed outside Valetkey' }
  const { issuer } = outline.from
  if (account.status !== 'connected' || issuer === null) return account
  const client = await rows.get('registrations', { owner: INSTALLATION, issuer })
  return client?.trouble ? { status: 'failing', reason: client.trouble } : account
}

function warningsOf(kit: Kit, account: AccountRow, missing: readonly string[]): readonly AccountWarning[] {
  const warnings: AccountWarning[] = []
  if (isExpiring(account, kit.now())) warnings.push('expiring')
  if (missing.length > 0) warnings.push('missing-scopes')
  if (isRotationDue(account, kit.now())) warnings.push('rotation-due')
  return warnings
}

/** The provider gave less than it was asked for. One that does not say what it gave, gave what was asked. */
function missingOf(kit: Kit, account: AccountRow, { scopes: granted, profile }: Outline): readonly string[] {
  const { signIns = [] } = providerOf(kit, account, profile) ?? {}
  const signIn = signIns.find(({ flow }) => flow === account.flow)
  if (signIn === undefined || granted.length === 0) return []
  const asked = new Set([...signIn.scopes, ...(profile.wished ?? [])])
  return [...asked].filter((scope) => !SPELLED_OTHERWISE.includes(scope) && !granted.includes(scope))
}

export function addressOf(account: AccountRow): string {
  return formatAddress(account)
}

export function dateOrNull(milliseconds: number | null): Date | null {
  return milliseconds === null ? null : new Date(milliseconds)
}
