import type { Failure } from '#client'

/** What a provider expects of the address that the browser is sent back to. */
export interface RedirectWish {
  /** Whose answer is awaited: every provider has a path of its own, RFC 9700 §4.4.2.2. */
  readonly provider: string
  /** The id of the sign-in. */
  readonly flow: string
  readonly host: '127.0.0.1' | 'localhost'
  /** Undefined: any free port. */
  readonly port: number | undefined
  /** Undefined: a path that nobody can guess. */
  readonly path: string | undefined
  /** The `state` that belongs to this sign-in; whatever comes with another one is refused and changes nothing. */
  readonly state: string
  readonly until: Date
}

/** What the person's browser is told once the sign-in is decided. */
export interface Ending {
  readonly done: boolean
  /** Nothing went wrong, and something is asked that the browser does not answer. */
  readonly asks?: true
  /** Which provider, in its own name. */
  readonly provider: string
  readonly failure?: Failure
}

export interface OpenCallback {
  readonly redirectUri: URL
  /** Nobody is awaited any more. Who has just come back still sees how it ended. */
  close(): Promise<void>
}

/** A place on this computer that a browser can come back to, open only while it is awaited. */
export interface Callbacks {
  /**
   * `arrived` is called with the whole address the browser came to; its answer is what the browser is
   * shown. Undefined: that did not belong to the sign-in, which goes on waiting.
   */
  open(wish: RedirectWish, arrived: (url: URL) => Promise<Ending | undefined>): Promise<OpenCallback>
}
