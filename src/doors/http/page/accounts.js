import { ask, path } from './api.js'
import { el } from './dom.js'
import { revoke } from './receipt.js'
import { walk } from './walk.js'
import { addressOf, ago, STATES, WARNINGS } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').Account} Account */

/** @param {readonly Account[]} accounts @param {() => unknown} refresh */
export function accountsSection(accounts, refresh) {
  return el(
    'section',
    { 'aria-labelledby': 'accounts' },
    el('h2', { id: 'accounts' }, 'Accounts'),
    el('p', { class: 'lead' }, 'What is kept here. Programs use it without ever holding it.'),
    el(
      'div',
      { class: 'card' },
      accounts.length === 0
        ? el('p', { class: 'empty quiet' }, 'Nothing is connected yet. Choose a provider below.')
        : el('ul', { class: 'rows' }, ...accounts.map((account) => row(account, refresh))),
    ),
  )
}

/** @param {Account} account @param {() => unknown} refresh */
function row(account, refresh) {
  const { displayName, status, reason, warnings, lastUsedAt, forwardOnly } = account
  const address = addressOf(account)
  const why = [reason, ...warnings.map((warning) => WARNINGS[warning])].filter(Boolean).join('; ')
  const { text, style } = STATES[status]
  return el(
    'li',
    { class: 'row' },
    el('div', {}, el('h3', {}, displayName), el('code', {}, address)),
    el(
      'div',
      {},
      el('span', { class: `pill ${style}` }, text),
      forwardOnly && el('span', { class: 'tag' }, 'forward only'),
      why !== '' && el('p', { class: 'small' }, why),
    ),
    el('p', { class: 'quiet small' }, lastUsedAt === null ? 'never used' : `used ${ago(lastUsedAt)}`),
    el('div', { class: 'actions' }, ...buttons(account, address, refresh)),
  )
}

/** @param {Account} account @param {string} address @param {() => unknown} refresh */
function buttons(account, address, refresh) {
  const again = (/** @type {'reconnect' | 'rotate'} */ verb, /** @type {string} */ text, main = false) =>
    el(
      'button',
      {
        class: main ? 'main' : '',
        'aria-label': `${text} ${address}`,
        click: () => walk(`${text} ${address}`, path`/api/accounts/${account.id}/${verb}`, { over: refresh }),
      },
      text,
    )
  if (account.status === 'revoked') return [again('reconnect', 'Reconnect')]
  const renew = account.forwardOnly ? again('rotate', 'Rotate') : refreshButton(account, address, refresh)
  return [
    account.status === 'connected' ? renew : again('reconnect', 'Reconnect', true),
    el('button', { 'aria-label': `Revoke ${address}`, click: () => revoke(account, refresh) }, 'Revoke'),
  ]
}

/** @param {Account} account @param {string} address @param {() => unknown} refresh */
function refreshButton(account, address, refresh) {
  const click = async () => {
    await ask('POST', path`/api/accounts/${account.id}/refresh`).catch(() => {})
    refresh()
  }
  return el('button', { 'aria-label': `Refresh ${address}`, click }, 'Refresh')
}
