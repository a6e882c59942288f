import { ask, path } from './api.js'
import { named, nameOf, newsOf, parted, programOf, sentence, wishOf } from './ask-words.js'
import { announce, el, fill } from './dom.js'
import { addressOf } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').Account} Account */
/** @typedef {import('../../../../client/src/words.ts').Ask} Ask */
/** @typedef {import('../../../../client/src/words.ts').Decision} Decision */

/** What has just moved is not what somebody meant to press. */
const SETTLING_MS = 700
const LAPSED_MS = 500

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** What may be said, and how it is read out. @type {readonly (readonly [Decision, string, string])[]} */
const ANSWERS = [
  ['no', 'Refuse', 'Refuse'],
  ['once', 'Once', 'Allow once'],
  ['ten-minutes', '10 minutes', 'Allow for ten minutes'],
  ['always', 'Always', 'Allow always'],
]

/** @type {ReturnType<typeof setTimeout> | undefined} */
let lapsing

/**
 * What waits for an answer, the oldest first; nothing at all where nobody asks. Those that were there stay
 * the same elements in the same order, so that neither the focus nor a button moves without need.
 *
 * @param {HTMLElement} part @param {readonly Ask[]} all @param {readonly Account[]} accounts @param {() => unknown} refresh
 */
export function showAsks(part, all, accounts, refresh) {
  const pending = all.filter(({ state }) => state === 'pending').toReversed()
  clearTimeout(lapsing)
  if (pending.length === 0) return leave(part)
  const list = part.querySelector('ul') ?? begin(part)
  const known = new Map([...list.children].map((row) => [row.getAttribute('data-ask'), row]))
  const addresses = accounts.flatMap((account) => [addressOf(account), account.id])
  const rows = pending.map((one) => {
    const row = known.get(`${one.id} ${addresses.includes(one.address)}`)
    return row ?? rowOf(one, addresses.includes(one.address), refresh)
  })
  const before = [...list.children]
  if (rows.length !== before.length || rows.some((row, at) => row !== before[at])) settle(part)
  for (const row of before) if (!rows.some((one) => one === row)) remove(row, part)
  for (const row of rows) if (row.parentElement === null) list.append(row)
  lapsing = setTimeout(refresh, Math.max(0, firstEnd(pending) - Date.now()) + LAPSED_MS)
}

/** @param {HTMLElement} part */
function begin(part) {
  const list = el('ul', { class: 'rows' })
  const heading = el('h2', { id: 'asks', tabindex: -1 }, 'Waiting for your answer')
  const lead = el(
    'p',
    { class: 'lead' },
    'Programs that want to use an account. Nothing happens until you say so.',
  )
  fill(
    part,
    el('section', { 'aria-labelledby': 'asks' }, heading, lead, el('div', { class: 'card asking' }, list)),
  )
  return list
}

/** @param {HTMLElement} part */
function leave(part) {
  if (part.contains(document.activeElement)) document.getElementById('main')?.focus()
  fill(part)
}

/** The focus stays among what is asked, and never on an answer. @param {Element} row @param {HTMLElement} part */
function remove(row, part) {
  if (row.contains(document.activeElement)) part.querySelector('h2')?.focus()
  row.remove()
}

/** @param {HTMLElement} part */
function settle(part) {
  const since = String(Date.now())
  part.dataset['settling'] = since
  setTimeout(() => {
    if (part.dataset['settling'] === since) delete part.dataset['settling']
  }, SETTLING_MS)
}

/** @param {Ask} asked @param {boolean} isThere @param {() => unknown} refresh */
function rowOf(asked, isThere, refresh) {
  const { id, reason, who, until } = asked
  const trouble = el('p', { class: 'small because', role: 'alert', hidden: true })
  const origin = [
    who.executable !== null && parted(who.executable)[0],
    who.chain.length > 1 && `under ${who.chain.slice(1).map(named).join(', ')}`,
    who.uid === null ? 'user unknown' : `user ${who.uid}`,
    until !== null && `answer by ${clock.format(new Date(until))}`,
  ]
  const row = el(
    'li',
    { class: 'row', 'data-ask': `${id} ${isThere}` },
    el(
      'div',
      { class: 'wish' },
      el('h3', {}, `${nameOf(asked)} wants to ${wishOf(asked)}`),
      el('p', {}, `“${reason}”`),
      el('p', { class: 'quiet small' }, el('code', {}, programOf(asked))),
      el('p', { class: 'quiet small' }, origin.filter(Boolean).join(' · ')),
      !isThere &&
        el('p', { class: 'small missing' }, `There is no account at ${asked.address}: connect it first.`),
      trouble,
    ),
    el(
      'div',
      { class: 'actions answers' },
      ...ANSWERS.filter(([said]) => isThere || said === 'no').map(button),
    ),
  )
  return row

  /** @param {readonly [Decision, string, string]} answer */
  function button([decision, text, aloud]) {
    const label = `${aloud}: ${nameOf(asked)}, ${wishOf(asked)}`
    return el(
      'button',
      { class: decision === 'once' ? 'main' : '', 'aria-label': label, click: () => say(decision) },
      text,
    )
  }

  /** @param {Decision} decision */
  async function say(decision) {
    const isSettling = row.closest('[data-settling]') !== null
    if ((isSettling && decision !== 'no') || row.hasAttribute('aria-busy')) return
    row.setAttribute('aria-busy', 'true')
    try {
      announce(newsOf('decided', await ask('POST', path`/api/asks/${id}/decide`, { decision })))
    } catch (error) {
      row.removeAttribute('aria-busy')
      trouble.textContent = error instanceof Error ? sentence(error.message) : 'That did not work.'
      trouble.hidden = false
    }
    refresh()
  }
}

/** @param {readonly Ask[]} pending */
function firstEnd(pending) {
  return Math.min(
    ...pending.map(({ until }) => (until === null ? Number.POSITIVE_INFINITY : Date.parse(until))),
  )
}
