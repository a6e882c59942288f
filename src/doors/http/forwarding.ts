import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ValetkeyError } from '#client'
import type { Broker } from '../../model/broker.ts'
import type { Caller } from '../../model/caller.ts'
import type { AnswerHead } from '../../model/network.ts'
import { holdsKeyText } from '../../model/valet-key.ts'
import { type Identifying, type Incoming, standBack } from './caller.ts'
import { GATEWAY, printHead, readCrossing, refusePages } from './gateway.ts'
import { refuse } from './refusals.ts'
import type { DoorEnv } from './routes/route.ts'

/** What a listener knows of who asks, or why nobody is let in. */
export type Entrance = (asked: Incoming) => DoorEnv | Response | Promise<DoorEnv | Response>

/** The gateway as a listener has it: on Node's own streams, from the first byte to the last. */
export interface Forwarding {
  /** Whether this is for the gateway; whatever else there is at the door is not looked at here. */
  takes(request: IncomingMessage): boolean
  /** Whether it wants to go on in another protocol that the gateway carries. */
  upgrades(request: IncomingMessage): boolean
  answer(request: IncomingMessage, response: ServerResponse, entrance: Entrance): void
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, entrance: Entrance): void
}

export interface ForwardingParts extends Pick<Identifying, 'identify'> {
  readonly gateway: Broker['gateway']
  /** Told that something is under way; what it returns is called when that is over. */
  readonly begun?: () => () => void
}

/** So long somebody may still send of a request that was answered before its end. */
const LINGER_MS = 2_000

export function forwarding({
  gateway,
  identify,
  begun: counted = () => () => {},
}: ForwardingParts): Forwarding {
  async function entered(request: IncomingMessage, entrance: Entrance): Promise<Caller | Response> {
    const asked = incomingOf(request)
    const env = await entrance(asked)
    if (env instanceof Response) return env
    const proved = await identify(asked, env)
    if (proved === undefined)
      throw new ValetkeyError('unauthenticated', 'nobody is signed in here', { hint: 'valetkey open' })
    const caller = standBack(proved, asked.headers.get('valetkey-as') ?? undefined)
    refusePages(asked.headers.get('sec-fetch-dest') ?? undefined)
    return caller
  }

  async function answer(request: IncomingMessage, response: ServerResponse, entrance: Entrance) {
    const leaving = new AbortController()
    response.once('close', () => response.writableFinished || leaving.abort())
    try {
      const caller = await entered(request, entrance)
      if (caller instanceof Response) return await print(caller, response)
      const crossing = { ...readCrossing(request), body: bodyOf(request), signal: leaving.signal }
      await gateway(caller).forward(crossing, { answer: (head) => begin(response, head) })
    } catch (error) {
      if (response.headersSent) response.destroy()
      else await print(refuse(error), response)
    } finally {
      letGo(request)
    }
  }

  async function upgrade(request: IncomingMessage, socket: Socket, head: Buffer, entrance: Entrance) {
    const leaving = new AbortController()
    const { upgrade: protocol = '' } = request.headers
    let begun = false
    const plain = () => {
      begun = true
      return onSocket(request, socket)
    }
    socket.once('close', () => leaving.abort())
    socket.on('error', () => socket.destroy())
    try {
      const caller = await entered(request, entrance)
      if (caller instanceof Response) return await print(caller, plain())
      const { headers, ...crossing } = readCrossing(request)
      const asking = { ...crossing, headers: { ...headers, ...handshakeOf(request) }, upgrade: protocol }
      await gateway(caller).forward(
        { ...asking, signal: leaving.signal },
        {
          answer: (answered) => begin(plain(), answered),
          switched(agreed) {
            begun = true
            socket.write(switching(agreed, protocol))
            if (head.byteLength > 0) socket.unshift(head)
            return socket
          },
        },
      )
    } catch (error) {
      if (begun) socket.destroy()
      else await print(refuse(error), plain())
    }
  }

  return {
    takes: ({ url = '' }) => url.startsWith(GATEWAY),
    upgrades: ({ url = '', headers, method }) =>
      url.startsWith(GATEWAY) && method === 'GET' && !/^(h2c|tls\b)/i.test(headers.upgrade ?? 'h2c'),
    answer(request, response, entrance) {
      const over = counted()
      void answer(request, response, entrance).finally(over)
    },
    upgrade(request, socket, head, entrance) {
      const over = counted()
      // Of a server that listens on TCP or on a path it is what it says it is.
      void upgrade(request, socket as Socket, head, entrance).finally(over)
    },
  }
}

/** A request as it is judged before anybody reads its body. */
function incomingOf({ method = 'GET', url = '/', headers }: IncomingMessage): Incoming {
  const get = (name: string) => {
    const value = headers[name]
    return value === undefined ? null : [value].flat().join(', ')
  }
  const whole = `http://${headers.host ?? 'valetkey'}${url}`
  if (!URL.canParse(whole)) throw new ValetkeyError('invalid-request', 'the address cannot be read')
  return { method, url: whole, headers: { get } }
}

function bodyOf(request: IncomingMessage): IncomingMessage | null {
  const { 'transfer-encoding': coded, 'content-length': length = '0' } = request.headers
  return coded !== undefined || Number(length) > 0 ? request : null
}

/** What is still to come of a request that was answered is read for a moment, so that its answer is heard. */
function letGo(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return
  request.resume()
  const late = setTimeout(() => request.destroy(), LINGER_MS).unref()
  request.once('close', () => clearTimeout(late))
}

function begin(response: ServerResponse, { status, headers }: AnswerHead): ServerResponse {
  try {
    response.writeHead(status, printHead(headers).flat())
  } catch (cause) {
    throw new ValetkeyError('bad-answer', 'the provider answered with what cannot be passed on', { cause })
  }
  // Where the body is long in coming, its head is not.
  setImmediate(() => response.writableEnded || response.flushHeaders())
  return response
}

/** An upgrade that does not come about is answered like any other request, and nothing follows it. */
function onSocket(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.once('finish', () => socket.end())
  return response
}

async function print(refusal: Response, response: ServerResponse): Promise<void> {
  const body = Buffer.from(await refusal.arrayBuffer())
  response.writeHead(refusal.status, [...refusal.headers, ['content-length', String(body.length)]].flat())
  response.end(body)
}

/** The two sides of a WebSocket speak of it in these, and of nothing else. */
function handshakeOf({ headers }: IncomingMessage): Record<string, string> {
  const named = Object.entries(headers).filter(([name]) => name.startsWith('sec-websocket-'))
  return Object.fromEntries(
    named.map(([name, value]) => [name, withoutKeys([value ?? []].flat().join(', '))]),
  )
}

/** Some have no other place to show a key in than among the names of protocols. */
function withoutKeys(value: string): string {
  const parts = value.split(',').map((part) => part.trim())
  return parts.filter((part) => !holdsKeyText(part)).join(', ')
}

function switching({ headers }: AnswerHead, protocol: string): string {
  const lines = [...printHead(headers), ['connection', 'Upgrade'], ['upgrade', protocol]]
  return ['HTTP/1.1 101 Switching Protocols', ...lines.map((pair) => pair.join(': ')), '', ''].join('\r\n')
}
