import { type ErrorCode, ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Account } from '../model/words.ts'
import { addressOf, showAccount } from './accounts.ts'
import { isRenewable, takeWhole, type Whole } from './grants.ts'
import { accountOf, behind, type Kit, notConnected } from './kit.ts'
import { readAnew, wearsReference, withWorn } from './referred.ts'
import { livingOf } from './renewing/ending.ts'
import { lives, renew } from './renewing/renewing.ts'
import { once } from './renewing/single-flight.ts'
import { isWaiting, stillShut, stillTroubled } from './renewing/trouble.ts'
import { serverOf } from './schedule/breaker.ts'
import { lifeOf, usualMargin } from './schedule/due.ts'

/** Providers count whole seconds, from before their answer came here: a life may be that much shorter than told. */
const ROUNDING_MS = 2000

/** After these not even what is still alive is handed out. */
const OVER: readonly ErrorCode[] = ['needs-reauth', 'access-revoked', 'not-connected', 'tampered', 'locked']

/** By the owner's own wish, whatever life is left. */
export async function refresh(kit: Kit, caller: Caller, address: string): Promise<Account> {
  const passage = await kit.gate.pass(caller, 'refresh', { address })
  return behind(passage, async () => {
    const whole = livingOf(await takeWhole(kit, accountOf(passage, address)))
    const { account } = wearsReference(whole.credential)
      ? await readAnew(kit, whole)
      : await once(kit, whole, (present) => renew(kit, present))
    const shown = await showAccount(kit, account.owner, account.id)
    if (shown === undefined) throw notConnected(address)
    return shown
  })
}

/**
 * The grant with a credential that lives long enough, renewed inside this call when it must be, or read where
 * it lies.
 */
export async function freshWhole(kit: Kit, of: AccountRow, minValiditySeconds?: number): Promise<Whole> {
  const whole = await freshKept(kit, of, minValiditySeconds)
  if (!wearsReference(whole.credential)) return whole
  return withWorn(kit, whole, Math.max(0, (minValiditySeconds || 0) * 1000))
}

async function freshKept(kit: Kit, of: AccountRow, minValiditySeconds?: number): Promise<Whole> {
  const since = kit.memory.moment()
  const known = kit.memory.whole(of)
  const whole = livingOf(known ?? (await takeWhole(kit, of)))
  const { credential, account } = whole
  if (lives(credential, kit.now(), marginOf(whole, minValiditySeconds))) {
    if (known === undefined) kit.memory.keepWhole(whole, since)
    return whole
  }
  if (!isRenewable(kit, account, credential)) return whole
  return renewedInTime(kit, whole).catch((error: unknown) => {
    // Trouble that may pass is no reason to withhold what still lives as long as was asked for.
    if (isOver(error) || !lives(credential, kit.now(), (minValiditySeconds || 0) * 1000)) throw error
    return whole
  })
}

/** A provider that had trouble is left alone until it is time to ask again. */
export async function renewedInTime(kit: Kit, whole: Whole): Promise<Whole> {
  if (isWaiting(whole.account, kit.now())) throw stillTroubled(kit, whole.account)
  const underWay = kit.refreshing.has(whole.account.id)
  const shut = underWay ? undefined : kit.breaker.pass(serverOf(whole))
  if (shut !== undefined) throw stillShut(whole.account, shut)
  return once(kit, whole, (present) => renewOnRecord(kit, present))
}

/** A renewal stands on record once, however many wait for it. */
export async function renewOnRecord(kit: Kit, present: Whole): Promise<Whole> {
  const { account } = present
  const passage = await kit.gate.pass(onBehalfOf(account), 'refresh', { address: addressOf(account) })
  return behind(passage, () => renew(kit, present))
}

function isOver(error: unknown): boolean {
  return !(error instanceof ValetkeyError) || OVER.includes(error.code)
}

/** How much life has to be left. More than there ever was is not to be had by renewing either. */
export function marginOf(whole: Whole, minValiditySeconds = Number.NaN): number {
  const asked = minValiditySeconds * 1000
  const life = lifeOf(whole.credential.expiresAt, whole.issuedAt)
  return Math.max(asked < life ? asked : usualMargin(whole), ROUNDING_MS)
}

/** What is done on a program's behalf, such as a renewal, is the owner's own, and stands on record as such. */
export function onBehalfOf({ owner }: Pick<AccountRow, 'owner'>): Caller {
  if (owner === 'installation') throw new ValetkeyError('internal-error', 'the installation has no accounts')
  return { id: owner as Caller['id'], owner, proof: { door: 'broker' } }
}
