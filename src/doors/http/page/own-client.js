import { ask, Refusal } from './api.js'
import { refusalText } from './dialog.js'
import { announce, el, linkOut } from './dom.js'
import { formOf } from './steps.js'

/** @typedef {import('../../../../client/src/words.ts').Field} Field */
/** @typedef {import('../../../../client/src/words.ts').OwnClient} OwnClient */
/** @typedef {import('../../../../client/src/words.ts').ProviderCard} ProviderCard */
/** @typedef {import('./walk.js').Refused} Refused */

/** @param {ProviderCard} provider */
export function needsOf({ needs, ownClient }) {
  if (needs === 'nothing') return undefined
  const { minutes = null } = ownClient ?? {}
  return `Needs your own client${minutes === null ? '' : `, ${minutes} min`}`
}

/**
 * Where a client of one's own is all that is missing, a form for it stands in the place of the refusal,
 * and the sign-in goes on once it was taken. Where the provider is any server it comes first, so that
 * nobody says twice which one.
 *
 * @param {ProviderCard} provider
 * @returns {(refused: Refused) => HTMLElement | undefined}
 */
export function askForClient({ id, name, needs, ownClient }) {
  return ({ error, request, filled, again, leave }) => {
    if (ownClient === null) return undefined
    const beforehand = error === undefined && needs === 'own-client' && ownClient.asks.length > 0
    const missing = error instanceof Refusal && error.code === 'provider-not-configured'
    if (!beforehand && !missing) return undefined
    const why = missing ? error.detail : `${name} is signed in to by a client of your own`
    const { flow, asks } = ownClient
    const fields = [...asks, CLIENT_ID, CLIENT_SECRET]
    const trouble = el('div')
    const form = formOf(fields, 'Use this client', send, leave)
    for (const { name } of asks) enter(form, name, filled[name])
    // Which server it is comes first: the address to come back to depends on it.
    form.children[asks.length]?.before(guide(ownClient, form))
    form.lastElementChild?.before(trouble)
    return el('div', { class: 'stack' }, el('p', {}, sentence(why, ownClient)), form)

    /** @param {Record<string, string>} values */
    async function send({ clientId = '', clientSecret, ...vars }) {
      const secret = clientSecret === undefined ? {} : { clientSecret }
      try {
        await ask('POST', '/api/registrations', { provider: id, clientId, vars, ...secret })
        again({ ...request, flow, vars: { ...request.vars, ...vars } })
      } catch (error) {
        trouble.replaceChildren(refusalText(error))
        trouble.scrollIntoView({ block: 'nearest' })
      }
    }
  }
}

/** @type {Field} */
const CLIENT_ID = { name: 'clientId', label: 'Client ID', kind: 'text' }

/** @type {Field} */
const CLIENT_SECRET = {
  name: 'clientSecret',
  label: 'Client secret',
  kind: 'secret',
  optional: true,
  hint: 'Kept sealed. Leave it empty where the client has none.',
}

/** @param {string} why @param {OwnClient} guide */
function sentence(why, { minutes }) {
  const first = `${why.slice(0, 1).toUpperCase()}${why.slice(1)}.`
  return minutes === null ? first : `${first} Making one takes about ${minutes} minutes.`
}

/** What is made where, and what is entered there. @param {OwnClient} ownClient @param {HTMLFormElement} form */
function guide({ console, note, redirectUri, scopes }, form) {
  const shown = el('code')
  const fill = () => {
    shown.textContent = filledIn(redirectUri, new FormData(form))
  }
  fill()
  form.addEventListener('input', fill)
  return el(
    'ol',
    { class: 'guide' },
    console !== null && el('li', {}, 'Make a client at ', linkOut(console, bare(console)), '.'),
    note !== null && el('li', {}, note),
    el('li', {}, 'Redirect or callback address to enter there:', copied('the address', shown)),
    scopes.length > 0 &&
      el('li', {}, 'Scopes, where it asks for them:', copied('the scopes', el('code', {}, scopes.join(' ')))),
    el('li', {}, 'Bring back what it shows:'),
  )
}

/** @param {string} what @param {HTMLElement} code */
function copied(what, code) {
  const click = async () => {
    await navigator.clipboard.writeText(code.textContent ?? '').then(
      () => announce(`Copied ${what}.`),
      () => announce('This browser does not let pages copy.'),
    )
  }
  return el(
    'div',
    { class: 'copy' },
    code,
    el('button', { type: 'button', 'aria-label': `Copy ${what}`, click }, 'Copy'),
  )
}

/** What nobody has told yet keeps its name. @param {string} redirectUri @param {FormData} entered */
function filledIn(redirectUri, entered) {
  return redirectUri.replaceAll(/\{(\w+)\}/g, (whole, name) => {
    const value = String(entered.get(name) ?? '').trim()
    return value.replace(/^https?:\/\//, '') || whole
  })
}

/** @param {HTMLFormElement} form @param {string} name @param {string | undefined} value */
function enter(form, name, value) {
  const input = form.elements.namedItem(name)
  if (input instanceof HTMLInputElement && value !== undefined) input.value = value
}

/** @param {string} address */
function bare(address) {
  return address.replace(/^https:\/\//, '')
}
