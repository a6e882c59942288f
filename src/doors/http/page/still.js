import { ask } from './api.js'
import { refusalOf, refusalText } from './dialog.js'
import { el } from './dom.js'
import { formOf } from './steps.js'

/** @typedef {import('../../../../client/src/words.ts').Field} Field */
/** @typedef {import('../../../../client/src/words.ts').VaultStatus} VaultStatus */

/** @param {boolean} late whether a link was followed that is no longer good */
export function signedOut(late) {
  return el(
    'div',
    { class: 'still' },
    el('h2', {}, late ? 'This link is no longer good' : 'Nobody is signed in here'),
    el('p', { class: 'quiet' }, 'A link works once, and for two minutes. Make a new one at the terminal:'),
    el('p', {}, el('code', {}, 'valetkey open')),
  )
}

/** @param {VaultStatus} vault @param {() => unknown} opened */
export function locked({ keySource }, opened) {
  const trouble = el('div')
  /** @type {readonly Field[]} */
  const fields =
    keySource === 'passphrase' ? [{ name: 'passphrase', label: 'Passphrase', kind: 'secret' }] : []
  const form = formOf(fields, 'Unlock', async ({ passphrase }) => {
    try {
      await ask('POST', '/api/vault/unlock', passphrase === undefined ? {} : { passphrase })
      opened()
    } catch (error) {
      form.reset()
      trouble.replaceChildren(refusalText(error))
    }
  })
  return el(
    'div',
    { class: 'still' },
    el('h2', {}, 'The vault is locked'),
    el('p', { class: 'quiet' }, 'Until it is unlocked, nothing can be used by anybody.'),
    form,
    trouble,
  )
}

/** @param {unknown} error @param {() => unknown} again */
export function outOfOrder(error, again) {
  const refusal = refusalOf(error)
  return el(
    'div',
    { class: 'still' },
    el('h2', {}, refusal.message),
    refusal.detail !== refusal.message && el('p', { class: 'quiet' }, refusal.detail),
    refusal.hint !== undefined && el('p', {}, el('code', {}, refusal.hint)),
    el('button', { class: 'main', click: again }, 'Try again'),
  )
}
