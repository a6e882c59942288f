import { formatAddress } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Provider } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import type { FlowPurpose, FlowSessionRow } from '../model/storage.ts'
import type { ConnectRequest, FlowAnswer, FlowSession } from '../model/words.ts'
import { readAddress } from './accounts.ts'
import { takeOutline } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import {
  answerText,
  endSession,
  findSession,
  holdSession,
  openSession,
  putField,
  takeField,
  viewSession,
} from './sessions.ts'
import { alreadyThere, findProvider, putKnown, refuseUnknown, signInOf, turn } from './turns.ts'

/** Without a provider the key that is pasted names it. */
export async function connect(kit: Kit, caller: Caller, request: ConnectRequest): Promise<FlowSession> {
  const { provider: named, bucket = 'default' } = request
  const address = named === undefined ? undefined : formatAddress(readAddress(kit, `${named}/${bucket}`))
  const passage = await kit.gate.pass(
    caller,
    'connect',
    address === undefined ? { name: 'a pasted key' } : { address },
  )
  return behind(
    passage,
    async () => {
      if (passage.account !== undefined) throw alreadyThere(passage.account)
      const provider = named === undefined ? undefined : findProvider(kit, named)
      const flow = provider === undefined ? 'api-key' : chosenFlow(kit, provider, request)
      const asked = {
        provider: provider?.id ?? null,
        bucket,
        flow,
        purpose: 'connect',
        accountId: null,
      } as const
      return start(kit, await openSession(kit, caller, asked), request)
    },
    told,
  )
}

/** A sign-in for an account that is there already: its id, bindings and history stay. */
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
      const account = accountOf(passage, address)
      const { id: accountId, provider, bucket } = account
      const flow = chosenFlow(kit, findProvider(kit, provider), { flow: account.flow, ...request })
      const { profile } = await takeOutline(kit, kit.storage, account)
      const session = await openSession(kit, caller, { provider, bucket, flow, purpose, accountId })
      return start(kit, session, { ...request, vars: { ...profile.vars, ...request.vars } })
    },
    told,
  )
}

/** A session whose holder died over an answer is taken up again by whoever looks at it. */
export async function lookAt(kit: Kit, caller: Caller, id: string): Promise<FlowSession> {
  const session = await findSession(kit, caller, id)
  const left = session.state === 'asking' ? await takeField(kit, session, 'inbox') : undefined
  const deserted = left?.reveal() && (session.holderUntil ?? 0) <= kit.now().getTime()
  return viewSession(kit, deserted ? await turn(kit, await holdSession(kit, session)) : session)
}

/** The answer is written down before it is worked on, so a broker that dies over it is succeeded by the next. */
export async function answer(kit: Kit, caller: Caller, id: string, given: FlowAnswer): Promise<FlowSession> {
  const session = await findSession(kit, caller, id)
  const passage = await kit.gate.pass(caller, 'connect', { name: session.provider ?? 'a pasted key' })
  return behind(
    passage,
    async () => {
      const held = await holdSession(kit, session)
      await putField(kit, held, 'inbox', new Secret(answerText(given)))
      return viewSession(kit, await turn(kit, held))
    },
    told,
  )
}

export async function cancel(kit: Kit, caller: Caller, id: string): Promise<FlowSession> {
  const session = await findSession(kit, caller, id)
  if (session.state !== 'asking') return viewSession(kit, session)
  const failure = { code: 'cancelled', detail: 'the sign-in was cancelled', hint: null }
  return viewSession(kit, await endSession(kit, session, 'cancelled', { failure }))
}

function chosenFlow(kit: Kit, provider: Provider, { flow, fields, vars }: ConnectRequest): string {
  const signIn = signInOf(kit, provider, flow)
  refuseUnknown(provider, signIn, [...Object.keys(fields ?? {}), ...Object.keys(vars ?? {})])
  return signIn.flow
}

async function start(kit: Kit, session: FlowSessionRow, request: ConnectRequest): Promise<FlowSession> {
  const given = Object.entries(request.fields ?? {}).map(([name, secret]) => [name, secret.reveal()] as const)
  const fields = { ...request.vars, ...Object.fromEntries(given) }
  await putKnown(kit, session, { fields, insist: request.insist ?? false })
  return viewSession(kit, await turn(kit, session))
}

function told({ state, step }: FlowSession): string {
  return state === 'asking' && step !== null ? `asks: ${step.ask}` : state
}
