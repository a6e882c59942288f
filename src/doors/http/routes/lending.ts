import { endedLease, lease, lent, usage } from '../../../wire/answers.ts'
import { print, printLent } from '../../../wire/print.ts'
import {
  leaseQuery,
  lendRequest,
  readLeaseQuery,
  readLend,
  readUsageQuery,
  usageQuery,
} from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, named, z } from './route.ts'

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
  request: { query: leaseQuery },
  responses: answers(z.array(lease), 'What is lent; or was, and ended within the last day'),
})

const endLease = createRoute({
  method: 'delete',
  path: '/api/leases/{id}',
  operationId: 'endLease',
  request: { params: named },
  responses: answers(endedLease, 'What was cut off, and what lives on all the same'),
})

const listUsage = createRoute({
  method: 'get',
  path: '/api/usage',
  operationId: 'listUsage',
  request: { query: usageQuery },
  responses: answers(z.array(usage), 'How often which account was used, by whom, on which day'),
})

export function lendingRoutes(app: App): void {
  app.openapi(lend, async (c) => {
    return c.json(printLent(await c.var.desk.lend(readLend(c.req.valid('json')))), 200)
  })

  app.openapi(reveal, async (c) => {
    return c.json(printLent(await c.var.desk.reveal(readLend(c.req.valid('json')))), 200)
  })

  app.openapi(leases, async (c) => {
    return c.json(print(await c.var.desk.leases(readLeaseQuery(c.req.valid('query')))), 200)
  })

  app.openapi(endLease, async (c) => {
    return c.json(print(await c.var.desk.endLease(c.req.valid('param').id)), 200)
  })

  app.openapi(listUsage, async (c) => {
    return c.json(print(await c.var.desk.usage(readUsageQuery(c.req.valid('query')))), 200)
  })
}
