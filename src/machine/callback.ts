import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Callbacks, Ending, RedirectWish } from '../model/callbacks.ts'
import { type Awaited, type Gathering, gather } from './callback-gathering.ts'
import { answer, endingPage, PAGE_HEADERS, strayPage } from './callback-page.ts'

const LONGEST_LIFE_MS = 5 * 60_000
/** How long the last page may still be fetched after the sign-in was decided. */
const LAST_PAGE_MS = 10_000

export interface CallbackOptions {
  /** Whose wish the sign-ins are, for the person's eyes. */
  readonly app: string
}

/** The callback server: open on loopback while a sign-in awaits its browser, and only for this user. */
export function loopbackCallbacks({ app }: CallbackOptions): Callbacks {
  /** Where a provider has its port fixed, all that are awaited there share it; each knows its own state. */
  const fixed = new Map<string, Gathering>()

  async function join(wish: RedirectWish, one: Awaited): Promise<Gathering> {
    if (wish.port === undefined) return gather(wish, one)
    const key = `${wish.host}:${wish.port}`
    for (let there = fixed.get(key); there !== undefined; there = fixed.get(key)) {
      if (there.add(one)) return there
      await there.closed
      if (fixed.get(key) === there) fixed.delete(key)
    }
    const begun = gather(wish, one)
    fixed.set(key, begun)
    return begun
  }

  return {
    async open(wish, arrived) {
      const one = awaitBrowser(wish, arrived, app)
      const gathering = await join(wish, one)
      const redirectUri = new URL(`http://${wish.host}:${await gathering.port}${one.path}`)
      return { redirectUri, close: () => (one.leave() ? gathering.remove(one) : Promise.resolve()) }
    },
  }
}

/** Only the first answer that knows the state counts; it is taken off the address bar by the redirect after it. */
function awaitBrowser(
  { provider, path = `/${provider}/${unguessable()}`, state, until }: RedirectWish,
  arrived: (url: URL) => Promise<Ending | undefined>,
  app: string,
): Awaited & { readonly path: string; leave(): boolean } {
  const lastPage = `/${unguessable()}`
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  let ending: Promise<Ending | undefined> | undefined
  let timer = setTimeout(end, lifeUntil(until)).unref()

  function endSoon(): void {
    clearTimeout(timer)
    timer = setTimeout(end, LAST_PAGE_MS).unref()
  }

  async function take(url: URL, response: ServerResponse): Promise<void> {
    // From here on, also for whoever is told of it, the browser has come back.
    ending = Promise.resolve(url).then(arrived)
    const decided = await ending
    if (decided === undefined) {
      ending = undefined
      return answer(response, 400, strayPage())
    }
    response.writeHead(303, { ...PAGE_HEADERS, location: lastPage }).end()
    endSoon()
  }

  async function show(response: ServerResponse): Promise<void> {
    const decided = await ending
    if (decided === undefined) return answer(response, 400, strayPage())
    response.once('close', end)
    answer(response, 200, endingPage(decided, app))
  }

  return {
    path,
    over,
    knows({ pathname, searchParams }) {
      if (pathname === lastPage) return ending !== undefined
      const [given, ...more] = searchParams.getAll('state')
      return pathname === path && ending === undefined && given === state && more.length === 0
    },
    receive: (url, response) => (url.pathname === lastPage ? show(response) : take(url, response)),
    /** True when that is at once; else whoever has just come back is shown the last page first. */
    leave() {
      if (ending === undefined) return true
      endSoon()
      return false
    },
  }
}

function lifeUntil(until: Date): number {
  return Math.max(0, Math.min(until.getTime() - Date.now(), LONGEST_LIFE_MS))
}

function unguessable(): string {
  return randomBytes(16).toString('base64url')
}
