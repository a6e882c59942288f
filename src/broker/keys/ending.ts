import type { Caller, OwnerId } from '../../model/caller.ts'
import type { BindingRow, EVERY_OWNER, FlowSessionRow, KeyRow, Rows } from '../../model/storage.ts'
import { endAsks } from '../asks/ending.ts'
import { isOver, type Which } from '../forwarding/streams.ts'
import type { Kit } from '../kit.ts'
import { endLeases } from '../leases.ts'
import { commandFor, endSession, stopWaiting } from '../sign-ins/sessions.ts'
import { madeBy, type Who } from './line.ts'

/** So long an answer may take to be on its way. */
const LAST_WORD_MS = 250

/** What came of ending callers: what is left to be cut off once that is written. */
export interface Ended {
  readonly rows: readonly KeyRow[]
  readonly sessions: readonly FlowSessionRow[]
  readonly leases: number
}

/** Ends the leases that a caller and all who were made by it have by this one of its bindings. */
export async function endRights(
  kit: Kit,
  rows: Rows,
  { owner, accountId, caller }: Pick<BindingRow, 'owner' | 'accountId' | 'caller'>,
): Promise<readonly Which[]> {
  const below = await madeBy(rows, { owner, id: caller })
  const ended = [caller, ...below.map(({ id }) => id)].map((who) => ({ owner, accountId, caller: who }))
  for (const which of ended) await endLeases(kit, rows, which, 'ended')
  return ended
}

/** Ends all that were made by a caller, and what they had. The caller itself goes on, unless it is meant as well. */
export async function endMadeBy(
  kit: Kit,
  rows: Rows,
  who: Who,
  { itself = false }: { readonly itself?: boolean } = {},
): Promise<Ended> {
  const { owner, id } = who
  const own = itself ? await rows.get('keys', { owner, id }) : undefined
  return endRows(kit, rows, [...(own === undefined ? [] : [own]), ...(await madeBy(rows, who))])
}

/** Ends these callers: their rows, what they were bound to, what they were lent, the sign-ins that they began. */
export async function endRows(kit: Kit, rows: Rows, ended: readonly KeyRow[]): Promise<Ended> {
  const sessions: FlowSessionRow[] = []
  let leases = 0
  for (const { owner, id: caller } of ended) {
    await kit.vault.erase(rows, owner, caller)
    await rows.remove('keys', { owner, id: caller })
    for (const { id } of await rows.list('bindings', { owner, caller }))
      await kit.vault.erase(rows, owner, id)
    await rows.remove('bindings', { owner, caller })
    await endAsks(kit, rows, { owner, caller })
    leases += await endLeases(kit, rows, { owner, caller }, 'ended')
    sessions.push(...(await endSignIns(kit, rows, { owner, id: caller })))
  }
  return { rows: ended, sessions, leases }
}

/** No sign-in goes on for somebody who is gone. */
async function endSignIns(kit: Kit, rows: Rows, { owner, id: caller }: Who): Promise<FlowSessionRow[]> {
  const ended: FlowSessionRow[] = []
  for (const session of await rows.list('flowSessions', { owner, caller, state: 'asking' })) {
    const detail = 'the caller that began this sign-in was ended'
    const failure = { code: 'cancelled', detail, hint: commandFor(session) }
    ended.push(await endSession(kit, session, 'cancelled', { failure }, rows))
  }
  return ended
}

/** Ends every caller that was narrowed, of one owner or of everybody. */
export async function endAllCallers(kit: Kit, owner: OwnerId | typeof EVERY_OWNER): Promise<void> {
  const ended = await kit.storage.transaction('synced', async (rows) =>
    endRows(kit, rows, await rows.list('keys', { owner })),
  )
  await cutOffEnded(kit, ended)
}

/** Once it is written: whoever is still at work is cut off, and nobody comes in at their sockets any more. */
export async function cutOffEnded(kit: Kit, { rows, sessions }: Ended, by?: Caller): Promise<void> {
  for (const { owner, id: caller } of rows) {
    kit.streams.cut({ owner, caller }, isOver('its key was ended'))
    // Whoever ends itself is told of that by the socket that goes: it may nothing there any more.
    if (caller === by?.id) setTimeout(() => void kit.keyring.forget(caller), LAST_WORD_MS).unref()
    else await kit.keyring.forget(caller)
  }
  for (const { id } of sessions) await stopWaiting(kit, id)
}
