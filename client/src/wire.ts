import { type ErrorMore, isErrorCode, isReaction, ValetkeyError } from './error.ts'
import type { Way } from './words.ts'

/** As much of `fetch` as is needed here. */
export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

export interface Wire {
  readonly fetch: Fetch
  /** Where the door is: `http://127.0.0.1:8123`, or any name for a socket. */
  readonly base: URL | string
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Tells a refusal of the door from an answer of a provider that was only forwarded. */
const REFUSAL_HEADER = 'valetkey-error'

export async function send(wire: Wire, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  // By these the door knows who asks, so nothing that is only to be forwarded takes their place.
  for (const [name, value] of new Headers(wire.headers)) headers.set(name, value)
  headers.set('valetkey-request', '1')
  try {
    return await wire.fetch(new URL(String(wire.base).replace(/\/+$/, '') + path), {
      ...init,
      headers,
      redirect: 'manual',
    })
  } catch (error) {
    if (init.signal?.aborted || error instanceof ValetkeyError) throw error
    throw new ValetkeyError('broker-gone', 'the running valetkey did not answer', { cause: error })
  }
}

/** The parts of a path below `/api`, as they are, not yet encoded. */
export type Path = readonly string[]
export type Query = Readonly<Record<string, string | number | undefined>>

export interface Call {
  readonly method: string
  readonly path: Path
  readonly query?: Query | undefined
  readonly body?: unknown
}

/** One verb: JSON in, JSON out, and a refusal as an error. */
export async function call<T>(wire: Wire, { method, path, query = {}, body }: Call): Promise<T> {
  const init = body === undefined ? { method } : { method, headers: JSON_BODY, body: JSON.stringify(body) }
  const response = await send(wire, `/api/${path.map(encoded).join('/')}${questionOf(query)}`, init)
  if (!response.ok) throw await refusalOf(response)
  if (response.status === 204) return undefined as T
  return (await response.json().catch(() => Promise.reject(noSense()))) as T
}

const JSON_BODY = { 'content-type': 'application/json' }

/** Dots alone would climb out of the path, and nothing at all would shorten it; neither names anything. */
function encoded(part: string): string {
  if (/^\.{0,2}$/.test(part)) throw new ValetkeyError('invalid-request', 'a name is missing')
  return encodeURIComponent(part)
}

function questionOf(query: Query): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  return search.size === 0 ? '' : `?${search}`
}

export function isRefusal(response: Response): boolean {
  return response.headers.has(REFUSAL_HEADER)
}

export async function refusalOf(response: Response): Promise<ValetkeyError> {
  return errorOf(await response.json().catch(() => undefined))
}

/**
 * A problem document as the error it once was. One that this version does not know is a mistake inside,
 * with the reaction that the document names.
 */
export function errorOf(problem: unknown): ValetkeyError {
  const told = (problem ?? {}) as Partial<Record<string, unknown>>
  const { code, detail } = told
  if (typeof code !== 'string' || typeof detail !== 'string') return noSense()
  const more = moreOf(told)
  if (isErrorCode(code)) return new ValetkeyError(code, detail, more)
  const { reaction } = told
  const known = typeof reaction === 'string' && isReaction(reaction) ? { reaction } : {}
  return new ValetkeyError('internal-error', detail, { ...more, ...known })
}

function moreOf({ hint, retryAfter, instead }: Partial<Record<string, unknown>>): ErrorMore {
  return {
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof retryAfter === 'number' && retryAfter >= 0 ? { retryAfter } : {}),
    ...(isWay(instead) ? { instead } : {}),
  }
}

function isWay(told: unknown): told is Way {
  if (typeof told !== 'object' || told === null || !('flow' in told && 'label' in told)) return false
  return typeof told.flow === 'string' && typeof told.label === 'string'
}

function noSense(): ValetkeyError {
  return new ValetkeyError('internal-error', 'the answer is not one of a valetkey')
}
