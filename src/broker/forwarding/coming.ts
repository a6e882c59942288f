import { type Duplex, Writable } from 'node:stream'
import type { AnswerHead, Sending, StreamingNetwork, Taking } from '../../model/network.ts'
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
    const wanted = Promise.withResolvers<Taking>()
    resolve({
      ...head,
      into: (target, scrub) => {
        wanted.resolve({ into: target, through: scrub })
        return over
      },
      drop: () => wanted.resolve({ into: readAway() }),
    })
    return wanted.promise
  }
  const over = send(network, url, request, begun, resolve)
  over.catch(reject)
  return promise
}

async function send(
  network: StreamingNetwork,
  url: URL,
  { protocol, ...request }: Sending & { readonly protocol?: string | undefined },
  begun: (head: AnswerHead) => Promise<Taking>,
  agreed: (coming: Coming) => void,
): Promise<void> {
  if (protocol === undefined) return network.stream(url, request, begun)
  const switched = await network.upgrade(url, { ...request, protocol }, begun)
  if (switched === undefined) return
  const { socket } = switched
  agreed({ ...switched, into: async () => {}, drop: () => void socket.destroy() })
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
