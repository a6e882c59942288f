import { ask, path } from './api.js'
import { announce, el } from './dom.js'
import { ago, limitsIn } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').Binding} Binding */

/** @param {readonly Binding[]} bindings @param {() => unknown} refresh */
export function bindingsSection(bindings, refresh) {
  return el(
    'section',
    { 'aria-labelledby': 'bindings' },
    el('h2', { id: 'bindings' }, 'Who may use what'),
    el('p', { class: 'lead' }, 'The programs that were let in, and what each of them may do.'),
    el(
      'div',
      { class: 'card' },
      bindings.length === 0
        ? el(
            'p',
            { class: 'empty quiet' },
            'No program was let in yet. At the terminal: ',
            el('code', {}, 'valetkey bind'),
          )
        : el('ul', { class: 'rows' }, ...bindings.map((binding) => row(binding, refresh))),
    ),
  )
}

/** @param {Binding} binding @param {() => unknown} refresh */
function row({ id, caller, address, may, asks, limits, until }, refresh) {
  return el(
    'li',
    { class: 'row' },
    el('div', {}, el('h3', {}, caller), el('code', {}, address)),
    el('p', {}, [`may ${may.join(', ')}`, ...limitsIn(limits)].join(' · ')),
    el('p', { class: 'quiet small' }, `${ASKS[asks]}${until === null ? '' : `, ends ${ago(until)}`}`),
    el(
      'div',
      { class: 'actions' },
      el('button', { 'aria-label': `Remove ${caller} from ${address}`, click: remove }, 'Remove'),
    ),
  )

  async function remove() {
    try {
      await ask('DELETE', path`/api/bindings/${id}`)
      announce(`${caller} may no longer use ${address}.`)
    } catch (error) {
      announce(error instanceof Error ? error.message : 'That did not work.')
    }
    refresh()
  }
}

/** @type {Record<Binding['asks'], string>} */
const ASKS = {
  never: 'without asking',
  'first-use': 'asks at first use',
  always: 'asks every time',
}
