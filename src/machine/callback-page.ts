import { createHash } from 'node:crypto'
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

/** What the person sees in the browser once the sign-in is decided. */
export function endingPage({ done, provider, app, words = '' }: Ending): string {
  if (done) return page(`Connected to ${provider}`, `You can close this window and go back to ${app}.`, CLOSE)
  return page(`${provider} is not connected`, words, '')
}

export function strayPage(): string {
  return page('This is not a sign-in under way', 'Go back to where you began, and start again.', '')
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
