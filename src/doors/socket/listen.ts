import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { closeSoon, listenPrivately } from '../../machine/listen.ts'
import { peerOf } from '../../machine/peer.ts'
import { type Caller, THE_PERSON } from '../../model/caller.ts'

const HEADERS_TIMEOUT_MS = 5000

/** What the listener adds to a request that the request cannot say of itself. */
export interface SocketEnv {
  readonly caller: Caller | undefined
  readonly closing: AbortSignal
  readonly abandon: () => void
}

export interface SocketOptions {
  readonly path: string
  readonly door: { fetch(request: Request, env: SocketEnv): Promise<Response> }
  /** Who stands at the other end; a connection of nobody is cut before a byte of it is read. */
  readonly identifyPeer?: (socket: Socket) => Caller | undefined
}

export interface SocketListening {
  readonly path: string
  close(): Promise<void>
}

/** The owner's socket: the same routes as over TCP, and the kernel says who is there. */
export async function listenSocket(options: SocketOptions): Promise<SocketListening> {
  const { path, door, identifyPeer = ownerAtPeer } = options
  const callers = new WeakMap<Socket, Caller>()
  const closing = new AbortController()
  const listener = getRequestListener(
    (request, { incoming, outgoing }) => {
      const caller = callers.get((incoming as IncomingMessage).socket)
      const abandon = () => void (outgoing as ServerResponse).destroy()
      return door.fetch(request, { caller, closing: closing.signal, abandon })
    },
    { overrideGlobalObjects: false, hostname: 'valetkey' },
  )
  const server = createServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 }, listener)
  // Before the parser gets to see the connection, which is in the same turn.
  server.prependListener('connection', (socket: Socket) => {
    const caller = identifyPeer(socket)
    if (caller === undefined) socket.destroy()
    else callers.set(socket, caller)
  })
  await listenPrivately(server, path)
  return {
    path,
    async close() {
      closing.abort()
      await closeSoon(server)
    },
  }
}

/** The owner is whoever runs under the same user as this process. */
function ownerAtPeer(socket: Socket): Caller | undefined {
  const peer = peerOf(socket)
  if (peer === undefined || peer.uid !== process.getuid?.()) return undefined
  return { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'socket', ...peer } }
}
