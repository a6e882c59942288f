import type {
  AccountStatus,
  FlowSessionState,
  KeySourceKind,
  LeaseEnd,
  LeaseVerb,
  Registration,
} from '#client'
import type { CallerId, OwnerId } from './caller.ts'

/** Times in rows are milliseconds since 1970, the same number in every engine. */
type Milliseconds = number

interface Owned {
  owner: OwnerId
}

export interface VaultRow extends Owned {
  id: string
  format: number
  masterId: string
  keySource: KeySourceKind
  remembered: string
  check: Uint8Array
  createdAt: Milliseconds
}

export interface DataKeyRow extends Owned {
  id: string
  masterId: string
  wrapped: Uint8Array
  current: number
  seals: number
  createdAt: Milliseconds
}

export interface SealedRow extends Owned {
  record: string
  field: string
  generation: number
  keyId: string
  bytes: Uint8Array
}

export interface AccountRow extends Owned {
  id: string
  provider: string
  bucket: string
  flow: string
  status: AccountStatus
  reason: string | null
  standing: number
  generation: number
  connectedAt: Milliseconds
  changedAt: Milliseconds
  lastUsedAt: Milliseconds | null
  expiresAt: Milliseconds | null
  /** When the schedule has to look at it. */
  dueAt: Milliseconds | null
  /** How often in a row it failed for a reason that passes. */
  tries: number
  /** After trouble: not before this. */
  nextTryAt: Milliseconds | null
  /**
   * The tokens of this generation were shown to the provider then, and nothing was written about the
   * answer since. After a crash this is what is left to tell that an answer may have been lost.
   */
  askedAt: Milliseconds | null
  /** When the whole standing ends for good, where that is known. */
  diesAt: Milliseconds | null
  /** Until when its coming end has been announced. */
  warnedAt: Milliseconds | null
  /** How many days old its secret may become, and when it is that old; null where its owner has not said so. */
  rotateDays: number | null
  rotateAt: Milliseconds | null
  /** Its owner was told then that it is that old. */
  rotateToldAt: Milliseconds | null
}

export interface BindingRow extends Owned {
  id: string
  caller: CallerId
  accountId: string
  generation: number
  createdAt: Milliseconds
  until: Milliseconds | null
}

/** A caller that another one made: what it may, and by what it is known, is sealed. */
export interface KeyRow extends Owned {
  id: CallerId
  parent: CallerId
  kind: 'key' | 'socket'
  name: string
  generation: number
  createdAt: Milliseconds
  until: Milliseconds | null
}

/** A wish to use an account; what is wished, by whom and why, is sealed. */
export interface AskRow extends Owned {
  id: string
  caller: CallerId
  /** By what the same wish of the same program is known again. */
  likeness: string
  state: 'pending' | 'allowed' | 'refused' | 'lapsed'
  generation: number
  askedAt: Milliseconds
  decidedAt: Milliseconds | null
  until: Milliseconds | null
}

export interface LeaseRow extends Owned {
  id: string
  accountId: string
  caller: CallerId
  verb: LeaseVerb
  openedAt: Milliseconds
  lastAt: Milliseconds
  until: Milliseconds | null
  endsBy: LeaseEnd
  endedAt: Milliseconds | null
  count: number
  /** What the caller said that it is for. */
  purpose: string | null
  /** Those of the credential that was lent, separated by spaces. */
  scopes: string | null
  /** For whom or as whom it was minted. */
  audience: string | null
  /** Those that it was minted for alone, separated by spaces. */
  repositories: string | null
}

export type FlowPurpose = 'connect' | 'reconnect' | 'rotate'

export interface FlowSessionRow extends Owned {
  id: string
  caller: CallerId
  provider: string | null
  bucket: string
  flow: string
  purpose: FlowPurpose
  accountId: string | null
  state: FlowSessionState
  /** The process that is at work on it, and until when it may be believed to be. */
  holder: string | null
  holderUntil: Milliseconds | null
  generation: number
  createdAt: Milliseconds
  expiresAt: Milliseconds
  /** When the broker has to look at it again by itself. */
  dueAt: Milliseconds | null
}

/** Our client at a provider; its secret is sealed. */
export interface RegistrationRow extends Owned {
  id: string
  provider: string
  issuer: string
  how: Registration['how']
  clientId: string
  generation: number
  createdAt: Milliseconds
  /** Why the provider does not accept the client, in words. */
  trouble: string | null
}

export interface AuditRow extends Owned {
  seq: number
  at: Milliseconds
  keyId: string
  sealed: Uint8Array
  hash: Uint8Array
}

/** Where the chain begins after older entries were pruned. */
export interface AuditBaseRow extends Owned {
  seq: number
  hash: Uint8Array
  mac: Uint8Array
}

/** What is still to be said to somebody outside; what it takes to say it is sealed under this id. */
export interface OutboxRow extends Owned {
  id: string
  kind: 'revoke'
  accountId: string
  /** The address of the account, for people. */
  about: string
  createdAt: Milliseconds
  /** When it is tried next. */
  dueAt: Milliseconds
  tries: number
  /** Why it could not be said the last time, in words. */
  trouble: string | null
}

/** How often a caller made use of an account on a day. */
export interface UsageRow extends Owned {
  accountId: string
  caller: CallerId
  /** `2026-11-20`, by UTC. */
  day: string
  lends: number
  forwards: number
  reveals: number
}

/** Every table, and whose its rows are. No row is without an owner. */
export interface Tables {
  vault: VaultRow
  dataKeys: DataKeyRow
  sealed: SealedRow
  accounts: AccountRow
  bindings: BindingRow
  keys: KeyRow
  asks: AskRow
  leases: LeaseRow
  flowSessions: FlowSessionRow
  registrations: RegistrationRow
  audit: AuditRow
  auditBase: AuditBaseRow
  outbox: OutboxRow
  usage: UsageRow
}

export type TableName = keyof Tables

/** Said in words where a question is asked across owners; nothing crosses them by omission. */
export const EVERY_OWNER: unique symbol = Symbol('every owner')

export interface Test<V> {
  readonly before?: V
  readonly atLeast?: V
  readonly oneOf?: readonly V[]
}

export type Where<T extends TableName> = { readonly owner: OwnerId | typeof EVERY_OWNER } & {
  readonly [K in Exclude<keyof Tables[T], 'owner'>]?: Tables[T][K] | Test<Tables[T][K]>
}

export interface ListOptions<T extends TableName> {
  readonly orderBy?: keyof Tables[T] & string
  readonly descending?: boolean
  readonly limit?: number
}

/** Rows of bytes and numbers. What is secret in them was sealed before it came here. */
export interface Rows {
  get<T extends TableName>(table: T, where: Where<T>): Promise<Tables[T] | undefined>
  list<T extends TableName>(table: T, where: Where<T>, options?: ListOptions<T>): Promise<Tables[T][]>
  /** Throws `conflict` when a row is already there; then none of the rows is written. */
  insert<T extends TableName>(table: T, rows: readonly Tables[T][]): Promise<void>
  /** How many rows were changed: with the generation read before in `where`, 0 means somebody was faster. */
  update<T extends TableName>(table: T, where: Where<T>, set: Partial<Tables[T]>): Promise<number>
  remove<T extends TableName>(table: T, where: Where<T>): Promise<number>
}

/**
 * `synced`: on disk before it is acknowledged. `soon`: survives the death of this process at once,
 * and a power cut from the next `sync` on.
 */
export type Durability = 'synced' | 'soon'

/** Something of which nobody else shall do the same at the same time, taken in hand for a while. */
export interface Held {
  /** Lets go. Where its time was over and somebody else has it by now, it stays theirs. */
  release(): Promise<void>
}

/**
 * What was changed: an account, a binding to it, a key by which values are sealed, a caller that another one
 * made; or a lease was ended.
 */
export interface Changed {
  readonly table: 'accounts' | 'bindings' | 'vault' | 'dataKeys' | 'leases' | 'keys' | 'asks'
  readonly owner: OwnerId
  /** The id of the account, of the key by which values are sealed, of the lease, of the caller, or of the ask. */
  readonly record: string
  /** Whether it was changed through this very storage, and not by another process. */
  readonly own: boolean
  /** An account's status before and after; null where there was none yet, or is none any more. */
  readonly was: AccountStatus | null
  readonly is: AccountStatus | null
}

export interface TransactionOptions {
  /** Those who write to the end of the record do so one after the other, in whichever process. */
  readonly turn?: 'audit'
}

/** The tables of what has to be done at a time. */
export type DueTable = 'accounts' | 'outbox' | 'flowSessions'

export interface Claim<T extends DueTable> {
  /** What is due at this time or earlier. */
  readonly dueBefore: number
  readonly until: number
  readonly limit: number
  /** What else a row must be. What is due and is not so is passed by again each time, so let it be rare. */
  readonly also?: Omit<Where<T>, 'owner' | 'dueAt'>
}

export interface Storage extends Rows {
  /** For people: `sqlite`, `postgres`. Never asked who it is by code. */
  readonly engine: string
  /** For people: where that is, and nothing by which one gets in. Left out for a file of this home. */
  readonly place?: string
  /** Other processes may write to it at the same time. */
  readonly shared?: true
  /**
   * All of the work or nothing of it, as if transactions came one after the other. Where another one got
   * in the way the work is done again from its start, so it shall do nothing but ask its rows. What was
   * refused once inside of it is not undone by catching the refusal: then nothing of it is kept.
   */
  transaction<R>(
    durability: Durability,
    work: (rows: Rows) => Promise<R>,
    options?: TransactionOptions,
  ): Promise<R>
  sync(): Promise<void>
  /**
   * Undefined while somebody else has it. Who does not let go is succeeded when the time is over, and who
   * died, where that can be known, some seconds after, by one who keeps asking.
   */
  hold(owner: OwnerId, record: string, milliseconds: number): Promise<Held | undefined>
  /**
   * Takes what is due, the oldest first, and gives it as it is from then on. Nobody else is given the same
   * before `until`, when it is due again unless it was dealt with.
   */
  claim<T extends DueTable>(table: T, claim: Claim<T>): Promise<Tables[T][]>
  /** When the next one of anybody's is due, or was; undefined while none is. */
  nextDue(table: DueTable): Promise<number | undefined>
  /**
   * Tells what was changed by whoever, this process included, until it is stopped. `missed` says that
   * some of it may not have been told, as when listening begins: nothing remembered is to be trusted then.
   */
  changes?(heard: (what: Changed | 'missed') => void): () => void
  close(): Promise<void>
}
