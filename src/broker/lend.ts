import { readPurpose, ValetkeyError } from '#client'
import { type Caller, isOwner } from '../model/caller.ts'
import type { Credential } from '../model/credential.ts'
import type { Mint, Wish } from '../model/mint.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Lease, LendRequest, Lent } from '../model/words.ts'
import { isBound } from '../protocol/proving.ts'
import { addressOf } from './accounts.ts'
import { takeBack } from './forwarding/openings.ts'
import { isStanding, type Whole } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { holdTo } from './limits.ts'
import { mintOf } from './minting/lendable.ts'
import { mintedWhole, noLess, wishInWords, wishOf } from './minting/minting.ts'
import { freshWhole } from './refresh.ts'
import { refusedAnyway, renewRefused } from './renewing/refused.ts'

const JUST_ISSUED_MS = 60_000
/** A caller has no more than one renewed in this time by saying that it was refused. */
const HAD_ONE_MS = 5 * 60_000

/** Lends what soon dies, or reveals what never does: the gate knows which of the two is permitted. */
export async function lend(
  kit: Kit,
  caller: Caller,
  verb: 'lend' | 'reveal',
  request: LendRequest,
): Promise<Lent> {
  const wish = wishOf(request)
  const passage = await kit.gate.pass(caller, verb, request)
  let giveBack = async () => {}
  return behind(
    passage,
    async () => {
      const of = accountOf(passage, request.address)
      const purpose = readPurpose(request.purpose)
      const whole = await freshWhole(kit, of, request.minValidity)
      const mint = verb === 'lend' ? howMinted(kit, whole, wish) : undefined
      if (mint === undefined && wish !== undefined) throw noLess(whole.account)
      if (!isOwner(caller) && wish && mint?.isBeyond?.(whole.profile, wish)) throw onlyTheOwner(whole.account)
      // Nobody has the provider asked for what he would not be lent.
      const held = mint && (await holdTo(kit, caller, passage, verb))
      giveBack = held ?? giveBack
      const { account, credential } = await (mint
        ? mintedWhole(kit, mint, whole, wish ?? {}, request)
        : instead(kit, caller, whole, request.refused))
      if (verb === 'lend') refuseUnlendable(account, credential)
      refuseDead(account, credential, kit.now(), request.minValidity)
      if (held === undefined) giveBack = await holdTo(kit, caller, passage, verb)
      const { worn, tokenType, expiresAt, scopes } = credential
      const asked = { account, caller: caller.id, verb, purpose, dies: expiresAt }
      const opening = { ...asked, scopes: credential.wornScopes ?? scopes, wish }
      const lease = await kit.openings(opening)
      const before = giveBack
      giveBack = async () => void (await Promise.all([takeBack(kit, lease, opening), before()]))
      return { lease, token: firstOf(credential), fields: worn, tokenType, expiresAt, scopes }
    },
    ({ lease }) => inWords(lease, wish),
  ).catch(async (error: unknown) => {
    // What could not be put on record was not lent, and is not counted.
    await giveBack().catch(() => undefined)
    throw error
  })
}

function onlyTheOwner(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('not-allowed', `only the owner may wish for more than ${address} itself may do`, {
    hint: 'ask the owner to connect it as an account of its own',
  })
}

/** For a wish, and in the place of what never dies. */
function howMinted(kit: Kit, { account, credential }: Whole, wish: Wish | undefined): Mint | undefined {
  return wish !== undefined || isStanding(credential) ? mintOf(kit, account) : undefined
}

/** With what was minted, where something was. */
function inWords({ purpose, id, scopes, repositories }: Lease, wish: Wish | undefined): string {
  const held = { ...(scopes.length > 0 && { scopes }), ...(repositories.length > 0 && { repositories }) }
  const minted = wish === undefined ? [] : wishInWords({ ...wish, ...held })
  return [purpose ?? [], minted, id].flat().join(', ')
}

/**
 * Another one in the place of what the provider refused. One that has only just been issued is not renewed
 * for that: the next would be refused as well. It is the caller who says so and not the provider, so whatever
 * it says counts for this caller alone.
 */
async function instead(kit: Kit, caller: Caller, whole: Whole, refused: Secret | undefined): Promise<Whole> {
  if (refused === undefined) return whole
  const { worn } = whole.credential
  const isThis = Object.values(worn).some((secret) => secret.reveal() === refused.reveal())
  if (!isThis) return whole
  const age = kit.now().getTime() - whole.issuedAt.getTime()
  const isFresh = age >= 0 && age < JUST_ISSUED_MS
  if (isFresh || hadOne(kit, caller, whole)) throw refusedAnyway(whole)
  return renewRefused(kit, whole)
}

/** All who say it of the same credential mean the same renewal. */
function hadOne(kit: Kit, { owner, id }: Caller, { account }: Whole): boolean {
  const { generation } = account
  const key = `${account.id} ${owner} ${id}`
  const before = kit.refusedFresh.get(key)
  const now = kit.monotonic()
  if (before === undefined || before.until <= now)
    kit.refusedFresh.set(key, { generation, until: now + HAD_ONE_MS })
  else return before.generation !== generation
  return false
}

function firstOf({ worn }: Credential): Secret {
  return Object.values(worn)[0] ?? new Secret('')
}

/**
 * The gate judged by the account's row, which anybody may have written; this is what was sealed. And a token that is
 * bound to a key of ours is of no use to whoever has not got that.
 */
function refuseUnlendable(account: AccountRow, credential: Credential): void {
  const isOurs = isBound(credential)
  if (!isOurs && !isStanding(credential)) return
  const address = addressOf(account)
  const why = isOurs ? 'is bound to a key that is not lent' : 'never dies by itself'
  throw new ValetkeyError('forward-only', `the ${isOurs ? 'token' : 'key'} of ${address} ${why}`, {
    hint: `valetkey forward ${address} GET /…`,
  })
}

/**
 * A token that would be dead before the caller is done with it is not handed out. Whoever states no
 * need gets any that is still alive: there is no fresher one to have.
 */
function refuseDead(account: AccountRow, { expiresAt }: Credential, now: Date, minValiditySeconds = 0): void {
  const needed = Math.max(0, minValiditySeconds) * 1000
  if (expiresAt === null || expiresAt.getTime() - now.getTime() > needed) return
  const address = addressOf(account)
  throw new ValetkeyError('token-expired', `the access to ${address} ends too soon`, {
    hint: `valetkey reconnect ${address}`,
  })
}
