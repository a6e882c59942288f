import { lease, lent } from '../../../wire/answers.ts'
import { print, printLent } from '../../../wire/print.ts'
import { lendRequest, readLend } from '../../../wire/requests.ts'
import { type App, answers, answersNothing, body, createRoute, named, z } from './route.ts'

const lend = createRoute({
  method: 'post',
  path: '/api/lend',
  operationId: 'lend',
  request: { body: body(lendRequest) },
  responses: answers(lent, 'What was lent, and when it is dead'),
})

const reveal = createRoute({
  method: 'post',
  path: '/api/reveal',
  operationId: 'reveal',
  request: { body: body(lendRequest) },
  responses: answers(lent, 'A standing secret, handed out because the owner said so'),
})

const leases = createRoute({
  method: 'get',
  path: '/api/leases',
  operationId: 'listLeases',
  responses: answers(z.array(lease), 'What is lent'),
})

const endLease = createRoute({
  method: 'delete',
  path: '/api/leases/{id}',
  operationId: 'endLease',
  request: { params: named },
  responses: answersNothing('The lease is over'),
})

export function lendingRoutes(app: App): void {
  app.openapi(lend, async (c) => {
    return c.json(printLent(await c.var.desk.lend(readLend(c.req.valid('json')))), 200)
  })

  app.openapi(reveal, async (c) => {
    return c.json(printLent(await c.var.desk.reveal(readLend(c.req.valid('json')))), 200)
  })

  app.openapi(leases, async (c) => c.json(print(await c.var.desk.leases()), 200))

  app.openapi(endLease, async (c) => {
    await c.var.desk.endLease(c.req.valid('param').id)
    return c.body(null, 204)
  })
}
