import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocketServer } from 'ws'

/** A request as a provider got it. */
export interface Got {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: () => string
}

export type Play = (request: IncomingMessage, response: ServerResponse, got: Got) => unknown

/** A provider on loopback that streams, breaks off and speaks WebSocket. */
export interface Upstream {
  readonly origin: string
  readonly got: readonly Got[]
  /** How many connections are open at this moment. */
  readonly open: () => number
  close(): Promise<void>
}

const PIECE = Buffer.alloc(64 * 1024, 'piece of a large answer. ')

/** Takes `plays` by the path without its query, then what every one of these can. */
export async function upstream(plays: Readonly<Record<string, Play>> = {}): Promise<Upstream> {
  const got: Got[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const { method = '', url: path = '', headers } = request
    const pieces: Buffer[] = []
    const one = { method, path, headers, body: () => Buffer.concat(pieces).toString() }
    got.push(one)
    const [bare = ''] = path.split('?')
    const play = plays[bare] ?? USUAL[`/${bare.split('/').at(-1)}`]
    if (bare.endsWith('/sink')) return void sink(request, response)
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('error', () => {})
    if (play !== undefined) return void play(request, response, one)
    request.on('end', () =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ data: [], headers })),
    )
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  const webSockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    const { method = '', url: path = '', headers } = request
    got.push({ method, path, headers, body: () => '' })
    if (path.endsWith('/refused'))
      return void socket.end(
        'HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nno',
      )
    webSockets.handleUpgrade(request, socket, head, (ws) =>
      ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary })),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    got,
    open: () => sockets.size,
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Reads all of it, and says how much that was. */
function sink(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0
  request.on('data', (piece: Buffer) => {
    bytes += piece.byteLength
  })
  request.on('error', () => {})
  request.on('end', () =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(`{"bytes":${bytes}}`),
  )
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      response.off('drain', over).off('close', over)
      resolve()
    }
    response.on('drain', over).on('close', over)
  })
}

const USUAL: Readonly<Record<string, Play>> = {
  '/large': async (request, response) => {
    let left = Number(new URL(request.url ?? '', 'http://x').searchParams.get('bytes'))
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': left })
    for (; left > 0 && !response.destroyed; left -= PIECE.byteLength)
      if (!response.write(left < PIECE.byteLength ? PIECE.subarray(0, left) : PIECE)) await drained(response)
    response.end()
  },
  '/events': async (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let nth = 0; nth < 5 && !response.destroyed; nth += 1) {
      response.write(`data: ${JSON.stringify({ nth, at: performance.timeOrigin + performance.now() })}\n\n`)
      await pause(20)
    }
    response.end()
  },
  '/breaks': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 1000 })
    response.write('only the beginning')
    setTimeout(() => response.destroy(), 5)
  },
  '/hangs-up': (_, response) => void response.destroy(),
  '/malformed': ({ socket }) => void socket.end('HTTP/1.1 2OO what\r\n\r\n'),
  '/bad-length': ({ socket }) =>
    void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nmore than five'),
  '/bad-chunks': ({ socket }) =>
    void socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nno\r\n'),
  '/silent': () => {},
  '/trailers': (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-secret' })
    response.write('body')
    response.addTrailers({ 'x-secret': 'trailer' })
    response.end()
  },
  '/nothing': (_, response) => void response.writeHead(204).end(),
  '/unchanged': (_, response) => void response.writeHead(304, { etag: '"x"' }).end(),
  '/hints': (_, response) => {
    response.writeProcessing()
    response.writeEarlyHints({ link: '</x.css>; rel=preload' })
    response.writeHead(200, { 'content-type': 'text/plain' }).end('after hints')
  },
  '/cookie': (_, response) =>
    void response.writeHead(200, { 'set-cookie': 'a=b', 'content-type': 'text/html' }).end('<p>page'),
  '/elsewhere': (request, response) => {
    const to = new URL(request.url ?? '', 'http://x').searchParams.get('to') ?? ''
    response.writeHead(307, { location: to }).end()
  },
}
