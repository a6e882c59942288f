import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { ValetkeyError } from '#client'
import { closeSoon, GRACE_MS, listenPrivately } from '../../machine/listen.ts'
import { type Peer, peerOf } from '../../machine/peer.ts'
import { type Caller, type Proof, THE_PERSON } from '../../model/caller.ts'
import { problem } from '../../wire/problem.ts'
import { hearFirst } from './first-byte.ts'
import type { FramedDoor, Talk } from './framed/door.ts'
import { paced } from './framed/rate.ts'

const HEADERS_TIMEOUT_MS = 5000
/** So often it is looked whether somebody is late with them. */
const LOOK_MS = 1000
/** More at one socket are turned away. */
const MOST_CONNECTIONS = 1024

/** What the listener adds to a request that the request cannot say of itself. */
export interface SocketEnv {
  readonly caller: Caller | undefined
  /** The connection that it came by, for whoever counts by that. */
  readonly connection: object
  readonly closing: AbortSignal
  readonly abandon: () => void
}

type Entrance = () => Pick<SocketEnv, 'caller' | 'connection' | 'closing'>

/** The gateway as it is handed in. */
export interface Forwarding {
  takes(request: IncomingMessage): boolean
  upgrades(request: IncomingMessage): boolean
  answer(request: IncomingMessage, response: ServerResponse, entrance: Entrance): void
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, entrance: Entrance): void
}

export interface SocketOptions {
  readonly path: string
  /** Left out where HTTP is not spoken. */
  readonly door?: { fetch(request: Request, env: SocketEnv): Promise<Response> }
  /** What is for the gateway goes there, on Node's own streams. */
  readonly forwarding?: Forwarding
  /** Left out where frames are not spoken. */
  readonly frames?: FramedDoor
  /** Who stands at the other end; a connection of nobody is cut before a byte of it is read. */
  readonly identifyPeer?: (socket: Socket) => Caller | undefined
  /** Other users get as far as the kernel's word for who they are. */
  readonly open?: boolean
  readonly mostConnections?: number
  /** Requests over HTTP in any one second of a connection; as many as come, where it is left out. */
  readonly rate?: number | undefined
}

export interface SocketListening {
  readonly path: string
  /** Takes nobody in any more, and gives answers under way a moment. */
  close(): Promise<void>
  /** The same at once: whoever is connected is cut off. */
  cut(): Promise<void>
}

/** A socket: the same routes as over TCP, and frames, and the kernel says who is there. */
export async function listenSocket(options: SocketOptions): Promise<SocketListening> {
  const { path, door, frames, identifyPeer = ownerAtPeer, open = false } = options
  const callers = new WeakMap<Socket, Caller>()
  const here = new Set<Socket>()
  const talks = new Set<Talk>()
  const closing = new AbortController()
  const server = httpServer(options, callers, closing.signal)
  const http = withoutConnections(server)
  server.maxConnections = options.mostConnections ?? MOST_CONNECTIONS
  // Before anything gets to see the connection, which is in the same turn.
  server.on('connection', (socket: Socket) => {
    const caller = whoIsAt(socket, identifyPeer)
    if (caller === undefined) return void socket.destroy()
    const since = performance.now()
    here.add(socket)
    socket.on('close', () => here.delete(socket))
    const takeFrames = () => {
      if (frames === undefined) return void socket.destroy()
      const talk = frames.take(socket, caller, performance.now() - since)
      talks.add(talk)
      socket.on('close', () => talks.delete(talk))
    }
    const takeHttp = () => {
      callers.set(socket, caller)
      http(socket)
    }
    hearFirst(socket, { http: door === undefined ? takeFrames : takeHttp, frames: takeFrames })
  })
  await listenPrivately(server, path, { open })
  return {
    path,
    async close() {
      closing.abort()
      for (const talk of talks) talk.finish()
      const late = setTimeout(() => cutAll(here), GRACE_MS)
      await closeSoon(server)
      clearTimeout(late)
    },
    async cut() {
      closing.abort()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      cutAll(here)
      await closed
    },
  }
}

function httpServer(
  { door, forwarding, rate }: SocketOptions,
  callers: WeakMap<Socket, Caller>,
  closing: AbortSignal,
) {
  const listener = getRequestListener(
    (request, { incoming, outgoing }) => {
      const connection = (incoming as IncomingMessage).socket
      const caller = callers.get(connection)
      const abandon = () => void (outgoing as ServerResponse).destroy()
      if (door === undefined) return new Response(null, { status: 404 })
      return door.fetch(request, { caller, connection, closing, abandon })
    },
    { overrideGlobalObjects: false, hostname: 'valetkey' },
  )
  const entrance = (socket: Socket) => () => ({ caller: callers.get(socket), connection: socket, closing })
  const shouldUpgradeCallback = (request: IncomingMessage) => forwarding?.upgrades(request) ?? false
  const times = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    connectionsCheckingInterval: LOOK_MS,
  }
  const pace = rate === undefined ? undefined : pacedEach(rate)
  const server = createServer({ ...times, shouldUpgradeCallback }, (request, response) => {
    const wait = pace?.(request.socket)
    if (wait !== undefined) return refuseForNow(response, wait)
    if (!forwarding?.takes(request)) return void listener(request, response)
    forwarding.answer(request, response, entrance(request.socket))
  })
  return server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
    forwarding?.upgrade(request, socket, head, entrance(socket)),
  )
}

/** Each connection by itself. */
function pacedEach(rate: number): (socket: Socket) => number | undefined {
  const paces = new WeakMap<Socket, ReturnType<typeof paced>>()
  return (socket) => {
    const pace = paces.get(socket) ?? paced(rate, () => performance.now())
    paces.set(socket, pace)
    return pace()
  }
}

function refuseForNow(response: ServerResponse, retryAfter: number): void {
  const told = problem(new ValetkeyError('rate-limited', 'too many requests came at once', { retryAfter }))
  const headers = { 'content-type': 'application/problem+json', 'valetkey-error': told.code }
  response.writeHead(told.status, { ...headers, 'retry-after': String(retryAfter) }).end(JSON.stringify(told))
}

/** The server no longer takes connections by itself; what it would have done with one is handed back. */
function withoutConnections(server: Server): (socket: Socket) => void {
  const taking = server.listeners('connection')
  server.removeAllListeners('connection')
  return (socket) => {
    for (const take of taking) take.call(server, socket)
  }
}

/** Whoever cannot be told is nobody. */
function whoIsAt(socket: Socket, identifyPeer: (socket: Socket) => Caller | undefined): Caller | undefined {
  try {
    return identifyPeer(socket)
  } catch {
    return undefined
  }
}

function cutAll(sockets: Iterable<Socket>): void {
  for (const socket of sockets) socket.destroy()
}

/** The owner is whoever runs under the same user as this process. */
function ownerAtPeer(socket: Socket): Caller | undefined {
  const peer = peerOf(socket)
  if (peer === undefined || peer.uid !== process.getuid?.()) return undefined
  return { id: THE_PERSON, owner: THE_PERSON, proof: proofOf(peer) }
}

export function proofOf(peer: Peer): Proof {
  return { door: 'socket', ...peer }
}
