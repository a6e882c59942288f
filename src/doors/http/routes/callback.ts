import { randomBytes } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import { answerPage, endingPage, otherBrowserPage, strayPage } from '../../../machine/callback-page.ts'
import type { Desk, FlowSession } from '../../../model/words.ts'
import { CALLBACK_PATH, type PageCallbacks } from '../page-callbacks.ts'
import type { App, Room } from './route.ts'

const LONGEST_URL = 8192
const LONGEST_FORM = 65_536
/** How long the last page may still be fetched after the sign-in was decided. */
const LAST_PAGE_MS = 60_000

export interface ComingBack {
  readonly callbacks: PageCallbacks
  /** Whose wish the sign-ins are, for the person's eyes. */
  readonly app: string
}

/**
 * Where browsers come back to from a provider. Only the browser that began a sign-in, with the person
 * still signed in to it, can end it: nobody else's account comes here by a link that was passed on.
 */
export function callbackRoutes(app: App, { callbacks, app: whose }: ComingBack): void {
  const lastPages = new Map<string, string>()

  function keepPage(page: string): string {
    const name = randomBytes(16).toString('base64url')
    lastPages.set(name, page)
    setTimeout(() => lastPages.delete(name), LAST_PAGE_MS).unref()
    return name
  }

  app.on(['GET', 'POST'], `${CALLBACK_PATH}/:provider`, async (c) => {
    const url = await addressOf(c.req.raw)
    const [state = '', ...more] = url?.searchParams.getAll('state') ?? []
    const awaited = more.length === 0 ? callbacks.take(state) : undefined
    if (url === undefined || awaited === undefined) return answerPage(400, strayPage())
    const { browser } = c.env ?? {}
    if (browser?.began(awaited.flow) !== true) {
      callbacks.putBack(state, awaited)
      return answerPage(403, otherBrowserPage(whose))
    }
    const ending = await awaited.arrived(url)
    if (ending === undefined) {
      callbacks.putBack(state, awaited)
      return answerPage(400, strayPage())
    }
    const location = `${CALLBACK_PATH}/over/${keepPage(endingPage(ending, whose))}`
    return answerPage(303, '', { location, 'set-cookie': browser.forget(awaited.flow) })
  })

  app.get(`${CALLBACK_PATH}/over/:name`, (c) => {
    const page = lastPages.get(c.req.param('name'))
    return page === undefined ? answerPage(404, strayPage()) : answerPage(200, page)
  })
}

/** The browser in which a sign-in was begun is known again when it comes back here. */
export function bindingBrowsers({ callbacks }: ComingBack): MiddlewareHandler<Room> {
  return async (c, next) => {
    const { browser } = c.env ?? {}
    if (browser === undefined) return next()
    const begun = new Set<string>()
    c.set(
      'desk',
      noting(c.var.desk, ({ id }) => begun.add(id)),
    )
    await next()
    for (const flow of begun) {
      const cookie = callbacks.awaits(flow) ? browser.bind(flow) : undefined
      if (cookie !== undefined) c.header('set-cookie', cookie, { append: true })
    }
  }
}

/** The same desk; says of every sign-in that is moved which one it was. */
function noting(desk: Desk, note: (session: FlowSession) => unknown): Desk {
  const noted = async (turn: Promise<FlowSession>) => {
    const session = await turn
    note(session)
    return session
  }
  return {
    ...desk,
    connect: (request) => noted(desk.connect(request)),
    reconnect: (address, request) => noted(desk.reconnect(address, request)),
    rotate: (address, request) => noted(desk.rotate(address, request)),
    answer: (id, given) => noted(desk.answer(id, given)),
  }
}

/** GET with a query, or a form that was posted; what is anything else, or too long, is nobody's. */
async function addressOf(request: Request): Promise<URL | undefined> {
  if (request.url.length > LONGEST_URL) return undefined
  const url = new URL(request.url)
  if (request.method === 'GET') return url
  const isForm = request.headers.get('content-type')?.startsWith('application/x-www-form-urlencoded')
  const length = Number(request.headers.get('content-length') ?? Number.NaN)
  if (!isForm || !(length <= LONGEST_FORM)) return undefined
  url.search = await request.text()
  return url
}
