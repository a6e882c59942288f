import type { IncomingMessage, ServerResponse } from 'node:http'
import { ValetkeyError } from '#client'
import type { Page } from './pages/page.ts'

const LONGEST_FORM = 8192

export function show(response: ServerResponse, status: number, { headers, text }: Page): void {
  response.writeHead(status, headers).end(text)
}

export function seeOther(response: ServerResponse, place: string): void {
  response.writeHead(303, { location: place, 'cache-control': 'no-store' }).end()
}

export function showJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers })
    .end(JSON.stringify(body))
}

/**
 * A cookie is not enough: for a browser every port of this computer is the same site, so another
 * local page could send our forms too.
 */
export function isFromOurPage({ headers }: IncomingMessage, { origin }: URL): boolean {
  const site = headers['sec-fetch-site']
  return headers.origin === origin && (site === undefined || site === 'same-origin')
}

export async function formIn(request: IncomingMessage): Promise<URLSearchParams> {
  const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  if (!isForm) throw new ValetkeyError('invalid-request', 'the practice provider was not sent a form')
  let text = ''
  for await (const piece of request.setEncoding('utf8')) {
    text += piece
    if (text.length > LONGEST_FORM) throw new ValetkeyError('too-large', 'the form is too large')
  }
  return new URLSearchParams(text)
}
