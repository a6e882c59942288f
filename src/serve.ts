import { join } from 'node:path'
import { remoteDesk } from '#client'
import { httpDoor } from './doors/http/door.ts'
import { forwarding } from './doors/http/forwarding.ts'
import { openFront } from './doors/http/front.ts'
import { frontDoor } from './doors/http/front-door.ts'
import { guardLoopback } from './doors/http/guard.ts'
import { keyCaller } from './doors/http/key-caller.ts'
import { type Listening, listenTcp } from './doors/http/listen.ts'
import { pageCallbacks } from './doors/http/page-callbacks.ts'
import type { McpCallers } from './doors/http/routes/mcp.ts'
import { framedDoor } from './doors/socket/framed/door.ts'
import { listenSocket } from './doors/socket/listen.ts'
import { openPlaces } from './doors/socket/places.ts'
import { keptPort } from './machine/kept-port.ts'
import type { Caller } from './model/caller.ts'
import { type House, nameOf, openHouse } from './open.ts'
import type { Practice } from './practice/practice.ts'
import { provenThumbprint, seenProofs } from './protocol/dpop-proof.ts'
import { wornHeaders } from './providers/worn-headers.ts'
import { VERSION } from './version.ts'
import type { Where } from './where.ts'

export interface Serving {
  readonly house: House
  /** A request of a caller in this very process, through the same door as everybody's. */
  ask(request: Request, caller: Caller): Promise<Response>
  /** A link to the page, good once. The page's port is opened when the first link is asked for. */
  newLink(): Promise<URL>
  /** How long nobody has asked for anything. */
  idleMs(): number
  close(): Promise<void>
}

/** What goes on after its first byte, for as long as somebody listens. Everything else is answered in one piece. */
const STREAMS = /^\/(forward\/|api\/events$|mcp$)/

export interface ServeWith {
  readonly port?: number | undefined
  readonly practice?: Practice | undefined
  /** Takes what the operator may want to keep; see `Handed`. */
  readonly log?: ((line: string) => void) | undefined
}

/** Where the Connection Center's files lie: beside this file once built, in their own room in a clone. */
const PAGE = new URL(import.meta.url.endsWith('.ts') ? './doors/http/page/' : './page/', import.meta.url)

/**
 * Opens the house and hangs the doors: one HTTP door, for the owner's socket, for loopback and for
 * this process. Throws `held` when another process has the vault.
 */
export async function serve(where: Where, { port, practice, log }: ServeWith = {}): Promise<Serving> {
  const callbacks = pageCallbacks(() => pageOrigin())
  const house = await openHouse(where, { practice, page: callbacks, log })
  const { broker, catalogue, paths, config } = house
  const front = openFront({ now: () => new Date() })
  const told = keptPort(join(paths.run, 'port'))
  let page: Promise<Listening> | undefined
  let lastAsked = Date.now()
  let underWay = 0

  const seen = seenProofs()
  const worn = () => wornHeaders(catalogue.list())
  const identify = keyCaller({
    recognise: broker.recognise,
    provePossession: (signed) => provenThumbprint(signed, seen, new Date()),
    headers: worn,
    monotonic: () => performance.now(),
  })
  const door = httpDoor({
    desk: broker.as,
    keeper: broker.keeper,
    identify,
    version: VERSION,
    page: PAGE,
    newLink: () => newLink(),
    gateway: () => gatewayOrigin(),
    comingBack: config.callback === 'page' ? { callbacks, app: nameOf(where) } : undefined,
    mcp: { answer: answerAgent },
  })
  const gateway = forwarding({ gateway: broker.gateway, identify, begun })
  const counted = {
    async fetch(request: Request, env: Parameters<typeof door.fetch>[1]) {
      const over = begun()
      try {
        const answer = await door.fetch(request, env)
        return STREAMS.test(new URL(request.url).pathname) ? tellingEnd(answer, over) : whole(answer, over)
      } catch (error) {
        over()
        throw error
      }
    },
  }

  function begun(): () => void {
    underWay += 1
    return () => {
      underWay -= 1
      lastAsked = Date.now()
    }
  }

  /** The tools work by the same door as everybody, as the callers that were proved here. */
  async function answerAgent(
    request: Request,
    { caller, signingIn }: McpCallers,
    closing?: AbortSignal,
  ): Promise<Response> {
    const { answerMcp } = await import('./doors/mcp/server-http.ts')
    const deskOf = (caller: Caller) => {
      const ask = (url: string | URL, init?: RequestInit) =>
        door.fetch(new Request(url, init), { caller, closing })
      return remoteDesk({ fetch: ask, base: 'http://valetkey' }).desk
    }
    return answerMcp(request, { desk: deskOf(caller), signIns: deskOf(signingIn), version: VERSION }, closing)
  }

  async function pageOrigin(): Promise<URL> {
    page ??= listenWhereTold()
    const { origin } = await page.catch((error: unknown) => {
      page = undefined
      throw error
    })
    return origin
  }

  /** Programs that were told the port before, by a broker that is gone, find this one there if it is free. */
  async function listenWhereTold(): Promise<Listening> {
    const listen = (at: number) =>
      listenTcp({
        door: frontDoor(front, counted),
        port: at,
        forwarding: gateway,
        guard: (asked, at) => guardLoopback(asked, at, worn()),
        identify: front.identify,
      })
    const wanted = port ?? config.port
    if (wanted !== undefined) return listen(wanted)
    const before = await told.read()
    return before === undefined ? listen(0) : listen(before).catch(() => listen(0))
  }

  /** For programs, which are told it once. */
  async function gatewayOrigin(): Promise<URL> {
    const origin = await pageOrigin()
    await told.keep(Number(origin.port))
    return origin
  }

  async function newLink(): Promise<URL> {
    return front.newLink(await pageOrigin())
  }

  async function close(): Promise<void> {
    await Promise.all([socket.close(), places.leave(), (await page)?.close()])
    frames.close()
    await broker.close()
  }

  const frames = framedDoor({ desk: broker.as, begun })
  const spoken = { door: counted, forwarding: gateway, frames }
  const socket = await listenSocket({ path: paths.socket, ...spoken }).catch(async (error: unknown) => {
    frames.close()
    await broker.close()
    throw error
  })
  const places = await openPlaces({ run: paths.run, ...spoken })
  await broker.listenAt(places)
  if (broker.hasSockets() && (await told.read()) !== undefined) await pageOrigin().catch(() => {})
  return {
    house,
    ask: (request, caller) => counted.fetch(request, { caller }),
    newLink,
    idleMs: () => (underWay > 0 ? 0 : Date.now() - lastAsked),
    close,
  }
}

/** The same answer; says when it was read to its end, or when nobody reads it any more. */
function tellingEnd(answer: Response, over: () => void): Response {
  if (answer.body === null) return whole(answer, over)
  const reader = answer.body.getReader()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        controller.close()
      } catch (error) {
        controller.error(error)
      }
      over()
    },
    cancel(reason) {
      over()
      return reader.cancel(reason)
    },
  })
  return new Response(body, answer)
}

function whole(answer: Response, over: () => void): Response {
  over()
  return answer
}
