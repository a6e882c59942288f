import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { RedirectWish } from '../model/callbacks.ts'
import { answer, strayPage } from './callback-page.ts'
import { openPlace } from './callback-place.ts'
import { userOfConnection } from './ports.ts'

const LONGEST_URL = 2048
const LONGEST_FORM = 65_536
const ROOT = 0

/** One sign-in that awaits its browser. */
export interface Awaited {
  /** Only the browser of this sign-in can have asked for that. */
  knows(url: URL): boolean
  receive(url: URL, response: ServerResponse): Promise<void>
  /** Nobody is awaited any more. */
  readonly over: Promise<void>
}

/** All that are awaited at one port, which is open for as long as there are any. */
export interface Gathering {
  readonly port: Promise<number>
  /** Resolves once the port is closed again. */
  readonly closed: Promise<void>
  /** False where the last one has left already. */
  add(one: Awaited): boolean
  remove(one: Awaited): Promise<void>
}

export function gather({ host, port }: Pick<RedirectWish, 'host' | 'port'>, first: Awaited): Gathering {
  const awaited = new Set([first])
  const { promise: closed, resolve: haveClosed } = Promise.withResolvers<void>()
  const place = openPlace({ host, port }, (request, response) => {
    // What breaks off in the middle is nobody's answer.
    receive(request, response).catch(() => response.destroy())
  })
  place.catch(() => {
    awaited.clear()
    haveClosed()
  })

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!(await isOurUser(request))) return answer(response, 400, strayPage())
    const url = await addressOf(request, `${host}:${(await place).port}`)
    const found = url && [...awaited].find((one) => one.knows(url))
    if (url === undefined || found === undefined) return answer(response, 400, strayPage())
    await found.receive(url, response)
  }

  async function remove(one: Awaited): Promise<void> {
    if (!awaited.delete(one) || awaited.size > 0) return
    await (await place).close()
    haveClosed()
  }

  function untilOver(one: Awaited): void {
    one.over.then(() => remove(one)).catch(() => {})
  }

  function add(one: Awaited): boolean {
    if (awaited.size === 0) return false
    awaited.add(one)
    untilOver(one)
    return true
  }

  untilOver(first)
  return { port: place.then((it) => it.port), closed, add, remove }
}

/** GET with a query, or a form that was posted; what is anything else, or too long, is nobody's. */
async function addressOf(request: IncomingMessage, host: string): Promise<URL | undefined> {
  const asked = request.url ?? ''
  if (asked.length > LONGEST_URL || request.headers.host !== host) return undefined
  const url = URL.parse(asked, `http://${host}`) ?? undefined
  if (request.method === 'GET') return url
  const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  const length = Number(request.headers['content-length'] ?? Number.NaN)
  if (request.method !== 'POST' || !isForm || !(length <= LONGEST_FORM) || url === undefined) return undefined
  url.search = await text(request)
  return url
}

/** Another user of this computer may have been sent the link; their account would end up here. */
async function isOurUser({ socket }: IncomingMessage): Promise<boolean> {
  const uid = await userOfConnection(socket)
  return uid === undefined || uid === ROOT || uid === process.getuid?.()
}
