import type { AuditOutcome, AuditVerb, ErrorCode, Limits, May, ValetkeyError } from '#client'
import type { Caller, CallerId, OwnerId } from './caller.ts'
import type { AccountRow } from './storage.ts'
import type { AuditEntry, AuditQuery, AuditVerdict, Binding } from './words.ts'

/** What a verb is about: an account by its address, or anything else by a name for the record. */
export interface Target {
  readonly address?: string
  readonly name?: string
  /** What the caller says that it is for; the owner reads it where they are asked. */
  readonly purpose?: string | undefined
}

/** What a use is held to, and under which name its uses are counted. */
export interface HeldTo {
  readonly key: string
  readonly limits: Limits
}

/** What the broker knows about a caller and an address when the gate asks. */
export interface Standing {
  readonly account: AccountRow | undefined
  /** For a caller that was narrowed, all that it may at this moment, as if it were one binding. */
  readonly binding: Binding | undefined
  /** The programs of this caller about which the owner need not be asked again. */
  readonly programs?: readonly string[]
  /** About these the owner is not asked, as they gave them when they made the caller. */
  readonly unasked?: readonly May[]
  /** They hold all at once: those of the caller's own rights, and of everybody's from whom it was narrowed. */
  readonly limits?: readonly HeldTo[]
  /** What may be done at this address, whether an account is there or not. */
  readonly may?: readonly May[]
  /** Of a named key: itself, and who made it, and who made that one. */
  readonly line?: readonly CallerId[]
}

/** What the owner allowed when they were asked: once, or for a while. */
export interface Permit {
  /** How the caller stands with it. */
  readonly standing: Standing
  /** False where it was good for one use, and another one was faster. */
  take(): Promise<boolean>
}

export interface Permits {
  find(caller: Caller, verb: May, standing: Standing): Promise<Permit | undefined>
  /** Puts a use before the owner, and gives the refusal that says so. */
  ask(caller: Caller, verb: May, target: Target, standing: Standing): Promise<ValetkeyError>
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
  /**
   * Resolves with its place once it is written. Entries of one turn are written together. What repeats a lending
   * that is on record is counted, and the count written within 50 ms.
   */
  append(entry: NewEntry): Promise<number>
  /** Resolves when what was counted is written, with all that is written beside it. */
  caughtUp(): Promise<void>
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
