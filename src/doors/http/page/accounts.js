import { ask, path } from './api.js'
import { openDialog, refusalOf, refusalText } from './dialog.js'
import { el } from './dom.js'
import { revoke } from './receipt.js'
import { actions } from './steps.js'
import { walk } from './walk.js'
import { wayToRenew } from './ways.js'
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
  const { displayName, status, reason, warnings, missingScopes, lastUsedAt, forwardOnly } = account
  const address = addressOf(account)
  const told = warnings.map((warning) =>
    warning === 'missing-scopes' ? `${WARNINGS[warning]}: ${missingScopes.join(', ')}` : WARNINGS[warning],
  )
  const why = [reason, ...told].filter(Boolean).join('; ')
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
        click: () => signIn(verb, text, account, refresh),
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

/** @param {'reconnect' | 'rotate'} verb @param {string} text @param {Account} account @param {() => unknown} over */
function signIn(verb, text, account, over) {
  return walk(`${text} ${addressOf(account)}`, path`/api/accounts/${account.id}/${verb}`, { over })
}

/** @param {Account} account @param {string} address @param {() => unknown} refresh */
function refreshButton(account, address, refresh) {
  const click = async () => {
    try {
      await ask('POST', path`/api/accounts/${account.id}/refresh`)
      refresh()
    } catch (error) {
      notRenewed(refusalOf(error), { account, again: click, refresh })
    }
  }
  return el('button', { 'aria-label': `Refresh ${address}`, click }, 'Refresh')
}

/**
 * Says why, and leads on. What comes next is begun when this dialog has closed: there is one alone.
 *
 * @param {import('./api.js').Refusal} refusal
 * @param {{ account: Account, again: () => unknown, refresh: () => unknown }} more
 */
function notRenewed(refusal, { account, again, refresh }) {
  /** @type {(() => unknown) | undefined} */
  let next
  const box = openDialog(`${addressOf(account)} was not refreshed`, () => {
    refresh()
    next?.()
  })
  const text = wayToRenew(refusal)
  const isOver = refusal.reaction === 'reconnect'
  const goOn = () => {
    next = isOver ? () => signIn('reconnect', 'Reconnect', account, refresh) : again
    box.close()
  }
  const close = el('button', { type: 'button', click: box.close }, 'Close')
  const on = text !== undefined && el('button', { type: 'button', class: 'main', click: goOn }, text)
  box.show(refusalText(refusal), actions(on, close))
}
