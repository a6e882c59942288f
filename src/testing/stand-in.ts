import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'

/** A request as it came in. `body` is whole once the client has sent all of it. */
export interface StandInRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Promise<Buffer>
}

export interface StandInAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** JSON for a plain value; text, bytes, or pieces that are sent as they come. */
  readonly body?: unknown
  /** Latency before the first byte. */
  readonly afterMs?: number
  /** Sends the request's body back while it is still arriving. */
  readonly echo?: boolean
  /** Ends the connection in the place of an answer. */
  readonly hangUp?: boolean
}

export type StandInRoute =
  | StandInAnswer
  | ((request: StandInRequest) => StandInAnswer | Promise<StandInAnswer>)

export interface ListeningStandIn {
  readonly origin: string
  /** All that came in, in order, with every header. */
  readonly requests: readonly StandInRequest[]
  close(): Promise<void>
}

export interface StandIn {
  listen(): Promise<ListeningStandIn>
}

/**
 * A provider on loopback. Routes are `GET /v1/models`, `/v1/models` for every method, or `*`; the
 * query counts only where a route names one. What no route knows is answered with 404.
 */
export function standIn(routes: Readonly<Record<string, StandInRoute>>): StandIn {
  return {
    listen: async () => {
      const requests: StandInRequest[] = []
      const server = createServer((incoming, response) => {
        const request = requestOf(incoming)
        requests.push(request)
        void play(routeFor(routes, request), request, incoming, response).catch(() => response.destroy())
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      return { origin: `http://127.0.0.1:${port}`, requests, close: () => close(server) }
    },
  }
}

function requestOf(incoming: IncomingMessage): StandInRequest {
  const { method = 'GET', url: path = '/', headers } = incoming
  return { method, path, headers, body: bodyOf(incoming) }
}

function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  return new Promise((resolve) => {
    incoming.on('data', (piece: Buffer) => pieces.push(piece))
    incoming.once('close', () => resolve(Buffer.concat(pieces)))
  })
}

function routeFor(
  routes: Readonly<Record<string, StandInRoute>>,
  { method, path }: StandInRequest,
): StandInRoute {
  const bare = path.split('?')[0] ?? path
  const names = [`${method} ${path}`, path, `${method} ${bare}`, bare, '*']
  const name = names.find((one) => Object.hasOwn(routes, one))
  return (name === undefined ? undefined : routes[name]) ?? { status: 404, body: { error: 'no such route' } }
}

async function play(
  route: StandInRoute,
  request: StandInRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = typeof route === 'function' ? await route(request) : route
  if (answer.afterMs) await wait(answer.afterMs)
  if (answer.hangUp) return void response.destroy()
  const [type, body] = bodyInBytes(answer.body)
  response.writeHead(answer.status ?? 200, { ...type, ...answer.headers })
  if (answer.echo) return void incoming.pipe(response)
  if (!isPieces(body)) return void response.end(body)
  Readable.from(body)
    .on('error', () => response.destroy())
    .pipe(response)
}

type Pieces = AsyncIterable<string | Uint8Array>

function bodyInBytes(body: unknown): readonly [Record<string, string>, string | Uint8Array | Pieces] {
  if (body === undefined) return [{}, '']
  if (typeof body === 'string' || body instanceof Uint8Array || isPieces(body)) return [{}, body]
  return [{ 'content-type': 'application/json' }, JSON.stringify(body)]
}

function isPieces(body: unknown): body is Pieces {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
