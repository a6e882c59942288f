import { printForward, readForward, refusePages, writtenAddress } from '../gateway.ts'
import type { App } from './route.ts'

const ROUTE = '/forward/:provider/:bucket/*'

export function forwardRoutes(app: App): void {
  app.all(ROUTE, async (c) => {
    refusePages(c.req.header('sec-fetch-dest'))
    const address = writtenAddress(c.req.param('provider'), c.req.param('bucket'))
    const answer = await c.var.desk.forward(readForward(c.req.raw, address))
    return printForward(answer, c.env?.abandon)
  })

  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/forward/{provider}/{bucket}/{path}',
    operationId: 'forward',
    description:
      'Does a request of any method at the provider. Another of its hosts: /forward/{provider}/{bucket}/~/{host}/{path}',
    responses: { default: { description: 'What the provider answered' } },
  })
}
