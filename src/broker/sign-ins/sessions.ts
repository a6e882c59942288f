import { type FlowSessionState, formatAddress, type PassedOver, ValetkeyError } from '#client'
import type { Caller } from '../../model/caller.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSessionRow, Rows } from '../../model/storage.ts'
import type { Receipt } from '../../model/words.ts'
import { familyOf } from '../keys/line.ts'
import type { Kit } from '../kit.ts'
import type { KeptFailure } from './failure.ts'
import { oweRemembered } from './unkept.ts'

const SESSION_MS = 10 * 60_000
/** Each holds memory, and may hold a place that a browser comes back to. No person walks through so many at once. */
const MOST_ASKING = 32
/** Of one caller that is not the owner, and those that it made. The owner's are not held up by anybody's. */
const MOST_OF_A_FAMILY = 16
/** How long a holder that went silent is believed to be still at work. */
const HOLDER_MS = 60_000

/** What of a session is sealed: `step` is what doors see, the rest no door ever sees. */
type SessionField = 'step' | 'memory' | 'inbox' | 'known' | 'way' | 'end'

/** What was known when the sign-in began, sealed beside it. */
export interface Known {
  readonly fields: Readonly<Record<string, string>>
  readonly insist: boolean
  /** By field: what was given as a reference, once something was answered. */
  readonly references?: Readonly<Record<string, string>> | undefined
  /** What is asked for besides what the sign-in always asks for. */
  readonly scopes?: readonly string[]
  /** By a client of the owner's own, at the server that it brought along. */
  readonly ownServer?: string | undefined
  /** What else became known of the provider's addresses since then. */
  readonly answered?: Readonly<Record<string, string>>
  /** How the browser finds back, once it was sent away. */
  readonly back?: Return
}

/** Where a browser comes back to, and the word by which it is known there. */
export interface Return {
  readonly redirectUri: string
  readonly state: string
}

/** How the way came to be chosen. It outlives the session: whoever failed is offered the next. */
export interface WayTaken {
  readonly passedOver: readonly PassedOver[]
  readonly noBrowser: boolean
}

/** What is kept of a session that is over: no secret is among it. */
export interface SessionEnd {
  readonly accountId?: string
  readonly receipt?: Receipt
  readonly failure?: KeptFailure
  readonly way?: WayTaken
}

/** It was said which. */
export const CHOSEN: WayTaken = { passedOver: [], noBrowser: false }

type Asked = Pick<FlowSessionRow, 'provider' | 'bucket' | 'flow' | 'purpose' | 'accountId'>

/** Begins a session, in the hands of this broker until its first turn is over. */
export async function openSession(
  kit: Kit,
  caller: Caller,
  asked: Asked,
  known: Known,
  way: WayTaken = CHOSEN,
): Promise<FlowSessionRow> {
  const now = kit.now().getTime()
  const session: FlowSessionRow = {
    ...asked,
    id: `flow-${kit.newId()}`,
    owner: caller.owner,
    caller: caller.id,
    state: 'asking',
    holder: kit.holder,
    holderUntil: now + HOLDER_MS,
    generation: 1,
    createdAt: now,
    expiresAt: now + SESSION_MS,
    dueAt: now + HOLDER_MS,
  }
  await kit.storage.transaction('synced', async (rows) => {
    await refuseTooMany(rows, session)
    await rows.insert('flowSessions', [session])
    await putField(kit, session, 'known', new Secret(JSON.stringify(known)), rows)
    await putField(kit, session, 'way', new Secret(JSON.stringify(way)), rows)
  })
  return session
}

/** Those that are over by the clock do not count, though nobody has looked at them since. */
async function refuseTooMany(rows: Rows, { owner, caller: id, createdAt }: FlowSessionRow): Promise<void> {
  const all = await rows.list('flowSessions', { owner, state: 'asking' })
  const asking = all.filter(
    ({ expiresAt, caller }) => expiresAt > createdAt && isOwnersOwn(caller) === isOwnersOwn(id),
  )
  if (asking.length >= MOST_ASKING) throw tooMany(asking, createdAt)
  if (isOwnersOwn(id)) return
  const family = await familyOf(rows, { owner, id }, createdAt)
  const own = asking.filter(({ caller }) => family.has(caller))
  if (own.length >= MOST_OF_A_FAMILY) throw tooMany(own, createdAt)

  function isOwnersOwn(caller: string): boolean {
    return caller === owner
  }
}

function tooMany(asking: readonly FlowSessionRow[], now: number): ValetkeyError {
  const end = Math.min(...asking.map(({ expiresAt }) => expiresAt))
  return new ValetkeyError('resource-exhausted', `${asking.length} sign-ins are under way already`, {
    hint: 'finish or cancel one of them; each is over ten minutes after it began',
    retryAfter: Math.ceil((end - now) / 1000),
  })
}

/** A session belongs to the caller that began it; to anybody else there is none. */
export async function findSession(kit: Kit, caller: Caller, id: string): Promise<FlowSessionRow | undefined> {
  const session = await kit.storage.get('flowSessions', { owner: caller.owner, id, caller: caller.id })
  const over = session?.state === 'asking' && session.expiresAt <= kit.now().getTime()
  return over ? expireSession(kit, session) : session
}

/** Its holder fell silent over a turn. */
export function isDeserted({ state, holder, holderUntil }: FlowSessionRow, now: Date): boolean {
  return state === 'asking' && holder !== null && (holderUntil ?? 0) <= now.getTime()
}

/** Takes the session in hand for one turn. While somebody is at work on it, everybody else waits. */
export async function holdSession(
  kit: Kit,
  session: FlowSessionRow,
  inbox?: Secret,
): Promise<FlowSessionRow> {
  const now = kit.now().getTime()
  if (session.state !== 'asking')
    throw new ValetkeyError('flow-used', 'this sign-in is already over', { hint: commandFor(session) })
  if ((session.holderUntil ?? 0) > now)
    throw new ValetkeyError('conflict', 'another answer to this sign-in is being worked on', {
      hint: 'wait for what comes of it',
    })
  return kit.storage.transaction('synced', async (rows) => {
    const { generation } = session
    const holderUntil = now + HOLDER_MS
    // One that wants to be looked at again before that keeps the time at which it does.
    const dueAt = wantsLooks(session) ? session.dueAt : holderUntil
    const hold = { holder: kit.holder, holderUntil, dueAt, generation: generation + 1 }
    const held = await changeSession(rows, session, hold)
    if (inbox !== undefined) await putField(kit, held, 'inbox', inbox, rows)
    return held
  })
}

/**
 * The turn is over: the answer it was about is gone, and the next one may come. With `again` the flow wants
 * to look by itself then; without, it is looked at when it runs out.
 */
export async function letGo(
  kit: Kit,
  session: FlowSessionRow,
  rows: Rows,
  again?: number,
): Promise<FlowSessionRow> {
  await putField(kit, session, 'inbox', new Secret(''), rows)
  const dueAt = Math.min(again ?? Number.POSITIVE_INFINITY, session.expiresAt)
  return changeSession(rows, session, { holder: null, holderUntil: null, dueAt })
}

/** Whether its flow looks by itself, and not only at what somebody answers. */
export function wantsLooks({ dueAt, expiresAt, holderUntil }: FlowSessionRow): boolean {
  return dueAt !== null && dueAt < expiresAt && dueAt !== holderUntil
}

/** Changes a session that is still as it was read: neither over, nor taken in hand by somebody else. */
export async function changeSession(
  rows: Rows,
  session: FlowSessionRow,
  set: Partial<FlowSessionRow>,
): Promise<FlowSessionRow> {
  const { owner, id, generation } = session
  const changed = await rows.update('flowSessions', { owner, id, generation, state: 'asking' }, set)
  if (changed === 0) throw new ValetkeyError('conflict', 'this sign-in went on without this answer')
  return { ...session, ...set }
}

/** Nobody comes back to a sign-in that is over. */
export async function stopWaiting(kit: Kit, id: string): Promise<void> {
  const place = kit.returning.get(id)
  kit.returning.delete(id)
  await place?.close()
}

/** Ends a session, and erases all that it knew. Whoever does so within other work stops waiting after that. */
export async function endSession(
  kit: Kit,
  session: FlowSessionRow,
  state: FlowSessionState,
  end: SessionEnd,
  rows?: Rows,
): Promise<FlowSessionRow> {
  if (rows === undefined) {
    const ended = await kit.storage.transaction('synced', (own) => endSession(kit, session, state, end, own))
    await stopWaiting(kit, session.id)
    return ended
  }
  const { accountId = session.accountId } = end
  const over = { holder: null, holderUntil: null, dueAt: null }
  const ended = await changeSession(rows, session, { ...over, state, accountId })
  const way = await kit.vault.take(rows, placeOf(session, 'way'))
  if (state !== 'done')
    await oweRemembered(kit, session, await kit.vault.take(rows, placeOf(session, 'memory')), rows)
  await kit.vault.erase(rows, session.owner, session.id)
  await putEnd(kit, session, way === undefined ? end : { ...end, way: JSON.parse(way.reveal()) }, rows)
  return ended
}

export async function expireSession(kit: Kit, session: FlowSessionRow, rows?: Rows): Promise<FlowSessionRow> {
  const detail = 'the sign-in took longer than ten minutes'
  const failure = { code: 'flow-expired', detail, hint: commandFor(session) }
  return endSession(kit, session, 'failed', { failure }, rows)
}

export async function putEnd(kit: Kit, session: FlowSessionRow, end: SessionEnd, rows?: Rows): Promise<void> {
  await putField(kit, session, 'end', new Secret(JSON.stringify(end)), rows)
}

export async function putField(
  kit: Kit,
  session: FlowSessionRow,
  field: SessionField,
  secret: Secret,
  rows: Rows = kit.storage,
): Promise<void> {
  await kit.vault.put(rows, placeOf(session, field), secret)
}

export async function takeField(
  kit: Kit,
  session: FlowSessionRow,
  field: SessionField,
): Promise<Secret | undefined> {
  return kit.vault.take(kit.storage, placeOf(session, field))
}

/** What begins such a sign-in anew. */
export function commandFor(session: FlowSessionRow): string {
  return session.provider === null ? 'valetkey connect' : `valetkey ${session.purpose} ${nameOf(session)}`
}

/** What a session is about, for a person and for the record. */
export function nameOf({ provider, bucket }: FlowSessionRow): string {
  return provider === null ? 'a pasted key' : formatAddress({ provider, bucket })
}

/** The generation of a session moves with its holder, its sealed fields stay: they are bound to its id alone. */
function placeOf(session: FlowSessionRow, field: SessionField) {
  return { owner: session.owner, record: session.id, field, generation: 0, about: session.purpose }
}
