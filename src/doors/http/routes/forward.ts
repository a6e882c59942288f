import { type Address, parseAddress, ValetkeyError } from '#client'
import { printForward, readForward } from '../gateway.ts'
import type { App } from './route.ts'

const ROUTE = '/forward/:provider/:bucket/*'

export function forwardRoutes(app: App): void {
  app.all(ROUTE, async (c) => {
    refusePages(c.req.header('sec-fetch-dest'))
    const address = readAddress(c.req.param('provider'), c.req.param('bucket'))
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

/** A browser says what it will do with an answer; ours are never shown, run or framed. */
function refusePages(destination: string | undefined): void {
  if (destination === undefined || destination === 'empty') return
  throw new ValetkeyError('not-allowed', 'what is forwarded is never shown as a page', {
    hint: 'use fetch',
  })
}

function readAddress(provider: string, bucket: string): Address {
  const address = parseAddress(`${provider}/${bucket}`)
  if (address === undefined) throw new ValetkeyError('not-connected', 'no account has such an address')
  return address
}
