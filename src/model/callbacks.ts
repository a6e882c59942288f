/** What a provider expects of the address that the browser is sent back to. */
export interface RedirectWish {
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
  /** Which provider, in its own name. */
  readonly provider: string
  /** Whose wish the sign-in was, such as the name of an app. */
  readonly app: string
  /** Why it failed and what to do, in plain words. */
  readonly words?: string
}

export interface OpenCallback {
  readonly redirectUri: URL
  close(): Promise<void>
}

/** A place on this computer that a browser can come back to, open only while it is awaited. */
export interface Callbacks {
  /** `arrived` is called once, with the whole address the browser came to; its answer is what the browser is shown. */
  open(wish: RedirectWish, arrived: (url: URL) => Promise<Ending>): Promise<OpenCallback>
}
