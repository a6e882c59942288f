import type { Caller, CallerId, Proof } from './caller.ts'

/** A place of its own at which one caller comes in: to be able to reach it is to be that caller. */
export interface SocketPlace {
  readonly id: CallerId
  /** The users who may reach it, by the kernel's word. */
  readonly uids: readonly number[]
  /** Who somebody at it is, by what the kernel says of them. */
  as(proof: Proof): Caller
}

/** Where callers that are sockets come in. The door listens; the broker says for whom, and until when. */
export interface Sockets {
  /** Where it is. The same id is always at the same place, so that it outlives the broker. */
  open(place: SocketPlace): Promise<string>
  /** Takes it away, and cuts off whoever is still connected to it. */
  close(id: CallerId): Promise<void>
}
