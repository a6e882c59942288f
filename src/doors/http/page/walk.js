import { ask, path, Refusal } from './api.js'
import { openDialog, refusalText } from './dialog.js'
import { el } from './dom.js'
import { receiptOf } from './receipt.js'
import { actions, showStep } from './steps.js'
import { addressOf } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').FlowSession} FlowSession */
/** @typedef {import('../../../../client/src/words.ts').FlowAnswer} FlowAnswer */

const LOOK_AGAIN_MS = 1500

/**
 * Walks a sign-in to its end, whatever it asks on the way. Leaving early cancels it.
 *
 * @param {string} title
 * @param {string} begin where it is begun
 * @param {{ request?: object, over: () => unknown }} more
 */
export async function walk(title, begin, { request = {}, over }) {
  /** @type {FlowSession | undefined} */
  let session
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  let open = true
  const box = openDialog(title, async () => {
    open = false
    clearTimeout(timer)
    if (session?.state === 'asking') await ask('DELETE', path`/api/flows/${session.id}`).catch(() => {})
    over()
  })

  /** @param {Promise<FlowSession>} turn */
  async function go(turn) {
    clearTimeout(timer)
    try {
      const next = await turn
      if (!open) return
      const moved =
        JSON.stringify([next.state, next.step]) !== JSON.stringify([session?.state, session?.step])
      session = next
      if (moved || next.step?.ask === 'fill') show(next)
      if (next.state === 'asking' && next.step?.ask !== 'fill') timer = setTimeout(look, LOOK_AGAIN_MS)
    } catch (error) {
      if (open) box.show(refusalText(error), actions(el('button', { click: box.close }, 'Close')))
    }
  }

  function look() {
    if (session !== undefined) go(ask('GET', path`/api/flows/${session.id}`))
  }

  /** @param {FlowAnswer} answer */
  function answer(answer) {
    if (session === undefined) return
    const { id } = session
    box.show(el('p', { class: 'quiet', role: 'status' }, 'One moment…'))
    session = { ...session, step: null }
    go(ask('POST', path`/api/flows/${id}/answer`, answer))
  }

  /** @param {FlowSession} now */
  function show(now) {
    const close = el(
      'button',
      { type: 'button', class: now.state === 'asking' ? '' : 'main', click: box.close },
      now.state === 'asking' ? 'Cancel' : 'Close',
    )
    if (now.step !== null && now.state === 'asking') box.show(showStep(now.step, { answer, leave: close }))
    else box.show(ending(now), actions(close))
  }

  box.show(el('p', { class: 'quiet', role: 'status' }, 'One moment…'))
  await go(ask('POST', begin, request))
}

/** @param {FlowSession} session */
function ending({ state, account, receipt, failure }) {
  if (state === 'done') {
    return el(
      'div',
      { class: 'stack' },
      el('p', { role: 'status' }, account === null ? 'Done.' : `${addressOf(account)} is connected.`),
      receipt !== null && receiptOf(receipt),
    )
  }
  if (failure !== null) return refusalText(new Refusal(failure))
  return el('p', { role: 'status' }, state === 'cancelled' ? 'Cancelled.' : 'This sign-in was interrupted.')
}
