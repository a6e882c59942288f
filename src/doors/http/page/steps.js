import { path } from './api.js'
import { el, linkOut } from './dom.js'

/** @typedef {import('../../../../client/src/words.ts').FlowStep} FlowStep */
/** @typedef {import('../../../../client/src/words.ts').Field} Field */
/** @typedef {import('../../../../client/src/words.ts').FlowAnswer} FlowAnswer */
/** @typedef {{ id: string, answer: (answer: FlowAnswer) => void, leave: HTMLElement }} Walking */

/**
 * Shown for every step that there is; one more of them is a type error here.
 *
 * @type {{ [A in FlowStep['ask']]: (step: Extract<FlowStep, { ask: A }>, walking: Walking) => HTMLElement }}
 */
const SHOWN = {
  visit: ({ url }, { answer, leave }) =>
    stack(
      el('p', {}, 'Sign in at the provider, in a new tab. This page notices when you are back.'),
      linkOut(url, 'Continue to the provider', 'button main'),
      formOf([PASTED], 'Use this address', ({ callback = '' }) => answer({ callback }), leave),
    ),

  'enter-code': ({ code, at, whole, device }, { id, leave }) =>
    stack(
      el('p', {}, 'Enter this code at the provider, on this device or on any other:'),
      el('p', { class: 'code' }, code),
      linkOut(whole ?? at, 'Open the provider’s page', 'button main'),
      el(
        'figure',
        { class: 'scan' },
        el('img', { src: path`/api/flows/${id}/code.svg`, alt: `QR code of ${at}`, width: 132, height: 132 }),
        el(
          'figcaption',
          { class: 'small' },
          'Or scan this with your phone, or open ',
          linkOut(at, bare(at)),
          ' anywhere.',
        ),
      ),
      el(
        'p',
        { class: 'quiet small' },
        device !== undefined && `${device} asks with this code. `,
        'Enter it only if you began this yourself: nobody else has a reason to send you a code.',
      ),
      waiting('Waiting for you to enter it…'),
      actions(leave),
    ),

  fill: ({ fields, because, at }, { answer, leave }) =>
    stack(
      because !== undefined && el('p', { class: 'because', role: 'alert' }, because),
      at !== undefined && el('p', { class: 'small' }, 'You find it at ', linkOut(at, new URL(at).host), '.'),
      formOf(fields, 'Continue', (values) => answer({ fields: values }), leave),
    ),

  wait: (step, { leave }) => stack(waiting(step.for), actions(leave)),

  'hand-over': ({ because }, { leave }) =>
    stack(el('p', {}, because), waiting('Waiting for you to go on in the browser…'), actions(leave)),
}

/** An address as a person types it. @param {string} address */
function bare(address) {
  return address.replace(/^https:\/\//, '')
}

/** @type {Field} */
const PASTED = {
  name: 'callback',
  label: 'Or paste the address you came back to',
  kind: 'text',
}

/** @param {FlowStep} step @param {Walking} walking */
export function showStep(step, walking) {
  const shown = /** @type {(step: FlowStep, walking: Walking) => HTMLElement} */ (SHOWN[step.ask])
  return shown(step, walking)
}

/** @param {...import('./dom.js').Child} children */
function stack(...children) {
  return el('div', { class: 'stack' }, ...children)
}

/** @param {...import('./dom.js').Child} children */
export function actions(...children) {
  return el('div', { class: 'actions' }, ...children)
}

/** @param {string} text */
function waiting(text) {
  return el('p', { class: 'quiet', role: 'status' }, text)
}

/**
 * @param {readonly Field[]} fields
 * @param {string} label
 * @param {(values: Record<string, string>) => void} submit
 * @param {HTMLElement} [beside] a button that does something else
 */
export function formOf(fields, label, submit, beside) {
  const form = el('form', { autocomplete: 'off' }, ...fields.map(fieldOf))
  form.append(actions(beside, el('button', { class: 'main' }, label)))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    submit(valuesOf(form, fields))
  })
  return form
}

/** @param {HTMLFormElement} form @param {readonly Field[]} fields */
function valuesOf(form, fields) {
  const entered = new FormData(form)
  const values = fields.map(({ name, kind }) => {
    const value = String(entered.get(name) ?? '')
    return /** @type {const} */ ([name, kind === 'confirm' ? (value === '' ? 'no' : 'yes') : value])
  })
  return Object.fromEntries(values.filter(([, value]) => value !== ''))
}

/** @param {Field} field */
function fieldOf(field) {
  const { name, kind, hint, optional = false } = field
  const id = `field-${name}`
  const described = hint === undefined ? undefined : `${id}-hint`
  const common = { id, name, required: !optional && kind !== 'confirm', 'aria-describedby': described }
  const label = `${field.label}${optional && kind !== 'confirm' ? ' (optional)' : ''}`
  const below = hint !== undefined && el('p', { class: 'hint', id: `${id}-hint` }, hint)
  if (kind === 'confirm') {
    const box = el('input', { ...common, type: 'checkbox', value: 'yes' })
    return el('div', {}, el('label', { class: 'check' }, box, label), below)
  }
  return el('div', {}, el('label', { for: id }, label), control(field, common), below)
}

/** @param {Field} field @param {Record<string, string | boolean | undefined>} common */
function control({ kind, choices = [], optional = false }, common) {
  if (kind === 'choice') {
    const options = optional ? ['', ...choices] : choices
    return el(
      'select',
      common,
      ...options.map((choice) => el('option', { value: choice }, choice || 'as usual')),
    )
  }
  const typed = { ...common, autocapitalize: 'off', spellcheck: 'false' }
  if (kind === 'secret') return el('input', { ...typed, type: 'password', autocomplete: 'off' })
  const autocomplete = kind === 'code' ? 'one-time-code' : 'off'
  return el('input', { ...typed, type: 'text', autocomplete })
}
