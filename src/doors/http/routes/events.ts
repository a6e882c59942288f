import { setImmediate as turnOver } from 'node:timers/promises'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'
import type { Desk } from '../../../model/words.ts'
import { event } from '../../../wire/answers.ts'
import { print } from '../../../wire/print.ts'
import { problem } from '../../../wire/problem.ts'
import { type App, createRoute, z } from './route.ts'

/** Often enough that neither side takes a quiet stream for a dead one. */
const HEARTBEAT_MS = 15_000

const events = createRoute({
  method: 'get',
  path: '/api/events',
  operationId: 'streamEvents',
  request: { headers: z.object({ 'last-event-id': z.string().max(200).optional() }) },
  responses: {
    200: {
      description: 'What changes, as it happens; resumes after Last-Event-ID',
      content: { 'text/event-stream': { schema: event } },
    },
  },
})

export function eventRoutes(app: App): void {
  app.openapi(events, async (c) => {
    const after = c.req.valid('header')['last-event-id']
    const signal = AbortSignal.any([c.req.raw.signal, c.env?.closing ?? new AbortController().signal])
    const query = after === undefined ? { signal } : { after, signal }
    const happenings = await begun(c.var.desk.events(query))
    return streamSSE(c, (stream) => tell(stream, happenings, signal))
  })
}

/** Listens already, so that what is refused at once is refused as anything else, and not inside of a stream. */
async function begun(happenings: ReturnType<Desk['events']>): Promise<ReturnType<Desk['events']>> {
  const events = happenings[Symbol.asyncIterator]()
  const first = events.next()
  await Promise.race([first, turnOver()])
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (let next = await first; !next.done; next = await events.next()) yield next.value
      } finally {
        await events.return?.()
      }
    },
  }
}

async function tell(
  stream: SSEStreamingApi,
  happenings: ReturnType<Desk['events']>,
  signal: AbortSignal,
): Promise<void> {
  const heartbeat = setInterval(() => void stream.write(': still here\n\n'), HEARTBEAT_MS)
  const end = () => void stream.close()
  signal.addEventListener('abort', end)
  try {
    await stream.write(': listening\n\n')
    for await (const told of happenings) {
      if (signal.aborted) return
      await stream.writeSSE({ id: told.id, event: told.name, data: JSON.stringify(print(told)) })
    }
  } catch (error) {
    await stream.writeSSE({ event: 'problem', data: JSON.stringify(problem(error)) })
  } finally {
    clearInterval(heartbeat)
    signal.removeEventListener('abort', end)
  }
}
