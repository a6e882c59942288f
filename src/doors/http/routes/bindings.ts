import { binding } from '../../../wire/answers.ts'
import { print } from '../../../wire/print.ts'
import { bindRequest, readBind } from '../../../wire/requests.ts'
import { type App, answers, answersNothing, body, createRoute, named, z } from './route.ts'

const list = createRoute({
  method: 'get',
  path: '/api/bindings',
  operationId: 'listBindings',
  responses: answers(z.array(binding), 'Which caller may use which account, how, until when'),
})

const bind = createRoute({
  method: 'post',
  path: '/api/bindings',
  operationId: 'bind',
  request: { body: body(bindRequest) },
  responses: answers(binding, 'The binding as it now stands'),
})

const unbind = createRoute({
  method: 'delete',
  path: '/api/bindings/{id}',
  operationId: 'unbind',
  request: { params: named },
  responses: answersNothing('The binding is gone'),
})

export function bindingRoutes(app: App): void {
  app.openapi(list, async (c) => c.json(print(await c.var.desk.bindings()), 200))

  app.openapi(bind, async (c) => {
    return c.json(print(await c.var.desk.bind(readBind(c.req.valid('json')))), 200)
  })

  app.openapi(unbind, async (c) => {
    await c.var.desk.unbind(c.req.valid('param').id)
    return c.body(null, 204)
  })
}
