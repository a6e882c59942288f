import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { ERRORS, type ErrorCode, type Failure, isErrorCode } from '#client'
import type { Ending } from '../model/callbacks.ts'

// The one script of the page, allowed by its digest. Nothing of the request is ever on the page.
const CLOSE = 'setTimeout(() => window.close(), 2000)'

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText }
main { max-width: 26rem; padding: 2rem; text-align: center }
h1 { font-size: 1.25rem; margin: 0 0 .5rem }
p { margin: 0; opacity: .75 }`

const sha256 = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src ${sha256(STYLE)}; script-src ${sha256(CLOSE)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  connection: 'close',
} as const

export function answer(response: ServerResponse, status: number, page: string): void {
  response.writeHead(status, PAGE_HEADERS).end(page)
}

/** The same for a door that answers with a `Response`. */
export function answerPage(
  status: number,
  page: string,
  more: Readonly<Record<string, string>> = {},
): Response {
  const { connection: _, ...headers } = PAGE_HEADERS
  return new Response(page, { status, headers: { ...headers, ...more } })
}

/** What the person sees in the browser once the sign-in is decided. `app` is whose wish it was. */
export function endingPage({ done, asks, provider, failure }: Ending, app: string): string {
  if (done) return page(`Connected to ${provider}`, `You can close this window and go back to ${app}.`, CLOSE)
  if (asks)
    return page(`One question about ${provider} is left`, `Go back to ${app} and answer it there.`, CLOSE)
  return page(`${provider} was not connected`, `${whyOf(failure)} ${nextFor(failure, app)}`, '')
}

export function strayPage(): string {
  return page('This is not a sign-in under way', 'Go back to where you began, and start again.', '')
}

export function otherBrowserPage(app: string): string {
  const text = `${app} did not begin a sign-in in this browser. If somebody sent you the link, close this window: nothing was connected. If it was you, in a terminal, paste the address of this page there.`
  return page('This browser did not begin the sign-in', text, '')
}

function whyOf(failure: Failure | undefined): string {
  if (failure === undefined || !isErrorCode(failure.code)) return 'The sign-in did not work out.'
  // What stood in the way of what is told by its own words alone.
  return failure.code === 'conflict' ? sentence(failure.detail) : ERRORS[failure.code].says
}

const NEXT: Partial<Record<ErrorCode, (app: string) => string>> = {
  'access-denied': (app) => `If you did not mean that, go back to ${app} and connect it once more.`,
  conflict: (app) => `Go back to ${app}: it says how to keep both, or to replace the one that is there.`,
  'provider-not-configured': (app) => `Go back to ${app}: it says what has to be put right first.`,
  'vendor-policy': (app) => `Go back to ${app}: it says how else to connect it.`,
  cancelled: (app) => `Go back to ${app} if you want to begin anew.`,
  locked: (app) => `Unlock ${app}, and try again.`,
}

function nextFor(failure: Failure | undefined, app: string): string {
  const known = failure !== undefined && isErrorCode(failure.code) ? NEXT[failure.code] : undefined
  return known?.(app) ?? `Go back to ${app} and try again.`
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`
}

function page(title: string, text: string, script: string): string {
  const run = script === '' ? '' : `<script>${script}</script>`
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${STYLE}</style><main><h1>${escaped(title)}</h1><p>${escaped(text)}</p></main>${run}</html>`
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
