import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { Mint, Wish } from '../../model/mint.ts'
import type { AccountRow } from '../../model/storage.ts'
import type { LendRequest } from '../../model/words.ts'
import { addressOf } from '../accounts.ts'
import { isStanding, takeHolding, takeWhole, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { endUpstream } from '../outbox/upstream.ts'
import { refuseOtherClient } from '../provenance.ts'
import { withAll } from '../referred.ts'
import { marginOf } from '../refresh.ts'
import { hurried } from '../renewing/hurried.ts'
import { refusedAnyway, renewRefused } from '../renewing/refused.ts'
import { ANSWERED_WITHIN_MS, lives } from '../renewing/renewing.ts'
import { serverOf } from '../schedule/breaker.ts'
import { flowContext, knownProvider } from '../sign-ins/sign-ins.ts'
import { refuseByVendor } from '../sign-ins/vendor-policy.ts'

/** One that has only just been minted is not minted again because it was refused. */
const JUST_MINTED_MS = 60_000
/** So long nothing is renewed for a mint once that did not help. */
const IN_VAIN_MS = 5 * 60_000

/** What is wished, the same in whatever order it was said; undefined where nothing is. */
export function wishOf({ scopes, audience, repositories }: LendRequest): Wish | undefined {
  const wish: Wish = {
    ...(scopes?.length && { scopes: inOrder(scopes) }),
    ...(audience && { audience }),
    ...(repositories?.length && { repositories: inOrder(repositories) }),
  }
  return Object.keys(wish).length === 0 ? undefined : wish
}

function inOrder(words: readonly string[]): readonly string[] {
  return [...new Set(words)].toSorted()
}

/** For the record: what it was minted for. */
export function wishInWords({ scopes, audience, repositories }: Wish): string {
  return [
    audience === undefined ? [] : `for ${audience}`,
    repositories === undefined ? [] : `repositories ${repositories.join(' ')}`,
    scopes === undefined ? [] : `scopes ${scopes.join(' ')}`,
  ]
    .flat()
    .join(', ')
}

export function noLess(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('invalid-request', `nothing less than all of ${address} can be lent`, {
    hint: 'leave out the scopes, the audience and the repositories',
  })
}

/** The account with what was minted for this wish, from memory where that lives long enough. */
export async function mintedWhole(kit: Kit, mint: Mint, whole: Whole, wish: Wish, request: LendRequest) {
  const { account } = whole
  const before = kit.minted.find(account, wish)
  if (before !== undefined) {
    const known = { ...whole, ...before }
    const isRefused = request.refused !== undefined && isAmong(known.credential, request.refused.reveal())
    if (isRefused) refuseFresh(kit, known)
    else if (lives(known.credential, kit.now(), marginOf(known, request.minValidity))) return known
    if (isRefused) kit.minted.drop(account, wish)
  }
  return kit.minted.once(account, wish, () => mintAnew(kit, mint, whole, wish))
}

function isAmong({ worn }: Credential, refused: string): boolean {
  return Object.values(worn).some((secret) => secret.reveal() === refused)
}

function refuseFresh(kit: Kit, known: Whole): void {
  const age = kit.now().getTime() - known.issuedAt.getTime()
  if (age >= 0 && age < JUST_MINTED_MS) throw refusedAnyway(known)
}

async function mintAnew(kit: Kit, mint: Mint, { account }: Whole, wish: Wish): Promise<Whole> {
  const present = await takeWhole(kit, account)
  const shut = kit.breaker.pass(serverOf(present))
  if (shut !== undefined)
    throw new ValetkeyError(shut.code, `the provider of ${addressOf(account)} is left alone for a while`, {
      retryAfter: Math.ceil(shut.leftMs / 1000),
    })
  const whole = await asked(kit, mint, present, wish).catch(async (error: unknown) => {
    if (!isRefusal(error) || wasInVain(kit, present)) throw error
    const { account: renewed } = await renewRefused(kit, present)
    const fresh = await takeWhole(kit, renewed)
    return asked(kit, mint, fresh, wish).catch((again: unknown) => {
      if (isRefusal(again)) kit.refusedFresh.set(inVainOf(fresh), untilLater(kit, fresh))
      throw again
    })
  })
  await orEndAgain(kit, mint, whole)
  kit.minted.keep(whole.account, wish, whole)
  return whole
}

/** It may be the wish that is refused: whoever wishes so again and again has nothing renewed for that. */
function wasInVain(kit: Kit, whole: Whole): boolean {
  const known = kit.refusedFresh.get(inVainOf(whole))
  return known?.generation === whole.account.generation && kit.monotonic() < known.until
}

function untilLater(kit: Kit, { account: { generation } }: Whole) {
  return { generation, until: kit.monotonic() + IN_VAIN_MS }
}

function inVainOf({ account }: Whole): string {
  return `${account.id} minted`
}

function isRefusal(error: unknown): boolean {
  return error instanceof ValetkeyError && error.code === 'invalid-token'
}

async function asked(kit: Kit, mint: Mint, present: Whole, wish: Wish): Promise<Whole> {
  const { account, profile, from, credential } = present
  const provider = knownProvider(kit, account, profile)
  const { vars: fields, ownServer } = profile
  const whose = { id: account.owner, owner: account.owner }
  const context = await flowContext(kit, provider, account.flow, { fields, ownServer, whose })
  if (ownServer === undefined) refuseByVendor(kit, provider, context.signIn)
  refuseOtherClient(account, from, context.client)
  const server = serverOf(present)
  try {
    const whole = await withAll(kit, account, credential)
    const fresh = await mint.mint(hurried(context, ANSWERED_WITHIN_MS), whole, wish)
    kit.breaker.succeeded(server)
    return { ...present, credential: whatDies(account, fresh), issuedAt: kit.now() }
  } catch (error) {
    if (error instanceof ValetkeyError) kit.breaker.failed(server, account.id, error)
    throw error
  }
}

/** Whatever an answer says, nothing that is kept goes along with it, and it has an end. */
function whatDies(account: AccountRow, { wornScopes: _, ...fresh }: Credential): Credential {
  if (!isStanding(fresh)) return { ...fresh, kept: {} }
  throw new ValetkeyError('bad-answer', `what was given for ${addressOf(account)} names no end`)
}

/** Of an account that was revoked meanwhile nothing lives on that nobody would know of. */
async function orEndAgain(kit: Kit, mint: Mint, { account, ...grant }: Whole): Promise<void> {
  try {
    await takeHolding(kit, account)
  } catch (error) {
    if (mint.ends) await endUpstream(kit, { account, grant })
    throw error
  }
}
