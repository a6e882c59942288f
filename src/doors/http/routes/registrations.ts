import { registration } from '../../../wire/answers.ts'
import { print } from '../../../wire/print.ts'
import { readRegister, registerRequest } from '../../../wire/requests.ts'
import { type App, answers, answersNothing, body, createRoute, named, z } from './route.ts'

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
  responses: answers(registration, 'The client that is used from now on'),
})

const unregister = createRoute({
  method: 'delete',
  path: '/api/registrations/{id}',
  operationId: 'unregister',
  request: { params: named },
  responses: answersNothing('The client is forgotten here'),
})

export function registrationRoutes(app: App): void {
  app.openapi(list, async (c) => c.json(print(await c.var.desk.registrations()), 200))

  app.openapi(register, async (c) => {
    return c.json(print(await c.var.desk.register(readRegister(c.req.valid('json')))), 200)
  })

  app.openapi(unregister, async (c) => {
    await c.var.desk.unregister(c.req.valid('param').id)
    return c.body(null, 204)
  })
}
