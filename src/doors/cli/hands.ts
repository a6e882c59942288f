import type { Readable, Writable } from 'node:stream'
import type { Desk, KeeperDesk, Receipt } from '#client'
import type { Prompts } from './prompts.ts'

/** Where the answers go, how wide they may be, and whether anybody watches. */
export interface Outlet extends Writable {
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface CliIo {
  readonly stdin: Readable
  readonly stdout: Outlet
  readonly stderr: Outlet
  /** A person sits at both ends: only then is anything asked, and only then a browser opened. */
  readonly interactive: boolean
  readonly colour: boolean
  readonly prompts?: Prompts
}

export interface Reached {
  readonly desk: Desk
  readonly keeper: KeeperDesk
  /** Where the broker takes requests from whoever shows a key. */
  gateway?(): Promise<string>
  close?(): Promise<void>
}

export interface ReachOptions {
  /** Stand back to a lesser caller; the broker refuses a greater one. */
  readonly as?: string
  /** Come in as the caller whose socket this is. */
  readonly socket?: string
}

export interface ServeOptions {
  readonly port?: number
  readonly page: boolean
  readonly leaveAfterMinutes?: number
  readonly open?: boolean
  /** Say where it is as one line of JSON, for programs. */
  readonly json?: boolean
}

export interface DemoOptions {
  readonly programs: number
  /** Takes a line of the story as it goes on. */
  tell(line: string): Promise<void>
}

/** What came of the programs of one kind. */
export interface DemoSide {
  readonly programs: number
  /** How many of them were answered at all. */
  readonly answered: number
  readonly requests: number
  /** Renewals that the provider granted. */
  readonly refreshes: number
  /** How many were refused although nobody wished it. */
  readonly loggedOut: number
  /** How many had a token in their hands. */
  readonly holdingTokens: number
}

export interface DemoTold {
  readonly valetkey: DemoSide
  readonly tokenFile: DemoSide
  /** Times are milliseconds after the revocation was asked for. */
  readonly revoked: {
    readonly stopped: number
    readonly lastByteAfter: number
    readonly lastHeardAfter: number
    readonly receipt: Receipt
  }
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Everything the terminal door works with. It reaches for nothing else. */
export interface CliHands {
  /** The words after the program's name. */
  readonly argv: readonly string[]
  readonly io: CliIo
  readonly env: Environment
  /** Finds the running broker, or starts one. */
  reach(options?: ReachOptions): Promise<Reached>
  /** Runs until it is told to stop. */
  serve(options: ServeOptions): Promise<void>
  /** Another MCP server, the one of this account, for whoever is at standard input and output. */
  bridge(address: string, options: ReachOptions): Promise<void>
  /** Valetkey's own tools for the agent at standard input and output, until it has gone. */
  serveTools(options: ReachOptions): Promise<void>
  /** Plays the story of many programs and one account, in a home of its own. */
  demo(options: DemoOptions): Promise<DemoTold>
  /** A fresh link to the page, good for one use. */
  openLink(): Promise<string>
  /** Shows a link to the person, where there is a browser. */
  openInBrowser(link: URL): Promise<void>
  /** Whether there is one; left out, there is. */
  hasBrowser?(): boolean
  readonly version: string
  readonly now?: () => Date
  /** Calls back at most once; what it returns stops the listening. */
  onInterrupt?(act: () => void): () => void
  /** Ends this process by a signal, once everything is said. */
  leaveBy?(signal: NodeJS.Signals): void
}
