import type { Secret } from './secret.ts'

/** What was issued. `worn` is put on requests and may be lent; `kept` never leaves the broker. */
export interface Credential {
  readonly worn: Readonly<Record<string, Secret>>
  readonly kept: Readonly<Record<string, Secret>>
  /** A standing secret never dies by itself, and is therefore only forwarded. */
  readonly standing: boolean
  readonly expiresAt: Date | null
  readonly scopes: readonly string[]
  readonly tokenType: string
}

/** What is known of an account besides its credential; sealed with it. */
export interface Profile {
  readonly subject: string | null
  readonly displayName: string | null
  readonly vars: Readonly<Record<string, string>>
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
