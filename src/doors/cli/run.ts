import { ValetkeyError } from '#client'
import { attended } from './attended.ts'
import type { CliHands, DemoOptions, DemoTold, Environment, Reached, ServeOptions } from './hands.ts'
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
  /** The same broker, as the caller whose socket this is. */
  reachAt(socket: string): Promise<Reached>
  serve(options: ServeOptions): Promise<void>
  /** As the caller that was asked for. */
  serveTools(): Promise<void>
  bridge(address: string): Promise<void>
  demo(options: DemoOptions): Promise<DemoTold>
  openLink(): Promise<string>
  openInBrowser(link: URL): Promise<void>
  /** Somebody sits here who would see a browser. */
  readonly hasBrowser: boolean
  onInterrupt(act: () => void): () => void
  /** Leave with this code although nothing was thrown. */
  leaveWith(code: number): void
  /** Leave as whoever died of this signal. */
  leaveBy(signal: NodeJS.Signals): void
}

/** What is known only once the words were parsed. */
export interface Wishes {
  json: boolean
  as: string | undefined
  exit: number
  signal?: NodeJS.Signals
}

export function createRun(
  hands: CliHands,
  terminal: Terminal,
  wishes: Wishes,
): Run & { close(): Promise<void> } {
  let reached: Promise<Reached> | undefined

  /** Whoever stands back at their own terminal is asked right there, as the owner that they are. */
  async function reachAs(as: string | undefined): Promise<Reached> {
    if (as === undefined) return hands.reach({})
    const lesser = await hands.reach({ as })
    if (!terminal.interactive || wishes.json) return lesser
    return { ...lesser, desk: attended(run, lesser.desk, async () => (await hands.reach({})).desk) }
  }

  const run: Run & { close(): Promise<void> } = {
    terminal,
    env: hands.env,
    version: hands.version,
    get json() {
      return wishes.json
    },
    now: hands.now ?? (() => new Date()),
    reach() {
      reached ??= reachAs(wishes.as)
      return reached
    },
    reachAt: (socket) => hands.reach({ socket }),
    serve: hands.serve,
    bridge: (address) => hands.bridge(address, wishes.as === undefined ? {} : { as: wishes.as }),
    serveTools: () => hands.serveTools(wishes.as === undefined ? {} : { as: wishes.as }),
    demo: hands.demo,
    openInBrowser: hands.openInBrowser,
    hasBrowser: terminal.interactive && (hands.hasBrowser?.() ?? true),
    async openLink() {
      if (wishes.as === undefined) return hands.openLink()
      throw new ValetkeyError('not-allowed', "the page is its owner's alone", { hint: 'leave out --as' })
    },
    onInterrupt: hands.onInterrupt ?? onSigint,
    leaveWith(code) {
      wishes.exit = code
    },
    leaveBy(signal) {
      wishes.signal = signal
    },
    async close() {
      const open = await reached?.catch(() => undefined)
      await open?.close?.()
    },
  }
  return run
}

/** Once only, so that a second ctrl-c ends the process whatever it is waiting for. */
function onSigint(act: () => void): () => void {
  process.once('SIGINT', act)
  return () => process.off('SIGINT', act)
}
