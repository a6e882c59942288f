import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { ValetkeyError } from '#client'

const KEPT_BYTES = 1024 * 1024
/** What is signed is held in memory. */
const MOST_SIGNED_BYTES = 16 * 1024 * 1024
/** What has not come by then is a stream, and not just on its way. */
const PATIENCE_MS = 1_000

export type Body = Readable | Uint8Array | string | null
type Whole = Exclude<Body, Readable>

/** A body that is sent, and may have to be sent once more. */
export interface KeptBody {
  readonly body: Body
  /** All of it; undefined where it is too long to be kept, or goes on and on. */
  whole(): Promise<Whole | undefined>
  /** It is not needed any more. */
  letGo(): void
}

/** All of a body that has to be there before it is sent. Throws `invalid-request` for what is too long for that. */
export async function wholeOf(body: Body, signal: AbortSignal): Promise<Whole> {
  if (!(body instanceof Readable)) return body
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    signal.throwIfAborted()
    size += piece.byteLength
    if (size > MOST_SIGNED_BYTES)
      throw new ValetkeyError('invalid-request', 'this body is too long to be signed', {
        hint: 'send it in parts',
      })
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

export function keepBody(body: Body, needed: boolean): KeptBody {
  if (body instanceof Readable) return keepStream(body, needed)
  const length = typeof body === 'string' ? Buffer.byteLength(body) : (body?.byteLength ?? 0)
  return { body, whole: async () => (length > KEPT_BYTES ? undefined : body), letGo: () => {} }
}

/**
 * Keeps what is read on its way, while it is not too long for that. What is sent is a stream of its own: a
 * provider which breaks it off does not break off whoever stands behind the source, and is still to be heard.
 */
function keepStream(source: Readable, isNeeded: boolean): KeptBody {
  const settled = Promise.withResolvers<void>()
  let pieces: Uint8Array[] = []
  let size = 0
  let ended = false
  let left = false
  let needed = isNeeded

  const sent = new Readable({
    read: () => void source.resume(),
    destroy(error, done) {
      left = true
      settled.resolve()
      source.pause()
      done(error)
    },
  })
  source.on('data', (piece: Uint8Array) => {
    if (needed) keep(piece)
    if (!left && !sent.push(piece)) source.pause()
  })
  source.once('end', () => {
    ended = true
    settled.resolve()
    sent.push(null)
  })
  source.once('close', () => {
    settled.resolve()
    if (!ended) sent.destroy(source.errored ?? new Error('the body broke off'))
  })
  source.on('error', () => {})
  source.pause()
  if (source.destroyed) sent.destroy(new Error('the body broke off'))

  function keep(piece: Uint8Array): void {
    size += piece.byteLength
    if (size <= KEPT_BYTES) pieces.push(piece)
    else forget()
    if (!needed) settled.resolve()
  }

  function forget(): void {
    needed = false
    pieces = []
  }

  async function inTime(work: Promise<void>): Promise<void> {
    const over = new AbortController()
    await Promise.race([work, pause(PATIENCE_MS, undefined, { signal: over.signal })]).finally(() =>
      over.abort(),
    )
  }

  /** A provider that answers before it has heard all of it does not read the rest; we do. */
  function readOn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    for (const event of ['end', 'close']) source.once(event, () => resolve())
    source.on('data', () => needed || resolve())
    source.resume()
    return promise
  }

  return {
    body: sent,
    async whole() {
      await inTime(settled.promise)
      if (left && !ended && needed) await inTime(readOn()).catch(forget)
      return ended && needed ? Buffer.concat(pieces) : undefined
    },
    letGo: forget,
  }
}
