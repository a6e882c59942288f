import type { App } from './route.ts'

/** For whoever watches over the process: whether it lives, and whether it can work. Nothing more is said. */
export function healthRoutes(app: App, ready: () => boolean = () => true): void {
  app.get('/healthz', (c) => c.json({ ok: true }))
  app.get('/readyz', (c) => {
    const ok = ready() && c.env?.closing?.aborted !== true
    return c.json({ ok }, ok ? 200 : 503)
  })
}
