import { accountsSection } from './accounts.js'
import { ask, Refusal } from './api.js'
import { showAsks } from './asks.js'
import { bindingsSection } from './bindings.js'
import { announce, byId, el, fill } from './dom.js'
import { flowsSection } from './flows.js'
import { listen } from './live.js'
import { providersSection } from './providers.js'
import { locked, outOfOrder, signedOut } from './still.js'

/** @typedef {import('../../../../client/src/words.ts').Account} Account */
/** @typedef {import('../../../../client/src/words.ts').VaultStatus} VaultStatus */

const TRY_AGAIN_MS = 3000

/** What ends the listening for changes, while there is any. @type {(() => void) | undefined} */
let quiet

/** @type {readonly Account[]} */
let connected = []

/** What each part of the page shows at present. @type {WeakMap<Element, string>} */
const drawn = new WeakMap()

start()
window.addEventListener('hashchange', start)

/** A link that is followed carries a code. It is traded at once, and leaves the address bar before that. */
async function start() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code')
  if (code === null) return show()
  history.replaceState(null, '', location.pathname)
  const entered = await ask('POST', '/api/session', { code }).then(
    () => true,
    () => false,
  )
  await show({ late: !entered })
}

async function show({ late = false } = {}) {
  try {
    const vault = await ask('GET', '/api/vault')
    session(vault.locked)
    if (vault.locked) return still(locked(vault, show))
    await showAll(vault)
    quiet ??= listen({ changed: () => show(), ended: listenAgain })
  } catch (error) {
    session(undefined)
    const stranger = error instanceof Refusal && error.code === 'unauthenticated'
    still(stranger ? signedOut(late) : outOfOrder(error, () => show()))
  } finally {
    byId('main').removeAttribute('aria-busy')
  }
}

/** @param {VaultStatus} vault */
async function showAll({ restored }) {
  const refresh = () => show()
  const [accounts, providers, bindings, asks, flows] = await Promise.all(
    ['accounts', 'providers', 'bindings', 'asks', 'flows'].map((list) => ask('GET', `/api/${list}`)),
  )
  connected = accounts
  put('restored', restored, () => restored && el('p', { class: 'banner', role: 'alert' }, RESTORED))
  showAsks(part('asks'), asks, accounts, refresh)
  put('flows', flows, () => flows.length > 0 && flowsSection(flows, refresh))
  put('accounts', accounts, () => accountsSection(accounts, refresh))
  put('providers', providers, () => providersSection(providers, () => connected, refresh))
  put('bindings', bindings, () => bindingsSection(bindings, refresh))
}

/**
 * Draws a part of the page anew when what it shows has changed, so that nothing moves under the
 * hands of whoever types elsewhere.
 *
 * @param {string} name @param {unknown} shown @param {() => import('./dom.js').Child} draw
 */
function put(name, shown, draw) {
  const state = JSON.stringify(shown)
  const place = part(name)
  if (drawn.get(place) === state) return
  drawn.set(place, state)
  if (place.contains(document.activeElement)) byId('main').focus()
  fill(place, draw())
}

/** Its place on the page, which stays where it was first put. @param {string} name */
function part(name) {
  const main = byId('main')
  /** @type {HTMLElement | null} */
  const found = main.querySelector(`[data-part="${name}"]`)
  if (found !== null) return found
  const made = el('div', { 'data-part': name })
  main.querySelector('.still')?.remove()
  main.append(made)
  return made
}

const RESTORED =
  'An older copy of the vault was put back. If that was you: valetkey vault accept-restore. If it was not, revoke what matters at its provider.'

/** One thing alone. @param {HTMLElement} content */
function still(content) {
  quiet?.()
  quiet = undefined
  fill(byId('main'), content)
}

function listenAgain() {
  quiet = undefined
  setTimeout(show, TRY_AGAIN_MS)
}

/** @param {boolean | undefined} isLocked undefined when nobody is signed in */
function session(isLocked) {
  const leave = el('button', { click: () => andShow('DELETE', '/api/session') }, 'Sign out')
  const lock = el('button', { click: () => andShow('POST', '/api/vault/lock') }, 'Lock')
  fill(byId('session'), isLocked === false && lock, isLocked !== undefined && leave)
}

/** @param {'POST' | 'DELETE'} method @param {string} address */
async function andShow(method, address) {
  await ask(method, address).catch((error) => announce(error.message))
  await show()
}
