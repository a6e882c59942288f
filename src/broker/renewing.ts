import { setTimeout as pause } from 'node:timers/promises'
import { type EventName, ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { FlowContext } from '../model/flow.ts'
import type { Outgoing } from '../model/network.ts'
import type { AccountRow } from '../model/storage.ts'
import { addressOf, showAccount } from './accounts.ts'
import { callersBoundTo } from './bindings.ts'
import { type Grant, isStanding, putGrant, takeWhole, type Whole } from './grants.ts'
import type { Kit } from './kit.ts'
import { findProvider, flowContext } from './sign-ins.ts'
import { endUpstream } from './upstream.ts'

/** What comes later than this is not waited for: whoever succeeds us shall not meet us at the provider. */
export const ANSWERED_WITHIN_MS = 50_000
/** So long a database may be away when an answer has to be written. */
export const WRITTEN_WITHIN_MS = 10_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1_000

type Change = Pick<AccountRow, 'status' | 'reason' | 'standing' | 'expiresAt'>

/** Asks the provider. What it answered is durable before anybody is handed any of it. */
export async function renew(kit: Kit, present: Whole): Promise<Whole> {
  const { account, credential, profile } = present
  const flow = kit.flows.get(account.flow)
  if (flow?.refresh === undefined) throw notRefreshable(account)
  const provider = findProvider(kit, account.provider)
  const context = await flowContext(kit, provider, account.flow, { fields: profile.vars })
  const fresh = await flow
    .refresh(hurried(context), credential)
    .catch((error: unknown) => overOrNot(kit, present, error))
  return 'account' in fresh ? fresh : keepFresh(kit, present, fresh)
}

/** Until then it is alive; what names no end always is. */
export function lives({ expiresAt }: Credential, now: Date, milliseconds = 0): boolean {
  return expiresAt === null || expiresAt.getTime() - now.getTime() > milliseconds
}

/** What was found to be over for good is not used again. */
export function livingOf(whole: Whole): Whole {
  const { account } = whole
  if (account.status === 'needs-reauth') throw needsReauth(account, account.reason)
  return whole
}

async function keepFresh(kit: Kit, before: Whole, credential: Credential): Promise<Whole> {
  const { account, profile } = before
  const grant = { credential, profile, issuedAt: kit.now() }
  const change = {
    status: 'connected',
    reason: null,
    standing: isStanding(credential) ? 1 : 0,
    expiresAt: credential.expiresAt?.getTime() ?? null,
  } as const
  const next = await persistently(() => replace(kit, account, grant, change))
  if (next === undefined) return giveWay(kit, before.account, grant)
  if (account.status !== 'connected') await tell(kit, 'connected', next)
  return { account: next, ...grant }
}

/**
 * Somebody wrote at the same moment. A reconnect stands as it is. Whoever found our older token dead
 * was wrong about the grant. And what belongs to no account any more is ended where it came from.
 */
async function giveWay(kit: Kit, before: AccountRow, grant: Grant): Promise<Whole> {
  const present = await takeWhole(kit, before).catch(async (error: unknown) => {
    if (isNotConnected(error)) await endUpstream(kit, { account: before, grant })
    throw error
  })
  if (present.account.status !== 'needs-reauth') return present
  return keepFresh(kit, { ...present, profile: grant.profile }, grant.credential)
}

/**
 * A grant that is over for good is told apart from trouble on the way; only the former ends anything. Where
 * somebody renewed it at the same moment ours was the older token, and nothing is over.
 */
async function overOrNot(kit: Kit, held: Whole, error: unknown): Promise<Whole> {
  if (!(error instanceof ValetkeyError) || error.code !== 'access-revoked') throw error
  if (await end(kit, held, error.message)) throw needsReauth(held.account, error.message)
  return livingOf(await takeWhole(kit, held.account))
}

/** The dead tokens go at once; the account, its bindings and its history stay. False where it changed meanwhile. */
async function end(kit: Kit, { account, ...grant }: Whole, reason: string): Promise<boolean> {
  const credential = { ...grant.credential, worn: {}, kept: {} }
  const over = { status: 'needs-reauth', reason, standing: account.standing, expiresAt: null } as const
  const next = await replace(kit, account, { ...grant, credential }, over)
  if (next !== undefined) await tell(kit, 'needs-reauth', next)
  return next !== undefined
}

/** What was answered is not to be had again, so it is written as soon as that is possible. */
async function persistently<R>(write: () => Promise<R>): Promise<R> {
  let waited = 0
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
    try {
      return await write()
    } catch (error) {
      const mayPass = error instanceof ValetkeyError && error.retryable
      if (!mayPass || waited + wait > WRITTEN_WITHIN_MS) throw error
      await pause(wait)
      waited += wait
    }
  }
}

/** Undefined, and nothing is written, where the account is not the generation any more that was read. */
async function replace(
  kit: Kit,
  before: AccountRow,
  grant: Grant,
  change: Change,
): Promise<AccountRow | undefined> {
  const { owner, id, generation } = before
  const set = { ...change, generation: generation + 1, changedAt: kit.now().getTime() }
  const next = { ...before, ...set }
  return kit.storage.transaction('synced', async (rows) => {
    const changed = await rows.update('accounts', { owner, id, generation }, set)
    if (changed === 0) return undefined
    await putGrant(kit, rows, next, grant)
    return next
  })
}

async function tell(kit: Kit, name: EventName, account: AccountRow): Promise<void> {
  const shown = await showAccount(kit, account.owner, account.id)
  if (shown !== undefined) kit.happenings.tell(account.owner, name, shown, await callersBoundTo(kit, account))
}

/** The same context, with one limit over all that is asked by it. */
function hurried({ network, ...context }: FlowContext): FlowContext {
  const limit = AbortSignal.timeout(ANSWERED_WITHIN_MS)
  const fetch = (url: URL, { signal, ...request }: Outgoing = {}) =>
    network.fetch(url, { ...request, signal: signal ? AbortSignal.any([signal, limit]) : limit })
  return { ...context, network: { ...network, fetch } }
}

function isNotConnected(error: unknown): boolean {
  return error instanceof ValetkeyError && error.code === 'not-connected'
}

function needsReauth(account: AccountRow, reason: string | null): ValetkeyError {
  const address = addressOf(account)
  const why = reason === null ? '' : `: ${reason}`
  return new ValetkeyError('needs-reauth', `${address} has to be connected again${why}`, {
    hint: `valetkey reconnect ${address}`,
  })
}

function notRefreshable(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('refresh-not-available', `the access to ${address} is not renewed by itself`, {
    hint: `valetkey ${account.standing === 1 ? 'rotate' : 'reconnect'} ${address}`,
  })
}
