import { createHash, randomBytes } from 'node:crypto'
import { type Caller, THE_PERSON } from '../../model/caller.ts'

// A link is http://127.0.0.1:<port>/#code=<code>. The fragment is never sent; the page trades the
// code for a cookie. Both are 256 random bits, and only their digests are kept, in memory.
const COOKIE = '__Host-valetkey'
const CODE_LIVES_MS = 2 * 60_000
const SESSION_LIVES_MS = 12 * 3_600_000
const ATTRIBUTES = 'HttpOnly; Secure; SameSite=Strict; Path=/'

export interface FrontParts {
  readonly now: () => Date
  readonly random?: (bytes: number) => Uint8Array
}

/** The way in from the terminal to the page: a link that is good once, then a cookie. */
export interface Front {
  newLink(origin: string | URL): URL
  /** The `Set-Cookie` of a new session; undefined for a code that is wrong, used or late. */
  enter(code: string): string | undefined
  identify(request: Request): Caller | undefined
  /** Ends the session, and says so to the browser. */
  leave(request: Request): string
}

export function openFront({ now, random = randomBytes }: FrontParts): Front {
  const codes = until(now)
  const sessions = until(now)
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
    identify(request) {
      const session = cookieOf(request)
      if (session === undefined || !sessions.has(session)) return undefined
      return { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'page' } }
    },
    leave(request) {
      const session = cookieOf(request)
      if (session !== undefined) sessions.take(session)
      return `${COOKIE}=; ${ATTRIBUTES}; Max-Age=0`
    },
  }
}

/** Secrets that are good for a while, known by their digest alone. */
function until(now: () => Date) {
  const ends = new Map<string, number>()

  function has(secret: string): boolean {
    return (ends.get(digest(secret)) ?? 0) > now().getTime()
  }

  return {
    has,
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

/** Undefined as well when there are two of that name: one of them is not ours. */
function cookieOf(request: Request): string | undefined {
  const prefix = `${COOKIE}=`
  const cookies = (request.headers.get('cookie') ?? '').split(';').map((cookie) => cookie.trim())
  const [ours, ...others] = cookies.filter((cookie) => cookie.startsWith(prefix))
  return others.length > 0 ? undefined : ours?.slice(prefix.length)
}
