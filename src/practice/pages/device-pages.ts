import { html, type Markup, markup } from './html.ts'
import { type Page, page } from './page.ts'
import { said } from './refusal-page.ts'

/** Where the person types the code that a device shows. */
export function codePage(form: string, wrong: boolean): Page {
  const words = wrong
    ? html`<p role="alert"><b>That code is not valid, or no longer.</b> Look at your device and try again.</p>`
    : html`<p class="soft">Type the code that your device shows.</p>`
  return page({
    title: 'Connect a device',
    body: html`<section class="card"><h1>Connect a device</h1>${words}${formOf(form)}<button class="main" form="op.deviceInputForm">Continue</button></section>`,
  })
}

export function confirmPage(form: string, app: string, code: string): Page {
  return page({
    title: 'Is this your device?',
    body: html`<section class="card"><h1>Is this what your device shows?</h1><p class="code"><code>${code}</code></p>
<p class="soft">${app} asks with this code. If you did not begin this yourself, deny it.</p>${formOf(form)}
<div class="deeds"><button form="op.deviceConfirmForm" name="abort" value="yes">Deny</button><button class="main" form="op.deviceConfirmForm">Continue</button></div></section>`,
  })
}

export function connectedPage(): Page {
  return said('Your device is connected', 'You can close this window.')
}

/** The library's form has a script in an attribute, which the policy of our pages would refuse. */
function formOf(form: string): Markup {
  return markup(form.replace(/ onfocus="[^"]*"/, ' aria-label="Code"').replace(/<\/input>/, ''))
}
