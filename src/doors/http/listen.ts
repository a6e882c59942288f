import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { ValetkeyError } from '#client'
import { closeSoon } from '../../machine/listen.ts'
import { userOfConnection } from '../../machine/ports.ts'
import type { Caller } from '../../model/caller.ts'
import type { Incoming } from './caller.ts'
import type { HttpDoor } from './door.ts'
import type { Forwarding } from './forwarding.ts'
import { canonicalOrigin, guardLoopback } from './guard.ts'
import { refuse, refuseUnread } from './refusals.ts'

const HEADERS_TIMEOUT_MS = 5000
/** So often it is looked whether somebody is late with them. */
const LOOK_MS = 1000

export interface TcpOptions {
  readonly door: HttpDoor
  readonly port: number
  readonly host?: '127.0.0.1'
  readonly guard?: (request: Incoming, port: number) => Response | undefined
  /** What is for the gateway goes there, with who is known to ask for it. */
  readonly forwarding?: Forwarding | undefined
  readonly identify?: (request: Incoming) => Caller | undefined
}

export interface Listening {
  readonly origin: URL
  close(): Promise<void>
}

/** Opens the door on loopback. Nothing else can reach it, and what a browser is made to send is judged first. */
export async function listenTcp(options: TcpOptions): Promise<Listening> {
  const { door, port, host = '127.0.0.1', guard = guardLoopback, forwarding, identify } = options
  const closing = new AbortController()
  const listener = getRequestListener(
    async (request, { incoming, outgoing }) => {
      const { socket } = incoming as IncomingMessage
      const abandon = () => void (outgoing as ServerResponse).destroy()
      const refusal = guard(request, socket.localPort ?? 0) ?? (await refuseOtherUser(socket))
      return refusal ?? door.fetch(request, { closing: closing.signal, abandon, connection: socket })
    },
    { overrideGlobalObjects: false, errorHandler: refuseUnread },
  )
  const entrance = (socket: Socket) => async (asked: Incoming) =>
    guard(asked, socket.localPort ?? 0) ??
    (await refuseOtherUser(socket)) ?? {
      caller: identify?.(asked),
      closing: closing.signal,
      connection: socket,
    }
  // A body may stream in for as long as it takes; what must come soon are the headers.
  const times = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    connectionsCheckingInterval: LOOK_MS,
  }
  const upgrades = {
    shouldUpgradeCallback: (request: IncomingMessage) => forwarding?.upgrades(request) ?? false,
  }
  const server = createServer({ ...times, ...upgrades }, (request, response) => {
    if (!forwarding?.takes(request)) return void listener(request, response)
    forwarding.answer(request, response, entrance(request.socket))
  })
  server.on('upgrade', (request, socket, head) => {
    const cut = () => socket.destroy()
    closing.signal.addEventListener('abort', cut)
    socket.once('close', () => closing.signal.removeEventListener('abort', cut))
    forwarding?.upgrade(request, socket, head, entrance(request.socket))
  })
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
