import { setTimeout as pause } from 'node:timers/promises'
import type { AccountEvent, AskEvent, Desk, EventName, KeeperDesk, ValetkeyEvent } from '#client'
import { deskOver, enduring, holdOrJoin, type Way } from './reach.ts'
import type { SocketDoor, SocketDoorOptions } from './socket-door.ts'

export type * from '#client'
export { ValetkeyError } from '#client'
export { type McpAuth, type McpAuthOptions, type McpBearer, mcpAuth, mcpBearer } from './doors/mcp/client.ts'
export type { DeviceCodeResponse, OAuthFlowInterface, OAuthToken } from './flows/factory/shapes.ts'
export type { SocketDoor, SocketDoorOptions } from './socket-door.ts'

export interface OpenOptions {
  /** An app of this name keeps a vault of its own, and is named on pages and prompts. */
  readonly app?: string
  /** Moves everything; `VALETKEY_HOME` does the same. */
  readonly home?: string
  /** Stand back to a lesser caller, such as `app:reports`: what is not bound to it is not there. */
  readonly as?: string
  /**
   * Told a line now and then while this process holds the vault: where the record stands, for whoever
   * keeps it elsewhere, and that the disk gives trouble. Nothing secret is among it.
   */
  readonly log?: (line: string) => void
}

const LISTEN_AGAIN_MS = 1000

/** What is told under a name. */
export type Told<N extends ValetkeyEvent['name']> = N extends EventName ? AccountEvent : AskEvent

/** The verbs, and what a library adds to them. */
export interface Valetkey extends Desk {
  readonly keeper: KeeperDesk
  /** A `fetch` whose requests are forwarded with this account. Nothing of the credential comes here. */
  fetch(address: string): typeof fetch
  /** Calls back on every such change of an account or an ask; what it returns stops that. */
  on<N extends ValetkeyEvent['name']>(name: N, listener: (event: Told<N>) => void): () => void
  close(): Promise<void>
}

/**
 * Opens the vault of whoever runs this. The first process holds it and listens on the socket, every
 * later one becomes its client; when the holder goes away, the next call takes its place.
 */
export async function openValetkey({ app, home, as, log }: OpenOptions = {}): Promise<Valetkey> {
  const where = { app, home, env: process.env }
  const ways: Way[] = []
  const find = async () => {
    const way = await holdOrJoin(where, log)
    ways.push(way)
    return way
  }
  const fetch = enduring(find)
  const { desk, keeper, fetchAs } = deskOver(fetch, as)
  await keeper.status()
  const leaving = new AbortController()

  return {
    ...desk,
    keeper,
    fetch: fetchAs,
    on(name, listener) {
      const stop = new AbortController()
      void tell(desk, name, listener, AbortSignal.any([stop.signal, leaving.signal]))
      return () => stop.abort()
    },
    async close() {
      leaving.abort()
      for (const { serving } of ways) await serving?.close()
    },
  }
}

/**
 * A socket for sandboxed programs, with sign-ins that this program brings along, over a vault that this process
 * holds for as long as the door is open.
 */
export async function socketDoor(options: SocketDoorOptions = {}): Promise<SocketDoor> {
  const { openSocketDoor } = await import('./socket-door.ts')
  return openSocketDoor(options)
}

/** A broker that went away is no reason to stop listening: the next one is found in its place. */
async function tell<N extends ValetkeyEvent['name']>(
  desk: Desk,
  name: N,
  listener: (event: Told<N>) => void,
  signal: AbortSignal,
): Promise<void> {
  // From this moment on, whichever broker is asked and however long the way to it takes.
  let after = `${Date.now()}-0`
  for (; !signal.aborted; await pause(LISTEN_AGAIN_MS, undefined, { signal }).catch(() => {})) {
    try {
      for await (const event of desk.events({ after, signal })) {
        after = event.id
        if (event.name === name) listener(event as Told<N>)
      }
    } catch {
      // Told again from the last event on, once somebody answers.
    }
  }
}
