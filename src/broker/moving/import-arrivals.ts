import type { Imported } from '#client'
import type { Caller } from '../../model/caller.ts'
import type { AccountRow } from '../../model/storage.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import type { OpenedExport } from '../../vault/export-opening.ts'
import { addressOf } from '../accounts.ts'
import type { BindingTerms } from '../bindings.ts'
import { type Grant, isRenewable } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { timesOf } from '../schedule/due.ts'
import { rotationFrom } from '../schedule/rotation-times.ts'
import { accountRow } from '../sign-ins/settle.ts'
import {
  type ArrivingClient,
  type ArrivingClients,
  isClient,
  judgeClient,
  readClients,
} from './import-clients.ts'
import { flawOf } from './import-judgement.ts'
import { type Arrival, nameOf, readArrival } from './import-record.ts'

/** An account as it would be written where there is none yet. */
export interface Good {
  readonly account: AccountRow
  readonly grant: Grant
  /** Those that are not over. */
  readonly bindings: readonly BindingTerms[]
  readonly rotateDays: number | null
  readonly over: Arrival['over'] | undefined
  /** The client of ours that it needs, where that comes along and has to be written. */
  readonly client: ArrivingClient | undefined
  /** Its state is another one than before, once it is written. */
  readonly isNews?: boolean
}

/** What is said of one account of an export; only what is good is ever written. */
export interface Judged {
  readonly line: Imported
  readonly good?: Good
}

/** Every account of an export, in its order. */
export async function judgeAll(kit: Kit, caller: Caller, opened: OpenedExport): Promise<readonly Judged[]> {
  const mine = opened.records.filter(({ owner }) => owner === caller.owner)
  const byName = Map.groupBy(mine, nameOf)
  const clients = readClients(opened)
  const judged: Judged[] = []
  for (const record of opened.records) {
    if (isClient(record, opened)) {
      if (!clients.has(record.about)) judged.push(refused(record, 'this client of ours cannot be read'))
      continue
    }
    const isOnlyOne = byName.get(nameOf(record))?.length === 1
    judged.push(await judgeRecord(kit, caller, { record, opened, isOnlyOne, clients }))
  }
  return judged
}

function refused(record: ExportedRecord, why: string): Judged {
  return { line: { address: nameOf(record), outcome: 'refused', why, renews: false } }
}

interface Question {
  readonly record: ExportedRecord
  readonly opened: OpenedExport
  readonly isOnlyOne: boolean
  readonly clients: ArrivingClients
}

async function judgeRecord(
  kit: Kit,
  caller: Caller,
  { record, opened, isOnlyOne, clients }: Question,
): Promise<Judged> {
  if (record.owner !== caller.owner) return refused(record, `it belongs to ${record.owner}, who is not you`)
  if (!isOnlyOne) return refused(record, 'it stands in the export more than once')
  const arrival = readArrival(record, opened)
  if (typeof arrival === 'string') return refused(record, arrival)
  const good = goodOf(kit, caller, arrival)
  const { account, grant } = good
  const flaw = flawOf(kit, account, arrival)
  if (flaw !== undefined) return refused(record, flaw)
  const renews = isRenewable(kit, account, grant.credential)
  const { flaw: misfit, brings: client } = await judgeClient(kit, arrival, renews, clients)
  if (misfit !== undefined) return refused(record, misfit)
  const line = { address: addressOf(account), outcome: 'imported', why: null, renews } as const
  return { line, good: { ...good, client } }
}

function goodOf(kit: Kit, { owner }: Caller, arrival: Arrival): Good {
  const { provider, bucket, flow, connectedAt, rotateDays, over } = arrival
  const now = kit.now().getTime()
  const good = { grant: asUsable(kit, arrival.grant), rotateDays, over }
  const row = rowOf(kit, { owner, provider, bucket, flow }, good, undefined)
  const account = { ...row, connectedAt: Math.min(connectedAt.getTime(), now) }
  const bindings = arrival.bindings.filter(({ until }) => until === null || until > now)
  return { ...good, account, bindings, client: undefined }
}

/**
 * The row of what arrives, fresh or in the place of one that is here. Nothing is renewed here before it is
 * used here: until then it may go on where it came from.
 */
export function rowOf(
  kit: Kit,
  seat: Pick<AccountRow, 'owner' | 'provider' | 'bucket' | 'flow'>,
  { grant, rotateDays, over }: Pick<Good, 'grant' | 'rotateDays' | 'over'>,
  there: AccountRow | undefined,
): AccountRow {
  const row = accountRow(kit, seat, grant, there)
  const ruled = { ...row, ...rotationFrom(row.rotateDays ?? rotateDays, grant.issuedAt) }
  const timed = { ...ruled, ...timesOf(kit, ruled, grant) }
  const none = { expiresAt: null, dueAt: null, diesAt: null, warnedAt: null }
  if (over !== undefined) return { ...timed, ...none, status: 'needs-reauth', reason: over.reason }
  return isRenewable(kit, timed, grant.credential) ? { ...timed, dueAt: null } : timed
}

/** Without an access token it is as good as dead, and renewed when it is first asked for. */
function asUsable(kit: Kit, { credential, ...grant }: Grant): Grant {
  const { standing, worn, expiresAt } = credential
  const issuedAt = new Date(Math.min(grant.issuedAt.getTime(), kit.now().getTime()))
  const stays = standing || Object.keys(worn).length > 0
  return { ...grant, issuedAt, credential: { ...credential, expiresAt: stays ? expiresAt : issuedAt } }
}
