import { formatAddress, ValetkeyError } from '#client'
import type { FlowContext, RevokedPiece } from '../model/flow.ts'
import type { AccountRow, FlowSessionRow, Rows } from '../model/storage.ts'
import type { Receipt } from '../model/words.ts'
import { ACCOUNT_ID, viewAccount } from './accounts.ts'
import { type Grant, putGrant, takeGrant } from './grants.ts'
import type { Kit } from './kit.ts'
import { endSession } from './sessions.ts'

/**
 * Keeps what a sign-in yielded. The account, its credential and the end of the session are one
 * durable write; only after it is the credential that was replaced ended at the provider.
 */
export async function keep(
  kit: Kit,
  session: FlowSessionRow,
  context: FlowContext,
  grant: Grant,
): Promise<FlowSessionRow> {
  const replaced =
    session.accountId === null
      ? undefined
      : await kit.storage.get('accounts', { owner: session.owner, id: session.accountId })
  const old = replaced === undefined ? undefined : await takeGrant(kit, kit.storage, replaced)
  if (old !== undefined && !context.insist) refuseAnother(session, old, grant)
  const account = accountRow(kit, session, grant, replaced)
  const done = await kit.storage.transaction('synced', async (rows) => {
    await writeAccount(rows, account, replaced)
    await putGrant(kit, rows, account, grant)
    return endSession(kit, session, 'done', { accountId: account.id }, rows)
  })
  kit.happenings.tell(session.owner, 'connected', await viewAccount(kit, account))
  return session.purpose === 'rotate' && old !== undefined ? endOld(kit, done, context, account, old) : done
}

async function writeAccount(
  rows: Rows,
  account: AccountRow,
  replaced: AccountRow | undefined,
): Promise<void> {
  if (replaced === undefined) return rows.insert('accounts', [account])
  const { owner, id, generation } = replaced
  const changed = await rows.update('accounts', { owner, id, generation }, account)
  if (changed === 0)
    throw new ValetkeyError('conflict', `${formatAddress(account)} was changed at the same moment`)
}

/** The new one is safe by now; what cannot be ended at the provider is told, not undone. */
async function endOld(
  kit: Kit,
  session: FlowSessionRow,
  context: FlowContext,
  account: AccountRow,
  old: Grant,
): Promise<FlowSessionRow> {
  const lines = await endAtProvider(kit, session.flow, context, old)
  const receipt: Receipt = {
    accountId: account.id,
    address: formatAddress(account),
    at: kit.now(),
    lines,
    leasesEnded: 0,
    bindingsEnded: 0,
  }
  return endSession(kit, session, 'done', { accountId: account.id, receipt })
}

export async function endAtProvider(
  kit: Kit,
  flow: string,
  context: FlowContext,
  { credential }: Grant,
): Promise<readonly RevokedPiece[]> {
  const known = kit.flows.get(flow)
  if (known === undefined)
    return [{ what: 'credential', died: false, how: 'this build knows no way to end it' }]
  return known.revoke(context, credential).catch((error: unknown) => {
    const how = error instanceof ValetkeyError ? error.message : 'the provider could not be asked'
    return [{ what: 'credential', died: false, how }]
  })
}

/** Somebody else's account does not slip into the place of this one. */
function refuseAnother(session: FlowSessionRow, old: Grant, grant: Grant): void {
  const [before, after] = [old.profile.subject, grant.profile.subject]
  if (before === null || after === null || before === after) return
  const { provider, bucket } = session
  throw new ValetkeyError('conflict', `this is another account at ${provider} than the one connected here`, {
    hint: `valetkey connect ${provider}/another-name, or --insist to put it in the place of ${provider}/${bucket}`,
  })
}

function accountRow(
  kit: Kit,
  session: FlowSessionRow,
  { credential }: Grant,
  replaced: AccountRow | undefined,
): AccountRow {
  const now = kit.now().getTime()
  return {
    id: replaced?.id ?? `${ACCOUNT_ID}${kit.newId()}`,
    owner: session.owner,
    provider: session.provider ?? '',
    bucket: session.bucket,
    flow: session.flow,
    status: 'connected',
    reason: null,
    standing: credential.standing ? 1 : 0,
    generation: (replaced?.generation ?? 0) + 1,
    connectedAt: replaced?.connectedAt ?? now,
    changedAt: now,
    lastUsedAt: replaced?.lastUsedAt ?? null,
    expiresAt: credential.expiresAt?.getTime() ?? null,
    dueAt: null,
  }
}
