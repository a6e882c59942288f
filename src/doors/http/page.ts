import { readFile } from 'node:fs/promises'
import type { MiddlewareHandler } from 'hono'
import { secureHeaders } from 'hono/secure-headers'
import { ValetkeyError } from '#client'
import type { App } from './routes/route.ts'

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}
const ASSET = /^[a-z][a-z-]*\.(css|js|svg)$/

/** The Connection Center as files. There is nothing private in them: what is shown comes from the API. */
export function pageRoutes(app: App, folder: URL): void {
  const shell = shellHeaders()
  app.get('/', shell, async () => asset(folder, 'index.html'))
  app.get('/page/:name', shell, async (c) => {
    const name = c.req.param('name')
    if (!ASSET.test(name)) throw noSuchFile()
    return asset(folder, name)
  })
}

async function asset(folder: URL, name: string): Promise<Response> {
  const bytes = await readFile(new URL(name, folder)).catch(() => Promise.reject(noSuchFile()))
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
  return new Response(bytes, { headers: { 'content-type': type, 'cache-control': 'no-cache' } })
}

function noSuchFile(): ValetkeyError {
  return new ValetkeyError('not-found', 'there is no such file')
}

function shellHeaders(): MiddlewareHandler {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      connectSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
    },
    crossOriginOpenerPolicy: 'same-origin',
    crossOriginResourcePolicy: 'same-origin',
    referrerPolicy: 'no-referrer',
    xContentTypeOptions: 'nosniff',
    xFrameOptions: 'DENY',
    strictTransportSecurity: false,
    xXssProtection: false,
  })
}
