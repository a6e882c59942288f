import type { Readable, Writable } from 'node:stream'
import { linesOf, lineWriter } from './lines.ts'
import { cancelledBy, type Id, idOf, type Message, readLine, versionOf } from './messages.ts'
import { notJson } from './refusals.ts'
import { openUpstream } from './upstream.ts'

/** No more is read while so many requests wait for their answers. */
const MOST_UNDER_WAY = 256

export interface BridgeOptions {
  /** Whose MCP server it is. */
  readonly address: string
  /** Does requests to that server's address with the account's credential. */
  readonly fetch: typeof globalThis.fetch
  readonly input: Readable
  readonly output: Writable
  /** Ends it although the client has more to say. */
  readonly signal?: AbortSignal
}

/**
 * An MCP server on standard input and output that is another one over HTTP. Every message passes as it is,
 * and whoever sends it never sees a credential. Resolves when the client has said all and has its answers.
 */
export async function bridge({ address, fetch, input, output, signal }: BridgeOptions): Promise<void> {
  const over = new AbortController()
  const end = () => {
    over.abort()
    input.destroy()
  }
  signal?.addEventListener('abort', end, { once: true })
  const emit = lineWriter(output, end)
  const upstream = openUpstream({ address, fetch: (init) => fetch('/mcp', init), emit, ended: over.signal })
  const underWay = new Set<Promise<void>>()
  const cancels = new Map<Id, AbortController>()

  /** A request that claims a revision is taken back by letting go of its answer, as that revision has it. */
  function isTakenBack(messages: readonly Message[]): boolean {
    const id = messages.length === 1 && messages[0] ? cancelledBy(messages[0]) : undefined
    const cancel = id === undefined ? undefined : cancels.get(id)
    cancel?.abort()
    return cancel !== undefined
  }

  async function pass(line: string, messages: readonly Message[]): Promise<void> {
    const [first] = messages
    const id = first && idOf(first)
    const cancel = new AbortController()
    const isOwn = id !== undefined && first !== undefined && versionOf(first) !== undefined
    if (isOwn) cancels.set(id, cancel)
    await upstream.send(line, messages, cancel.signal)
    if (isOwn && cancels.get(id) === cancel) cancels.delete(id)
  }

  async function take(line: string): Promise<void> {
    const messages = readLine(line)
    if (messages === undefined) return emit(JSON.stringify(notJson()))
    if (isTakenBack(messages)) return
    const passing = pass(line, messages).finally(() => underWay.delete(passing))
    underWay.add(passing)
    // What has no answer keeps its place before what follows; and nothing is said before the greeting is answered.
    if (messages.every((one) => idOf(one) === undefined || one['method'] === 'initialize')) await passing
    while (underWay.size >= MOST_UNDER_WAY) await Promise.race(underWay)
  }

  try {
    for await (const line of linesOf(input)) await take(line)
    await Promise.all(underWay)
  } catch (error) {
    if (!over.signal.aborted) throw error
  } finally {
    over.abort()
    await upstream.close()
  }
}
