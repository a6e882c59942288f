import { Refusal } from './api.js'
import { byId, el, fill } from './dom.js'

/** @typedef {import('./dom.js').Child} Child */

/** @typedef {{ show: (...children: Child[]) => void, rename: (title: string) => void, close: () => void }} Box */

/**
 * The one dialog. It is closed by its buttons or by Escape; then `left` is told.
 *
 * @param {string} title
 * @param {() => unknown} [left]
 * @returns {Box}
 */
export function openDialog(title, left = () => {}) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('dialog'))
  const heading = el('h2', { id: 'dialog-title', tabindex: -1 }, title)
  const content = el('div', { class: 'stack', 'aria-live': 'polite' })
  fill(dialog, el('div', { class: 'stack' }, heading, content))
  dialog.addEventListener(
    'close',
    () => {
      fill(dialog)
      left()
    },
    { once: true },
  )
  if (!dialog.open) dialog.showModal()
  return {
    show(...children) {
      fill(content, ...children)
      focusFirst(dialog)
    },
    rename(title) {
      heading.textContent = title
    },
    close: () => dialog.close(),
  }
}

/** What is to be filled in, else what leads on, else whatever there is. @param {HTMLDialogElement} dialog */
function focusFirst(dialog) {
  const found = ['input, select', '.main', 'button', 'h2'].map((wanted) => dialog.querySelector(wanted))
  const first = found.find((node) => node !== null)
  if (first instanceof HTMLElement) first.focus()
}

/** What was cancelled was meant so, and is no error. @param {unknown} error */
export function refusalText(error) {
  const { code, message, detail, hint } = refusalOf(error)
  if (code === 'cancelled') return el('p', { role: 'status' }, 'Cancelled.')
  return el(
    'div',
    { class: 'because', role: 'alert' },
    el('p', {}, message),
    detail !== message && el('p', { class: 'small' }, detail),
    hint !== undefined && el('p', { class: 'small' }, 'Next: ', el('code', {}, hint)),
  )
}

/** @param {unknown} error */
export function refusalOf(error) {
  if (error instanceof Refusal) return error
  const detail = 'Something went wrong on this page.'
  return new Refusal({ code: 'internal-error', detail, reaction: 'nothing' })
}
