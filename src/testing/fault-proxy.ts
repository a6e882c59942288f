import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import type { Fault, FaultAnswer } from './faults.ts'

export interface Target {
  readonly host: string
  readonly port: number
}

export interface FaultProxy {
  readonly origin: string
  readonly port: number
  /** How many connections were made; those that were refused are not among them. */
  readonly connections: number
  /** `POST /token` and the like, without queries, in the order in which they came. */
  readonly requests: readonly string[]
  /** Once, for the next request, or for the next one that is `only`. Several are played in their order. */
  next(fault: Fault, only?: string): void
  /** From now on, for whatever is not the turn of a `next`. Nothing ends it. */
  set(fault: Fault | undefined, only?: string): Promise<void>
  /** Where the next request goes. */
  aim(target: Target): void
  close(): Promise<void>
}

interface Told {
  readonly fault: Fault
  readonly only: string | undefined
}

/**
 * Stands before a server on loopback, on real connections, and does wrong what it is told, request by
 * request. Every other request is forwarded as it came, save that its connection ends with its answer.
 */
export async function faultProxy(options: { readonly target: Target }): Promise<FaultProxy> {
  let { target } = options
  let always: Told | undefined
  let connections = 0
  const turns: Told[] = []
  const requests: string[] = []

  const server = createServer({ requestTimeout: 0, headersTimeout: 0 }, (request) => {
    const { method = 'GET', url = '/', socket } = request
    const name = `${method} ${url.split('?')[0]}`
    requests.push(name)
    void play(dueFor(name), request, () => target).catch(() => socket.resetAndDestroy())
  })
  server.on('connection', (socket: Socket) => {
    connections += 1
    socket.on('error', () => {})
  })
  const port = await listen(server, 0)

  function dueFor(name: string): Fault | undefined {
    const isDue = ({ only = name }: Told) => only === name
    const at = turns.findIndex(isDue)
    if (at !== -1) return turns.splice(at, 1)[0]?.fault
    return always !== undefined && isDue(always) ? always.fault : undefined
  }

  async function set(fault: Fault | undefined, only?: string): Promise<void> {
    always = fault && { fault, only }
    const refuses = fault?.fault === 'refuse' && only === undefined
    if (refuses && server.listening) await stop(server)
    if (!refuses && !server.listening) await listen(server, port)
  }

  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    get connections() {
      return connections
    },
    requests,
    next: (fault, only) => void turns.push({ fault, only }),
    set,
    aim: (next) => {
      target = next
    },
    close: async () => {
      if (server.listening) await stop(server)
    },
  }
}

async function play(fault: Fault | undefined, request: IncomingMessage, target: () => Target): Promise<void> {
  const client = request.socket
  const body = await buffer(request)
  const asked = () => ask(target(), request, body)
  switch (fault?.fault) {
    case undefined:
      return pass(asked(), client)
    case 'refuse':
      return void client.resetAndDestroy()
    case 'hold-request':
      await fault.hold()
      return pass(asked(), client)
    case 'hold-answer': {
      const answer = await buffer(asked())
      await fault.hold()
      return void client.end(answer)
    }
    case 'lose-answer':
      await buffer(asked())
      return void client.destroy()
    case 'truncate':
      return void client.end(cut(await buffer(asked()), fault.bytes))
    case 'reset': {
      const answer = cut(await buffer(asked()), fault.bytes)
      return void client.write(answer, () => client.resetAndDestroy())
    }
    case 'delay': {
      const answer = await buffer(asked())
      await pause(fault.ms)
      return void client.end(answer)
    }
    case 'answer':
      return void client.end(spell(fault.answer))
  }
}

/** The request on a connection of its own, so that the end of the connection is the end of the answer. */
function ask({ host, port }: Target, request: IncomingMessage, body: Buffer): Socket {
  const OURS = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'expect'])
  const { rawHeaders: raw } = request
  const lines = raw.flatMap((name, at) =>
    at % 2 === 0 && !OURS.has(name.toLowerCase()) ? [`${name}: ${raw[at + 1]}`] : [],
  )
  const hasBody = body.length > 0 || request.headers['content-length'] !== undefined
  const length = hasBody ? [`content-length: ${body.length}`] : []
  const head = [`${request.method} ${request.url} HTTP/1.1`, ...lines, ...length, 'connection: close', '', '']
  const upstream = connect({ host, port })
  upstream.write(Buffer.concat([Buffer.from(head.join('\r\n'), 'latin1'), body]))
  request.socket.once('close', () => upstream.destroy())
  return upstream
}

/** As it comes, so that a stream stays one. A target that breaks off breaks off here too. */
function pass(upstream: Socket, client: Socket): void {
  upstream.once('error', () => client.resetAndDestroy())
  upstream.pipe(client)
}

function cut(answer: Buffer, bytes: number): Buffer {
  return answer.subarray(0, answer.indexOf('\r\n\r\n') + 4 + bytes)
}

function spell({ status, headers, body }: FaultAnswer): string {
  const length = { 'content-length': String(Buffer.byteLength(body)), connection: 'close' }
  const lines = Object.entries({ ...length, ...headers }).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines, '', body].join('\r\n')
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen({ host: '127.0.0.1', port, exclusive: true })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
