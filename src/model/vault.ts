import type { KeySourceKind } from '#client'
import type { OwnerId } from './caller.ts'
import type { Secret } from './secret.ts'
import type { Rows } from './storage.ts'

/**
 * Where a sealed value belongs. It is authenticated with the value, so a row copied into another
 * place, another owner's, another field's or an older generation's, no longer opens.
 */
export interface Place {
  readonly owner: OwnerId
  /** The id of the row that the value belongs to. */
  readonly record: string
  readonly field: string
  readonly generation: number
  /** What else must not change while the value lives, such as the provider it may be sent to. */
  readonly about?: string
}

export interface Sealed {
  readonly keyId: string
  readonly bytes: Uint8Array
}

/** Above it secrets are bare, below it there is only ciphertext. */
export interface Vault {
  readonly id: string
  readonly locked: boolean
  /** Throws `locked` while it is, and says why where it locked itself. */
  refuseLocked(): void
  /** Inside a transaction the transaction's rows have to be told. */
  seal(place: Place, secret: Secret, rows?: Rows): Promise<Sealed>
  /** Throws `tampered` when the value was not sealed for this very place. */
  open(place: Place, sealed: Sealed): Promise<Secret>
  put(rows: Rows, place: Place, secret: Secret): Promise<void>
  take(rows: Rows, place: Place): Promise<Secret | undefined>
  /** Erases every sealed field of a record. */
  erase(rows: Rows, owner: OwnerId, record: string): Promise<void>
  /** A keyed digest that only a holder of the master key can make; the label keeps uses apart. */
  mac(label: string, bytes: Uint8Array): Promise<Uint8Array>
}

export interface VaultKeeper {
  readonly vault: Vault
  readonly source: KeySourceKind
  unlock(passphrase?: Secret): Promise<void>
  lock(): void
  /** Wraps every data key anew under the key of another source, in one transaction. */
  rekey(source: KeySource): Promise<void>
  eraseOwner(owner: OwnerId): Promise<void>
}

/** What a source must be told to find its key again; stored in the clear, authenticated with the key. */
export type Remembered = Readonly<Record<string, string | number>>

/** From where the master key comes. */
export interface KeySource {
  readonly kind: KeySourceKind
  /** A new master key of 32 bytes, kept so that `obtain` finds it again after a crash. */
  create(): Promise<{ readonly key: Secret; readonly remembered: Remembered }>
  obtain(remembered: Remembered): Promise<Secret>
  /** Forgets a key that no vault needs any more. */
  discard?(remembered: Remembered): Promise<void>
}
