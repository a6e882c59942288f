import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { AccountRow, FlowSessionRow, Rows } from '../model/storage.ts'
import { ACCOUNT_ID, addressOf, showAccount } from './accounts.ts'
import { revealed } from './answers.ts'
import { callersBoundTo } from './bindings.ts'
import { type Grant, type Holding, isStanding, putGrant, takeHolding } from './grants.ts'
import type { Kit } from './kit.ts'
import { endSession, nameOf, putEnd } from './sessions.ts'
import { alreadyThere } from './sign-ins.ts'
import { endUpstream } from './upstream.ts'

/**
 * Keeps what a sign-in yielded. The account, its credential and the end of the session are one
 * durable write; only after it is the credential that was replaced ended at the provider.
 */
export async function keep(
  kit: Kit,
  session: FlowSessionRow,
  insist: boolean,
  grant: Grant,
): Promise<FlowSessionRow> {
  const { owner, accountId } = session
  const replaced = accountId === null ? undefined : await takeHolding(kit, { owner, id: accountId })
  if (replaced?.grant !== undefined) judgeReplacement(session, replaced.grant, grant, insist)
  const account = accountRow(kit, session, grant, replaced?.account)
  const done = await kit.storage.transaction('synced', async (rows) => {
    await writeAccount(rows, account, replaced?.account)
    await putGrant(kit, rows, account, grant)
    return endSession(kit, session, 'done', { accountId: account.id }, rows)
  })
  const shown = await showAccount(kit, owner, account.id)
  if (shown !== undefined) kit.happenings.tell(owner, 'connected', shown, await callersBoundTo(kit, account))
  if (session.purpose === 'rotate' && replaced !== undefined) await endReplaced(kit, done, replaced)
  return done
}

async function writeAccount(
  rows: Rows,
  account: AccountRow,
  replaced: AccountRow | undefined,
): Promise<void> {
  if (replaced === undefined) return rows.insert('accounts', [account]).catch(orAlreadyThere(account))
  const { owner, id, generation } = replaced
  const changed = await rows.update('accounts', { owner, id, generation }, account)
  if (changed === 0)
    throw new ValetkeyError('conflict', `${addressOf(account)} was changed at the same moment`)
}

function orAlreadyThere(account: AccountRow) {
  return (error: unknown): never => {
    throw error instanceof ValetkeyError && error.code === 'conflict' ? alreadyThere(account) : error
  }
}

/** The new one is safe by now; what cannot be ended at the provider is told, not undone. */
async function endReplaced(kit: Kit, session: FlowSessionRow, replaced: Holding): Promise<void> {
  const { id: accountId } = replaced.account
  const address = addressOf(replaced.account)
  const lines = await endUpstream(kit, replaced)
  const receipt = { accountId, address, at: kit.now(), lines, leasesEnded: 0, bindingsEnded: 0 }
  await putEnd(kit, session, { accountId, receipt })
}

/** Somebody else's account does not slip into the place of this one, and nothing is replaced by itself. */
function judgeReplacement(session: FlowSessionRow, old: Grant, grant: Grant, insist: boolean): void {
  const { provider, purpose } = session
  if (purpose === 'rotate' && isSame(old.credential, grant.credential))
    throw new ValetkeyError('invalid-request', 'this is the very credential that is to be replaced', {
      hint: `make a new one at ${provider} first`,
    })
  const [before, after] = [old.profile.subject, grant.profile.subject]
  if (insist || before === null || after === null || before === after) return
  throw new ValetkeyError('conflict', `this is another account at ${provider} than the one connected here`, {
    hint: `valetkey connect ${provider}/another-name, or valetkey ${purpose} ${nameOf(session)} --insist`,
  })
}

function isSame(one: Credential, other: Credential): boolean {
  const [all, others] = [one, other].map(({ worn, kept }) => revealed({ ...kept, ...worn }))
  return JSON.stringify(all) === JSON.stringify(others)
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
    standing: isStanding(credential) ? 1 : 0,
    generation: (replaced?.generation ?? 0) + 1,
    connectedAt: replaced?.connectedAt ?? now,
    changedAt: now,
    lastUsedAt: replaced?.lastUsedAt ?? null,
    expiresAt: credential.expiresAt?.getTime() ?? null,
    dueAt: null,
  }
}
