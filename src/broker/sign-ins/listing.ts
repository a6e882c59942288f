import type { Caller } from '../../model/caller.ts'
import type { FlowSession } from '../../model/words.ts'
import type { Kit } from '../kit.ts'
import { viewSession } from './showing.ts'

/** The sign-ins that this caller has under way, so that each can be gone on with at another door. */
export async function listFlows(kit: Kit, { owner, id: caller }: Caller): Promise<readonly FlowSession[]> {
  const now = kit.now().getTime()
  const rows = await kit.storage.list('flowSessions', { owner, caller, state: 'asking' })
  const open = rows.filter(({ expiresAt }) => expiresAt > now)
  const latestFirst = open.toSorted((one, other) => other.createdAt - one.createdAt)
  return Promise.all(latestFirst.map((session) => viewSession(kit, session)))
}
