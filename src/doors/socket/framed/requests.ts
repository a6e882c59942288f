import { type Told, tell, told } from './codes.ts'
import { bytesIn, type Frame, frameOf } from './frames.ts'
import type { FrameLimits } from './limits.ts'
import type { Op, Seat } from './ops/op.ts'
import { CANCEL, OPS, speaksCancel } from './ops/ops.ts'
import { paced } from './rate.ts'

/** One request that was taken up. */
interface Running {
  readonly id: string
  /** When it has taken too long. */
  readonly due: number
  /** Its answer, once it has one; it may have to wait for its turn to be written. */
  frame: Buffer | undefined
}

export interface Requests {
  take(frame: Frame): void
  /** Those whose work is not over, answered or not. */
  readonly working: number
}

const LONGEST_ID = 128

/**
 * Answers one connection's requests: in the second version as they are done, in the first in the order in
 * which they came. What is not even taken up is told at once.
 */
export function requestsOf(
  seat: Seat,
  limits: FrameLimits,
  rate: number | undefined,
  write: (frame: Buffer) => void,
  over: () => void,
): Requests {
  const running = new Map<string, Running>()
  const inOrder: Running[] = []
  const pace = paced(rate, () => performance.now())
  let working = 0
  let watching: NodeJS.Timeout | undefined

  function refuse(id: string | null, refusal: Told): void {
    write(frameOf({ id, ...refusal }))
  }

  function settle(one: Running, answer: object): void {
    if (one.frame !== undefined) return
    one.frame = fitting(one.id, answer)
    running.delete(one.id)
    if (seat.version > 1) write(one.frame)
    else writeInOrder()
  }

  function writeInOrder(): void {
    for (let [first] = inOrder; first?.frame !== undefined; [first] = inOrder) {
      write(first.frame)
      inOrder.shift()
    }
  }

  function fitting(id: string, answer: object): Buffer {
    const frame = frameOf({ id, ...answer })
    return bytesIn(frame) <= limits.frameBytes[seat.version]
      ? frame
      : frameOf({ id, ...tell('RESPONSE_TOO_LARGE', 'The answer was too large.') })
  }

  function begin(id: string): Running {
    const one: Running = { id, frame: undefined, due: performance.now() + limits.operationMs }
    running.set(id, one)
    if (watching === undefined) watching = setTimeout(watch, limits.operationMs).unref()
    if (seat.version === 1) inOrder.push(one)
    return one
  }

  /** They come in the order in which they are due, so one timer looks after all of them. */
  function watch(): void {
    const now = performance.now()
    for (const one of running.values()) {
      const left = one.due - now
      if (left > 1) {
        watching = setTimeout(watch, left).unref()
        return
      }
      settle(one, tell('INTERNAL_ERROR', 'This took too long.', 1))
    }
    watching = undefined
  }

  async function work(one: Running, { run, failing }: Op, payload: Frame): Promise<void> {
    working += 1
    const ended = seat.kept.options.begun?.()
    try {
      settle(one, { ok: true, data: await run(seat, payload) })
    } catch (error) {
      settle(one, told(error, failing, seat.version, seat.kept.options.offersNext))
    }
    working -= 1
    ended?.()
    if (working === 0) over()
  }

  function cancel(id: string, { targetId }: Frame): void {
    const target = typeof targetId === 'string' ? running.get(targetId) : undefined
    if (target !== undefined) settle(target, tell('CANCELLED', 'This was cancelled.'))
    write(frameOf({ id, ok: true, data: { cancelled: target !== undefined } }))
  }

  return {
    get working() {
      return working
    },
    take({ v, id, op: name, payload = {} }) {
      if (typeof id !== 'string' || id === '' || id.length > LONGEST_ID)
        return refuse(null, tell('INVALID_REQUEST', 'A request needs an id of its own.'))
      if (v !== undefined && v !== seat.version)
        return refuse(id, tell('INVALID_REQUEST', 'Another version was agreed upon.'))
      if (!isFields(payload)) return refuse(id, tell('INVALID_REQUEST', 'The payload has to be an object.'))
      if (running.has(id)) return refuse(id, tell('INVALID_REQUEST', 'This id is under way already.'))
      if (name === CANCEL && speaksCancel(seat.version)) return cancel(id, payload)
      if (working >= limits.inFlight)
        return refuse(id, tell('RESOURCE_EXHAUSTED', 'Too many requests are under way.', 1))
      const wait = pace()
      if (wait !== undefined) return refuse(id, tell('RATE_LIMITED', 'Too many requests.', wait))
      const op = OPS.get(name)
      if (op === undefined) return refuse(id, tell('INVALID_REQUEST', 'There is no such operation.'))
      void work(begin(id), op, payload)
    },
  }
}

function isFields(payload: unknown): payload is Frame {
  return typeof payload === 'object' && payload !== null && !Array.isArray(payload)
}
