import { newsOf } from './ask-words.js'
import { announce } from './dom.js'
import { addressOf } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').EventName} EventName */

/** @type {Record<EventName, string>} */
const SAID = {
  connected: 'is connected',
  'needs-reauth': 'has to be connected again',
  expiring: 'will expire soon',
  'rotation-due': 'is due to be rotated',
  revoked: 'was revoked',
  failing: 'has trouble',
}

/**
 * Tells of every change as it happens. The browser resumes by itself after the last event it saw.
 *
 * @param {{ changed: () => unknown, ended: () => unknown }} tell
 * @returns {() => void} what ends it
 */
export function listen({ changed, ended }) {
  const source = new EventSource('/api/events')
  for (const [name, said] of Object.entries(SAID)) {
    source.addEventListener(name, (event) => {
      announce(`${addressOf(JSON.parse(event.data).account)} ${said}.`)
      changed()
    })
  }
  for (const name of /** @type {const} */ (['asked', 'decided'])) {
    source.addEventListener(name, (event) => {
      announce(newsOf(name, JSON.parse(event.data).ask))
      changed()
    })
  }
  source.addEventListener('problem', () => stop())
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) stop()
  })

  function stop() {
    source.close()
    ended()
  }

  return () => source.close()
}
