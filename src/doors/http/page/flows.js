import { ask, path } from './api.js'
import { announce, el } from './dom.js'
import { walk } from './walk.js'
import { addressOf, ago } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').FlowSession} FlowSession */
/** @typedef {import('../../../../client/src/words.ts').FlowStep} FlowStep */

/**
 * The sign-ins under way, at whichever door they were begun, so that each can be gone on with here.
 *
 * @param {readonly FlowSession[]} flows
 * @param {() => unknown} refresh
 */
export function flowsSection(flows, refresh) {
  return el(
    'section',
    { 'aria-labelledby': 'flows' },
    el('h2', { id: 'flows' }, 'Sign-ins under way'),
    el('p', { class: 'lead' }, 'They wait for you, wherever you began them.'),
    el('div', { class: 'card' }, el('ul', { class: 'rows' }, ...flows.map((flow) => row(flow, refresh)))),
  )
}

/** @param {FlowSession} flow @param {() => unknown} refresh */
function row({ id, provider, bucket, step, expiresAt }, refresh) {
  const address = addressOf({ providerId: provider ?? 'an account', bucket })
  return el(
    'li',
    { class: 'row' },
    el('div', {}, el('h3', {}, address)),
    el('p', {}, step === null ? 'is being worked on' : AWAITED[step.ask]),
    el('p', { class: 'quiet small' }, `ends ${ago(expiresAt)}`),
    el(
      'div',
      { class: 'actions' },
      el('button', { 'aria-label': `End the sign-in to ${address}`, click: end }, 'End'),
      el('button', { 'aria-label': `Go on with ${address}`, class: 'main', click: goOn }, 'Go on'),
    ),
  )

  function goOn() {
    return walk(`Connect ${address}`, path`/api/providers/${provider ?? ''}/connect`, {
      taken: id,
      request: { bucket },
      over: refresh,
    })
  }

  async function end() {
    try {
      await ask('DELETE', path`/api/flows/${id}`)
      announce(`The sign-in to ${address} is cancelled.`)
    } catch (error) {
      announce(error instanceof Error ? error.message : 'That did not work.')
    }
    refresh()
  }
}

/** What each waits for; one more step is a type error here. @type {Record<FlowStep['ask'], string>} */
const AWAITED = {
  visit: 'waits for you to sign in',
  'enter-code': 'waits for a code to be entered',
  fill: 'waits for what you fill in',
  wait: 'waits for the provider',
  'hand-over': 'waits for you in the browser',
}
