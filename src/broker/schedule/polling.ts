import type { Caller } from '../../model/caller.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import { takeUp, targetOf } from '../connect.ts'
import { behind, type Kit } from '../kit.ts'
import { expireSession, holdSession, isDeserted, stopWaiting } from '../sign-ins/sessions.ts'
import { turn } from '../sign-ins/turns.ts'

/**
 * Goes on with a sign-in that was claimed: one that wants to look again, one whose broker died over it, or
 * one that nobody came back to. Whoever has it in hand by now says when it is due next.
 */
export async function goOn(kit: Kit, session: FlowSessionRow): Promise<void> {
  const now = kit.now()
  if (session.expiresAt <= now.getTime()) {
    await expireSession(kit, session)
    await stopWaiting(kit, session.id)
  } else if (isDeserted(session, now)) await onRecord(kit, session, () => takeUp(kit, session))
  else await poll(kit, session)
}

/** A look that brings nothing is not worth a line on record; what is kept, or ends the sign-in, is. */
async function poll(kit: Kit, session: FlowSessionRow): Promise<void> {
  let isRecorded = false
  const over = await turn(kit, await holdSession(kit, session), (keeping) => {
    isRecorded = true
    return onRecord(kit, session, keeping)
  }).catch((error: unknown) => error)
  if (isRecorded || !(over instanceof Error)) return
  await onRecord(kit, session, () => Promise.reject(over)).catch(() => undefined)
}

/** In the name of whoever began it. */
async function onRecord(
  kit: Kit,
  session: FlowSessionRow,
  work: () => Promise<FlowSessionRow>,
): Promise<FlowSessionRow> {
  const caller: Caller = { id: session.caller, owner: session.owner, proof: { door: 'broker' } }
  const verb = session.purpose === 'rotate' ? 'rotate' : 'connect'
  const passage = await kit.gate.pass(caller, verb, targetOf(caller, session))
  return behind(passage, work, ({ state }) => state)
}
