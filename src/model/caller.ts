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
  /** RFC 7638, of the key that the request itself was proved by (DPoP). */
  readonly thumbprint?: string
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

/** An agent that comes in where the owner does, and is not the owner: it may what was bound to this caller. */
export const AN_AGENT: CallerId = 'app:mcp'

const OWNER = /^(person|group):[\x21-\x7e]{1,200}$/
const CALLER = /^(person|app|key|socket|node|workload):[\x21-\x7e]{1,200}$/

export function isOwnerId(text: string): text is OwnerId {
  return text === INSTALLATION || OWNER.test(text)
}

export function isCallerId(text: string): text is CallerId {
  return CALLER.test(text)
}

/**
 * By which program a caller comes, as the kernel says it; one that was made for a purpose is one program,
 * whatever runs in it. Of a caller's programs that nobody knows, all are one.
 */
export function programOf({ id, proof }: Pick<Caller, 'id' | 'proof'>): string {
  if (id.startsWith('key:') || id.startsWith('socket:')) return id
  return proof.executable ?? 'unknown'
}

export function isOwner(caller: Caller): boolean {
  return caller.id === caller.owner
}
