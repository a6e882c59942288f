import { ValetkeyError } from '#client'
import type { AccountRow } from '../../model/storage.ts'
import { dateOrNull } from '../accounts.ts'
import { isRenewable, takeWhole, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { renewOnRecord } from '../refresh.ts'
import { end } from '../renewing/ending.ts'
import { isElsewhere, once } from '../renewing/single-flight.ts'
import { isWaiting } from '../renewing/trouble.ts'
import { rotateByPolicy, rotationDue } from '../rotation.ts'
import { announce } from './announcing.ts'
import { serverOf } from './breaker.ts'
import { isOverByItself, nextDateOf } from './calendar.ts'
import { earliest, isInUse, nextWorkAt } from './due.ts'
import { rotationDueAt } from './rotation-times.ts'

/** What cannot be looked after at all is looked at again this late. */
const PUT_OFF_MS = 60 * 60_000
/** Nothing is looked at over and over, whatever stands in its row. */
const SOONEST_MS = 1_000
/** What another broker is at work on is not waited for, so that it keeps nothing else from being done. */
const ELSEWHERE_MS = 2_000

/** Does what is due about an account that was claimed. Whoever deals with it says when it is due next. */
export async function lookAfter(kit: Kit, claimed: AccountRow): Promise<void> {
  try {
    // The renewal that is under way here is that somebody.
    if (!kit.refreshing.has(claimed.id)) await look(kit, claimed)
  } catch (error) {
    await afterTrouble(kit, claimed, error)
  }
}

async function look(kit: Kit, claimed: AccountRow): Promise<void> {
  const whole = await takeWhole(kit, claimed)
  const { generation, dueAt, status } = whole.account
  if (generation !== claimed.generation || dueAt !== claimed.dueAt) return
  if (status === 'needs-reauth') return lookAgain(kit, claimed, null)
  const account = await announce(kit, whole.account)
  if (hasToBeAsked(kit, { ...whole, account })) return ask(kit, { ...whole, account })
  if (rotationDue(kit, account))
    return rotateByPolicy(kit, { ...whole, account }, (present) => ask(kit, present))
  await lookAgain(kit, claimed, nextLook(kit, { ...whole, account }))
}

function hasToBeAsked(kit: Kit, whole: Whole): boolean {
  const { account } = whole
  const now = kit.now()
  if (isWaiting(account, now)) return false
  // The provider has the last word on the end as well, and a token that was shown to it may be used up.
  if (account.askedAt !== null || isOverByItself(account, now)) return true
  // Trouble is looked after to its end, lest somebody has to come by for that.
  if (account.status === 'failing') return true
  const at = workAt(kit, whole)
  return at !== null && at <= now.getTime()
}

function nextLook(kit: Kit, whole: Whole): number | null {
  const { account } = whole
  const now = kit.now()
  const work = earliest(workAt(kit, whole), rotationDueAt(account))
  // Whoever waits for the provider although the end has come waits for that alone.
  const date = isOverByItself(account, now) ? null : nextDateOf(account)
  const next = earliest(isWaiting(account, now) ? account.nextTryAt : work, date)
  return next && Math.max(next, now.getTime() + SOONEST_MS)
}

/** Of what nobody uses only the grant is kept alive. */
function workAt(kit: Kit, whole: Whole): number | null {
  const { account, credential } = whole
  // By the row: a token that is not in memory is taken for dead, and was to be renewed then all the same.
  const grant = { ...whole, credential: { ...credential, expiresAt: dateOrNull(account.expiresAt) } }
  return nextWorkAt(kit, account, grant, isInUse(account, grant, kit.now()))
}

/** Nobody waits for it, so the provider is asked at a pace that suits it. */
async function ask(kit: Kit, whole: Whole): Promise<void> {
  const { account, credential } = whole
  if (!isRenewable(kit, account, credential)) return leave(kit, whole)
  if (kit.storage.shared && account.askedAt !== null && (await isElsewhere(kit, account)))
    return lookAgain(kit, account, kit.now().getTime() + ELSEWHERE_MS)
  const server = serverOf(whole)
  const turn = kit.pace.enter(server, account.id, kit.breaker.quietMs(server))
  if ('againMs' in turn) return lookAgain(kit, account, kit.now().getTime() + turn.againMs)
  try {
    const shut = kit.breaker.pass(server)
    if (shut === undefined) await once(kit, whole, (present) => renewOnRecord(kit, present))
    else await lookAgain(kit, account, kit.now().getTime() + shut.leftMs)
  } finally {
    turn.over()
  }
}

/** What nothing renews is over with its time, and not before. */
async function leave(kit: Kit, whole: Whole): Promise<void> {
  if (!isOverByItself(whole.account, kit.now())) return lookAgain(kit, whole.account, nextLook(kit, whole))
  await end(kit, whole, 'its time is over at the provider, and nothing renews it')
}

/** What may pass is due again when its claim is over, or when whoever wrote of the trouble said so. */
async function afterTrouble(kit: Kit, claimed: AccountRow, error: unknown): Promise<void> {
  const isKnown = error instanceof ValetkeyError
  if (isKnown && (error.retryable || error.code === 'locked' || error.code === 'not-connected')) return
  const { dueAt, ...row } = claimed
  const later = kit.now().getTime() + PUT_OFF_MS
  // After a mistake of ours nobody wrote when to look again, but that the provider was being asked.
  await lookAgain(kit, isKnown ? claimed : row, later).catch(() => undefined)
}

/** Unless somebody wrote something else meanwhile. */
async function lookAgain(
  kit: Kit,
  { owner, id, generation, dueAt }: Pick<AccountRow, 'owner' | 'id' | 'generation'> & Partial<AccountRow>,
  at: number | null,
): Promise<void> {
  const next = at === null ? null : Math.ceil(at)
  const as = { owner, id, generation, ...(dueAt !== undefined && { dueAt }) }
  const changed = await kit.storage.update('accounts', as, { dueAt: next })
  if (changed > 0) kit.schedule.expect(next)
}
