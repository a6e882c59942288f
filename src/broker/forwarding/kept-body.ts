import { setTimeout as pause } from 'node:timers/promises'
import type { Outgoing } from '../../model/network.ts'

const KEPT_BYTES = 1024 * 1024
/** What has not come by then is a stream, and not just on its way. */
const PATIENCE_MS = 1_000

type Body = NonNullable<Outgoing['body']> | null
type Whole = Exclude<Body, ReadableStream>

/** A body that is sent, and may have to be sent once more. */
export interface KeptBody {
  readonly body: Body
  /** All of it; undefined where it is too long to be kept, or goes on and on. */
  whole(): Promise<Whole | undefined>
  /** It is not needed any more. */
  letGo(): void
}

export function keepBody(body: Body): KeptBody {
  if (body instanceof ReadableStream) return keepStream(body)
  const length = typeof body === 'string' ? Buffer.byteLength(body) : (body?.byteLength ?? 0)
  return { body, whole: async () => (length > KEPT_BYTES ? undefined : body), letGo: () => {} }
}

/** Keeps what is read on its way, while it is not too long for that. */
function keepStream(source: ReadableStream<Uint8Array>): KeptBody {
  const reader = source.getReader()
  const settled = Promise.withResolvers<void>()
  let pieces: Uint8Array[] = []
  let size = 0
  let ended = false
  let left = false
  let needed = true

  async function next(): Promise<Uint8Array | undefined> {
    const { done, value } = await reader.read()
    if (done) ended = true
    else if (needed) keep(value)
    if (ended || !needed) settled.resolve()
    return value
  }

  function keep(piece: Uint8Array): void {
    size += piece.byteLength
    // The piece itself goes on to whoever sends it, who may give its memory away.
    if (size <= KEPT_BYTES) pieces.push(Uint8Array.from(piece))
    else forget()
  }

  function forget(): void {
    needed = false
    pieces = []
  }

  /** A provider that answers before it has heard all of it does not read the rest; we do. */
  async function readOn(): Promise<void> {
    while (!ended && needed) await next()
  }

  async function inTime(work: Promise<void>): Promise<void> {
    const over = new AbortController()
    await Promise.race([work, pause(PATIENCE_MS, undefined, { signal: over.signal })]).finally(() =>
      over.abort(),
    )
  }

  return {
    body: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const piece = await next()
          if (piece === undefined) controller.close()
          else controller.enqueue(piece)
        },
        cancel(reason) {
          left = true
          settled.resolve()
          if (!needed) return reader.cancel(reason)
        },
      },
      { highWaterMark: 0 },
    ),
    async whole() {
      await inTime(settled.promise)
      if (left) await inTime(readOn()).catch(forget)
      return ended && needed ? Buffer.concat(pieces) : undefined
    },
    letGo() {
      forget()
      if (left && !ended) reader.cancel().catch(() => undefined)
    },
  }
}
