import { httpDoor } from './doors/http/door.ts'
import { openFront } from './doors/http/front.ts'
import { frontDoor } from './doors/http/front-door.ts'
import { type Listening, listenTcp } from './doors/http/listen.ts'
import { pageCallbacks } from './doors/http/page-callbacks.ts'
import { listenSocket } from './doors/socket/listen.ts'
import type { Caller } from './model/caller.ts'
import { type House, nameOf, openHouse } from './open.ts'
import type { Practice } from './practice/practice.ts'
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
const STREAMS = /^\/(forward\/|api\/events$)/

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
  const { broker, paths, config } = house
  const front = openFront({ now: () => new Date() })
  let page: Promise<Listening> | undefined
  let lastAsked = Date.now()
  let underWay = 0

  const door = httpDoor({
    desk: broker.as,
    keeper: broker.keeper,
    identify: async (_, env) => env.caller,
    version: VERSION,
    page: PAGE,
    newLink: () => newLink(),
    comingBack: config.callback === 'page' ? { callbacks, app: nameOf(where) } : undefined,
  })
  const counted = {
    async fetch(request: Request, env: Parameters<typeof door.fetch>[1]) {
      underWay += 1
      const over = () => {
        underWay -= 1
        lastAsked = Date.now()
      }
      try {
        const answer = await door.fetch(request, env)
        return STREAMS.test(new URL(request.url).pathname) ? tellingEnd(answer, over) : whole(answer, over)
      } catch (error) {
        over()
        throw error
      }
    },
  }

  async function pageOrigin(): Promise<URL> {
    page ??= listenTcp({ door: frontDoor(front, counted), port: port ?? config.port ?? 0 })
    const { origin } = await page.catch((error: unknown) => {
      page = undefined
      throw error
    })
    return origin
  }

  async function newLink(): Promise<URL> {
    return front.newLink(await pageOrigin())
  }

  async function close(): Promise<void> {
    await Promise.all([socket.close(), (await page)?.close()])
    await broker.close()
  }

  const socket = await listenSocket({ path: paths.socket, door: counted }).catch(async (error: unknown) => {
    await broker.close()
    throw error
  })
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
