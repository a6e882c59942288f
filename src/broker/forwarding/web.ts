import { Readable, Writable } from 'node:stream'
import type { ForwardAnswer, ForwardRequest } from '#client'
import type { Caller } from '../../model/caller.ts'
import type { Taker } from '../../model/gateway.ts'
import { forward } from '../forward.ts'
import type { Kit } from '../kit.ts'
import { unpacked, unpacking } from './blinds.ts'

/** Of these a `fetch` makes capital letters; any other method is what it is. */
const USUAL = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']
const BODILESS = [204, 205, 304]

/** The same road for whoever has the streams of the web, where a body is read as it was before it was packed. */
export function forwardWeb(kit: Kit, caller: Caller, request: ForwardRequest): Promise<ForwardAnswer> {
  const { body = null, ...rest } = request
  const method = USUAL.find((one) => one === request.method.toUpperCase()) ?? request.method
  const { promise, resolve, reject } = Promise.withResolvers<ForwardAnswer>()
  const source = body instanceof ReadableStream ? Readable.fromWeb(body, { highWaterMark: 0 }) : body
  const answering = answerTo(method, resolve)
  const over = () => source instanceof Readable && source.destroy()
  forward(kit, caller, { ...rest, method, body: source }, answering)
    .catch((error: unknown) => {
      answering.broken(error)
      reject(error)
    })
    .finally(over)
  return promise
}

interface Answering extends Taker {
  /** The answer has no end. */
  broken(why: unknown): void
}

function answerTo(method: string, resolve: (answer: ForwardAnswer) => void): Answering {
  let broken: (why: unknown) => void = () => {}
  return {
    broken: (why) => broken(why),
    answer(head) {
      const { status, headers } = unpacked(head)
      if (method === 'HEAD' || BODILESS.includes(status)) {
        resolve({ status, headers: head.headers, body: null })
        return nowhere()
      }
      const { into, body, breakOff } = webBody()
      broken = breakOff
      resolve({ status, headers, body })
      return unpacking(head, into)
    },
  }
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() })
}

/** A piece is taken only when one is asked for. */
function webBody() {
  let out: ReadableStreamDefaultController<Uint8Array> | undefined
  let waiting: (() => void) | undefined
  let wanted = false

  function give(): void {
    if (!wanted || waiting === undefined) return
    const next = waiting
    wanted = false
    waiting = undefined
    next()
  }

  const into = new Writable({
    write(piece: Uint8Array, _, done) {
      waiting = () => {
        out?.enqueue(piece)
        done()
      }
      give()
    },
    final(done) {
      out?.close()
      done()
    },
  })
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        out = controller
      },
      pull() {
        wanted = true
        give()
      },
      cancel: () => void into.destroy(),
    },
    { highWaterMark: 0 },
  )
  return { into, body, breakOff: (why: unknown) => out?.error(why) }
}
