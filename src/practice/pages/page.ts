import { createHash } from 'node:crypto'
import { html, type Markup, markup, textOf } from './html.ts'
import { STYLE } from './style.ts'

export interface Page {
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** For where the library asks for a page. */
  onto(ctx: { set(headers: Record<string, string>): void; body: unknown }): void
}

interface PageParts {
  readonly title: string
  readonly body: Markup
  /** Where an answer to one of its forms may lead to, besides the practice provider itself. */
  readonly leadsTo?: readonly string[]
  /** Shows itself again after so many seconds. */
  readonly againAfter?: number
}

const STYLE_DIGEST = createHash('sha256').update(STYLE).digest('base64')

export function page({ title, body, leadsTo = [], againAfter }: PageParts): Page {
  const text = textOf(whole(title, body))
  const headers = headersFor(leadsTo, againAfter)
  return {
    headers,
    text,
    onto: (ctx) => {
      ctx.set(headers)
      ctx.body = text
    },
  }
}

function whole(title: string, body: Markup): Markup {
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Practice provider</title>
<style>${markup(STYLE)}</style>
<main>
<header><span class="mark" aria-hidden="true"></span><div><b>Practice provider</b><small>For practice, on this computer only.</small></div></header>
${body}
</main>
</html>`
}

/**
 * A browser also holds the redirects that follow a form to `form-action`. Under the referrer policy
 * `no-referrer` it would not say from which origin a form comes, so here it is `same-origin`.
 */
function headersFor(leadsTo: readonly string[], againAfter: number | undefined): Record<string, string> {
  const forms = ["'self'", ...leadsTo].join(' ')
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_DIGEST}'; form-action ${forms}; base-uri 'none'; frame-ancestors 'none'`,
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cache-control': 'no-store',
    ...(againAfter === undefined ? {} : { refresh: String(againAfter) }),
  }
}
