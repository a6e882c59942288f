import { ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Credential } from '../model/credential.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Account } from '../model/words.ts'
import { addressOf, showAccount } from './accounts.ts'
import { callersBoundTo } from './bindings.ts'
import { type Grant, putGrant, takeWhole, type Whole } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { findProvider, flowContext } from './sign-ins.ts'

const LONGEST_MARGIN_MS = 5 * 60_000
/** A credential is renewed in the last tenth of its life, or five minutes before its end. */
const MARGIN_OF_LIFE = 0.1
/** Providers count whole seconds, from before their answer came here: a life may be that much shorter than told. */
const ROUNDING_MS = 2000

/** By the owner's own wish, whatever life is left. */
export async function refresh(kit: Kit, caller: Caller, address: string): Promise<Account> {
  const passage = await kit.gate.pass(caller, 'refresh', { address })
  return behind(passage, async () => {
    const { account } = await once(kit, await takeWhole(kit, accountOf(passage, address)))
    return accountShown(kit, account)
  })
}

/** The grant with a credential that lives long enough, renewed inside this call when it must be. */
export async function freshWhole(kit: Kit, of: AccountRow, minValiditySeconds?: number): Promise<Whole> {
  const whole = await takeWhole(kit, of)
  if (livesLongEnough(whole, kit.now(), minValiditySeconds)) return whole
  if (kit.flows.get(whole.account.flow)?.refresh === undefined) return whole
  const passage = await kit.gate.pass(onBehalfOf(whole.account), 'refresh', {
    address: addressOf(whole.account),
  })
  return behind(passage, () => once(kit, whole)).catch((error: unknown) => {
    // Trouble that may pass is no reason to withhold what is still alive.
    if (error instanceof ValetkeyError && error.reaction !== 'reconnect' && isAlive(whole, kit.now()))
      return whole
    throw error
  })
}

/** However many ask for it at once, the provider is asked once, and all of them hear what came of it. */
function once(kit: Kit, whole: Whole): Promise<Whole> {
  const { id } = whole.account
  const underWay = kit.refreshing.get(id) ?? renew(kit, whole).finally(() => kit.refreshing.delete(id))
  kit.refreshing.set(id, underWay)
  return underWay
}

/** What the provider answered is durable before anybody is handed any of it. */
async function renew(kit: Kit, before: Whole): Promise<Whole> {
  const present = await takeWhole(kit, before.account)
  if (present.account.generation !== before.account.generation) return present
  const { account, credential, profile } = present
  const flow = kit.flows.get(account.flow)
  if (flow?.refresh === undefined) throw notRefreshable(account)
  const context = await flowContext(kit, findProvider(kit, account.provider), account.flow, {
    fields: profile.vars,
  })
  const fresh = await flow
    .refresh(context, credential)
    .catch((error: unknown) => overOrNot(kit, present, error))
  return 'account' in fresh ? fresh : write(kit, present, fresh)
}

async function write(kit: Kit, { account, profile }: Whole, credential: Credential): Promise<Whole> {
  const issuedAt = kit.now()
  const next: AccountRow = {
    ...account,
    status: 'connected',
    reason: null,
    generation: account.generation + 1,
    changedAt: issuedAt.getTime(),
    expiresAt: credential.expiresAt?.getTime() ?? null,
  }
  await replace(kit, account, next, { credential, profile, issuedAt })
  return { account: next, credential, profile, issuedAt }
}

/** A grant that is over for good is told apart from trouble on the way; only the former ends anything. */
async function overOrNot(kit: Kit, held: Whole, error: unknown): Promise<Whole> {
  if (!(error instanceof ValetkeyError) || error.code !== 'access-revoked') throw error
  // Somebody may have renewed it at the same moment, and ours was the older token.
  const present = await takeWhole(kit, held.account)
  if (present.account.generation !== held.account.generation) return present
  await end(kit, held, error.message)
  const address = addressOf(held.account)
  throw new ValetkeyError('needs-reauth', `${address} has to be connected again: ${error.message}`, {
    hint: `valetkey reconnect ${address}`,
  })
}

/** The dead tokens go at once; the account, its bindings and its history stay. */
async function end(
  kit: Kit,
  { account, credential, profile, issuedAt }: Whole,
  reason: string,
): Promise<void> {
  const next: AccountRow = {
    ...account,
    status: 'needs-reauth',
    reason,
    generation: account.generation + 1,
    changedAt: kit.now().getTime(),
    expiresAt: null,
  }
  await replace(kit, account, next, { credential: { ...credential, worn: {}, kept: {} }, profile, issuedAt })
  kit.happenings.tell(
    account.owner,
    'needs-reauth',
    await accountShown(kit, next),
    await callersBoundTo(kit, next),
  )
}

async function replace(kit: Kit, before: AccountRow, next: AccountRow, grant: Grant): Promise<void> {
  const { owner, id, generation } = before
  await kit.storage.transaction('synced', async (rows) => {
    const changed = await rows.update('accounts', { owner, id, generation }, next)
    if (changed === 0)
      throw new ValetkeyError('conflict', `${addressOf(before)} was changed at the same moment`)
    await putGrant(kit, rows, next, grant)
  })
}

function livesLongEnough({ credential, issuedAt }: Whole, now: Date, minValiditySeconds?: number): boolean {
  if (credential.expiresAt === null) return true
  const life = credential.expiresAt.getTime() - issuedAt.getTime()
  const usual = Math.min(life * MARGIN_OF_LIFE, LONGEST_MARGIN_MS)
  const margin = minValiditySeconds === undefined ? usual : minValiditySeconds * 1000
  return credential.expiresAt.getTime() - now.getTime() > Math.max(margin, ROUNDING_MS)
}

function isAlive({ credential: { expiresAt } }: Whole, now: Date): boolean {
  return expiresAt === null || expiresAt > now
}

/** A renewal on a program's behalf is the owner's own, and stands on record as such. */
function onBehalfOf({ owner }: AccountRow): Caller {
  if (owner === 'installation') throw new ValetkeyError('internal-error', 'the installation has no accounts')
  return { id: owner as Caller['id'], owner, proof: { door: 'broker' } }
}

async function accountShown(kit: Kit, account: AccountRow): Promise<Account> {
  const shown = await showAccount(kit, account.owner, account.id)
  if (shown !== undefined) return shown
  return accountShownGone(account)
}

function accountShownGone(account: AccountRow): never {
  throw new ValetkeyError('not-connected', `no account at ${addressOf(account)}`)
}

function notRefreshable(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('refresh-not-available', `the access to ${address} is not renewed by itself`, {
    hint: `valetkey ${account.standing === 1 ? 'rotate' : 'reconnect'} ${address}`,
  })
}
