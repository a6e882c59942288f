import { formatAddress, ValetkeyError } from '#client'
import type { Credential, Profile } from '../model/credential.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow, Rows } from '../model/storage.ts'
import type { Place } from '../model/vault.ts'
import { type Kit, notConnected, unlessTampered } from './kit.ts'
import { type Provenance, provenanceOf, refuseMoved, wholeProvenance } from './provenance.ts'
import { isAhead } from './schedule/clock-watch.ts'

/** The sealed half of an account: what was issued, and what is known of it. */
export interface Grant {
  readonly credential: Credential
  readonly profile: Profile
  readonly issuedAt: Date
}

/** A grant as it was kept. */
export type Kept = Grant & { readonly from: Provenance }

export type Whole = Kept & { readonly account: AccountRow }

/** An account with its grant; without one where that does not open any more. */
export interface Holding {
  readonly account: AccountRow
  readonly grant: Kept | undefined
}

/** What is written beside the secrets, in one sealed field, so that none can be added or dropped unnoticed. */
export interface Outline {
  readonly worn: readonly string[]
  readonly kept: readonly string[]
  readonly standing: boolean
  readonly issuedAt: string
  readonly expiresAt: string | null
  readonly scopes: readonly string[]
  readonly wornScopes?: readonly string[]
  readonly tokenType: string
  readonly references?: Readonly<Record<string, string>>
  readonly grantEndsAt?: string
  readonly idleEndsAt?: string
  readonly profile: Profile
  readonly from: Provenance
  /** What is worn can be had again, so it is not written down. */
  readonly fleeting: boolean
}

/**
 * Never dies by itself, so it is only forwarded: whatever says of itself that it stands, or names no end. Of
 * what lies elsewhere the end is known only when it is read; that it has one is known before.
 */
export function isStanding({
  standing,
  expiresAt,
  references,
}: Pick<Credential, 'standing' | 'references'> & { expiresAt: unknown }): boolean {
  return standing || (expiresAt === null && references === undefined)
}

/**
 * Writes the grant as the account's present generation; fields of an older one are erased. Once that is
 * durable, `putInUse` lets its access token be handed out.
 */
export async function putGrant(kit: Kit, rows: Rows, account: AccountRow, grant: Grant): Promise<void> {
  const { worn, kept } = grant.credential
  const from = await wholeProvenance(kit, rows, account, grant.profile)
  const outline = outlineOf(kit, account, grant, from)
  await kit.vault.erase(rows, account.owner, account.id)
  await kit.vault.put(rows, place(account, 'outline'), new Secret(JSON.stringify(outline)))
  for (const [name, secret] of Object.entries(outline.fleeting ? {} : worn))
    await kit.vault.put(rows, place(account, `worn:${name}`), secret)
  for (const [name, secret] of Object.entries(kept))
    await kit.vault.put(rows, place(account, `kept:${name}`), secret)
}

/** What was issued is alive from now on, here and in memory. */
export function putInUse(kit: Kit, account: AccountRow, { credential: { worn, expiresAt } }: Grant): void {
  if (expiresAt === null) return
  kit.accessTokens.keep(account, { worn, leftMs: expiresAt.getTime() - kit.now().getTime() })
}

/** Whether a fresh credential can be had for this one without asking anybody. */
export function isRenewable(kit: Kit, account: AccountRow, credential: Credential): boolean {
  const flow = kit.flows.get(account.flow)
  return flow?.refresh !== undefined && flow.renews?.(credential) === true
}

/** As they stand together at this moment: either may have been replaced or ended since the gate. */
export async function takeHolding(kit: Kit, of: Pick<AccountRow, 'owner' | 'id'>): Promise<Holding> {
  return kit.storage.transaction('soon', (rows) => holdingIn(kit, rows, of))
}

/** The same inside of whoever's transaction. */
export async function holdingIn(
  kit: Kit,
  rows: Rows,
  { owner, id }: Pick<AccountRow, 'owner' | 'id'>,
): Promise<Holding> {
  const account = await rows.get('accounts', { owner, id })
  if (account === undefined || account.status === 'revoked')
    throw notConnected(account === undefined ? id : formatAddress(account))
  return { account, grant: await unlessTampered(takeGrant(kit, rows, account)) }
}

/** The same for whoever has no use for an account without its grant. */
export async function takeWhole(kit: Kit, of: AccountRow): Promise<Whole> {
  const { account, grant } = await takeHolding(kit, of)
  if (grant !== undefined) {
    refuseMoved(kit, account, grant.profile, grant.from)
    return { account, ...grant }
  }
  throw changedOutside(account)
}

export function changedOutside(account: AccountRow): ValetkeyError {
  const address = formatAddress(account)
  return new ValetkeyError('tampered', `the credential of ${address} was changed outside Valetkey`, {
    hint: `valetkey reconnect ${address}`,
  })
}

async function takeGrant(kit: Kit, rows: Rows, account: AccountRow): Promise<Kept> {
  const outline = await takeOutline(kit, rows, account)
  const { worn: names, kept, profile, issuedAt, from, fleeting, grantEndsAt, idleEndsAt, ...rest } = outline
  const sealed = fleeting ? undefined : await takeFields(kit, rows, account, 'worn', names)
  return {
    credential: {
      ...rest,
      ...(outline.expiresAt === null
        ? { worn: sealed ?? {}, expiresAt: null }
        : inUse(kit, account, outline, sealed)),
      kept: await takeFields(kit, rows, account, 'kept', kept),
      ...(grantEndsAt !== undefined && { grantEndsAt: new Date(grantEndsAt) }),
      ...(idleEndsAt !== undefined && { idleEndsAt: new Date(idleEndsAt) }),
    },
    profile,
    issuedAt: new Date(issuedAt),
    from,
  }
}

/**
 * With the end that its age tells, where that comes first. What was written nowhere and is gone is as good as
 * dead, and so is what can be had again and seems to come from the future: some clock is wrong.
 */
function inUse(
  kit: Kit,
  account: AccountRow,
  { issuedAt, expiresAt }: Pick<Outline, 'issuedAt' | 'expiresAt'>,
  sealed: Credential['worn'] | undefined,
) {
  const now = kit.now().getTime()
  const [begin, end] = [Date.parse(issuedAt), Date.parse(expiresAt ?? issuedAt)]
  const isStrange = isAhead(kit, new Date(begin)) && kit.flows.get(account.flow)?.refresh !== undefined
  const leftMs = isStrange ? 0 : Math.min(end - now, end - begin)
  const kept =
    kit.accessTokens.find(account) ?? (sealed && kit.accessTokens.keep(account, { worn: sealed, leftMs }))
  const left = kept === undefined ? 0 : Math.min(leftMs, kept.leftMs)
  return { worn: kept?.worn ?? {}, expiresAt: new Date(now + left) }
}

/** What may be shown of a grant, without opening any of its secrets. */
export async function takeOutline(kit: Kit, rows: Rows, account: AccountRow): Promise<Outline> {
  const sealed = await takeField(kit, rows, account, 'outline')
  const read = JSON.parse(sealed.reveal()) as Omit<Outline, 'from'> & Partial<Outline>
  // What was sealed before it was kept from where counts as having come from where it leads now.
  const outline = { ...read, from: read.from ?? provenanceOf(kit, account, read.profile) }
  const { bucket, flow } = outline.from
  if (bucket === account.bucket && flow === account.flow) return outline
  throw new ValetkeyError('tampered', `the account ${formatAddress(account)} was changed outside Valetkey`)
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

function outlineOf(
  kit: Kit,
  account: AccountRow,
  { credential, profile, issuedAt }: Grant,
  from: Provenance,
): Outline {
  const { wornScopes, references, grantEndsAt, idleEndsAt } = credential
  return {
    worn: Object.keys(credential.worn),
    kept: Object.keys(credential.kept),
    standing: credential.standing,
    issuedAt: issuedAt.toISOString(),
    expiresAt: credential.expiresAt?.toISOString() ?? null,
    scopes: credential.scopes,
    tokenType: credential.tokenType,
    ...(wornScopes && { wornScopes }),
    ...(references && { references }),
    ...(grantEndsAt && { grantEndsAt: grantEndsAt.toISOString() }),
    ...(idleEndsAt && { idleEndsAt: idleEndsAt.toISOString() }),
    profile,
    from,
    fleeting: isFleeting(kit, account, credential),
  }
}

/** Where several brokers share a vault it is sealed there, so that one renewal is enough for all of them. */
function isFleeting(kit: Kit, account: AccountRow, credential: Credential): boolean {
  return !kit.storage.shared && credential.expiresAt !== null && isRenewable(kit, account, credential)
}

/** The provider is part of the place: a row that was moved to another provider does not open. */
function place(account: AccountRow, field: string): Place {
  const { owner, id: record, generation, provider: about } = account
  return { owner, record, field, generation, about }
}
