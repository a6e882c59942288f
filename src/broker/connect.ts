import { formatAddress, parseAddress, ValetkeyError } from '#client'
import { type Caller, isOwner } from '../model/caller.ts'
import type { Target } from '../model/gate.ts'
import type { Provider, SignIn } from '../model/provider.ts'
import type { AccountRow, FlowPurpose, FlowSessionRow } from '../model/storage.ts'
import type { ConnectRequest, FlowAnswer, FlowSession } from '../model/words.ts'
import { isScope } from '../protocol/scopes.ts'
import { readAddress } from './accounts.ts'
import { findOwnServer } from './clients/clients.ts'
import { type Kept, takeHolding } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { asFoundNow } from './mcp/authority.ts'
import { isLink, providerByLink } from './mcp/by-link.ts'
import { withVouching } from './mcp/offers.ts'
import { refuseReferences, withoutReferences } from './references.ts'
import { rotateInPlace } from './rotation.ts'
import { revealed, writeAnswer } from './sign-ins/answers.ts'
import { withInstead } from './sign-ins/failure.ts'
import { refuseClientless } from './sign-ins/lacking.ts'
import { firstWay, nextWay } from './sign-ins/order.ts'
import {
  CHOSEN,
  commandFor,
  endSession,
  findSession,
  holdSession,
  isDeserted,
  type Known,
  nameOf,
  openSession,
  stopWaiting,
  type WayTaken,
} from './sign-ins/sessions.ts'
import { viewSession } from './sign-ins/showing.ts'
import { alreadyThere, anotherWayThere, findProvider, refuseUnknown, signInOf } from './sign-ins/sign-ins.ts'
import { turn } from './sign-ins/turns.ts'
import { refuseByVendor } from './sign-ins/vendor-policy.ts'

/** What a session is begun with, besides what was said to it. */
interface Chosen {
  readonly asked: Pick<FlowSessionRow, 'provider' | 'flow'>
  readonly way: WayTaken
  readonly known: Pick<Known, 'ownServer' | 'scopes'>
}

/** How a pasted key comes in, until it has named its provider. */
const PASTING: Chosen = { asked: { provider: null, flow: 'api-key' }, way: CHOSEN, known: {} }

/** Without a provider the key that is pasted names it; a link is the address of the provider's server. */
export async function connect(kit: Kit, caller: Caller, request: ConnectRequest): Promise<FlowSession> {
  const { provider: said, bucket } = request
  const linked = isLink(said) ? await providerByLink(kit, caller, { link: said, as: request.as }) : undefined
  const named = linked?.id ?? said
  const written = [named ?? 'any', bucket ?? []].flat().join('/')
  const target = named === undefined ? { name: 'a pasted key' } : { address: spelled(kit, written) }
  const passage = await kit.gate.pass(caller, 'connect', target)
  return behind(
    passage,
    async () => {
      const address = readAddress(kit, written)
      const name = nameIn(written)
      if (passage.account !== undefined) throw takenBy(kit, passage.account, name)
      const found = named === undefined ? undefined : (linked ?? (await foundNow(kit, caller, name)))
      const provider = found && (await offering(kit, caller, found, request.flow))
      const how = provider === undefined ? PASTING : await chosen(kit, caller, provider, name, request)
      const { asked } = how
      const session = { ...asked, bucket: address.bucket, purpose: 'connect', accountId: null } as const
      return begin(kit, caller, session, request, how)
    },
    told,
  )
}

async function foundNow(kit: Kit, { owner }: Caller, name: string): Promise<Provider> {
  return asFoundNow(kit, owner, findProvider(kit, name))
}

/** A way in that is asked for may be one that its server takes by now. */
async function offering(kit: Kit, { owner }: Caller, provider: Provider, flow: string | undefined) {
  const isThere = flow === undefined || provider.signIns.some((signIn) => signIn.flow === flow)
  return isThere ? provider : withVouching(kit, owner, provider)
}

/** Where the name means other ways in than the one that is there, signing in to that again is no help. */
function takenBy(kit: Kit, account: AccountRow, named: string): ValetkeyError {
  const meant = kit.catalogue.find(named)?.signIns.filter(({ called }) => called.includes(named)) ?? []
  const isAnother = meant.length > 0 && meant.every(({ flow }) => flow !== account.flow)
  return isAnother ? anotherWayThere(account, named) : alreadyThere(account, named)
}

/** By its own name where it was given another; what is no address is for the gate to refuse. */
function spelled(kit: Kit, written: string): string {
  return parseAddress(written) === undefined ? written : formatAddress(readAddress(kit, written))
}

/**
 * A sign-in for an account that is there already: its id, bindings and history stay. Nobody is asked where a
 * rotation can do without, unless something was said of how it shall be done.
 */
export async function renew(
  kit: Kit,
  caller: Caller,
  purpose: Exclude<FlowPurpose, 'connect'>,
  address: string,
  request: ConnectRequest = {},
): Promise<FlowSession> {
  const passage = await kit.gate.pass(caller, purpose === 'rotate' ? 'rotate' : 'connect', { address })
  return behind(
    passage,
    async () => {
      const holding = await takeHolding(kit, accountOf(passage, address))
      const { account, grant } = holding
      const { id: accountId, bucket } = account
      if ((request.flow ?? account.flow) !== account.flow && !isOwner(caller)) throw anotherWayThere(account)
      const provider = await foundNow(kit, caller, account.provider)
      const again = { flow: account.flow, ...request }
      const how = await chosen(kit, caller, provider, provider.id, again, beforeOf(grant, request))
      const asked = { ...how.asked, bucket, purpose, accountId }
      const isPlain = purpose === 'rotate' && Object.keys(request).length === 0
      const rotated = isPlain ? await rotateInPlace(kit, caller, asked, holding) : undefined
      if (rotated !== undefined) return viewSession(kit, rotated)
      const vars = { ...withoutReferences(grant?.profile.vars), ...request.vars }
      return begin(kit, caller, asked, { ...request, vars }, how)
    },
    told,
  )
}

/** A session whose holder died over its turn is taken up again by whoever looks at it. */
export async function lookAt(kit: Kit, caller: Caller, id: string): Promise<FlowSession> {
  const session = await findSession(kit, caller, id)
  if (session === undefined) throw notUnderWay()
  return isDeserted(session, kit.now())
    ? atSession(kit, caller, id, (deserted) => takeUp(kit, deserted))
    : viewSession(kit, session)
}

/** The answer is written down before it is worked on, so a broker that dies over it is succeeded by the next. */
export async function answer(kit: Kit, caller: Caller, id: string, given: FlowAnswer): Promise<FlowSession> {
  return atSession(kit, caller, id, async (session) => {
    if ('fields' in given) refuseReferences(caller, Object.values(revealed(given.fields)))
    return turn(kit, await holdSession(kit, session, writeAnswer(given)))
  })
}

export async function cancel(kit: Kit, caller: Caller, id: string): Promise<FlowSession> {
  const failure = { code: 'cancelled', detail: 'the sign-in was cancelled', hint: null }
  return atSession(kit, caller, id, async (session) => {
    const ended = await kit.storage.transaction('synced', async (rows) => {
      const present = await rows.get('flowSessions', { owner: session.owner, id })
      if (present?.state !== 'asking') return present ?? session
      return endSession(kit, present, 'cancelled', { failure }, rows)
    })
    await stopWaiting(kit, id)
    return ended
  })
}

/** Every move of a sign-in stands at the gate too, whoever tries it and whether there is one or not. */
async function atSession(
  kit: Kit,
  caller: Caller,
  id: string,
  work: (session: FlowSessionRow) => Promise<FlowSessionRow>,
): Promise<FlowSession> {
  const session = await findSession(kit, caller, id)
  const verb = session?.purpose === 'rotate' ? 'rotate' : 'connect'
  const target = session === undefined ? { name: id } : targetOf(caller, session)
  const passage = await kit.gate.pass(caller, verb, target)
  return behind(
    passage,
    async () => {
      if (session === undefined) throw notUnderWay()
      return viewSession(kit, await work(session))
    },
    told,
  )
}

/** Whoever is not the owner needs the right to connect that very address at every move, and not at the first alone. */
export function targetOf(caller: Caller, session: FlowSessionRow): Target {
  const about = nameOf(session)
  return isOwner(caller) || session.provider === null ? { name: about } : { address: about }
}

/** A pure flow goes on from what was written down; a live one died with its process. */
export async function takeUp(kit: Kit, session: FlowSessionRow): Promise<FlowSessionRow> {
  const held = await holdSession(kit, session)
  if (kit.flows.get(held.flow)?.nature !== 'live') return turn(kit, held)
  const detail = 'valetkey was ended in the middle of this sign-in'
  const failure = { code: 'flow-failed', detail, hint: commandFor(held) }
  return endSession(kit, held, 'interrupted', { failure })
}

/** The name as it was typed: it may be that of one way in. */
function nameIn(written: string): string {
  return parseAddress(written)?.provider ?? written
}

/**
 * What was granted before is asked for once more along with what is new. Without anything new it is asked for
 * as it was.
 */
function beforeOf(grant: Kept | undefined, { scopes = [] }: ConnectRequest): readonly string[] {
  return (scopes.length > 0 ? grant?.credential.scopes : grant?.profile.wished) ?? []
}

/** Which way is gone: the one that was asked for, or the first that can work here. */
async function chosen(
  kit: Kit,
  caller: Caller,
  provider: Provider,
  named: string,
  request: ConnectRequest,
  before: readonly string[] = [],
): Promise<Chosen> {
  const { flow, fields = {}, vars = {}, noBrowser = false, bringsKey = false } = request
  const brings = [...Object.keys(fields), ...Object.keys(vars)]
  const { signIn, passedOver } =
    flow === undefined
      ? await firstWay(kit, provider, { named, vars, brings, noBrowser, bringsKey })
      : { signIn: signInOf(kit, provider, flow), passedOver: [] }
  const { takes = [], comesBack } = kit.flows.get(signIn.flow) ?? {}
  const seen = findProvider(kit, provider.id, signIn.flow)
  refuseUnknown(
    seen,
    signIn,
    brings.filter((name) => !takes.includes(name)),
  )
  const ownServer = comesBack ? await findOwnServer(kit, provider) : undefined
  if (ownServer === undefined) await refuseForNow(kit, provider, signIn)
  const wished = judgedScopes(caller, provider, signIn, request.scopes ?? [])
  const scopes = [...new Set([...before, ...wished])].filter((one) => !signIn.scopes.includes(one))
  return {
    asked: { provider: provider.id, flow: signIn.flow },
    way: { passedOver, noBrowser },
    known: { ...(ownServer !== undefined && { ownServer }), ...(scopes.length > 0 && { scopes }) },
  }
}

async function refuseForNow(kit: Kit, provider: Provider, signIn: SignIn): Promise<void> {
  try {
    refuseByVendor(kit, provider, signIn)
  } catch (error) {
    const { flow } = signIn
    throw error instanceof ValetkeyError
      ? withInstead(error, await nextWay(kit, { provider: provider.id, flow }, {}))
      : error
  }
}

/** Whoever is not the owner wishes for what the provider's file lists, and nothing beyond it. */
function judgedScopes(
  caller: Caller,
  { name }: Provider,
  { scopes, optionalScopes }: SignIn,
  wished: readonly string[],
): readonly string[] {
  const listed = [...scopes, ...optionalScopes.map((one) => one.name)]
  const wrong = wished.find((scope) => !isScope(scope) || !(isOwner(caller) || listed.includes(scope)))
  if (wrong !== undefined)
    throw new ValetkeyError('invalid-request', `${name} knows no scope called ${wrong}`, {
      hint: listed.length === 0 ? 'leave it out' : `it knows ${listed.join(', ')}`,
    })
  return wished
}

async function begin(
  kit: Kit,
  caller: Caller,
  asked: Parameters<typeof openSession>[2],
  { vars, fields = {}, insist = false }: ConnectRequest,
  { known: more, way }: Chosen,
): Promise<FlowSession> {
  if (insist && !isOwner(caller)) throw onlyTheOwner()
  const given = { ...vars, ...revealed(fields) }
  refuseReferences(caller, Object.values(given))
  await refuseClientless(kit, asked, withoutReferences(given) ?? {})
  const known = { fields: given, insist, ...more }
  return viewSession(kit, await turn(kit, await openSession(kit, caller, asked, known, way)))
}

function told({ state, step }: FlowSession): string {
  return state === 'asking' && step !== null ? `asks: ${step.ask}` : state
}

function onlyTheOwner(): ValetkeyError {
  return new ValetkeyError('not-allowed', 'only the owner may insist', {
    hint: 'ask the owner to connect it',
  })
}

function notUnderWay(): ValetkeyError {
  return new ValetkeyError('flow-not-found', 'there is no such sign-in under way', {
    hint: 'begin it again: valetkey connect',
  })
}
