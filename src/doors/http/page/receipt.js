import { ask, path } from './api.js'
import { openDialog, refusalText } from './dialog.js'
import { el, linkOut } from './dom.js'
import { actions } from './steps.js'
import { addressOf, ago } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').Account} Account */
/** @typedef {import('../../../../client/src/words.ts').Receipt} Receipt */

/** @type {Record<Receipt['lines'][number]['state'], string>} */
const FATES = { died: 'gone', queued: 'queued', alive: 'still alive' }

/** What died, and what could not. @param {Receipt} receipt */
export function receiptOf({ lines, livesOn, leasesEnded, bindingsEnded }) {
  const rows = lines.flatMap(({ what, state, how }) => [
    el('dt', { class: state === 'died' ? '' : 'alive' }, FATES[state]),
    el('dd', {}, what, el('p', { class: 'quiet small' }, ...linked(how))),
  ])
  const lent = livesOn.map(({ caller, until }) => {
    const end = until === null ? 'never dies by itself' : `dies by itself ${ago(until)}`
    return el('p', { class: 'small' }, `What ${caller} has of it ${end}.`)
  })
  const ended = `${count(leasesEnded, 'lease')} and ${count(bindingsEnded, 'binding')} ended with it.`
  return el(
    'div',
    { class: 'stack' },
    el('dl', { class: 'receipt' }, ...rows),
    ...lent,
    el('p', { class: 'quiet' }, ended),
  )
}

/** Where a person has to go is a step away. @param {string} text */
function linked(text) {
  const [address] = /https:\/\/\S+$/.exec(text) ?? []
  if (address === undefined || !URL.canParse(address)) return [text]
  return [text.slice(0, -address.length), linkOut(address, address)]
}

/** @param {number} number @param {string} what */
function count(number, what) {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** Asks first, and shows the receipt. @param {Account} account @param {() => unknown} over */
export function revoke(account, over) {
  const address = addressOf(account)
  const box = openDialog(`Revoke ${address}?`, over)

  async function go() {
    box.show(el('p', { class: 'quiet', role: 'status' }, 'Revoking…'))
    const close = el('button', { class: 'main', click: box.close }, 'Close')
    try {
      const receipt = await ask('DELETE', path`/api/accounts/${account.id}`)
      box.rename(`${address} is revoked`)
      box.show(receiptOf(receipt), actions(close))
    } catch (error) {
      box.show(refusalText(error), actions(close))
    }
  }

  box.show(
    el(
      'p',
      {},
      'Every program that uses this account stops at once, and what is kept of it here is destroyed. ' +
        'You get a receipt of what died at the provider and what did not.',
    ),
    actions(
      el('button', { click: box.close }, 'Keep it'),
      el('button', { class: 'danger', click: go }, 'Revoke'),
    ),
  )
}
