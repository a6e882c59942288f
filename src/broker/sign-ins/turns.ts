import { formatAddress, ValetkeyError } from '#client'
import type { Profile } from '../../model/credential.ts'
import type { SignIn } from '../../model/provider.ts'
import { isReference } from '../../model/references.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import type { FlowAnswer, FlowStep } from '../../model/words.ts'
import { findAccount } from '../accounts.ts'
import type { Grant } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { mayRefer } from '../references.ts'
import { readAnswer } from './answers.ts'
import { failureOf, goesOn, hinted, offersAnother, withInstead } from './failure.ts'
import { isAway, readyToLeave, withAnswered } from './leaving.ts'
import { mayGoAnother, nextWay } from './order.ts'
import { type Referring, referring } from './referring.ts'
import {
  CHOSEN,
  changeSession,
  commandFor,
  endSession,
  type Known,
  letGo,
  putField,
  stopWaiting,
  takeField,
  type WayTaken,
  wantsLooks,
} from './sessions.ts'
import { endUnkept, keep } from './settle.ts'
import { alreadyThere, flowContext, knownProvider, refuseUnknown, signInOf, unknownFlow } from './sign-ins.ts'
import { oweUnkept, unkeptBy, unkeptIn } from './unkept.ts'
import { refuseByVendor } from './vendor-policy.ts'

/** The field that a pasted key is asked in before it has named its provider. */
const PASTED = 'key'

/** Comes around the keeping of what was issued. */
type Keeping = (work: () => Promise<FlowSessionRow>) => Promise<FlowSessionRow>

/**
 * Lets the session's flow take one turn over the answer in its inbox, and keeps what comes of it:
 * another step, or what was issued. Only who has the session in hand calls this.
 */
export async function turn(
  kit: Kit,
  session: FlowSessionRow,
  keeping: Keeping = (work) => work(),
): Promise<FlowSessionRow> {
  try {
    const given = await takeInbox(kit, session)
    const named = session.provider === null ? await recognise(kit, session, given) : session
    const turned = await (named === undefined
      ? askForKey(kit, session, given)
      : take(kit, named, keeping, given))
    if (turned.state !== 'asking') await stopWaiting(kit, session.id)
    return turned
  } catch (thrown) {
    const unkept = unkeptBy(thrown)
    if (unkept !== undefined)
      await kit.storage.transaction('synced', (rows) => oweUnkept(kit, session, unkept, rows)).catch(() => {})
    const error = await offered(kit, session, hinted(thrown, commandFor(session)))
    // What cannot even be written down stays as it is, and is taken up again or runs out.
    const over = await endTurn(kit, session, error).catch(() => undefined)
    if (over !== undefined) return over
    throw error
  }
}

/**
 * An answer that cannot be understood, or belongs to another sign-in, is asked for again; every other
 * trouble ends the sign-in, with the reason on it. One that was ended meanwhile, by a cancelling say, is
 * handed back as it is.
 */
async function endTurn(
  kit: Kit,
  { owner, id, generation }: FlowSessionRow,
  error: unknown,
): Promise<FlowSessionRow | undefined> {
  const session = await kit.storage.get('flowSessions', { owner, id })
  if (session === undefined || session.state !== 'asking') return session
  if (session.generation !== generation) return undefined
  const begun = (await takeField(kit, session, 'step')) !== undefined
  const again = wantsLooks(session) ? session.dueAt : null
  if (begun && goesOn(error))
    await kit.storage.transaction('soon', (rows) => letGo(kit, session, rows, again ?? undefined))
  else await endSession(kit, session, 'failed', { failure: failureOf(error) })
  return undefined
}

async function take(
  kit: Kit,
  session: FlowSessionRow,
  keeping: Keeping,
  given?: FlowAnswer,
): Promise<FlowSessionRow> {
  const known = await takeKnown(kit, session)
  const asked = { provider: session.provider ?? '', flow: session.flow }
  const provider = knownProvider(kit, asked, known)
  const flow = kit.flows.get(session.flow)
  if (flow === undefined) throw unknownFlow(provider, session.flow)
  const memory = await takeField(kit, session, 'memory')
  if (known.ownServer === undefined) refuseByVendor(kit, provider, signInOf(kit, provider, session.flow))
  const isBack = unkeptIn(kit, session, memory) !== undefined
  const stays = flow.comesBack && !isBack && !(await isAway(kit, session))
  const all = stays ? await readyToLeave(kit, session, provider, withAnswered(known, provider, given)) : known
  const replaces = session.purpose === 'rotate'
  const refers = await referring(kit, session, signInOf(kit, provider, session.flow), all, given)
  if (given !== undefined) await keepReferences(kit, session, all, refers)
  const fields = refers.known(all.fields)
  const whose = { id: session.caller, owner: session.owner }
  const context = await flowContext(kit, provider, session.flow, { ...all, fields, replaces, whose })
  const taken =
    memory === undefined
      ? await flow.begin(context)
      : await flow.next(context, refers.toFlow(memory), refers.answer(given))
  if ('step' in taken) {
    const asking = await ask(kit, session, { ...taken, memory: refers.fromFlow(taken.memory) })
    // Whoever has what was issued awaits no browser any more.
    if (unkeptIn(kit, session, taken.memory) !== undefined) await stopWaiting(kit, session.id)
    return asking
  }
  const grant =
    'credential' in taken.done
      ? {
          credential: refers.sealed(taken.done.credential),
          profile: asAsked(taken.done.profile, known),
          issuedAt: kit.now(),
        }
      : undefined
  if (grant !== undefined) return keepIfAllowed(kit, session, { keeping, insist: context.insist, grant })
  throw new ValetkeyError('provider-not-configured', 'this sign-in yields no account')
}

interface ToKeep {
  readonly keeping: Keeping
  readonly insist: boolean
  readonly grant: Grant
}

/** What nobody may keep any more is not left alive either. */
async function keepIfAllowed(
  kit: Kit,
  session: FlowSessionRow,
  { keeping, insist, grant }: ToKeep,
): Promise<FlowSessionRow> {
  let isAllowed = false
  const work = () => {
    isAllowed = true
    return keep(kit, session, insist, grant)
  }
  return keeping(work).catch(async (error: unknown) => {
    if (!isAllowed) await endUnkept(kit, session, grant).catch(() => undefined)
    throw error
  })
}

/** Later turns know them as well; what was answered as a value is none any more. */
async function keepReferences(
  kit: Kit,
  session: FlowSessionRow,
  known: Known,
  { references }: Referring,
): Promise<void> {
  if (known.references === undefined && Object.keys(references).length === 0) return
  const all: Known = { ...known, references }
  await kit.storage.transaction('soon', (rows) =>
    putField(kit, session, 'known', new Secret(JSON.stringify(all)), rows),
  )
}

/** How it was asked for stays known of the account: it is renewed, and asked for again, the same way. */
function asAsked(profile: Profile, { ownServer, scopes = [] }: Known): Profile {
  return {
    ...profile,
    ...(ownServer !== undefined && { ownServer }),
    ...(scopes.length > 0 && { wished: scopes }),
  }
}

/** Where the way is what failed, the next one is offered along with that. */
async function offered(kit: Kit, session: FlowSessionRow, error: unknown): Promise<unknown> {
  const { provider, flow } = session
  if (provider === null || !(error instanceof ValetkeyError) || !offersAnother(error.code)) return error
  if (!mayGoAnother(session)) return error
  const taken = async () => {
    const way = await takeField(kit, session, 'way')
    return way === undefined ? CHOSEN : (JSON.parse(way.reveal()) as WayTaken)
  }
  const instead = async () => nextWay(kit, { provider, flow }, await taken())
  return withInstead(error, await instead().catch(() => null))
}

/** A pasted key names its provider by its shape; from there on the sign-in is that provider's. */
async function recognise(
  kit: Kit,
  session: FlowSessionRow,
  given?: FlowAnswer,
): Promise<FlowSessionRow | undefined> {
  const known = await takeKnown(kit, session)
  const key = pastedKey(known, given)
  const provider =
    key === undefined ? undefined : kit.catalogue.recognise(await valueBehind(kit, session, key))
  if (key === undefined || provider === undefined) return undefined
  const signIn = signInOf(kit, provider, session.flow)
  const { [PASTED]: _, ...fields } = known.fields
  refuseUnknown(provider, signIn, Object.keys(fields))
  const { owner, bucket } = session
  const there = await findAccount(kit, kit.storage, owner, formatAddress({ provider: provider.id, bucket }))
  if (there !== undefined) throw alreadyThere(there)
  return kit.storage.transaction('soon', async (rows) => {
    const all: Known = { ...known, fields: { ...fields, [keyFieldOf(signIn)]: key } }
    await putField(kit, session, 'known', new Secret(JSON.stringify(all)), rows)
    return changeSession(rows, session, { provider: provider.id })
  })
}

/** Of a reference the shape of what lies there counts. */
async function valueBehind(kit: Kit, { caller, owner }: FlowSessionRow, key: string): Promise<string> {
  if (!isReference(key) || !mayRefer({ id: caller, owner })) return key
  return (await kit.readings.read(owner, key)).value.reveal().trim()
}

async function askForKey(kit: Kit, session: FlowSessionRow, given?: FlowAnswer): Promise<FlowSessionRow> {
  const step: FlowStep = { ask: 'fill', fields: [{ name: PASTED, label: 'API key', kind: 'secret' }] }
  const because = 'no provider is known by keys of this shape'
  const key = pastedKey(await takeKnown(kit, session), given)
  return ask(kit, session, { step: key === undefined ? step : { ...step, because } })
}

/** The step for the doors and the memory for the flow are one write, and the inbox is empty after it. */
async function ask(
  kit: Kit,
  session: FlowSessionRow,
  { step, memory, again }: { step: FlowStep; memory?: Secret; again?: Date },
): Promise<FlowSessionRow> {
  const asking = await kit.storage.transaction('soon', async (rows) => {
    await putField(kit, session, 'step', new Secret(JSON.stringify(step)), rows)
    if (memory !== undefined) await putField(kit, session, 'memory', memory, rows)
    return letGo(kit, session, rows, again?.getTime())
  })
  kit.schedule.expect(asking.dueAt)
  return asking
}

async function takeKnown(kit: Kit, session: FlowSessionRow): Promise<Known> {
  const text = await takeField(kit, session, 'known')
  return text === undefined ? { fields: {}, insist: false } : JSON.parse(text.reveal())
}

async function takeInbox(kit: Kit, session: FlowSessionRow): Promise<FlowAnswer | undefined> {
  const text = (await takeField(kit, session, 'inbox'))?.reveal()
  return text ? readAnswer(text) : undefined
}

/** What was pasted, without the blanks and line ends that came along with it. */
function pastedKey(known: Known, given: FlowAnswer | undefined): string | undefined {
  const answered = given !== undefined && 'fields' in given ? given.fields[PASTED]?.reveal() : undefined
  return (answered ?? known.fields[PASTED])?.trim() || undefined
}

function keyFieldOf({ fields }: SignIn): string {
  return fields.find((field) => field.secret)?.name ?? PASTED
}
