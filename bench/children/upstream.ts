import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A provider: a small answer, a long one, and one that goes on until it is cut off. */
const SMALL = Buffer.alloc(200, 'a')
const JSON_TEXT = Buffer.from(`{"text":"${'a'.repeat(189)}"}`)
const PIECE = Buffer.alloc(64 * 1024, 'b')

function long(response: ServerResponse, bytes: number): void {
  let left = bytes
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes })
  const more = () => {
    while (left > 0) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length))
      left -= piece.length
      if (!response.write(piece)) return
    }
    response.off('drain', more)
    response.end()
  }
  response.on('drain', more)
  more()
}

function endless(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const ticking = setInterval(() => response.write(`data: ${Date.now()}\n\n`), 2)
  response.on('close', () => clearInterval(ticking))
}

const server = createServer((request, response) => {
  const url = request.url ?? '/'
  if (url.startsWith('/endless')) return endless(response)
  if (url.startsWith('/long/')) return long(response, Number(url.slice(6)))
  const [type, body] = url === '/json' ? (['json', JSON_TEXT] as const) : (['octet-stream', SMALL] as const)
  response.writeHead(200, { 'content-type': `application/${type}`, 'content-length': body.length })
  response.end(body)
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
