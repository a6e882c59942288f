import { once } from 'node:events'
import { connect, type NetConnectOpts } from 'node:net'

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const CHUNKED = /\r\ntransfer-encoding: *chunked/i
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

/** One connection kept alive, one request at a time, and no more understood of HTTP than that needs. */
export interface HttpClient {
  /** Resolves with the status, when the whole of the answer was read. */
  ask(request: Buffer): Promise<number>
  close(): void
}

export function request(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body = '',
): Buffer {
  const all = { host: 'valetkey', ...headers, ...(body !== '' && { 'content-length': String(body.length) }) }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
}

/** A connection that was closed for being idle is made anew. */
export function httpClient(to: NetConnectOpts): HttpClient {
  let one: Promise<Connection> | undefined
  return {
    async ask(bytes) {
      if (one === undefined || (await one).closed) one = connection(to)
      return (await one).ask(bytes)
    },
    close: () => void one?.then(({ close }) => close()),
  }
}

interface Connection extends HttpClient {
  readonly closed: boolean
}

async function connection(to: NetConnectOpts): Promise<Connection> {
  const socket = connect(to)
  await once(socket, 'connect')
  let done: ((status: number) => void) | undefined
  let broken: ((error: Error) => void) | undefined
  let head: Buffer = Buffer.alloc(0)
  let status = 0
  /** Bytes that are still to come, or undefined where only the last piece tells. */
  let left: number | undefined = 0

  function over(): void {
    head = Buffer.alloc(0)
    const told = done
    const seen = status
    done = undefined
    status = 0
    told?.(seen)
  }

  function body(piece: Buffer): void {
    if (left === undefined) {
      if (piece.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) over()
      return
    }
    left -= piece.length
    if (left <= 0) over()
  }

  socket.on('data', (piece: Buffer) => {
    if (status !== 0) return body(piece)
    head = head.length > 0 ? Buffer.concat([head, piece]) : piece
    const end = head.indexOf(HEAD_END)
    if (end < 0) return
    const text = head.toString('latin1', 0, end)
    status = Number(text.slice(9, 12))
    left = CHUNKED.test(text) ? undefined : Number(LENGTH.exec(text)?.[1] ?? 0)
    body(head.subarray(end + HEAD_END.length))
  })
  socket.on('close', () => broken?.(new Error('the connection was closed')))
  socket.on('error', () => socket.destroy())
  return {
    get closed() {
      return socket.destroyed
    },
    ask: (bytes) =>
      new Promise((resolve, reject) => {
        done = resolve
        broken = reject
        socket.write(bytes)
      }),
    close: () => socket.destroy(),
  }
}
