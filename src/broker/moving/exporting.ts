import type { Caller } from '../../model/caller.ts'
import type { Credential } from '../../model/credential.ts'
import type { Secret } from '../../model/secret.ts'
import type { AccountRow } from '../../model/storage.ts'
import { sealExport } from '../../vault/export.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import { addressOf } from '../accounts.ts'
import { liveBindings } from '../bindings.ts'
import type { Registered } from '../clients/clients.ts'
import { changedOutside, isRenewable, type Kept, takeHolding } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { clientNeeded, clientRecord } from './exported-clients.ts'

interface Exported {
  readonly record: ExportedRecord
  /** The client of ours that it cannot do without. */
  readonly registered: Registered | undefined
}

/** The caller's accounts, and our clients that they need, as one document under a passphrase of its own. */
export async function exportVault(kit: Kit, caller: Caller, passphrase: Secret): Promise<string> {
  const accounts: ExportedRecord[] = []
  const clients = new Map<string, ExportedRecord>()
  for (const living of await livingAccounts(kit, caller)) {
    const { record, registered } = await exported(kit, living)
    accounts.push(record)
    if (registered !== undefined) clients.set(registered.row.id, clientRecord(registered))
  }
  const records = [...accounts, ...clients.values()]
  return sealExport({ records, passphrase, now: kit.now, newId: kit.newId })
}

export async function livingAccounts({ storage }: Kit, { owner }: Caller): Promise<readonly AccountRow[]> {
  const rows = await storage.list('accounts', { owner }, { orderBy: 'connectedAt' })
  return rows.filter((account) => account.status !== 'revoked')
}

/** An account that does not open is named, and nothing is exported without it. */
async function exported(kit: Kit, living: AccountRow): Promise<Exported> {
  const { account, grant } = await takeHolding(kit, living)
  if (grant === undefined) throw changedOutside(account)
  const renewable = isRenewable(kit, account, grant.credential)
  const { clientId, registered } = await clientNeeded(kit, account, grant.profile)
  const record: ExportedRecord = {
    owner: account.owner,
    record: account.id,
    about: account.provider,
    fields: fieldsOf(account, grant, renewable),
    plain: {
      ...plainOf(account, grant, renewable),
      ...(await wishesOf(kit, account)),
      client: clientId,
    },
  }
  return { record, registered }
}

/** What can be had again is worth nothing elsewhere: there the first thing to be done is to renew it. */
function fieldsOf(account: AccountRow, { credential }: Kept, renewable: boolean) {
  const { worn, kept } = credential
  if (isOver(account, credential)) return {}
  return { ...(renewable ? {} : prefixed('worn', worn)), ...prefixed('kept', kept) }
}

function plainOf(account: AccountRow, { credential, profile, issuedAt, from }: Kept, renewable: boolean) {
  const { standing, scopes, tokenType, expiresAt, grantEndsAt, idleEndsAt } = credential
  const over = isOver(account, credential)
  const ends = over ? {} : { expiresAt: renewable ? null : expiresAt, grantEndsAt, idleEndsAt }
  return {
    address: addressOf(account),
    bucket: account.bucket,
    flow: account.flow,
    status: over ? 'needs-reauth' : 'connected',
    reason: over ? (referredIn(credential) ?? account.reason) : null,
    connectedAt: account.connectedAt,
    issuedAt: issuedAt.toISOString(),
    standing: standing ? 1 : 0,
    tokenType,
    scopes: scopes.join(' '),
    expiresAt: ends.expiresAt?.toISOString() ?? null,
    grantEndsAt: ends.grantEndsAt?.toISOString() ?? null,
    idleEndsAt: ends.idleEndsAt?.toISOString() ?? null,
    profile: JSON.stringify(profile),
    origins: from.origins.join(' '),
    issuer: from.issuer,
  }
}

/** What its owner has decided about it. */
async function wishesOf(kit: Kit, account: AccountRow) {
  const bindings = (await liveBindings(kit, account)).map(({ caller, may, asks, limits, until }) => {
    const held = limits === null ? {} : { limits }
    return { caller, may, asks, ...held, until: until?.toISOString() ?? null }
  })
  return { rotateDays: account.rotateDays, bindings: JSON.stringify(bindings) }
}

/**
 * It has no tokens any more, or none that mean anything elsewhere, and waits for its person: what was decided
 * about it is worth keeping.
 */
function isOver({ status }: AccountRow, credential: Credential): boolean {
  return status === 'needs-reauth' || credential.references !== undefined
}

/** What is read on one computer may be something else on another, so it is given there anew. */
function referredIn({ references }: Credential): string | undefined {
  const texts = Object.values(references ?? {})
  return texts.length === 0
    ? undefined
    : `it was read from ${texts.join(', ')}, which has to be given here anew`
}

function prefixed<V>(kind: string, fields: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [`${kind}:${name}`, value]))
}
