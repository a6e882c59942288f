import { receiptLine, registered, registration } from '../../../wire/answers.ts'
import { print } from '../../../wire/print.ts'
import { readRegister, readUnregister, registerRequest, unregisterQuery } from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, named, z } from './route.ts'

const list = createRoute({
  method: 'get',
  path: '/api/registrations',
  operationId: 'listRegistrations',
  responses: answers(z.array(registration), 'Our clients at the providers; never a secret'),
})

const register = createRoute({
  method: 'post',
  path: '/api/registrations',
  operationId: 'register',
  request: { body: body(registerRequest) },
  responses: answers(registered, 'The client that is used from now on'),
})

const unregister = createRoute({
  method: 'delete',
  path: '/api/registrations/{id}',
  operationId: 'unregister',
  request: { params: named, query: unregisterQuery },
  responses: answers(receiptLine, 'The client is forgotten here; what became of it at the provider'),
})

export function registrationRoutes(app: App): void {
  app.openapi(list, async (c) => c.json(print(await c.var.desk.registrations()), 200))

  app.openapi(register, async (c) => {
    return c.json(print(await c.var.desk.register(readRegister(c.req.valid('json')))), 200)
  })

  app.openapi(unregister, async (c) => {
    const request = readUnregister(c.req.valid('query'))
    return c.json(print(await c.var.desk.unregister(c.req.valid('param').id, request)), 200)
  })
}
