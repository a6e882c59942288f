/** What a program says of itself when it is over. Times are milliseconds of the same clock in every process. */
export interface Story {
  readonly requests: number
  readonly lastByteAt: number
  readonly overAt: number
  /** Why it had to stop. */
  readonly why: string
  /** All that it had in its hands, to look for tokens in. */
  readonly heard: string
}

/** What passes between the stage and a program. */
export type FromProgram =
  | { readonly says: 'ready' }
  | { readonly says: 'answered' }
  | { readonly says: 'over'; readonly story: Story }

/** Where the tokens of the one file are, and what it takes to renew them. */
export interface TokenFile {
  readonly path: string
  readonly origin: string
  readonly clientId: string
}

export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
  readonly expiresAt: number
}

/** One clock for all processes of this computer. */
export function clock(): number {
  return performance.timeOrigin + performance.now()
}
