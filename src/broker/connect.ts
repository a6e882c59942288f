import { formatAddress, parseAddress, ValetkeyError } from '#client'
import { type Caller, isOwner } from '../model/caller.ts'
import type { Target } from '../model/gate.ts'
import type { Provider } from '../model/provider.ts'
import type { FlowPurpose, FlowSessionRow } from '../model/storage.ts'
import type { ConnectRequest, FlowAnswer, FlowSession } from '../model/words.ts'
import { readAddress } from './accounts.ts'
import { takeHolding } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { asFoundNow } from './mcp/authority.ts'
import { isLink, providerByLink } from './mcp/by-link.ts'
import { rotateInPlace } from './rotation.ts'
import { revealed, viewSession, writeAnswer } from './sign-ins/answers.ts'
import {
  commandFor,
  endSession,
  findSession,
  holdSession,
  isDeserted,
  nameOf,
  openSession,
  stopWaiting,
} from './sign-ins/sessions.ts'
import { alreadyThere, findProvider, refuseUnknown, signInOf } from './sign-ins/sign-ins.ts'
import { turn } from './sign-ins/turns.ts'

/** How a pasted key comes in, until it has named its provider. */
const PASTING = { provider: null, flow: 'api-key' } as const

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
      if (passage.account !== undefined) throw alreadyThere(passage.account)
      const provider =
        named === undefined ? undefined : (linked ?? (await foundNow(kit, caller, address.provider)))
      const how = provider === undefined ? PASTING : chosen(kit, provider, request)
      const session = { ...how, bucket: address.bucket, purpose: 'connect', accountId: null } as const
      return begin(kit, caller, session, request)
    },
    told,
  )
}

async function foundNow(kit: Kit, { owner }: Caller, name: string): Promise<Provider> {
  return asFoundNow(kit, owner, findProvider(kit, name))
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
      const provider = await foundNow(kit, caller, account.provider)
      const how = chosen(kit, provider, { flow: account.flow, ...request })
      const asked = { ...how, bucket, purpose, accountId }
      const isPlain = purpose === 'rotate' && Object.keys(request).length === 0
      const rotated = isPlain ? await rotateInPlace(kit, caller, asked, holding) : undefined
      if (rotated !== undefined) return viewSession(kit, rotated)
      const vars = { ...grant?.profile.vars, ...request.vars }
      return begin(kit, caller, asked, { ...request, vars })
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
  return atSession(kit, caller, id, async (session) =>
    turn(kit, await holdSession(kit, session, writeAnswer(given))),
  )
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
  const passage = await kit.gate.pass(caller, verb, targetOf(caller, id, session))
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
function targetOf(caller: Caller, id: string, session: FlowSessionRow | undefined): Target {
  if (session === undefined) return { name: id }
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

function chosen(kit: Kit, provider: Provider, { flow, fields, vars }: ConnectRequest) {
  const signIn = signInOf(kit, provider, flow)
  const { takes = [] } = kit.flows.get(signIn.flow) ?? {}
  const asked = Object.keys(fields ?? {}).filter((name) => !takes.includes(name))
  refuseUnknown(provider, signIn, [...asked, ...Object.keys(vars ?? {})])
  return { provider: provider.id, flow: signIn.flow }
}

async function begin(
  kit: Kit,
  caller: Caller,
  asked: Parameters<typeof openSession>[2],
  { vars, fields = {}, insist = false }: ConnectRequest,
): Promise<FlowSession> {
  if (insist && !isOwner(caller)) throw onlyTheOwner()
  const known = { fields: { ...vars, ...revealed(fields) }, insist }
  return viewSession(kit, await turn(kit, await openSession(kit, caller, asked, known)))
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
