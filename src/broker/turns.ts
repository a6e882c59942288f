import { formatAddress, ValetkeyError } from '#client'
import type { FlowContext } from '../model/flow.ts'
import type { Provider, SignIn } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow, FlowSessionRow } from '../model/storage.ts'
import type { FlowAnswer, FlowStep } from '../model/words.ts'
import { addressOf, findAccount } from './accounts.ts'
import type { Kit } from './kit.ts'
import { endSession, putField, readAnswer, secrets, takeField } from './sessions.ts'
import { keep } from './settle.ts'

/** The field that a pasted key is asked in before it has named its provider. */
const PASTED = 'key'

/** What was known when the sign-in began, sealed beside it. */
export interface Known {
  readonly fields: Readonly<Record<string, string>>
  readonly insist: boolean
}

/**
 * Lets the session's flow take one turn over the answer in its inbox, and keeps what comes of it:
 * another step, or what was issued. A flow that refuses ends its session, with the reason on it.
 */
export async function turn(kit: Kit, session: FlowSessionRow): Promise<FlowSessionRow> {
  try {
    const given = await takeInbox(kit, session)
    const named = session.provider === null ? await recognise(kit, session, given) : session
    return named === undefined ? await askForKey(kit, session, given) : await take(kit, named, given)
  } catch (error) {
    if (error instanceof ValetkeyError) await endTurn(kit, session, error)
    throw error
  }
}

/** An answer that cannot be understood is asked for again; every other refusal ends the sign-in. */
async function endTurn(
  kit: Kit,
  session: FlowSessionRow,
  { code, message, hint }: ValetkeyError,
): Promise<void> {
  const begun = (await takeField(kit, session, 'step')) !== undefined
  if (code === 'invalid-request' && begun) return putField(kit, session, 'inbox', new Secret(''))
  await endSession(kit, session, 'failed', { failure: { code, detail: message, hint: hint ?? null } })
}

async function take(kit: Kit, session: FlowSessionRow, given?: FlowAnswer): Promise<FlowSessionRow> {
  const context = await contextOf(kit, session)
  const flow = kit.flows.get(session.flow)
  if (flow === undefined) throw unknownFlow(context.provider, session.flow)
  const memory = await takeField(kit, session, 'memory')
  const taken = memory === undefined ? await flow.begin(context) : await flow.next(context, memory, given)
  if ('step' in taken) return ask(kit, session, taken.step, taken.memory)
  if ('credential' in taken.done) return keep(kit, session, context, taken.done)
  throw new ValetkeyError('provider-not-configured', 'this sign-in yields no account')
}

/** A pasted key names its provider by its shape; from there on the sign-in is that provider's. */
async function recognise(
  kit: Kit,
  session: FlowSessionRow,
  given?: FlowAnswer,
): Promise<FlowSessionRow | undefined> {
  const known = await takeKnown(kit, session)
  const key = pastedKey(given) ?? known.fields[PASTED]
  const provider = key === undefined ? undefined : kit.catalogue.recognise(key)
  if (key === undefined || provider === undefined) return undefined
  const { owner, bucket, id } = session
  const there = await findAccount(kit, kit.storage, owner, formatAddress({ provider: provider.id, bucket }))
  if (there !== undefined) throw alreadyThere(there)
  await putKnown(kit, session, { ...known, fields: { ...known.fields, [keyFieldOf(provider)]: key } })
  await kit.storage.update('flowSessions', { owner, id }, { provider: provider.id })
  return { ...session, provider: provider.id }
}

async function askForKey(kit: Kit, session: FlowSessionRow, given?: FlowAnswer): Promise<FlowSessionRow> {
  const step: FlowStep = { ask: 'fill', fields: [{ name: PASTED, label: 'API key', kind: 'secret' }] }
  const because = 'no provider is known by keys of this shape'
  return ask(kit, session, pastedKey(given) === undefined ? step : { ...step, because })
}

/** The step for the doors and the memory for the flow are one write, and the inbox is empty after it. */
async function ask(
  kit: Kit,
  session: FlowSessionRow,
  step: FlowStep,
  memory?: Secret,
): Promise<FlowSessionRow> {
  await kit.storage.transaction('soon', async (rows) => {
    await putField(kit, session, 'inbox', new Secret(''), rows)
    await putField(kit, session, 'step', new Secret(JSON.stringify(step)), rows)
    if (memory !== undefined) await putField(kit, session, 'memory', memory, rows)
  })
  return session
}

async function contextOf(kit: Kit, session: FlowSessionRow): Promise<FlowContext> {
  const provider = findProvider(kit, session.provider ?? '')
  const { fields, insist } = await takeKnown(kit, session)
  return flowContext(kit, provider, session.flow, fields, insist)
}

/** All that a flow gets to see of the house. */
export function flowContext(
  kit: Kit,
  provider: Provider,
  flow: string,
  known: Readonly<Record<string, string>>,
  insist = false,
): FlowContext {
  const { catalogue, network, now, newId } = kit
  const signIn = signInOf(kit, provider, flow)
  return { provider, signIn, catalogue, network, now, newId, known: secrets(known), insist }
}

export function findProvider(kit: Kit, name: string): Provider {
  const provider = kit.catalogue.find(name)
  if (provider !== undefined) return provider
  throw new ValetkeyError('unknown-provider', `no provider is called ${name}`, { hint: 'valetkey providers' })
}

/** The sign-in that was asked for, or the first of the provider's that can be done here. */
export function signInOf(kit: Kit, provider: Provider, flow: string | undefined): SignIn {
  const here = provider.signIns.filter((signIn) => kit.flows.has(signIn.flow))
  const found = flow === undefined ? here[0] : here.find((signIn) => signIn.flow === flow)
  if (found !== undefined) return found
  throw unknownFlow(provider, flow ?? 'anything known here', here[0]?.flow)
}

/** A field that the provider does not ask for was meant for something, so it is not dropped in silence. */
export function refuseUnknown(provider: Provider, signIn: SignIn, names: readonly string[]): void {
  const known = [...provider.vars, ...signIn.fields].map(({ name }) => name)
  const unknown = names.find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new ValetkeyError('invalid-request', `${provider.name} asks for nothing called ${unknown}`, {
    hint: `it asks for ${known.join(', ')}`,
  })
}

export function alreadyThere(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('conflict', `${address} is already connected`, {
    hint: `valetkey reconnect ${address}, or valetkey connect ${account.provider}/another-name beside it`,
  })
}

export async function putKnown(kit: Kit, session: FlowSessionRow, known: Known): Promise<void> {
  await putField(kit, session, 'known', new Secret(JSON.stringify(known)))
}

async function takeKnown(kit: Kit, session: FlowSessionRow): Promise<Known> {
  const text = await takeField(kit, session, 'known')
  return text === undefined ? { fields: {}, insist: false } : JSON.parse(text.reveal())
}

async function takeInbox(kit: Kit, session: FlowSessionRow): Promise<FlowAnswer | undefined> {
  const text = (await takeField(kit, session, 'inbox'))?.reveal()
  return text ? readAnswer(text) : undefined
}

function pastedKey(given: FlowAnswer | undefined): string | undefined {
  return given !== undefined && 'fields' in given ? given.fields[PASTED]?.reveal() : undefined
}

function keyFieldOf(provider: Provider): string {
  const signIn = provider.signIns.find((one) => one.recognise !== undefined)
  return signIn?.fields.find((field) => field.secret)?.name ?? PASTED
}

function unknownFlow(provider: Provider, flow: string, instead?: string): ValetkeyError {
  return new ValetkeyError('unknown-flow', `${provider.name} is not connected by ${flow}`, {
    hint: instead === undefined ? 'valetkey providers' : `valetkey connect ${provider.id} --flow ${instead}`,
  })
}
