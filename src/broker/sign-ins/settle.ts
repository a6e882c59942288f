import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { AccountRow, FlowSessionRow, OutboxRow, Rows } from '../../model/storage.ts'
import { ACCOUNT_ID, addressOf, findAccount } from '../accounts.ts'
import { type Grant, type Holding, putGrant, putInUse, takeHolding } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { isForwardOnly, mintOf } from '../minting/lendable.ts'
import { lentOf } from '../outbox/cutting.ts'
import { asSaid, IN_HAND_MS, isDead, queued, tellNow, unreadable } from '../outbox/outbox.ts'
import { owe } from '../outbox/owed.ts'
import { isEndedAlone } from '../outbox/upstream.ts'
import { persistently } from '../renewing/replacing.ts'
import { timesOf } from '../schedule/due.ts'
import { rotationFrom } from '../schedule/rotation-times.ts'
import { tell } from '../telling.ts'
import { revealed } from './answers.ts'
import { endSession, nameOf, putEnd, takeField } from './sessions.ts'
import { alreadyThere } from './sign-ins.ts'
import { oweUnkept, unkeptIn } from './unkept.ts'

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
  const written = await persistently(() => write(kit, session, insist, grant)).catch(
    (error: unknown): Refused => ({ refused: error }),
  )
  if ('refused' in written) {
    // What nobody keeps is not left alive at its provider.
    await endUnkept(kit, session, grant).catch(() => undefined)
    throw written.refused
  }
  const { account, replaced, done, owed } = written
  kit.unwritten.delete(account.id)
  putInUse(kit, account, grant)
  kit.schedule.expect(account.dueAt)
  if (replaced?.account.status !== 'connected') await tell(kit, 'connected', account)
  if (session.purpose === 'rotate' && replaced !== undefined) await endReplaced(kit, done, replaced, owed)
  else kit.schedule.expect(owed?.dueAt)
  return done
}

interface Written {
  readonly account: AccountRow
  readonly replaced: Holding | undefined
  readonly owed: OutboxRow | undefined
  readonly done: FlowSessionRow
}

interface Refused {
  readonly refused: unknown
}

/** What somebody wrote at the same moment is read again; what stands against it for good is no error here. */
async function write(
  kit: Kit,
  session: FlowSessionRow,
  insist: boolean,
  grant: Grant,
): Promise<Written | Refused> {
  const { owner, accountId } = session
  const replaced = accountId === null ? undefined : await takeHolding(kit, { owner, id: accountId })
  try {
    await refuseOver(kit, session)
    if (replaced?.grant !== undefined) judgeReplacement(session, replaced.grant, grant, insist)
    else if (replaced === undefined) await refuseTaken(kit, session)
  } catch (refused) {
    return { refused }
  }
  const account = accountRow(kit, session, grant, replaced?.account)
  return kit.storage.transaction('synced', async (rows) => {
    await writeAccount(rows, account, replaced?.account)
    await putGrant(kit, rows, account, grant)
    const owed = replaced && (await oweReplaced(kit, rows, session, replaced, grant))
    const done = await endSession(kit, session, 'done', { accountId: account.id }, rows)
    return { account, replaced, owed, done }
  })
}

async function refuseOver(kit: Kit, { owner, id, generation }: FlowSessionRow): Promise<void> {
  const present = await kit.storage.get('flowSessions', { owner, id, generation, state: 'asking' })
  if (present === undefined) throw new ValetkeyError('conflict', 'this sign-in went on without this answer')
}

async function refuseTaken(kit: Kit, session: FlowSessionRow): Promise<void> {
  const there = await findAccount(kit, kit.storage, session.owner, nameOf(session))
  if (there !== undefined) throw alreadyThere(there)
}

/**
 * The code is spent, and nobody has use for what it brought. A key that a person pasted is theirs to end, and
 * what lies in the memory of the sign-in is ended along with that.
 */
export async function endUnkept(kit: Kit, session: FlowSessionRow, grant: Grant): Promise<void> {
  if (kit.flows.get(session.flow)?.refresh === undefined) return
  if (unkeptIn(kit, session, await takeField(kit, session, 'memory')) !== undefined) return
  await kit.storage.transaction('synced', (rows) => oweUnkept(kit, session, grant, rows))
}

export async function writeAccount(
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

/**
 * What is replaced is ended at its provider as well, save what the new one has taken over. After a reconnect
 * that is done only where it is known to leave the new one alone.
 */
async function oweReplaced(
  kit: Kit,
  rows: Rows,
  { purpose }: FlowSessionRow,
  { account, grant: old }: Holding,
  grant: Grant,
): Promise<OutboxRow | undefined> {
  if (old === undefined || (purpose === 'reconnect' && !isEndedAlone(kit, account))) return undefined
  const credential = without(grant.credential, old.credential)
  if (Object.keys({ ...credential.kept, ...credential.worn }).length === 0) return undefined
  const now = kit.now().getTime()
  const from = purpose === 'rotate' ? now + IN_HAND_MS : now
  return owe(kit, rows, account, { ...old, credential }, from)
}

/** The new one is safe by now; what cannot be ended at the provider is told, not undone. */
async function endReplaced(
  kit: Kit,
  session: FlowSessionRow,
  { account }: Holding,
  owed: OutboxRow | undefined,
): Promise<void> {
  const { owner, id: accountId } = account
  const address = addressOf(account)
  const lines =
    owed === undefined ? [unreadable()] : ((await tellNow(kit, [owed])).get(owed.id) ?? [queued()])
  // What was minted of it is not ended with it.
  const isOver = isDead(lines) && mintOf(kit, account) === undefined
  const livesOn = isOver ? [] : await lentOf(kit, kit.storage, { owner, accountId }, () => address)
  const receipt = {
    accountId,
    address,
    at: kit.now(),
    lines: asSaid(lines),
    livesOn,
    leasesEnded: 0,
    bindingsEnded: 0,
  }
  await putEnd(kit, session, { accountId, receipt })
}

function without(some: Credential, { worn, kept, ...rest }: Credential): Credential {
  const known = new Set(Object.values(revealed({ ...some.worn, ...some.kept })))
  const others = (fields: Credential['worn']) =>
    Object.fromEntries(Object.entries(fields).filter(([, secret]) => !known.has(secret.reveal())))
  return { ...rest, worn: others(worn), kept: others(kept) }
}

/** Somebody else's account does not slip into the place of this one, and nothing is replaced by itself. */
function judgeReplacement(session: FlowSessionRow, old: Grant, grant: Grant, insist: boolean): void {
  const { provider, purpose } = session
  if (purpose === 'rotate' && isSame(old.credential, grant.credential))
    throw new ValetkeyError('invalid-request', 'this is the very credential that is to be replaced', {
      hint: `make a new one at ${provider} first`,
    })
  const [before, after] = [old.profile.subject, grant.profile.subject]
  if (session.caller !== session.owner && (before === null || before !== after)) throw notProved(session)
  if (insist || before === null || after === null || before === after) return
  throw new ValetkeyError('conflict', `this is another account at ${provider} than the one connected here`, {
    hint: `valetkey connect ${provider}/another-name, or valetkey ${purpose} ${nameOf(session)} --insist`,
  })
}

/** The owner knows whose credential they put there; of anybody else the provider has to say so. */
function notProved(session: FlowSessionRow): ValetkeyError {
  const message = `the provider does not say that this is the account connected at ${nameOf(session)}`
  return new ValetkeyError('conflict', message, {
    hint: `ask the owner: valetkey reconnect ${nameOf(session)}`,
  })
}

function isSame(one: Credential, other: Credential): boolean {
  const [all, others] = [one, other].map(({ worn, kept }) => revealed({ ...kept, ...worn }))
  return JSON.stringify(all) === JSON.stringify(others)
}

export function accountRow(
  kit: Kit,
  session: Pick<FlowSessionRow, 'owner' | 'provider' | 'bucket' | 'flow'>,
  grant: Grant,
  replaced: AccountRow | undefined,
): AccountRow {
  const now = kit.now().getTime()
  const { credential } = grant
  const { provider: named, bucket, flow } = session
  const provider = named ?? ''
  const row: AccountRow = {
    id: replaced?.id ?? `${ACCOUNT_ID}${kit.newId()}`,
    owner: session.owner,
    provider,
    bucket,
    flow,
    status: 'connected',
    reason: null,
    standing: isForwardOnly(kit, { provider, flow }, credential) ? 1 : 0,
    generation: (replaced?.generation ?? 0) + 1,
    connectedAt: replaced?.connectedAt ?? now,
    changedAt: now,
    lastUsedAt: replaced?.lastUsedAt ?? null,
    expiresAt: credential.expiresAt?.getTime() ?? null,
    dueAt: null,
    tries: 0,
    nextTryAt: null,
    askedAt: null,
    diesAt: null,
    warnedAt: null,
    ...rotationFrom(replaced?.rotateDays ?? null, grant.issuedAt),
  }
  return { ...row, ...timesOf(kit, row, grant) }
}
