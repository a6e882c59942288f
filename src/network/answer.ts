import type { fetch } from 'undici'
import { ValetkeyError } from '#client'
import { troubleOf } from './trouble.ts'

type Fetched = Awaited<ReturnType<typeof fetch>>

interface Asked {
  readonly url: URL
  readonly signal: AbortSignal | undefined
  readonly maxBytes: number | undefined
}

/** The codings that were already taken off the body when it is read here. */
const DECODED = new Set(['gzip', 'x-gzip', 'deflate', 'br', 'zstd'])

/** The one place where the library's answer becomes the standard one. */
export function answerOf(fetched: Fetched, asked: Asked): Response {
  if (fetched.status > 599) {
    void fetched.body?.cancel()
    throw new ValetkeyError('bad-answer', `${asked.url.host} answered with status ${fetched.status}`)
  }
  const headers = new Headers([...fetched.headers])
  if (fetched.body && wasDecoded(headers)) {
    headers.delete('content-encoding')
    headers.delete('content-length')
  }
  const body = fetched.body && bodyOf(fetched.body.getReader(), asked)
  return new Response(body, { status: fetched.status, headers })
}

function wasDecoded(headers: Headers): boolean {
  const codings = headers.get('content-encoding')?.toLowerCase().split(',')
  return codings?.every((coding) => DECODED.has(coding.trim())) ?? false
}

/**
 * Takes a piece only when one is asked for. Holding the reader also keeps the stream going when
 * nobody holds its response any more: an unread one is otherwise cut off at the next collection.
 */
function bodyOf(reader: ReadableStreamDefaultReader<Uint8Array>, asked: Asked): ReadableStream<Uint8Array> {
  let left = asked.maxBytes ?? Number.POSITIVE_INFINITY
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw troubleOf(error, asked.url.host, asked.signal)
    })
    if (done) return controller.close()
    left -= value.byteLength
    if (left >= 0) return controller.enqueue(value)
    await reader.cancel()
    throw new ValetkeyError('response-too-large', `${asked.url.host} answered more than is taken`)
  }
  return new ReadableStream({ pull, cancel: (reason) => reader.cancel(reason) }, { highWaterMark: 0 })
}
