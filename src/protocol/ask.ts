import type { CustomFetch } from 'openid-client'
import { type ErrorMore, ValetkeyError } from '#client'
import type { Network, Outgoing } from '../model/network.ts'
import { retryAfterOf } from './retry-after.ts'

const MOST_BYTES = 1024 * 1024
const ASK_SECONDS = 60

/** A whole answer, before anything of it is believed. */
export interface Answer {
  readonly status: number
  /** The media type alone, in lower case. */
  readonly type: string
  readonly text: string
  /** How many seconds the server wants to be left alone, where it said so. */
  readonly retryAfter?: number | undefined
  /** Its `WWW-Authenticate`. */
  readonly challenge?: string | undefined
}

interface Limits {
  /** Without a clock a date in `Retry-After` says nothing. */
  readonly now?: () => Date
  /** For the whole answer, to its last byte. */
  readonly seconds?: number
}

/** One request and its whole answer, within limits of size and time. Throws the network's own codes. */
export async function ask(
  network: Network,
  url: URL,
  request: Outgoing = {},
  { now, seconds = ASK_SECONDS }: Limits = {},
): Promise<Answer> {
  const headers = { accept: 'application/json', 'user-agent': 'valetkey' }
  const limit = AbortSignal.timeout(seconds * 1000)
  const signal = request.signal ? AbortSignal.any([request.signal, limit]) : limit
  const response = await network.fetch(url, { headers, ...request, signal }).catch((error: unknown) => {
    throw inWords(error, new ValetkeyError('network-error', `${url.host} could not be reached`))
  })
  const text = await textOf(response).catch((error: unknown) => {
    throw inWords(error, new ValetkeyError('answer-lost', `the answer of ${url.host} was lost on the way`))
  })
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
  const retryAfter = retryAfterOf(response.headers.get('retry-after'), now)
  const challenge = response.headers.get('www-authenticate') ?? undefined
  return { status: response.status, type: type.trim().toLowerCase(), text, retryAfter, challenge }
}

function inWords(error: unknown, otherwise: ValetkeyError): ValetkeyError {
  return error instanceof ValetkeyError ? error : otherwise
}

async function textOf(response: Response): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of response.body ?? []) {
    size += piece.byteLength
    if (size > MOST_BYTES) throw new ValetkeyError('response-too-large', 'the answer is too large')
    pieces.push(piece)
  }
  try {
    // A byte order mark is kept, so that it is found to be no JSON.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces))
  } catch {
    throw new ValetkeyError('bad-answer', 'the answer is not text')
  }
}

/** What is left of an answer once it was judged: all that the library gets to see. */
export interface Judged {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  /** What it challenges the library to do better. */
  readonly challenge?: string | undefined
}

export type Judge = (answer: Answer) => Judged | Promise<Judged>

/** The library's only way out: through the network, and what comes back through a judge. */
export function judgedFetch(network: Network, judge: Judge, now: () => Date): CustomFetch {
  return async (link, { method, headers, body, signal }) => {
    const request = {
      method,
      headers: { ...headers, 'user-agent': 'valetkey' },
      body: body === null || body === undefined ? null : String(body),
      signal,
    }
    const answer = await ask(network, new URL(link), request, { now })
    const { status, body: left, challenge } = await judged(judge, answer)
    const { retryAfter } = answer
    return Response.json(left, {
      status,
      headers: {
        ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
        ...(challenge === undefined ? {} : { 'www-authenticate': challenge }),
      },
    })
  }
}

/** Judges an answer. Whatever is wrong with it, how long to wait is told along with that. */
async function judged(judge: Judge, answer: Answer): Promise<Judged> {
  try {
    return await judge(answer)
  } catch (error) {
    throw error instanceof ValetkeyError ? waiting(error, answer) : error
  }
}

function waiting(error: ValetkeyError, { retryAfter }: Answer): ValetkeyError {
  if (retryAfter === undefined || error.retryAfter !== undefined) return error
  const { code, message, hint } = error
  return new ValetkeyError(code, message, { retryAfter, ...(hint === undefined ? {} : { hint }) })
}

/** Trouble that a status alone tells, before a body is looked at. A redirect is never followed. */
export function refuseTrouble({ status, retryAfter }: Answer): void {
  const more: ErrorMore = retryAfter === undefined ? {} : { retryAfter }
  if (status >= 500) throw new ValetkeyError('server-error', 'the provider has trouble of its own', more)
  if (status === 408)
    throw new ValetkeyError('server-error', 'the provider did not wait for the request', more)
  if (status === 429) throw new ValetkeyError('rate-limited', 'the provider had too many requests', more)
  if (status < 200 || (status >= 300 && status < 400))
    throw new ValetkeyError('bad-answer', `the provider answered ${status}, which leads nowhere`, more)
}
