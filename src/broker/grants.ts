import { ValetkeyError } from '#client'
import type { Credential, Profile } from '../model/credential.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import type { Place } from '../model/vault.ts'
import type { Kit } from './kit.ts'

/** The sealed half of an account: what was issued, and what is known of it. */
export interface Grant {
  readonly credential: Credential
  readonly profile: Profile
}

/** What is written beside the secrets, in one sealed field, so that none can be added or dropped unnoticed. */
interface Outline {
  readonly worn: readonly string[]
  readonly kept: readonly string[]
  readonly standing: boolean
  readonly expiresAt: string | null
  readonly scopes: readonly string[]
  readonly tokenType: string
  readonly profile: Profile
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

export async function takeGrant(kit: Kit, rows: Rows, account: AccountRow): Promise<Grant> {
  const outline = await takeOutline(kit, rows, account)
  const { worn, kept, profile, expiresAt, ...rest } = outline
  return {
    credential: {
      ...rest,
      expiresAt: expiresAt === null ? null : new Date(expiresAt),
      worn: await takeFields(kit, rows, account, 'worn', worn),
      kept: await takeFields(kit, rows, account, 'kept', kept),
    },
    profile,
  }
}

/** What may be shown of a grant, without opening any of its secrets. */
export async function takeOutline(kit: Kit, rows: Rows, account: AccountRow): Promise<Outline> {
  const sealed = await kit.vault.take(rows, place(account, 'outline'))
  if (sealed === undefined) throw missing(account)
  return JSON.parse(sealed.reveal()) as Outline
}

async function takeFields(kit: Kit, rows: Rows, account: AccountRow, kind: string, names: readonly string[]) {
  const fields: Record<string, Secret> = {}
  for (const name of names) {
    const secret = await kit.vault.take(rows, place(account, `${kind}:${name}`))
    if (secret === undefined) throw missing(account)
    fields[name] = secret
  }
  return fields
}

function outlineOf({ credential, profile }: Grant): Outline {
  return {
    worn: Object.keys(credential.worn),
    kept: Object.keys(credential.kept),
    standing: credential.standing,
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

function missing(account: AccountRow): ValetkeyError {
  return new ValetkeyError('tampered', `the credential of ${account.provider} is missing from the vault`, {
    hint: `valetkey reconnect ${account.provider}`,
  })
}
