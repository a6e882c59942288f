import type { Caller } from '../model/caller.ts'
import type { AccountRow, FlowSessionRow } from '../model/storage.ts'
import type { Account } from '../model/words.ts'
import { addressOf, showAccount } from './accounts.ts'
import { type Holding, isRenewable, takeWhole, type Whole } from './grants.ts'
import { accountOf, behind, type Kit, notConnected } from './kit.ts'
import { lentOf } from './outbox/cutting.ts'
import { renew } from './renewing/renewing.ts'
import { once } from './renewing/single-flight.ts'
import { isWaiting } from './renewing/trouble.ts'
import { earliest } from './schedule/due.ts'
import { isReplaced, isRotationDue, rotationDueAt, rotationFrom } from './schedule/rotation-times.ts'
import { endSession, openSession } from './sign-ins/sessions.ts'
import { tell } from './telling.ts'

/** Sets how old the secret of an account may become, counted from when it was issued. */
export async function rotateEvery(
  kit: Kit,
  caller: Caller,
  address: string,
  days: number | null,
): Promise<Account> {
  const passage = await kit.gate.pass(caller, 'rotate', { address })
  return behind(
    passage,
    () => wish(kit, accountOf(passage, address), days),
    () => (days === null ? 'by no rule any more' : `every ${days} days from now on`),
  )
}

/** Whether the schedule has to do something about an account for its owner's wish. */
export function rotationDue({ now }: Pick<Kit, 'now'>, account: AccountRow): boolean {
  return isRotationDue(account, now()) && rotationDueAt(account) !== null && !isWaiting(account, now())
}

/**
 * What renews itself is renewed, which gives it another secret at most providers. Where it does not, and of
 * all the rest, its owner is told, once. What was put off by `ask` is still due after that.
 */
export async function rotateByPolicy(
  kit: Kit,
  whole: Whole,
  ask: (whole: Whole) => Promise<void>,
): Promise<void> {
  const { account, credential } = whole
  const { owner, id, generation } = account
  const renews = isRenewable(kit, account, credential)
  if (renews) await ask(whole)
  const present = await kit.storage.get('accounts', { owner, id })
  if (present === undefined || (renews && present.generation === generation)) return
  if (rotationDue(kit, present)) await tellOnce(kit, present)
}

/**
 * What renews itself is rotated by that, where its provider gives another refresh token each time. The old one
 * is not shown to the provider again: many take that for a theft, and end the new one for it.
 */
export async function rotateInPlace(
  kit: Kit,
  caller: Caller,
  asked: Parameters<typeof openSession>[2],
  { account, grant }: Holding,
): Promise<FlowSessionRow | undefined> {
  if (grant === undefined || account.status === 'needs-reauth') return undefined
  if (!isRenewable(kit, account, grant.credential)) return undefined
  const { credential } = await once(kit, { account, ...grant }, (present) => renew(kit, present))
  if (!isReplaced(grant.credential, credential)) return undefined
  const { owner, id: accountId } = account
  const session = await openSession(kit, caller, asked, { fields: {}, insist: false })
  const lines = [
    {
      what: 'refresh token',
      state: 'alive',
      how: 'the provider put another one in its place, and does not say whether the old one is dead',
    },
  ] as const
  const livesOn = await lentOf(kit, kit.storage, { owner, accountId }, () => addressOf(account))
  const ended = { leasesEnded: 0, bindingsEnded: 0 }
  const receipt = { accountId, address: addressOf(account), at: kit.now(), lines, livesOn, ...ended }
  return endSession(kit, session, 'done', { accountId, receipt })
}

async function wish(kit: Kit, of: AccountRow, days: number | null): Promise<Account> {
  const { account, issuedAt } = await takeWhole(kit, of)
  const { owner, id } = account
  const rotation = rotationFrom(days, issuedAt)
  await kit.storage.transaction('synced', async (rows) => {
    const present = await rows.get('accounts', { owner, id })
    const dueAt = earliest(present?.dueAt ?? null, rotation.rotateAt)
    await rows.update('accounts', { owner, id }, { ...rotation, dueAt })
  })
  kit.schedule.expect(rotation.rotateAt)
  const shown = await showAccount(kit, owner, id)
  if (shown === undefined) throw notConnected(addressOf(account))
  return shown
}

/** Due once more at once, so that its next time is found. */
async function tellOnce(kit: Kit, account: AccountRow): Promise<void> {
  const { owner, id, generation } = account
  const now = kit.now().getTime()
  const told = { rotateToldAt: now, dueAt: now }
  const changed = await kit.storage.transaction('synced', (rows) =>
    rows.update('accounts', { owner, id, generation }, told),
  )
  if (changed === 0) return
  await tell(kit, 'rotation-due', { ...account, ...told })
  kit.schedule.expect(now)
}
