import type { MiddlewareHandler } from 'hono'
import { ValetkeyError } from '#client'
import type { Broker } from '../../model/broker.ts'
import { type Caller, isCallerId, isOwner } from '../../model/caller.ts'
import type { DoorEnv, Room } from './routes/route.ts'

/** What is looked at of a request before its body is: a `Request` is one, too. */
export interface Incoming {
  readonly method: string
  /** To the letter as it was sent, with the host that it named. */
  readonly url: string
  readonly headers: { get(name: string): string | null }
}

export interface Identifying {
  readonly desk: Broker['as']
  readonly keeper: Broker['keeper']
  /** Who asks, by what can be proved of the request; undefined for a stranger. */
  readonly identify: (request: Incoming, env: DoorEnv) => Promise<Caller | undefined>
}

/** Gives every request its caller and that caller's desk; a stranger gets no further. */
export function identified({ desk, keeper, identify }: Identifying): MiddlewareHandler<Room> {
  return async (c, next) => {
    const proved = await identify(c.req.raw, c.env ?? {})
    if (proved === undefined) {
      throw new ValetkeyError('unauthenticated', 'nobody is signed in here', { hint: 'valetkey open' })
    }
    const caller = standBack(proved, c.req.header('valetkey-as'))
    c.set('caller', caller)
    c.set('desk', desk(caller))
    c.set('keeper', keeper(caller))
    await next()
  }
}

/** The owner may act as one of their programs, and so with less than they may; nobody may act with more. */
export function standBack(caller: Caller, id: string | undefined): Caller {
  if (id === undefined) return caller
  if (!isOwner(caller)) throw new ValetkeyError('not-allowed', 'only the owner may act as another caller')
  if (!isCallerId(id)) {
    throw new ValetkeyError('invalid-request', 'the header Valetkey-As names no caller', {
      hint: 'write it like app:reports',
    })
  }
  if (id.startsWith('person:')) throw new ValetkeyError('not-allowed', 'nobody may act as another person')
  return { ...caller, id, proof: { ...caller.proof, door: `${caller.proof.door} as` } }
}
