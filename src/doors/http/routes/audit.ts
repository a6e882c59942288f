import { print } from '../../../wire/print.ts'
import { auditEntry, auditVerdict } from '../../../wire/records.ts'
import { auditQuery, pruneRequest, readAuditQuery } from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, z } from './route.ts'

const read = createRoute({
  method: 'get',
  path: '/api/audit',
  operationId: 'readAudit',
  request: { query: auditQuery },
  responses: answers(z.array(auditEntry), 'The record'),
})

const verify = createRoute({
  method: 'post',
  path: '/api/audit/verify',
  operationId: 'verifyAudit',
  responses: answers(auditVerdict, 'Whether the record is whole'),
})

const prune = createRoute({
  method: 'post',
  path: '/api/audit/prune',
  operationId: 'pruneAudit',
  request: { body: body(pruneRequest) },
  responses: answers(auditVerdict, 'What remains, verified'),
})

export function auditRoutes(app: App): void {
  app.openapi(read, async (c) => {
    return c.json(print(await c.var.desk.audit(readAuditQuery(c.req.valid('query')))), 200)
  })

  app.openapi(verify, async (c) => c.json(print(await c.var.keeper.verifyAudit()), 200))

  app.openapi(prune, async (c) => {
    const before = new Date(c.req.valid('json').before)
    return c.json(print(await c.var.keeper.pruneAudit(before)), 200)
  })
}
