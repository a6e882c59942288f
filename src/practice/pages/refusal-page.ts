import { html } from './html.ts'
import { type Page, page } from './page.ts'

/** An error that cannot be told to the client, because nobody knows where it would be. */
export function refusalPage({
  error,
  error_description: why,
}: {
  error: string
  error_description?: string | undefined
}): Page {
  return page({
    title: 'Refused',
    body: html`<section class="card"><h1>This request was refused</h1><p>${why ?? 'The practice provider gave no reason.'}</p><p class="soft last">For the program that sent you here: <code>${error}</code></p></section>`,
  })
}

export function overPage(): Page {
  return said('This sign-in is over', 'Go back to where you began, and start again.')
}

export function notOursPage(): Page {
  return said('This did not come from here', 'Only the pages of the practice provider itself may do that.')
}

export function said(title: string, words: string): Page {
  return page({
    title,
    body: html`<section class="card"><h1>${title}</h1><p class="last">${words}</p></section>`,
  })
}
