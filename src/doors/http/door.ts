import { OpenAPIHono } from '@hono/zod-openapi'
import { ValetkeyError } from '#client'
import { limitedBody } from './body.ts'
import { type Identifying, identified } from './caller.ts'
import { pageRoutes } from './page.ts'
import { misshapen, refuse, refuseMisaddressed } from './refusals.ts'
import { accountRoutes } from './routes/accounts.ts'
import { askRoutes } from './routes/asks.ts'
import { auditRoutes } from './routes/audit.ts'
import { bindingRoutes } from './routes/bindings.ts'
import { bindingBrowsers, type ComingBack, callbackRoutes } from './routes/callback.ts'
import { eventRoutes } from './routes/events.ts'
import { flowRoutes } from './routes/flows.ts'
import { forwardRoutes } from './routes/forward.ts'
import { healthRoutes } from './routes/health.ts'
import { keyRoutes } from './routes/keys.ts'
import { lendingRoutes } from './routes/lending.ts'
import { gatewayRoutes, linkRoutes } from './routes/link.ts'
import { type McpMount, mcpRoutes } from './routes/mcp.ts'
import { providerRoutes } from './routes/providers.ts'
import { registrationRoutes } from './routes/registrations.ts'
import type { App, DoorEnv, Room } from './routes/route.ts'
import { vaultRoutes } from './routes/vault.ts'

export interface HttpDoorOptions extends Identifying {
  readonly version: string
  /** The folder that the Connection Center's files lie in. */
  readonly page?: URL | undefined
  /** Whether what stands behind the door can work; asked by /readyz. */
  readonly ready?: () => boolean
  /** A one-time link to the page; undefined when no page is served. */
  readonly newLink?: () => Promise<URL | undefined>
  /** Where the door is that is open to keys. */
  readonly gateway?: () => Promise<URL | undefined>
  /** Browsers come back here from providers, where that is the operator's wish. */
  readonly comingBack?: ComingBack | undefined
  /** Valetkey's own tools for agents. */
  readonly mcp?: McpMount | undefined
}

export interface HttpDoor {
  fetch(request: Request, env?: DoorEnv): Promise<Response>
}

/** The verbs over HTTP: one set of routes for TCP, for sockets and for whoever hands in a request. */
export function httpDoor(options: HttpDoorOptions): HttpDoor {
  const app: App = new OpenAPIHono<Room>({
    defaultHook: (result) => {
      if (!result.success) throw misshapen(result.error)
    },
  })
  app.onError((error) => refuse(error))
  app.notFound(() => refuse(new ValetkeyError('not-found', 'there is no such address')))

  healthRoutes(app, options.ready)
  if (options.page !== undefined) pageRoutes(app, options.page)
  if (options.comingBack !== undefined) callbackRoutes(app, options.comingBack)
  if (options.mcp !== undefined) mcpRoutes(app, options, options.mcp)
  app.use(identified(options))
  forwardRoutes(app)

  app.use(limitedBody(), async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
    c.header('x-content-type-options', 'nosniff')
  })
  if (options.comingBack !== undefined) app.use(bindingBrowsers(options.comingBack))
  for (const routes of VERBS) routes(app)
  linkRoutes(app, options.newLink)
  gatewayRoutes(app, options.gateway)
  app.doc31('/api/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Valetkey', version: options.version },
    security: [{ valetKey: [] }, {}],
  })
  refuseOtherMethods(app)

  return { fetch: async (request, env = {}) => refuseMisaddressed(request) ?? app.fetch(request, env) }
}

const VERBS = [
  providerRoutes,
  flowRoutes,
  accountRoutes,
  lendingRoutes,
  bindingRoutes,
  keyRoutes,
  askRoutes,
  registrationRoutes,
  auditRoutes,
  eventRoutes,
  vaultRoutes,
]

/** A known address and a method that it does not have. */
function refuseOtherMethods(app: App): void {
  const paths = new Map<string, string[]>()
  for (const { path, method } of app.routes.filter(({ method }) => method !== 'ALL')) {
    paths.set(path, [...(paths.get(path) ?? []), method])
  }
  for (const [path, methods] of paths) {
    const allow = [...new Set(methods)].join(', ')
    app.all(path, () => {
      const refusal = refuse(new ValetkeyError('invalid-request', `only ${allow} is understood here`), 405)
      refusal.headers.set('allow', allow)
      return refusal
    })
  }
}
