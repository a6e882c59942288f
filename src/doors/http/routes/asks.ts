import type { Ask, Desk } from '../../../model/words.ts'
import { ask } from '../../../wire/answers.ts'
import { print } from '../../../wire/print.ts'
import { askedQuery, askRequest, decideRequest } from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, named, z } from './route.ts'

const say = createRoute({
  method: 'post',
  path: '/api/asks',
  operationId: 'ask',
  request: { body: body(askRequest) },
  responses: answers(ask, 'The ask; the same wish of the same program is one'),
})

const list = createRoute({
  method: 'get',
  path: '/api/asks',
  operationId: 'listAsks',
  responses: answers(z.array(ask), 'What the owner is asked and was asked of late, the latest first'),
})

const one = createRoute({
  method: 'get',
  path: '/api/asks/{id}',
  operationId: 'getAsk',
  request: { params: named, query: askedQuery },
  responses: answers(ask, 'The ask, as soon as it is decided, or as it is after so long'),
})

const decide = createRoute({
  method: 'post',
  path: '/api/asks/{id}/decide',
  operationId: 'decideAsk',
  request: { params: named, body: body(decideRequest) },
  responses: answers(ask, 'The ask as it was decided'),
})

export function askRoutes(app: App): void {
  app.openapi(say, async (c) => c.json(print(await c.var.desk.ask(c.req.valid('json'))), 200))

  app.openapi(list, async (c) => c.json(print(await c.var.desk.asks()), 200))

  app.openapi(one, async (c) => {
    const { id } = c.req.valid('param')
    const { wait = 0 } = c.req.valid('query')
    return c.json(print(await waited(c.var.desk, id, wait, c.env?.closing)), 200)
  })

  app.openapi(decide, async (c) => {
    const { id } = c.req.valid('param')
    return c.json(print(await c.var.desk.decide(id, c.req.valid('json').decision)), 200)
  })
}

/** A door that closes lets nobody wait in it. */
async function waited(desk: Desk, id: string, seconds: number, closing?: AbortSignal): Promise<Ask> {
  if (seconds === 0 || closing === undefined) return desk.asked(id, seconds)
  const { promise, resolve } = Promise.withResolvers<'closing'>()
  const end = () => resolve('closing')
  closing.addEventListener('abort', end)
  try {
    const first = closing.aborted ? 'closing' : await Promise.race([desk.asked(id, seconds), promise])
    return first === 'closing' ? await desk.asked(id) : first
  } finally {
    closing.removeEventListener('abort', end)
  }
}
