import type { AuditOutcome, AuditVerb, ErrorCode, May } from '#client'
import type { Caller, CallerId, OwnerId } from './caller.ts'
import type { AccountRow } from './storage.ts'
import type { AuditEntry, AuditQuery, AuditVerdict, Binding } from './words.ts'

/** What a verb is about: an account by its address, or anything else by a name for the record. */
export interface Target {
  readonly address?: string
  readonly name?: string
}

/** What the broker knows about a caller and an address when the gate asks. */
export interface Standing {
  readonly account: AccountRow | undefined
  readonly binding: Binding | undefined
}

/** Passed, and on record as open until it is closed with its outcome. */
export interface Passage extends Standing {
  /** Closes the record. Resolves once it is written; what cannot be written rejects with `not-recorded`. */
  close(
    outcome: Exclude<AuditOutcome, 'opened' | 'refused'>,
    more?: { code?: ErrorCode; detail?: string },
  ): Promise<void>
}

/**
 * The one gate. Every verb passes it before it does anything; it permits and opens the record, for
 * a yes and for a no. What cannot be recorded does not happen.
 */
export interface Gate {
  /** Throws the refusal, once that is on record. */
  pass(caller: Caller, verb: AuditVerb, target: Target): Promise<Passage>
}

/** A line for the record, before it has its place in the chain. */
export interface NewEntry {
  readonly owner: OwnerId
  readonly caller: CallerId
  readonly proof: string
  readonly verb: AuditVerb
  readonly target: string
  readonly outcome: AuditOutcome
  readonly opened?: number
  readonly code?: string
  readonly detail?: string
}

/** The record: one chain over all entries, each sealed with its owner's key. */
export interface AuditChain {
  /** The vault is older than the anchor says: an older copy was put back. Nothing is appended then. */
  readonly restored: boolean
  /** Finds the head again and judges it against the anchor; called whenever the vault was unlocked. */
  resume(): Promise<void>
  /** Writes what is pending and the anchor; called before the vault is locked. */
  pause(): Promise<void>
  /** Takes the vault as it is, and goes on from there. */
  acceptRestore(): Promise<void>
  /** Resolves with its place once it is written. Entries of one turn are written together. */
  append(entry: NewEntry): Promise<number>
  read(owner: OwnerId, query: AuditQuery): Promise<readonly AuditEntry[]>
  verify(): Promise<AuditVerdict>
  prune(before: Date): Promise<void>
}

/** A small file beside the master key that remembers where the chain stood. */
export interface Anchor {
  read(): Promise<Uint8Array | undefined>
  write(bytes: Uint8Array): Promise<void>
}

export const VERBS_OF_A_BINDING: readonly May[] = ['lend', 'forward', 'reveal']
