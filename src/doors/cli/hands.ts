import type { Readable, Writable } from 'node:stream'
import type { Desk, KeeperDesk } from '#client'
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
  close?(): Promise<void>
}

export interface ReachOptions {
  /** Stand back to a lesser caller; the broker refuses a greater one. */
  readonly as?: string
}

export interface ServeOptions {
  readonly port?: number
  readonly page: boolean
  readonly leaveAfterMinutes?: number
  readonly open?: boolean
  /** Say where it is as one line of JSON, for programs. */
  readonly json?: boolean
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
  /** A fresh link to the page, good for one use. */
  openLink(): Promise<string>
  /** Shows a link to the person, where there is a browser. */
  openInBrowser(link: URL): Promise<void>
  readonly version: string
  readonly now?: () => Date
  /** Calls back at most once; what it returns stops the listening. */
  onInterrupt?(act: () => void): () => void
}
