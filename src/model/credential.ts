import type { Secret } from './secret.ts'

/** What was issued. `worn` is put on requests and may be lent; `kept` never leaves the broker. */
export interface Credential {
  readonly worn: Readonly<Record<string, Secret>>
  readonly kept: Readonly<Record<string, Secret>>
  /** A standing secret never dies by itself, and is therefore only forwarded. */
  readonly standing: boolean
  readonly expiresAt: Date | null
  /** What was granted, however narrow a single answer is. */
  readonly scopes: readonly string[]
  /** What the worn token may do by itself, where its provider said that this is less than was granted. */
  readonly wornScopes?: readonly string[]
  readonly tokenType: string
  /** By field: what its owner gave instead of a value, which is read there at each use and never kept. */
  readonly references?: Readonly<Record<string, string>>
  /** When the grant itself is over, whatever is done; null or absent where nobody said so. */
  readonly grantEndsAt?: Date | null
  /** When the grant is over unless it is renewed before; each renewal moves it on. */
  readonly idleEndsAt?: Date | null
}

/** What is known of an account besides its credential; sealed with it. */
export interface Profile {
  readonly subject: string | null
  readonly displayName: string | null
  readonly vars: Readonly<Record<string, string>>
  /** What was asked for besides what the sign-in always asks for. */
  readonly wished?: readonly string[]
  /** Issued at endpoints that a client of the owner's own brought along: by what its registration is known. */
  readonly ownServer?: string
  readonly email?: string
  readonly emailVerified?: boolean
  readonly name?: string
  readonly locale?: string
  readonly authTime?: string
}

/** What a sign-in to Valetkey itself yields. */
export interface Identity {
  readonly issuer: string
  readonly subject: string
  readonly claims: Readonly<Record<string, unknown>>
}
