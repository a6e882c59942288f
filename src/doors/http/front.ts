import { createHash, randomBytes } from 'node:crypto'
import { type Caller, THE_PERSON } from '../../model/caller.ts'
import type { Incoming } from './caller.ts'
import type { Browser } from './routes/route.ts'

// A link is http://127.0.0.1:<port>/#code=<code>. The fragment is never sent; the page trades the
// code for a cookie. Both are 256 random bits, and only their digests are kept, in memory.
const COOKIE = '__Host-valetkey'
const CODE_LIVES_MS = 2 * 60_000
const SESSION_LIVES_MS = 12 * 3_600_000
const ATTRIBUTES = 'HttpOnly; Secure; SameSite=Strict; Path=/'

// A sign-in's cookie holds its id and nothing else. It comes along from the provider's site, also with a form.
const FLOW_LIVES_MS = 10 * 60_000
const FLOW_ATTRIBUTES = 'HttpOnly; Secure; SameSite=None; Path=/'

export interface FrontParts {
  readonly now: () => Date
  readonly random?: (bytes: number) => Uint8Array
}

/** The way in from the terminal to the page: a link that is good once, then a cookie. */
export interface Front {
  newLink(origin: string | URL): URL
  /** The `Set-Cookie` of a new session; undefined for a code that is wrong, used or late. */
  enter(code: string): string | undefined
  identify(request: Pick<Incoming, 'headers'>): Caller | undefined
  /** What is known of the browser that sent this request. */
  browserOf(request: Request): Browser
  /** Ends the session, and says so to the browser. */
  leave(request: Request): string
}

export function openFront({ now, random = randomBytes }: FrontParts): Front {
  const codes = until(now)
  const sessions = until(now)
  /** The session that a sign-in was begun in, by the id of the sign-in. */
  const flows = new Map<string, { readonly session: string; readonly end: number }>()
  const secret = () => Buffer.from(random(32)).toString('base64url')

  return {
    newLink(origin) {
      const code = secret()
      codes.keep(code, CODE_LIVES_MS)
      return new URL(`/#code=${code}`, origin)
    },
    enter(code) {
      if (!codes.take(code)) return undefined
      const session = secret()
      sessions.keep(session, SESSION_LIVES_MS)
      return `${COOKIE}=${session}; ${ATTRIBUTES}; Max-Age=${SESSION_LIVES_MS / 1000}`
    },
    browserOf: (request) => ({
      bind(flow) {
        const session = cookieOf(request, COOKIE)
        if (session === undefined || !sessions.has(session)) return undefined
        const time = now().getTime()
        for (const [id, { end }] of flows) if (end <= time) flows.delete(id)
        flows.set(flow, { session: digest(session), end: time + FLOW_LIVES_MS })
        return `${flowCookie(flow)}=${flow}; ${FLOW_ATTRIBUTES}; Max-Age=${FLOW_LIVES_MS / 1000}`
      },
      began(flow) {
        const known = flows.get(flow)
        if (known === undefined || known.end <= now().getTime()) return false
        return cookieOf(request, flowCookie(flow)) === flow && sessions.hasDigest(known.session)
      },
      forget: (flow) => `${flowCookie(flow)}=; ${FLOW_ATTRIBUTES}; Max-Age=0`,
    }),
    identify(request) {
      const session = cookieOf(request, COOKIE)
      if (session === undefined || !sessions.has(session)) return undefined
      return { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'page' } }
    },
    leave(request) {
      const session = cookieOf(request, COOKIE)
      if (session !== undefined) sessions.take(session)
      return `${COOKIE}=; ${ATTRIBUTES}; Max-Age=0`
    },
  }
}

/** Secrets that are good for a while, known by their digest alone. */
function until(now: () => Date) {
  const ends = new Map<string, number>()

  function hasDigest(digested: string): boolean {
    return (ends.get(digested) ?? 0) > now().getTime()
  }

  const has = (secret: string) => hasDigest(digest(secret))

  return {
    has,
    hasDigest,
    keep(secret: string, forMs: number): void {
      const time = now().getTime()
      for (const [key, end] of ends) if (end <= time) ends.delete(key)
      ends.set(digest(secret), time + forMs)
    },
    take(secret: string): boolean {
      const good = has(secret)
      ends.delete(digest(secret))
      return good
    },
  }
}

function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/** Several sign-ins may be under way in one browser. */
function flowCookie(flow: string): string {
  return `${COOKIE}-${flow}`
}

/** Undefined as well when there are two of that name: one of them is not ours. */
function cookieOf(request: Pick<Incoming, 'headers'>, name: string): string | undefined {
  const prefix = `${name}=`
  const cookies = (request.headers.get('cookie') ?? '').split(';').map((cookie) => cookie.trim())
  const [ours, ...others] = cookies.filter((cookie) => cookie.startsWith(prefix))
  return others.length > 0 ? undefined : ours?.slice(prefix.length)
}
