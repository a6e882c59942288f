import { flowSession } from '../../../wire/flows.ts'
import { print } from '../../../wire/print.ts'
import { flowAnswer, readFlowAnswer } from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, named } from './route.ts'

const look = createRoute({
  method: 'get',
  path: '/api/flows/{id}',
  operationId: 'getFlow',
  request: { params: named },
  responses: answers(flowSession, 'The sign-in as it stands'),
})

const answer = createRoute({
  method: 'post',
  path: '/api/flows/{id}/answer',
  operationId: 'answerFlow',
  request: { params: named, body: body(flowAnswer) },
  responses: answers(flowSession, 'The sign-in after the answer'),
})

const cancel = createRoute({
  method: 'delete',
  path: '/api/flows/{id}',
  operationId: 'cancelFlow',
  request: { params: named },
  responses: answers(flowSession, 'The sign-in, cancelled'),
})

export function flowRoutes(app: App): void {
  app.openapi(look, async (c) => c.json(print(await c.var.desk.flow(c.req.valid('param').id)), 200))

  app.openapi(answer, async (c) => {
    const session = await c.var.desk.answer(c.req.valid('param').id, readFlowAnswer(c.req.valid('json')))
    return c.json(print(session), 200)
  })

  app.openapi(cancel, async (c) => c.json(print(await c.var.desk.cancel(c.req.valid('param').id)), 200))
}
