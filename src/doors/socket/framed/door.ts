import type { Socket } from 'node:net'
import type { Broker } from '../../../model/broker.ts'
import type { Caller, CallerId } from '../../../model/caller.ts'
import type { Secret } from '../../../model/secret.ts'
import { converse } from './conversation.ts'
import { flowSessions } from './flow-sessions.ts'
import { type FrameLimits, USUAL_LIMITS } from './limits.ts'
import type { FlowType } from './ops/op.ts'
import { ownTokens } from './own-tokens.ts'

export interface FramedOptions {
  readonly desk: Broker['as']
  /** Told when a request begins; what it returns is told when that one is over. */
  readonly begun?: () => () => void
  readonly now?: () => Date
  readonly limits?: Partial<FrameLimits>
  /** Left out, what the caller is bound to is all that holds it. */
  readonly allowed?: Allowed
  /** What the handshake has to show, where something was handed out for that. */
  readonly token?: Secret
  /** How a sign-in goes on that sends the person away, where its provider is not known for another way. */
  readonly redirects?: FlowType
  /** The sign-ins take the address that the client wants the browser to come back to, under this name. */
  readonly redirectField?: string
  /** False for programs that bring sign-ins along, and know themselves what to do when one fails. */
  readonly offersNext?: boolean
}

/** Beside what a caller is bound to. An empty list allows everything, as one that is left out. */
export interface Allowed {
  readonly providers?: readonly string[]
  readonly buckets?: readonly string[]
}

/** One connection on which frames are spoken. */
export interface Talk {
  /** Hears nothing any more, and goes when what is under way was answered. */
  finish(): void
}

/** The door for programs that speak frames. */
export interface FramedDoor {
  /** From its first byte on, for which it was waited so long; who is there was judged before. */
  take(socket: Socket, caller: Caller, waitedMs: number): Talk
  /** The caller is over: nothing is remembered of it. */
  forget(id: CallerId): void
  /** Puts away what is over; done by itself every minute. */
  sweep(): void
  close(): void
}

/** What is remembered longer than a connection lives. */
export type Kept = Readonly<{
  options: FramedOptions
  sessions: ReturnType<typeof flowSessions>
  saved: ReturnType<typeof ownTokens>
  now: () => Date
}>

const SWEPT_MS = 60_000

export function framedDoor(options: FramedOptions): FramedDoor {
  const { now = () => new Date() } = options
  const kept: Kept = { options, now, sessions: flowSessions(now), saved: ownTokens(now) }
  const limits = { ...USUAL_LIMITS, ...options.limits }
  const sweep = () => {
    kept.sessions.sweep()
    kept.saved.sweep()
  }
  const sweeping = setInterval(sweep, SWEPT_MS).unref()
  return {
    take: (socket, caller, waitedMs) => converse(kept, limits, socket, caller, waitedMs),
    forget(id) {
      kept.saved.forget(id)
      kept.sessions.forget(id)
    },
    sweep,
    close: () => clearInterval(sweeping),
  }
}
