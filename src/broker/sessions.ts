import { type FlowSessionState, ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import type { FlowSessionRow, Rows } from '../model/storage.ts'
import type { FlowAnswer, FlowSession, FlowStep } from '../model/words.ts'
import { viewAccount } from './accounts.ts'
import type { Kit } from './kit.ts'

export const SESSION_MS = 10 * 60_000
/** How long a holder that went silent is believed to be still at work. */
const HOLDER_MS = 60_000

/** What of a session is sealed: `step` is what doors see, the rest no door ever sees. */
export type SessionField = 'step' | 'memory' | 'inbox' | 'known' | 'end'

export async function openSession(
  kit: Kit,
  caller: Caller,
  asked: Pick<FlowSessionRow, 'provider' | 'bucket' | 'flow' | 'purpose' | 'accountId'>,
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
  }
  await kit.storage.insert('flowSessions', [session])
  return session
}

/** A session belongs to the caller that began it; to anybody else there is none. */
export async function findSession(kit: Kit, caller: Caller, id: string): Promise<FlowSessionRow> {
  const session = await kit.storage.get('flowSessions', { owner: caller.owner, id, caller: caller.id })
  if (session === undefined) throw new ValetkeyError('flow-not-found', 'there is no such sign-in under way')
  if (session.state !== 'asking' || session.expiresAt > kit.now().getTime()) return session
  return endSession(kit, session, 'failed', { failure: expired(session) })
}

/** Takes the session in hand. Whoever finds it held by a living holder leaves it alone. */
export async function holdSession(kit: Kit, session: FlowSessionRow): Promise<FlowSessionRow> {
  const now = kit.now().getTime()
  if (session.state !== 'asking') throw new ValetkeyError('flow-used', 'this sign-in is already over')
  if (session.holder !== kit.holder && (session.holderUntil ?? 0) > now)
    throw new ValetkeyError('conflict', 'this sign-in is being worked on elsewhere')
  const set = { holder: kit.holder, holderUntil: now + HOLDER_MS, generation: session.generation + 1 }
  const { owner, id, generation } = session
  const changed = await kit.storage.update('flowSessions', { owner, id, generation, state: 'asking' }, set)
  if (changed === 0) throw new ValetkeyError('conflict', 'two answers came for this sign-in at once')
  return { ...session, ...set }
}

export async function endSession(
  kit: Kit,
  session: FlowSessionRow,
  state: FlowSessionState,
  end: object,
  rows: Rows = kit.storage,
): Promise<FlowSessionRow> {
  const { owner, id } = session
  const accountId =
    'accountId' in end && typeof end.accountId === 'string' ? end.accountId : session.accountId
  await rows.update('flowSessions', { owner, id }, { state, accountId })
  await kit.vault.erase(rows, owner, id)
  await putField(kit, session, 'end', new Secret(JSON.stringify(end)), rows)
  return { ...session, state, accountId }
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

/** The session as a door sees it. */
export async function viewSession(kit: Kit, session: FlowSessionRow): Promise<FlowSession> {
  const { id, provider, bucket, flow, state, owner } = session
  const step = state === 'asking' ? await takeField(kit, session, 'step') : undefined
  const end = await takeField(kit, session, 'end')
  const account =
    state === 'done' && session.accountId
      ? await kit.storage.get('accounts', { owner, id: session.accountId })
      : undefined
  const { failure = null, receipt = null } = end === undefined ? {} : JSON.parse(end.reveal(), reviveAt)
  return {
    id,
    provider,
    bucket,
    flow,
    state,
    step: step === undefined ? null : readStep(step.reveal()),
    account: account === undefined ? null : await viewAccount(kit, account),
    receipt,
    failure,
    expiresAt: new Date(session.expiresAt),
  }
}

export function answerText(answer: FlowAnswer): string {
  if ('callback' in answer) return JSON.stringify({ callback: answer.callback.reveal() })
  return JSON.stringify({
    fields: Object.fromEntries(
      Object.entries(answer.fields).map(([name, secret]) => [name, secret.reveal()]),
    ),
  })
}

export function readAnswer(text: string): FlowAnswer {
  const { callback, fields = {} } = JSON.parse(text) as { callback?: string; fields?: Record<string, string> }
  return callback === undefined ? { fields: secrets(fields) } : { callback: new Secret(callback) }
}

export function secrets(fields: Readonly<Record<string, string>>): Record<string, Secret> {
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, new Secret(text)]))
}

function readStep(text: string): FlowStep {
  return JSON.parse(text, (key, value) => {
    if (key === 'until') return new Date(value)
    return (key === 'url' || key === 'at') && typeof value === 'string' ? new URL(value) : value
  }) as FlowStep
}

function reviveAt(key: string, value: unknown): unknown {
  return key === 'at' && typeof value === 'string' ? new Date(value) : value
}

function expired(session: FlowSessionRow) {
  const hint = session.provider === null ? 'valetkey connect' : `valetkey connect ${session.provider}`
  return { code: 'flow-expired', detail: 'the sign-in took longer than ten minutes', hint }
}

/** The generation of a session moves with its holder, its sealed fields stay: they are bound to its id alone. */
function placeOf(session: FlowSessionRow, field: SessionField) {
  return { owner: session.owner, record: session.id, field, generation: 0, about: session.purpose }
}
