import { narrowed, valetKey } from '../../../wire/answers.ts'
import { print, printNarrowed } from '../../../wire/print.ts'
import { narrowRequest, readNarrow } from '../../../wire/requests.ts'
import { type App, answers, answersNothing, body, createRoute, named, z } from './route.ts'

const list = createRoute({
  method: 'get',
  path: '/api/keys',
  operationId: 'listKeys',
  responses: answers(z.array(valetKey), 'Those that live: all of the owner, of anybody else what they made'),
})

const narrow = createRoute({
  method: 'post',
  path: '/api/keys',
  operationId: 'narrow',
  request: { body: body(narrowRequest) },
  responses: answers(narrowed, 'A caller that may less than the one who asks'),
})

const end = createRoute({
  method: 'delete',
  path: '/api/keys/{id}',
  operationId: 'endKey',
  request: { params: named },
  responses: answersNothing('It is over, and so are all that it made'),
})

export function keyRoutes(app: App): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'valetKey', {
    type: 'http',
    scheme: 'bearer',
    description: 'A key that was cut here; a socket of Valetkey needs none',
  })

  app.openapi(list, async (c) => c.json(print(await c.var.desk.keys()), 200))

  app.openapi(narrow, async (c) => {
    return c.json(printNarrowed(await c.var.desk.narrow(readNarrow(c.req.valid('json')))), 200)
  })

  app.openapi(end, async (c) => {
    await c.var.desk.endKey(c.req.valid('param').id)
    return c.body(null, 204)
  })
}
