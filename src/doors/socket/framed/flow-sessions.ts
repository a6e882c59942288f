import { randomBytes } from 'node:crypto'
import { ValetkeyError } from '#client'
import type { Caller, CallerId } from '../../../model/caller.ts'
import type { FlowType } from './ops/op.ts'

const SESSION_MS = 10 * 60_000
/** So long it is still told that it is over. */
const TOLD_MS = 60_000
const ID_BYTES = 16
/** Of one caller, those that are over included until they are swept. */
const MOST = 256

/** A sign-in as its client knows it: nothing of what the broker knows about it is in here. */
export interface FramedSession {
  readonly id: string
  readonly flow: string
  readonly address: string
  readonly type: FlowType
  readonly peer: string
  readonly caller: CallerId
  readonly expiresAt: number
  used: boolean
}

/** Sign-ins by ids that nobody guesses, each for the peer that began it, once and for ten minutes. */
export function flowSessions(now: () => Date) {
  const all = new Map<string, FramedSession>()

  return {
    begin(caller: Caller, { flow, address, type }: Pick<FramedSession, 'flow' | 'address' | 'type'>) {
      refuseTooMany(all, caller)
      const session: FramedSession = {
        id: randomBytes(ID_BYTES).toString('hex'),
        flow,
        address,
        type,
        peer: peerOf(caller),
        caller: caller.id,
        expiresAt: now().getTime() + SESSION_MS,
        used: false,
      }
      all.set(session.id, session)
      return session
    },
    /** To anybody but the peer that began it there is none. */
    find(caller: Caller, id: string): FramedSession {
      const session = all.get(id)
      if (session === undefined || session.peer !== peerOf(caller))
        throw new ValetkeyError('flow-not-found', 'there is no such sign-in under way')
      if (session.used) throw new ValetkeyError('flow-used', 'this sign-in is already over')
      if (session.expiresAt <= now().getTime())
        throw new ValetkeyError('flow-expired', 'the sign-in took longer than ten minutes')
      return session
    },
    /** It was good for this once. */
    use(session: FramedSession): void {
      if (session.used) throw new ValetkeyError('flow-used', 'this sign-in is already over')
      session.used = true
    },
    sweep(): void {
      const before = now().getTime() - TOLD_MS
      for (const [id, { expiresAt }] of all) if (expiresAt < before) all.delete(id)
    },
    forget(caller: CallerId): void {
      for (const [id, session] of all) if (session.caller === caller) all.delete(id)
    },
  }
}

function refuseTooMany(all: ReadonlyMap<string, FramedSession>, { id }: Caller): void {
  let count = 0
  for (const { caller } of all.values()) if (caller === id) count += 1
  if (count < MOST) return
  throw new ValetkeyError('resource-exhausted', 'too many sign-ins were begun', { retryAfter: 60 })
}

/** The very process, as far as the kernel tells; a number that was given to another one is another peer. */
function peerOf({ id, proof: { uid, pid, startedAt } }: Caller): string {
  return [id, uid, pid, startedAt?.getTime()].join(' ')
}
