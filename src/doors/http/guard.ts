import { ValetkeyError } from '#client'
import type { Incoming } from './caller.ts'
import { CALLBACK_PATH } from './page-callbacks.ts'
import { refuse } from './refusals.ts'
import { showsKey } from './shown-keys.ts'

/** The one name of the page. `localhost` may be somebody else's on another address family. */
export function canonicalOrigin(port: number): string {
  return `http://127.0.0.1:${port}`
}

/**
 * What a page of another site can make a browser send to a port of this computer stops here, before
 * anybody asks who is signed in. Undefined lets the request through. `more`: the other headers that keys are
 * shown in.
 */
export function guardLoopback(
  request: Incoming,
  port: number,
  more: readonly string[] = [],
): Response | undefined {
  const url = new URL(request.url)
  if (!isOurs(request.headers.get('host'), port) || !isOurs(url.host, port)) return refuseHost()
  // Providers send browsers there; what comes is judged by its state and by the browser's cookie.
  if (isComingBack(request)) return undefined
  if (!isFromHere(request.headers, port)) return refuseSite()
  if (changesSomething(request.method) && !isDeliberate(request.headers, more)) return refuseUnmarked()
  if (url.pathname === '/' && request.method === 'GET' && url.origin !== canonicalOrigin(port)) {
    return new Response(null, { status: 303, headers: { location: `${canonicalOrigin(port)}/` } })
  }
  return undefined
}

/** To the letter as it was sent, so that no other address can pass for one of these. */
const COMING_BACK = new RegExp(`^http://[^/?#]+${CALLBACK_PATH}/[a-z0-9][a-z0-9._-]*(/[\\w-]+)?([?]|$)`)

function isComingBack({ method, url }: Incoming): boolean {
  return (method === 'GET' || method === 'POST') && COMING_BACK.test(url)
}

function isOurs(host: string | null, port: number): boolean {
  return [`127.0.0.1:${port}`, `[::1]:${port}`, `localhost:${port}`].includes(host ?? '')
}

function isFromHere(headers: Incoming['headers'], port: number): boolean {
  const origin = headers.get('origin')
  const site = headers.get('sec-fetch-site')
  return (
    (origin === null || origin === canonicalOrigin(port)) && site !== 'cross-site' && site !== 'same-site'
  )
}

function changesSomething(method: string): boolean {
  return method !== 'GET' && method !== 'HEAD'
}

/** None of these marks can be put on a request of another site without asking us first, and we never consent. */
function isDeliberate(headers: Incoming['headers'], more: readonly string[]): boolean {
  const type = headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  return type === 'application/json' || headers.get('valetkey-request') === '1' || showsKey(headers, more)
}

function refuseHost(): Response {
  return refuse(new ValetkeyError('not-allowed', 'this is not the name of this computer'), 421)
}

function refuseSite(): Response {
  return refuse(new ValetkeyError('not-allowed', 'requests of other sites are not taken'))
}

function refuseUnmarked(): Response {
  return refuse(
    new ValetkeyError('not-allowed', 'a request that changes something has to be marked', {
      hint: 'send the header Valetkey-Request: 1',
    }),
  )
}
