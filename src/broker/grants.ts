import { formatAddress, ValetkeyError } from '#client'
import type { Credential, Profile } from '../model/credential.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import type { Place } from '../model/vault.ts'
import { type Kit, notConnected, unlessTampered } from './kit.ts'

/** The sealed half of an account: what was issued, and what is known of it. */
export interface Grant {
  readonly credential: Credential
  readonly profile: Profile
  readonly issuedAt: Date
}

export type Whole = Grant & { readonly account: AccountRow }

/** An account with its grant; without one where that does not open any more. */
export interface Holding {
  readonly account: AccountRow
  readonly grant: Grant | undefined
}

/** What is written beside the secrets, in one sealed field, so that none can be added or dropped unnoticed. */
interface Outline {
  readonly worn: readonly string[]
  readonly kept: readonly string[]
  readonly standing: boolean
  readonly issuedAt: string
  readonly expiresAt: string | null
  readonly scopes: readonly string[]
  readonly tokenType: string
  readonly profile: Profile
}

/** Never dies by itself, so it is only forwarded: whatever says of itself that it stands, or names no end. */
export function isStanding({ standing, expiresAt }: Pick<Credential, 'standing'> & { expiresAt: unknown }) {
  return standing || expiresAt === null
}

/** Writes the grant as the account's present generation; fields of an older one are erased. */
export async function putGrant(kit: Kit, rows: Rows, account: AccountRow, grant: Grant): Promise<void> {
  const { worn, kept } = grant.credential
  await kit.vault.erase(rows, account.owner, account.id)
  await kit.vault.put(rows, place(account, 'outline'), new Secret(JSON.stringify(outlineOf(grant))))
  for (const [name, secret] of Object.entries(worn))
    await kit.vault.put(rows, place(account, `worn:${name}`), secret)
  for (const [name, secret] of Object.entries(kept))
    await kit.vault.put(rows, place(account, `kept:${name}`), secret)
}

/** As they stand together at this moment: either may have been replaced or ended since the gate. */
export async function takeHolding(
  kit: Kit,
  { owner, id }: Pick<AccountRow, 'owner' | 'id'>,
): Promise<Holding> {
  return kit.storage.transaction('soon', async (rows) => {
    const account = await rows.get('accounts', { owner, id })
    if (account === undefined || account.status === 'revoked')
      throw notConnected(account === undefined ? id : formatAddress(account))
    return { account, grant: await unlessTampered(takeGrant(kit, rows, account)) }
  })
}

/** The same for whoever has no use for an account without its grant. */
export async function takeWhole(kit: Kit, of: AccountRow): Promise<Whole> {
  const { account, grant } = await takeHolding(kit, of)
  if (grant !== undefined) return { account, ...grant }
  const address = formatAddress(account)
  throw new ValetkeyError('tampered', `the credential of ${address} was changed outside Valetkey`, {
    hint: `valetkey reconnect ${address}`,
  })
}

async function takeGrant(kit: Kit, rows: Rows, account: AccountRow): Promise<Grant> {
  const outline = await takeOutline(kit, rows, account)
  const { worn, kept, profile, issuedAt, expiresAt, ...rest } = outline
  return {
    credential: {
      ...rest,
      expiresAt: expiresAt === null ? null : new Date(expiresAt),
      worn: await takeFields(kit, rows, account, 'worn', worn),
      kept: await takeFields(kit, rows, account, 'kept', kept),
    },
    profile,
    issuedAt: new Date(issuedAt),
  }
}

/** What may be shown of a grant, without opening any of its secrets. */
export async function takeOutline(kit: Kit, rows: Rows, account: AccountRow): Promise<Outline> {
  const sealed = await takeField(kit, rows, account, 'outline')
  return JSON.parse(sealed.reveal()) as Outline
}

async function takeFields(kit: Kit, rows: Rows, account: AccountRow, kind: string, names: readonly string[]) {
  const fields: Record<string, Secret> = {}
  for (const name of names) fields[name] = await takeField(kit, rows, account, `${kind}:${name}`)
  return fields
}

async function takeField(kit: Kit, rows: Rows, account: AccountRow, field: string): Promise<Secret> {
  const secret = await kit.vault.take(rows, place(account, field))
  if (secret !== undefined) return secret
  throw new ValetkeyError('tampered', `the credential of ${account.provider} is missing from the vault`)
}

function outlineOf({ credential, profile, issuedAt }: Grant): Outline {
  return {
    worn: Object.keys(credential.worn),
    kept: Object.keys(credential.kept),
    standing: credential.standing,
    issuedAt: issuedAt.toISOString(),
    expiresAt: credential.expiresAt?.toISOString() ?? null,
    scopes: credential.scopes,
    tokenType: credential.tokenType,
    profile,
  }
}

/** The provider is part of the place: a row that was moved to another provider does not open. */
function place(account: AccountRow, field: string): Place {
  const { owner, id: record, generation, provider: about } = account
  return { owner, record, field, generation, about }
}
