import { isErrorCode, parseAddress, ValetkeyError, type Way } from '#client'
import { Secret } from '../../../../model/secret.ts'
import type { FlowSession } from '../../../../model/words.ts'
import { told } from '../codes.ts'
import { broughtBack } from './brought-back.ts'
import { anotherWayThere, begunBy } from './connecting.ts'
import { flowTypeOf, isLeaving, type Leaving, pollIntervalOf, shown } from './flow-type.ts'
import { addressIn, notForYou, op, optionalText, type Seat, textIn } from './op.ts'
import { sanitised } from './tokens.ts'

export const oauthInitiate = op(async (seat, payload) => {
  const address = addressIn(seat, payload)
  const wanted = { redirectUri: optionalText(payload, 'redirect_uri'), flow: optionalText(payload, 'flow') }
  const begun = await begin(seat, address, wanted).catch(asInitiated)
  const provider = parseAddress(address)?.provider ?? address
  const type = flowTypeOf(provider, begun.step, seat.kept.options.redirects ?? 'browser_redirect')
  const { id } = seat.kept.sessions.begin(seat.caller, { flow: begun.id, address, type })
  return {
    session_id: id,
    flow_type: type,
    pollIntervalMs: pollIntervalOf(begun.step),
    ...shown(type, begun.step),
  }
}, 'FLOW_INITIATION_FAILED')

/** One attempt, and the sign-in is over however that ends. */
export const oauthExchange = op(async (seat, payload) => {
  const session = seat.kept.sessions.find(seat.caller, textIn(payload, 'session_id'))
  const code = textIn(payload, 'code')
  const now = await seat.desk.flow(session.flow)
  if (now.state === 'asking' && now.step?.ask !== 'visit')
    throw new ValetkeyError('invalid-request', 'this sign-in awaits no code')
  seat.kept.sessions.use(session)
  const { step } = now
  // The browser may have come back by itself before anything was pasted.
  const ended = step?.ask === 'visit' ? await answered(seat, session.flow, broughtBack(code, step.url)) : now
  if (ended.state === 'done') return tokenOf(seat, session.address)
  throw failureOf(ended)
}, 'EXCHANGE_FAILED')

export const oauthPoll = op(async (seat, payload) => {
  const session = seat.kept.sessions.find(seat.caller, textIn(payload, 'session_id'))
  const now = await seat.desk.flow(session.flow)
  if (now.state === 'asking') return { status: 'pending', pollIntervalMs: pollIntervalOf(now.step) }
  seat.kept.sessions.use(session)
  if (now.state !== 'done') {
    const { ok: _, ...failed } = told(
      failureOf(now),
      'POLL_FAILED',
      seat.version,
      seat.kept.options.offersNext,
    )
    return { status: 'error', ...failed }
  }
  // Whoever may sign in and may not be lent the account hears no more than that it is done.
  const token = await tokenOf(seat, session.address).catch(() => undefined)
  return { status: 'complete', ...(token === undefined ? {} : { token }) }
}, 'POLL_FAILED')

export const oauthCancel = op(async (seat, payload) => {
  const session = seat.kept.sessions.find(seat.caller, textIn(payload, 'session_id'))
  seat.kept.sessions.use(session)
  await seat.desk.cancel(session.flow)
  return {}
})

interface Wanted {
  readonly redirectUri: string | undefined
  /** The one way that shall be gone, where the provider has several. */
  readonly flow: string | undefined
}

interface Begun {
  readonly id: string
  readonly step: Leaving
}

/** Of the ways in which the provider can be connected, the first that sends a person away with a link. */
async function begin(seat: Seat, address: string, { redirectUri, flow }: Wanted): Promise<Begun> {
  const { redirectField } = seat.kept.options
  const isWanted = redirectField !== undefined && redirectUri !== undefined
  const known = isWanted ? { fields: { [redirectField]: new Secret(redirectUri) } } : {}
  let other: FlowSession | undefined
  for await (const session of begunBy(seat, address, known, flow)) {
    const { id, step } = session
    if (isLeaving(step)) return { id, step }
    other ??= session
    await seat.desk.cancel(id).catch(() => undefined)
  }
  throw new ValetkeyError('provider-not-configured', 'this provider is not signed in to by a link', {
    instead: other && (await wayOf(seat, other)),
  })
}

/** The way of a sign-in that no link leads into, for whoever can go it elsewhere. */
async function wayOf(seat: Seat, { provider, flow }: FlowSession): Promise<Way | undefined> {
  const card = (await seat.desk.providers()).find(({ id }) => id === provider)
  return card?.ways.find((way) => way.flow === flow)
}

/** Whatever else went wrong, the sign-in was not begun. */
function asInitiated(error: unknown): never {
  if (!(error instanceof ValetkeyError)) throw new ValetkeyError('flow-failed', 'it was not begun')
  switch (error.code) {
    case 'not-connected':
    case 'ask-needed':
      throw notForYou()
    case 'unknown-provider':
      throw new ValetkeyError('provider-not-configured', 'there is no such provider')
    case 'conflict':
      throw anotherWayThere()
    case 'not-allowed':
    case 'vendor-policy':
    case 'provider-not-configured':
    case 'unknown-flow':
    case 'invalid-request':
    case 'resource-exhausted':
    case 'rate-limited':
      throw error
    default:
      throw new ValetkeyError('flow-failed', 'it was not begun', { instead: error.instead })
  }
}

async function answered(seat: Seat, flow: string, callback: URL): Promise<FlowSession> {
  try {
    return await seat.desk.answer(flow, { callback: new Secret(callback.href) })
  } catch (error) {
    // What was not understood leaves the sign-in open, and it was good for one attempt.
    await seat.desk.cancel(flow).catch(() => undefined)
    throw error instanceof ValetkeyError && error.code === 'invalid-request'
      ? new ValetkeyError('exchange-failed', 'the code was not accepted')
      : error
  }
}

async function tokenOf(seat: Seat, address: string): Promise<object> {
  return sanitised(await seat.desk.lend({ address }))
}

function failureOf({ failure, state, instead }: FlowSession): ValetkeyError {
  const code = failure?.code ?? (state === 'cancelled' ? 'cancelled' : 'flow-failed')
  return new ValetkeyError(isErrorCode(code) ? code : 'flow-failed', 'the sign-in did not succeed', {
    instead,
  })
}
