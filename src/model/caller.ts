/** A person or a group whose accounts these are; the installation itself owns what is everybody's. */
export type OwnerId = `person:${string}` | `group:${string}` | 'installation'

export type CallerKind = 'person' | 'app' | 'key' | 'socket' | 'node' | 'workload'
export type CallerId = `${CallerKind}:${string}`

/** How a door knows who is asking. It goes on record, and into what a person is told. */
export interface Proof {
  readonly door: string
  readonly uid?: number
  readonly pid?: number
  readonly executable?: string
  readonly startedAt?: Date
}

/** Who asks, as the door proved it; never made from what a request says of itself. */
export interface Caller {
  readonly id: CallerId
  /** Whose accounts are asked for. */
  readonly owner: OwnerId
  readonly proof: Proof
}

export const INSTALLATION: OwnerId = 'installation'

/** The owner of a Valetkey that serves one person. */
export const THE_PERSON: `person:${string}` = 'person:owner'

const OWNER = /^(person|group):[\x21-\x7e]{1,200}$/
const CALLER = /^(person|app|key|socket|node|workload):[\x21-\x7e]{1,200}$/

export function isOwnerId(text: string): text is OwnerId {
  return text === INSTALLATION || OWNER.test(text)
}

export function isCallerId(text: string): text is CallerId {
  return CALLER.test(text)
}

export function isOwner(caller: Caller): boolean {
  return caller.id === caller.owner
}
