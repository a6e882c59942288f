import { type Duplex, Writable } from 'node:stream'
import type { AnswerHead, Sending, StreamingNetwork } from '../../model/network.ts'
import type { Scrubber } from './scrub.ts'

/** So much of an answer that nobody wants is still read, so that its connection can be used again. */
const READ_AWAY_BYTES = 64 * 1024

/** An answer that has begun, and whose body waits until it is wanted. */
export interface Coming extends AnswerHead {
  /** The other end, where the provider agreed to the upgrade. */
  readonly socket?: Duplex
  /** Resolves when all of it was taken. */
  into(target: Writable, scrub?: Scrubber): Promise<void>
  /** Nobody wants it. */
  drop(): void
}

/** Asks, and resolves as soon as the answer begins. */
export function ask(
  network: StreamingNetwork,
  url: URL,
  request: Sending & { readonly protocol?: string | undefined },
): Promise<Coming> {
  const { promise, resolve, reject } = Promise.withResolvers<Coming>()
  const begun = (head: AnswerHead) => {
    const held = hold()
    resolve({
      ...head,
      into: (target, scrub) => {
        held.open(target, scrub)
        return over
      },
      drop: () => held.open(readAway()),
    })
    return held.body
  }
  const over = send(network, url, request, begun, resolve)
  over.catch(reject)
  return promise
}

async function send(
  network: StreamingNetwork,
  url: URL,
  { protocol, ...request }: Sending & { readonly protocol?: string | undefined },
  begun: (head: AnswerHead) => Writable,
  agreed: (coming: Coming) => void,
): Promise<void> {
  if (protocol === undefined) return network.stream(url, request, begun)
  const switched = await network.upgrade(url, { ...request, protocol }, begun)
  if (switched === undefined) return
  const { socket } = switched
  agreed({ ...switched, into: async () => {}, drop: () => void socket.destroy() })
}

interface Held {
  /** What the answer is written to. It takes no more than a little before it is known where to. */
  readonly body: Writable
  open(target: Writable, scrub?: Scrubber): void
}

function hold(): Held {
  let target: Writable | undefined
  let scrub: Scrubber | undefined
  let waiting: (() => void) | undefined

  function whenOpen(go: (into: Writable) => void): void {
    if (target !== undefined) go(target)
    else waiting = () => target && go(target)
  }

  const body: Writable = new Writable({
    decodeStrings: false,
    write: (chunk: Buffer, _, done) =>
      whenOpen((into) => {
        const piece = scrub === undefined ? chunk : scrub.feed(chunk)
        if (piece.byteLength === 0 || into.write(piece)) done()
        else into.once('drain', done)
      }),
    final: (done) =>
      whenOpen((into) => {
        const rest = scrub?.end()
        if (rest === undefined || rest.byteLength === 0) into.end(done)
        else into.end(rest, done)
      }),
    destroy(error, done) {
      if (!body.writableFinished) target?.destroy()
      done(error)
    },
  })
  // Why it broke off is told where the answer was asked for.
  body.on('error', () => {})

  return {
    body,
    open(into, scrubbing) {
      target = into
      scrub = scrubbing
      if (body.destroyed && !body.writableFinished) return void into.destroy()
      into.once('close', () => body.writableFinished || body.destroy())
      waiting?.()
    },
  }
}

function readAway(): Writable {
  let left = READ_AWAY_BYTES
  return new Writable({
    write(chunk: Buffer, _, done) {
      left -= chunk.byteLength
      if (left >= 0) done()
      else this.destroy()
    },
  })
}
