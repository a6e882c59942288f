import { ValetkeyError } from '#client'
import { type Caller, isOwner } from '../../../model/caller.ts'
import { type App, answers, createRoute, z } from './route.ts'

const link = createRoute({
  method: 'post',
  path: '/api/session/link',
  operationId: 'newLink',
  responses: answers(z.strictObject({ url: z.url() }), 'A link to the page, good once and for two minutes'),
})

const gateway = createRoute({
  method: 'get',
  path: '/api/gateway',
  operationId: 'gateway',
  responses: answers(z.strictObject({ url: z.url() }), 'Where requests are taken from whoever shows a key'),
})

/** Where the door is that is open to keys. Its port is opened when it is first asked for. */
export function gatewayRoutes(app: App, place: () => Promise<URL | undefined> = async () => undefined): void {
  app.openapi(gateway, async (c) => {
    const url = await place()
    if (url !== undefined) return c.json({ url: url.origin }, 200)
    throw new ValetkeyError('not-found', 'no port is open to keys', { hint: 'valetkey serve' })
  })
}

export function linkRoutes(app: App, newLink: () => Promise<URL | undefined> = async () => undefined): void {
  app.openapi(link, async (c) => {
    refuseUnlessLocal(c.var.caller)
    const url = await newLink()
    if (url === undefined) {
      throw new ValetkeyError('not-found', 'no page is being served', { hint: 'valetkey serve' })
    }
    return c.json({ url: url.href }, 200)
  })
}

/** A link lets its holder in as the owner, so a page that got in by one cannot make more of them. */
function refuseUnlessLocal(caller: Caller): void {
  if (isOwner(caller) && caller.proof.uid !== undefined) return
  throw new ValetkeyError('not-allowed', 'a link is made at the terminal only', { hint: 'valetkey open' })
}
