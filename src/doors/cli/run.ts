import { ValetkeyError } from '#client'
import type { CliHands, Environment, Reached, ServeOptions } from './hands.ts'
import type { Terminal } from './terminal.ts'

/** One call of the program, as its command sees it. */
export interface Run {
  readonly terminal: Terminal
  readonly env: Environment
  readonly version: string
  /** The answer is wanted as one JSON document. */
  readonly json: boolean
  readonly now: () => Date
  reach(): Promise<Reached>
  serve(options: ServeOptions): Promise<void>
  openLink(): Promise<string>
  openInBrowser(link: URL): Promise<void>
  onInterrupt(act: () => void): () => void
  /** Leave with this code although nothing was thrown. */
  leaveWith(code: number): void
}

/** What is known only once the words were parsed. */
export interface Wishes {
  json: boolean
  as: string | undefined
  exit: number
}

export function createRun(
  hands: CliHands,
  terminal: Terminal,
  wishes: Wishes,
): Run & { close(): Promise<void> } {
  let reached: Promise<Reached> | undefined
  return {
    terminal,
    env: hands.env,
    version: hands.version,
    get json() {
      return wishes.json
    },
    now: hands.now ?? (() => new Date()),
    reach() {
      reached ??= hands.reach(wishes.as === undefined ? {} : { as: wishes.as })
      return reached
    },
    serve: hands.serve,
    openInBrowser: hands.openInBrowser,
    async openLink() {
      if (wishes.as === undefined) return hands.openLink()
      throw new ValetkeyError('not-allowed', "the page is its owner's alone", { hint: 'leave out --as' })
    },
    onInterrupt: hands.onInterrupt ?? onSigint,
    leaveWith(code) {
      wishes.exit = code
    },
    async close() {
      const open = await reached?.catch(() => undefined)
      await open?.close?.()
    },
  }
}

/** Once only, so that a second ctrl-c ends the process whatever it is waiting for. */
function onSigint(act: () => void): () => void {
  process.once('SIGINT', act)
  return () => process.off('SIGINT', act)
}
