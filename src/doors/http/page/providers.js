import { path } from './api.js'
import { openDialog } from './dialog.js'
import { el } from './dom.js'
import { askForClient, needsOf } from './own-client.js'
import { formOf } from './steps.js'
import { walk } from './walk.js'
import { categoryOf } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').Account} Account */
/** @typedef {import('../../../../client/src/words.ts').Field} Field */
/** @typedef {import('../../../../client/src/words.ts').ProviderCard} ProviderCard */
/** @typedef {import('../../../../client/src/words.ts').WayIn} WayIn */

/**
 * @param {readonly ProviderCard[]} providers
 * @param {() => readonly Account[]} accounts
 * @param {() => unknown} refresh
 */
export function providersSection(providers, accounts, refresh) {
  const list = el('ul', { class: 'providers' })
  const none = el('p', { class: 'empty quiet', role: 'status' })

  /** @param {string} wanted */
  function show(wanted) {
    const server = serverIn(wanted)
    if (server !== undefined) {
      list.replaceChildren(serverCard(server, refresh))
      none.hidden = true
      return
    }
    const found = providers.filter(({ id, name, aliases }) =>
      [id, name, ...aliases].join(' ').toLowerCase().includes(wanted.toLowerCase()),
    )
    list.replaceChildren(...found.map((provider) => card(provider, { wanted, accounts, refresh })))
    none.textContent = found.length === 0 ? 'No provider has such a name.' : ''
    none.hidden = found.length > 0
  }

  const search = el('input', { id: 'search', type: 'search', autocomplete: 'off', placeholder: 'Search' })
  search.addEventListener('input', () => show(search.value))
  show('')
  return el(
    'section',
    { 'aria-labelledby': 'providers' },
    el('h2', { id: 'providers' }, 'Connect'),
    el(
      'p',
      { class: 'lead' },
      'The providers that are known here; and any MCP server, by its address, which begins with https://.',
    ),
    el('label', { for: 'search' }, 'Find a provider, or give the address of an MCP server'),
    search,
    list,
    none,
  )
}

/** The address of a server, where that is what was written. @param {string} wanted */
function serverIn(wanted) {
  const text = wanted.trim()
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null
  return url === null || url.hostname === '' ? undefined : url
}

/** @param {URL} url @param {() => unknown} refresh */
function serverCard(url, refresh) {
  const title = `Connect ${url.host}`
  const click = () => walk(title, '/api/connect', { request: { provider: url.href }, over: refresh })
  return el(
    'li',
    { class: 'card provider' },
    el('span', { class: 'tile', 'aria-hidden': 'true' }, url.host.slice(0, 1).toUpperCase()),
    el('div', {}, el('h3', {}, url.host), el('p', { class: 'quiet small' }, 'An MCP server')),
    el('button', { 'aria-label': title, click }, 'Connect'),
  )
}

/** @typedef {{ wanted: string, accounts: () => readonly Account[], refresh: () => unknown }} Around */

/** @param {ProviderCard} provider @param {Around} around */
function card(provider, around) {
  const { name, category, from } = provider
  const needs = needsOf(provider)
  return el(
    'li',
    { class: 'card provider' },
    el('span', { class: 'tile', 'aria-hidden': 'true' }, name.slice(0, 1).toUpperCase()),
    el(
      'div',
      {},
      el('h3', {}, name),
      el(
        'p',
        { class: 'quiet small' },
        from === 'yours' ? `${categoryOf(category)}, yours` : categoryOf(category),
      ),
    ),
    el('button', { 'aria-label': `Connect ${name}`, click: () => connect(provider, around) }, 'Connect'),
    needs !== undefined && el('p', { class: 'quiet small needs' }, needs),
  )
}

/**
 * Only what cannot be guessed is asked before the sign-in begins. Whoever looked for the name of one way means it.
 *
 * @param {ProviderCard} provider
 * @param {Around} around
 */
function connect(provider, { wanted, accounts, refresh }) {
  const { id, name, ways } = provider
  const named = wanted.trim().toLowerCase()
  const meant = ways.filter(({ called }) => called.includes(named))
  const usual = ways.filter(({ tried }) => tried === 'by-itself')
  const here = meant.length > 0 ? meant : usual.length > 0 ? usual : ways
  const taken = accounts().some(({ providerId, bucket }) => providerId === id && bucket === 'default')
  const fields = [
    ...(taken ? [BUCKET] : []),
    ...(here.length > 1 ? [wayField(here)] : []),
    ...scopeFields(here),
  ]
  const title = `Connect ${name}`
  const begin = (/** @type {object} */ request) =>
    walk(title, path`/api/providers/${meant.length > 0 ? named : id}/connect`, {
      request,
      over: refresh,
      instead: askForClient(provider),
    })
  if (fields.length === 0) return begin({})
  /** @type {object | undefined} */
  let chosen
  const box = openDialog(title, () => {
    if (chosen !== undefined) begin(chosen)
  })
  const cancel = el('button', { type: 'button', click: box.close }, 'Cancel')
  const form = formOf(
    fields,
    'Continue',
    (values) => {
      chosen = requestOf(values)
      box.close()
    },
    cancel,
  )
  box.show(inWords(form, here))
}

/** @type {Field} */
const BUCKET = {
  name: 'bucket',
  label: 'A name for this account',
  kind: 'text',
  hint: 'There is one already. Lower-case letters, digits, dots and dashes, such as work.',
}

/** Left as it is, the ways are tried in their order. @param {readonly WayIn[]} ways @returns {Field} */
function wayField(ways) {
  const choices = ways.map(({ flow }) => flow)
  return { name: 'flow', label: 'How to sign in', kind: 'choice', choices, optional: true }
}

/** A way is shown by what a person knows it by. @param {HTMLFormElement} form @param {readonly WayIn[]} ways */
function inWords(form, ways) {
  const shown = form.elements.namedItem('flow')
  if (!(shown instanceof HTMLSelectElement)) return form
  for (const option of shown.options)
    option.textContent = ways.find(({ flow }) => flow === option.value)?.label ?? 'whichever works first here'
  return form
}

const SCOPE = 'scope:'

/** What nobody has to give: nothing is ticked beforehand. @param {readonly WayIn[]} ways @returns {Field[]} */
function scopeFields(ways) {
  const optional = ways.flatMap(({ tried, optionalScopes }) => (tried === 'by-itself' ? optionalScopes : []))
  const labels = new Map(optional.map(({ name, label }) => [name, label]))
  return [...labels].map(([name, label]) => ({
    name: `${SCOPE}${name}`,
    label: `Also ask for: ${label}`,
    kind: 'confirm',
    optional: true,
  }))
}

/** @param {Record<string, string>} values */
function requestOf({ bucket, flow, ...ticked }) {
  const scopes = Object.entries(ticked).flatMap(([name, value]) =>
    value === 'yes' && name.startsWith(SCOPE) ? [name.slice(SCOPE.length)] : [],
  )
  return {
    ...(bucket !== undefined && { bucket }),
    ...(flow !== undefined && { flow }),
    ...(scopes.length > 0 && { scopes }),
  }
}
