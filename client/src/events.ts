import type { EventQuery } from './desk.ts'
import { ValetkeyError } from './error.ts'
import { readMessages, type StreamMessage } from './event-stream.ts'
import { errorOf, isRefusal, refusalOf, send, type Wire } from './wire.ts'
import type { ValetkeyEvent } from './words.ts'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5000
/** About twenty seconds: long enough for a restart. */
const TRIES = 7

/**
 * What changes, as it happens. A stream that breaks off is taken up again after the last event that
 * was seen; one that cannot be taken up ends with `broker-gone`.
 */
export async function* eventsBy(wire: Wire, query: EventQuery = {}): AsyncGenerator<ValetkeyEvent> {
  const stop = new AbortController()
  const signal = query.signal === undefined ? stop.signal : AbortSignal.any([query.signal, stop.signal])
  let { after } = query
  let failures = TRIES
  try {
    while (!signal.aborted) {
      try {
        const body = await listen(wire, after, signal)
        failures = 0
        for await (const message of readMessages(body)) {
          after = message.id ?? after
          yield eventOf(message)
        }
      } catch (error) {
        if (signal.aborted) return
        if (failures >= TRIES || !isGone(error)) throw error
      }
      await pause(Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS), signal)
      failures += 1
    }
  } finally {
    stop.abort()
  }
}

async function listen(wire: Wire, after: string | undefined, signal: AbortSignal) {
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (after !== undefined) headers['last-event-id'] = after
  const response = await send(wire, '/api/events', { headers, signal })
  if (isRefusal(response) || !response.ok || response.body === null) throw await refusalOf(response)
  return response.body
}

function eventOf({ event, data }: StreamMessage): ValetkeyEvent {
  const told = parsed(data)
  if (event === 'problem' || told === undefined) throw errorOf(told)
  return told as ValetkeyEvent
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** What breaks off without a word of the door's own. */
function isGone(error: unknown): boolean {
  return !(error instanceof ValetkeyError) || error.code === 'broker-gone'
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
