import { ValetkeyError } from '#client'
import { flowSession } from '../../../wire/flows.ts'
import { print } from '../../../wire/print.ts'
import { providerCard } from '../../../wire/providers.ts'
import { connectAnyRequest, connectRequest, readConnect } from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, named, z } from './route.ts'

const list = createRoute({
  method: 'get',
  path: '/api/providers',
  operationId: 'listProviders',
  responses: answers(z.array(providerCard), 'Every provider that is known here'),
})

const one = createRoute({
  method: 'get',
  path: '/api/providers/{id}',
  operationId: 'getProvider',
  request: { params: named },
  responses: answers(providerCard, 'The provider'),
})

const connect = {
  method: 'post',
  request: {
    params: z.object({ providerId: z.string().min(1).max(100) }),
    body: body(connectRequest, { required: false }),
  },
  responses: answers(flowSession, 'The sign-in that was begun, with its first step'),
} as const

const connectByKey = createRoute({
  method: 'post',
  path: '/api/connect',
  operationId: 'connectByKey',
  request: { body: body(connectAnyRequest, { required: false }) },
  responses: answers(
    flowSession,
    'The sign-in that was begun; its server’s address or the pasted key names the provider',
  ),
})

export function providerRoutes(app: App): void {
  app.openapi(list, async (c) => c.json(print(await c.var.desk.providers()), 200))

  app.openapi(one, async (c) => {
    const { id } = c.req.valid('param')
    const card = (await c.var.desk.providers()).find((provider) => provider.id === id)
    if (card === undefined) throw unknownProvider()
    return c.json(print(card), 200)
  })

  app.openapi(connectByKey, async (c) =>
    c.json(print(await c.var.desk.connect(readConnect(c.req.valid('json')))), 200),
  )

  for (const prefix of ['/api', '']) {
    const path = `${prefix}/providers/{providerId}/connect` as const
    app.openapi(createRoute({ ...connect, path, hide: prefix === '' }), async (c) => {
      const request = readConnect(c.req.valid('json'), c.req.valid('param').providerId)
      return c.json(print(await c.var.desk.connect(request)), 200)
    })
  }
}

function unknownProvider(): ValetkeyError {
  return new ValetkeyError('unknown-provider', 'no provider has this name', { hint: 'valetkey providers' })
}
