import type { CustomFetch } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Network, Outgoing } from '../model/network.ts'

const MOST_BYTES = 1024 * 1024
const ASK_SECONDS = 60

/** A whole answer, before anything of it is believed. */
export interface Answer {
  readonly status: number
  /** The media type alone, in lower case. */
  readonly type: string
  readonly text: string
}

/** One request and its whole answer, within limits of size and time. Throws the network's own codes. */
export async function ask(network: Network, url: URL, request: Outgoing = {}): Promise<Answer> {
  const headers = { accept: 'application/json', 'user-agent': 'valetkey' }
  const limit = AbortSignal.timeout(ASK_SECONDS * 1000)
  const signal = request.signal ? AbortSignal.any([request.signal, limit]) : limit
  try {
    const response = await network.fetch(url, { headers, ...request, signal })
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
    return { status: response.status, type: type.trim().toLowerCase(), text: await textOf(response) }
  } catch (error) {
    if (error instanceof ValetkeyError) throw error
    throw new ValetkeyError('network-error', `${url.host} could not be reached`)
  }
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
}

export type Judge = (answer: Answer) => Judged | Promise<Judged>

/** The library's only way out: through the network, and what comes back through a judge. */
export function judgedFetch(network: Network, judge: Judge): CustomFetch {
  return async (link, { method, headers, body, signal }) => {
    const { status, body: left } = await judge(
      await ask(network, new URL(link), {
        method,
        headers: { ...headers, 'user-agent': 'valetkey' },
        body: body === null || body === undefined ? null : String(body),
        signal,
      }),
    )
    return Response.json(left, { status })
  }
}

/** Trouble that a status alone tells, before a body is looked at. A redirect is never followed. */
export function refuseTrouble({ status }: Answer): void {
  if (status >= 500) throw new ValetkeyError('server-error', 'the provider has trouble of its own')
  if (status === 429) throw new ValetkeyError('rate-limited', 'the provider had too many requests')
  if (status < 200 || (status >= 300 && status < 400))
    throw new ValetkeyError('bad-answer', `the provider answered ${status}, which leads nowhere`)
}
