import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { ValetkeyError } from '#client'
import { closeSoon } from '../../machine/listen.ts'
import { userOfConnection } from '../../machine/ports.ts'
import type { HttpDoor } from './door.ts'
import { canonicalOrigin, guardLoopback } from './guard.ts'
import { refuse, refuseUnread } from './refusals.ts'

const HEADERS_TIMEOUT_MS = 5000

export interface TcpOptions {
  readonly door: HttpDoor
  readonly port: number
  readonly host?: '127.0.0.1'
  readonly guard?: (request: Request, port: number) => Response | undefined
}

export interface Listening {
  readonly origin: URL
  close(): Promise<void>
}

/** Opens the door on loopback. Nothing else can reach it, and what a browser is made to send is judged first. */
export async function listenTcp(options: TcpOptions): Promise<Listening> {
  const { door, port, host = '127.0.0.1', guard = guardLoopback } = options
  const closing = new AbortController()
  const listener = getRequestListener(
    async (request, { incoming, outgoing }) => {
      const { socket } = incoming as IncomingMessage
      const abandon = () => void (outgoing as ServerResponse).destroy()
      const refusal = guard(request, socket.localPort ?? 0) ?? (await refuseOtherUser(socket))
      return refusal ?? door.fetch(request, { closing: closing.signal, abandon })
    },
    { overrideGlobalObjects: false, errorHandler: refuseUnread },
  )
  // A body may stream in for as long as it takes; what must come soon are the headers.
  const server = createServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 }, listener)
  const taken = await bound(server, port, host)
  return {
    origin: new URL(canonicalOrigin(taken)),
    async close() {
      closing.abort()
      await closeSoon(server)
    },
  }
}

const judged = new WeakMap<Socket, Promise<boolean>>()

/**
 * A cookie knows no ports: a browser shows ours to any server of this computer, another user's too.
 * So the kernel is asked whose the connection is, once, where it tells; root could do as it likes anyway.
 */
async function refuseOtherUser(socket: Socket): Promise<Response | undefined> {
  const ours = judged.get(socket) ?? isOurs(socket)
  judged.set(socket, ours)
  if (await ours) return undefined
  return refuse(new ValetkeyError('not-allowed', 'this port belongs to another user of this computer'))
}

async function isOurs(socket: Socket): Promise<boolean> {
  const uid = await userOfConnection(socket)
  return uid === undefined || uid === 0 || uid === process.getuid?.()
}

async function bound(server: Server, port: number, host: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', (error: NodeJS.ErrnoException) =>
    reject(error.code === 'EADDRINUSE' ? taken(port) : error),
  )
  server.listen({ port, host, exclusive: true }, resolve)
  await promise
  return (server.address() as AddressInfo).port
}

function taken(port: number): ValetkeyError {
  return new ValetkeyError('port-taken', `port ${port} is already in use`, {
    hint: 'valetkey serve --port 0',
  })
}
