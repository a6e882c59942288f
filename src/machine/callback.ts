import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { ValetkeyError } from '#client'
import type { Callbacks, Ending, RedirectWish } from '../model/callbacks.ts'
import { endingPage, PAGE_HEADERS, strayPage } from './callback-page.ts'
import { holderOfPort, REFUSED_BY_BROWSERS, userOfConnection } from './ports.ts'

const LONGEST_URL = 8192
const LONGEST_FORM = 65_536
const LONGEST_LIFE_MS = 5 * 60_000
/** How long the last page may still be fetched after the sign-in was decided. */
const LAST_PAGE_MS = 10_000
const TRIES = 20

type Arrived = (url: URL) => Promise<Ending>

/** The callback server: open on loopback while one sign-in awaits its browser, and only for this user. */
export function loopbackCallbacks(): Callbacks {
  return {
    async open(wish, arrived) {
      const path = wish.path ?? `/${randomBytes(16).toString('base64url')}`
      const servers = await listen(wish)
      const redirectUri = new URL(`http://${wish.host}:${portOf(servers)}${path}`)
      const close = closer(servers, wish.until)
      const receive = receiver(redirectUri, wish.state, arrived, close)
      for (const server of servers) server.on('request', receive)
      return { redirectUri, close: close.now }
    },
  }
}

/** Only the first answer that knows the state counts; it is taken off the address bar by the redirect after it. */
function receiver(redirectUri: URL, state: string, arrived: Arrived, close: Closer) {
  let ending: Promise<Ending> | undefined
  const lastPage = `${redirectUri.pathname}/done`

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = await addressOf(request, redirectUri)
    if (url === undefined || !(await isOurUser(request))) return answer(response, 400, strayPage())
    if (url.pathname === lastPage && ending !== undefined)
      return answer(response, 200, endingPage(await ending))
    const states = url.searchParams.getAll('state')
    const ours = url.pathname === redirectUri.pathname && states.length === 1 && states[0] === state
    if (!ours || ending !== undefined) return answer(response, 400, strayPage())
    ending = arrived(url)
    await ending
    response.writeHead(303, { ...PAGE_HEADERS, location: lastPage }).end()
    close.soon()
  }
}

/** GET with a query, or a form that was posted; what is anything else, or too long, is nobody's. */
async function addressOf(request: IncomingMessage, redirectUri: URL): Promise<URL | undefined> {
  const asked = request.url ?? ''
  if (asked.length > LONGEST_URL || request.headers.host !== redirectUri.host) return undefined
  const url = URL.parse(asked, redirectUri.origin) ?? undefined
  if (request.method === 'GET') return url
  const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  const length = Number(request.headers['content-length'] ?? Number.NaN)
  if (request.method !== 'POST' || !isForm || !(length <= LONGEST_FORM) || url === undefined) return undefined
  url.search = await text(request)
  return url
}

/** Another user of this computer may have been sent the link; their account would end up here. */
async function isOurUser({ socket }: IncomingMessage): Promise<boolean> {
  const uid = await userOfConnection(socket.remotePort ?? 0, socket.localPort ?? 0)
  return uid === undefined || uid === process.getuid?.()
}

function answer(response: ServerResponse, status: number, page: string): void {
  response.writeHead(status, PAGE_HEADERS).end(page)
}

interface Closer {
  soon(): void
  now(): Promise<void>
}

function closer(servers: readonly Server[], until: Date): Closer {
  const life = Math.min(until.getTime() - Date.now(), LONGEST_LIFE_MS)
  let timer = setTimeout(() => void now(), Math.max(life, 0)).unref()

  async function now(): Promise<void> {
    clearTimeout(timer)
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
  }

  function soon(): void {
    clearTimeout(timer)
    timer = setTimeout(() => void now(), LAST_PAGE_MS).unref()
  }

  return { soon, now }
}

/** `localhost` may lead to either family, so there we hold both: a stranger on the other one would get the code. */
async function listen({ host, port }: RedirectWish): Promise<readonly Server[]> {
  const families = host === 'localhost' ? ['127.0.0.1', '::1'] : ['127.0.0.1']
  for (let tries = 0; tries < TRIES; tries += 1) {
    const servers: Server[] = []
    try {
      for (const family of families) servers.push(await listenOn(family, port ?? portOf(servers)))
      if (!REFUSED_BY_BROWSERS.has(portOf(servers))) return servers
    } catch (error) {
      if (port !== undefined) throw await portTaken(port, error)
    }
    for (const server of servers) server.close()
  }
  throw new ValetkeyError('port-taken', 'no free port was found for the browser to come back to')
}

async function listenOn(address: string, port: number): Promise<Server> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 })
  server.listen({ host: address, port, exclusive: true })
  await once(server, 'listening')
  return server
}

/** Zero, any free port, before the first is taken. */
function portOf([first]: readonly Server[]): number {
  return first === undefined ? 0 : (first.address() as AddressInfo).port
}

async function portTaken(port: number, cause: unknown): Promise<ValetkeyError> {
  const holder = (await holderOfPort(port)) ?? 'another program'
  return new ValetkeyError(
    'port-taken',
    `${holder} holds port ${port}, where the browser has to come back to`,
    {
      hint: `end it, then try again`,
      cause,
    },
  )
}
