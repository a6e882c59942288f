import { formatAddress, parseAddress, ValetkeyError } from '#client'
import { printForward, readForward } from '../gateway.ts'
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

/** A browser says what it will do with an answer; ours are never shown, run or framed. */
function refusePages(destination: string | undefined): void {
  if (destination === undefined || destination === 'empty') return
  throw new ValetkeyError('not-allowed', 'what is forwarded is never shown as a page', {
    hint: 'use fetch',
  })
}

/** What is no address is for the broker to refuse, so that it is on record. */
function writtenAddress(provider: string, bucket: string): string {
  const written = `${provider}/${bucket}`
  const address = parseAddress(written)
  return address === undefined ? written : formatAddress(address)
}
