import { LIVES, USUAL_LIFE } from '../choices.ts'
import { PEOPLE, type Person } from '../people.ts'
import { html, type Markup } from './html.ts'
import { type Page, page } from './page.ts'

export interface Asking {
  readonly app: string
  readonly scopes: readonly string[]
  /** Who is chosen until the person chooses otherwise. */
  readonly person: Person
  /** Where the browser goes afterwards; undefined for a device, which waits by itself. */
  readonly redirectUri: URL | undefined
}

const IN_WORDS: Readonly<Record<string, string>> = {
  openid: 'know who you are',
  profile: 'see your name and your language',
  email: 'see your e-mail address',
  offline_access: 'renew its access while you are away, until it is revoked',
}

export function consentPage(asking: Asking): Page {
  const { app, redirectUri } = asking
  return page({
    title: `Allow ${app}?`,
    leadsTo: redirectUri === undefined ? [] : placeOf(redirectUri),
    body: html`<form class="card" method="post">
<h1>${app} asks for your practice account</h1>
<p class="soft last">Choose who you are, and how the access shall behave.</p>
<div class="asked"><h2>It will be able to</h2><ul>${asking.scopes.map(inWords)}</ul></div>
<fieldset><legend>You are</legend><div class="choices two">${PEOPLE.map((one) => personChoice(one, asking.person))}</div></fieldset>
<fieldset><legend>Each access token lives</legend><div class="choices four">${[...LIVES].map(lifeChoice)}</div></fieldset>
${asking.scopes.includes('offline_access') ? ROTATION : undefined}
<div class="deeds"><button name="decision" value="deny">Deny</button><button class="main" name="decision" value="allow">Allow</button></div>
</form>
<p class="back">${back(redirectUri)}</p>`,
  })
}

function inWords(scope: string): Markup {
  return html`<li>${IN_WORDS[scope] ?? scope}</li>`
}

function personChoice({ id, name, email }: Person, chosen: Person): Markup {
  return html`<label><input type="radio" name="person" value="${id}"${checked(id === chosen.id)}><span class="face" aria-hidden="true">${name.slice(0, 1)}</span><span class="who">${name}<small>${email}</small></span></label>`
}

function lifeChoice([seconds, words]: readonly [number, string]): Markup {
  return html`<label><input type="radio" name="seconds" value="${seconds}"${checked(seconds === USUAL_LIFE)}>${words}</label>`
}

const ROTATION = html`<fieldset><legend>Refresh tokens</legend><label class="tick"><input type="checkbox" name="rotates" value="yes" checked><span>Rotate at every refresh<small>Each works once. Using an old one again ends the whole grant.</small></span></label></fieldset>`

function checked(yes: boolean): Markup | undefined {
  return yes ? html` checked` : undefined
}

function back(redirectUri: URL | undefined): Markup {
  if (redirectUri === undefined) return html`<small>Your device goes on by itself afterwards.</small>`
  return html`<small>Either way you go back to <code>${redirectUri.host || redirectUri.protocol}</code></small>`
}

/** A host may hold signs that mean something in a policy; with those the browser is not let through. */
function placeOf({ origin, protocol }: URL): readonly string[] {
  const place = origin === 'null' ? protocol : origin
  return /^[a-z][a-z0-9+.-]*:(\/\/[a-z0-9.:[\]-]+)?$/.test(place) ? [place] : []
}
