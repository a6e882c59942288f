import type { Limits } from '#client'

/** A request that is about to be sent, as a limit looks at it. */
export interface Asked {
  readonly method: string
  /** To the letter as it was asked for: a path with its query, or a whole URL. */
  readonly written: string
  /** What it was read as, and what will be sent. */
  readonly url: URL
  /** It goes to the first of the provider's hosts, whose paths a limit names. */
  readonly isFirst: boolean
  readonly headers: Readonly<Record<string, string>>
}

/** Why it is not one of those that may be made; undefined where it is. */
export function straying(only: NonNullable<Limits['only']>, asked: Asked): string | undefined {
  const strange = strangeness(asked)
  if (strange !== undefined) return strange
  if (!asked.isFirst) return 'goes to another host than the first'
  return only.some((one) => covers(one, asked)) ? undefined : 'is none of them'
}

const REQUEST = /^(?:([A-Z]+) )?(\/.*)$/

/** Whether somebody can be held to this. */
export function isRequestPattern(only: string): boolean {
  const [, , pathname] = REQUEST.exec(only) ?? []
  return pathname !== undefined && readPattern(pathname) !== undefined
}

/** `GET /repos/*`, or a path alone for any method. What cannot be understood covers nothing. */
function covers(only: string, { method, url }: Asked): boolean {
  const [, named, pathname = ''] = REQUEST.exec(only) ?? []
  if (pathname === '' || (named !== undefined && named !== method)) return false
  const pattern = patternOf(pathname)
  return pattern?.test({ pathname: url.pathname }) ?? false
}

const patterns = new Map<string, URLPattern | undefined>()

function patternOf(pathname: string): URLPattern | undefined {
  if (patterns.has(pathname)) return patterns.get(pathname)
  if (patterns.size > 1000) patterns.clear()
  const pattern = readPattern(pathname)
  patterns.set(pathname, pattern)
  return pattern
}

function readPattern(pathname: string): URLPattern | undefined {
  try {
    return new URLPattern({ pathname })
  } catch {
    return undefined
  }
}

/** RFC 3986 §3.3: what may stand in a path as itself. */
const PLAIN = /^[\w.~!$&'()*+,;=:@%/-]*$/
/** By these a server is told to take a request for another one than it is. */
const OTHERWISE =
  /^x-(http-)?method(-override)?$|^x-(original|rewrite|forwarded)-(url|uri|path|prefix|method)$/
const OTHERWISE_IN_QUERY = /^(_method|_httpmethod|x-http-method(-override)?|\$httpmethod)\b/

/**
 * What makes it uncertain which path a server will take it for: anything that one reader takes for a slash, a
 * dot or an end and another one does not.
 */
function strangeness({ method, written, url, headers }: Asked): string | undefined {
  const [whole = ''] = written.split('?', 1)
  const path = whole.replace(/^https?:\/\/[^/\\]*/i, '')
  const rooted = path.startsWith('/') ? path : `/${path}`
  if (!PLAIN.test(rooted)) return 'has a character in its path that does not belong there'
  if (rooted.split('/').slice(1, -1).includes('')) return 'has an empty part in its path'
  if (!rooted.split('/').every(isPlainPart)) return 'has a path that may be read in several ways'
  // It was written in one way only, so what will be sent is that, and not what somebody made of it.
  if (url.pathname !== rooted) return 'has a path that may be read in several ways'
  if (!/^[A-Z]+$/.test(method)) return 'has a method that may be read in several ways'
  const told = Object.keys(headers).some((name) => OTHERWISE.test(name))
  return told || isOtherwiseInQuery(url.search) ? 'asks to be taken for another one' : undefined
}

/** Some end a parameter with `;`, and all of them read its name decoded. */
function isOtherwiseInQuery(search: string): boolean {
  const read = new URLSearchParams(search.replaceAll(';', '&'))
  return [...read.keys()].some((name) => OTHERWISE_IN_QUERY.test(name.trim().toLowerCase()))
}

function isPlainPart(part: string): boolean {
  const read = decoded(part)?.normalize('NFKC')
  if (read === undefined) return false
  // A parameter, `;x`, is cut off by some before they look at the dots.
  const [name = ''] = read.split(';', 1)
  return !/[\\/%?#]|\p{Cc}/u.test(read) && !/^\.{1,2}\s*$/.test(name)
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
