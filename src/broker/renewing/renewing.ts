import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { AccountRow } from '../../model/storage.ts'
import { addressOf } from '../accounts.ts'
import { type Grant, isRenewable, putInUse, takeWhole, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { isForwardOnly } from '../minting/lendable.ts'
import { owe } from '../outbox/owed.ts'
import { endUpstream } from '../outbox/upstream.ts'
import { refuseOtherClient } from '../provenance.ts'
import { referringAgain, withAll } from '../referred.ts'
import { serverOf } from '../schedule/breaker.ts'
import { isOverByItself } from '../schedule/calendar.ts'
import { timesOf } from '../schedule/due.ts'
import { rotationAfter } from '../schedule/rotation-times.ts'
import { flowContext, knownProvider } from '../sign-ins/sign-ins.ts'
import { refuseByVendor } from '../sign-ins/vendor-policy.ts'
import { tell } from '../telling.ts'
import { end, livingOf, needsReauth, whyOver } from './ending.ts'
import { hurried } from './hurried.ts'
import { persistently, replace } from './replacing.ts'
import { endTrouble, mayBeLost, troubled } from './trouble.ts'

/** What comes later than this is not waited for: whoever succeeds us shall not meet us at the provider. */
export const ANSWERED_WITHIN_MS = 50_000
/** Whoever dies over a call is looked after by the schedule this soon, and not before. */
const LOOKED_AFTER_MS = 5_000
/** Well within the time for which other brokers wait for it. */
const BROUGHT_EVERY_MS = 500

const ITS_TIME = 'its time was over: the provider gives such an access for a while only'

/** What the provider said in the end, and whether an answer of it was lost before. */
type Asked = { readonly fresh: Credential } | { readonly trouble: ValetkeyError; readonly lost: boolean }

/** Asks the provider. What it answered is durable before anybody is handed any of it. */
export async function renew(kit: Kit, present: Whole): Promise<Whole> {
  const { account, credential } = present
  const unwritten = kit.unwritten.get(account.id)
  if (unwritten?.generation === account.generation) return keepFresh(kit, present, unwritten.credential)
  const refresh = await renewal(kit, present)
  if (!(await markAsked(kit, account))) return livingOf(await takeWhole(kit, account))
  const asked = await ask(() => refresh(credential))
  const server = serverOf(present)
  if ('fresh' in asked) kit.breaker.succeeded(server)
  else kit.breaker.failed(server, account.id, asked.trouble)
  return 'fresh' in asked ? keepFresh(kit, present, asked.fresh) : notGiven(kit, present, asked)
}

/** Until then it is alive; what names no end always is. */
export function lives({ expiresAt }: Credential, now: Date, milliseconds = 0): boolean {
  return expiresAt === null || expiresAt.getTime() - now.getTime() > milliseconds
}

/** How this account's credential is renewed, with one limit over all that is asked by it. */
async function renewal(kit: Kit, { account, credential, profile, from }: Whole) {
  const flow = kit.flows.get(account.flow)
  if (flow?.refresh === undefined || !isRenewable(kit, account, credential)) throw notRefreshable(account)
  const provider = knownProvider(kit, account, profile)
  const context = await flowContext(kit, provider, account.flow, {
    fields: profile.vars,
    ownServer: profile.ownServer,
    whose: { id: account.owner, owner: account.owner },
  })
  refuseOtherClient(account, from, context.client)
  const refresh = flow.refresh.bind(flow, hurried(context, ANSWERED_WITHIN_MS))
  return async (before: Credential) => {
    // What the operator switched off again is not gone on with; what is alive lives on to its end.
    if (profile.ownServer === undefined) refuseByVendor(kit, provider, context.signIn)
    const filled = await withAll(kit, account, before)
    return referringAgain(before, filled, await refresh(filled))
  }
}

/** Written down before the provider is asked, so that whoever comes after a crash knows what it was about. */
async function markAsked(kit: Kit, { owner, id, generation }: AccountRow): Promise<boolean> {
  const now = kit.now().getTime()
  const asked = { askedAt: now, dueAt: now + LOOKED_AFTER_MS }
  const changed = await kit.storage.transaction('synced', (rows) =>
    rows.update('accounts', { owner, id, generation }, asked),
  )
  return changed > 0
}

/** An answer that was lost on the way is asked for once more, at once: some servers give it again. */
async function ask(refresh: () => Promise<Credential>): Promise<Asked> {
  const first = await told(refresh)
  if ('fresh' in first || !mayBeLost(first.trouble)) return { ...first, lost: false }
  return { ...(await told(refresh)), lost: true }
}

async function told(refresh: () => Promise<Credential>) {
  try {
    return { fresh: await refresh() }
  } catch (error) {
    if (error instanceof ValetkeyError) return { trouble: error }
    throw error
  }
}

async function keepFresh(kit: Kit, before: Whole, credential: Credential): Promise<Whole> {
  const { account, profile } = before
  const grant = { credential, profile, issuedAt: kit.now() }
  const next = await persistently(() =>
    replace(kit, account, grant, (now) => renewed(kit, now, before, grant)),
  ).catch((error: unknown) => {
    if (!kit.unwritten.has(account.id)) void bringLater(kit, before, credential)
    kit.unwritten.set(account.id, { generation: account.generation, credential })
    throw error
  })
  kit.unwritten.delete(account.id)
  if (next === undefined) return giveWay(kit, before, grant)
  const whole = { ...before, ...grant, account: next }
  await good(kit, before, whole).catch(() => undefined)
  return whole
}

/** That it went well is told; where that cannot be, it went well all the same. */
async function good(kit: Kit, { account }: Whole, whole: Whole): Promise<void> {
  await endTrouble(kit, whole, account)
  if (account.status !== 'connected') await tell(kit, 'connected', whole.account)
}

/** Nobody else has what was answered, however long the database is away and whoever asks for it meanwhile. */
async function bringLater(kit: Kit, before: Whole, credential: Credential): Promise<void> {
  const { id } = before.account
  for (let isOver = false; !isOver; ) {
    await pause(BROUGHT_EVERY_MS, undefined, { ref: false })
    if (kit.unwritten.get(id)?.credential !== credential) return
    isOver = await keepFresh(kit, before, credential).then(
      () => true,
      (error: unknown) => !(error instanceof ValetkeyError && (error.retryable || error.code === 'locked')),
    )
  }
}

function renewed(kit: Kit, present: AccountRow, before: Whole, grant: Grant): Partial<AccountRow> {
  const { credential } = grant
  const rotation = rotationAfter(present, [before.credential, credential], kit.now())
  return {
    status: 'connected',
    reason: null,
    standing: isForwardOnly(kit, present, credential) ? 1 : 0,
    ...rotation,
    ...timesOf(kit, { ...present, ...rotation }, grant),
    tries: 0,
    nextTryAt: null,
    askedAt: null,
  }
}

/**
 * Somebody wrote at the same moment, and be it we ourselves, when only the word of it was lost. What else is
 * there stands as it is, and ours is not ended for it: it may be of the very same grant. Whoever found our older token dead was wrong about the grant. And what belongs to no
 * account any more is ended where it came from.
 */
async function giveWay(kit: Kit, before: Whole, grant: Grant): Promise<Whole> {
  const present = await takeWhole(kit, before.account).catch(async (error: unknown) => {
    if (isNotConnected(error)) await oweFresh(kit, before, grant)
    throw error
  })
  if (isSame(present.credential, grant.credential)) {
    putInUse(kit, present.account, grant)
    return { ...present, ...grant }
  }
  // What was shown to the provider is used up, whoever put it back meanwhile.
  if (present.account.status === 'needs-reauth' || isSame(present.credential, before.credential))
    return keepFresh(kit, { ...present, profile: grant.profile }, grant.credential)
  return present
}

/** As durable as what the account itself owes since it was revoked. Of an owner who was erased nothing is kept. */
async function oweFresh(kit: Kit, { account, from }: Whole, grant: Grant): Promise<void> {
  const owed = { account, grant: { ...grant, from } }
  const kept = await persistently(() =>
    kit.storage.transaction('synced', async (rows) => {
      const { owner, id } = account
      if ((await rows.get('accounts', { owner, id })) === undefined) return undefined
      return owe(kit, rows, account, owed.grant, kit.now().getTime())
    }),
  )
  if (kept === undefined) await endUpstream(kit, owed)
  else kit.schedule.expect(kept.dueAt)
}

/**
 * A grant that is over for good is told apart from trouble on the way; only the former ends anything. Where
 * somebody renewed it at the same moment ours was the older token, and nothing is over.
 */
async function notGiven(
  kit: Kit,
  held: Whole,
  { trouble, lost }: Extract<Asked, { trouble: unknown }>,
): Promise<Whole> {
  if (trouble.code !== 'access-revoked') {
    await troubled(kit, held, trouble, lost)
    throw trouble
  }
  const byItself = isOverByItself(held.account, kit.now()) ? ITS_TIME : undefined
  const reason = whyOver(held.account, lost) ?? byItself ?? trouble.message
  if (await end(kit, held, reason)) throw needsReauth(held.account, reason)
  return livingOf(await takeWhole(kit, held.account))
}

/** By what keeps it alive. */
function isSame(one: Credential, other: Credential): boolean {
  const names = Object.keys(other.kept)
  return names.length > 0 && names.every((name) => one.kept[name]?.reveal() === other.kept[name]?.reveal())
}

function isNotConnected(error: unknown): boolean {
  return error instanceof ValetkeyError && error.code === 'not-connected'
}

function notRefreshable(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('refresh-not-available', `the access to ${address} is not renewed by itself`, {
    hint: `valetkey ${account.standing === 1 ? 'rotate' : 'reconnect'} ${address}`,
  })
}
