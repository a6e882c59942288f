import { ask, path, Refusal } from './api.js'
import { openDialog, refusalOf, refusalText } from './dialog.js'
import { el } from './dom.js'
import { receiptOf } from './receipt.js'
import { actions, showStep } from './steps.js'
import { waysOn } from './ways.js'
import { addressOf } from './words.js'

/** @typedef {import('../../../../client/src/words.ts').FlowSession} FlowSession */
/** @typedef {import('../../../../client/src/words.ts').FlowAnswer} FlowAnswer */
/** @typedef {import('../../../../client/src/words.ts').Way} Way */

/** @typedef {{ provider?: string, bucket?: string, flow?: string, vars?: Record<string, string>, scopes?: string[], insist?: boolean }} Request */

/**
 * What was refused, with what was filled in so far, and how to begin anew. Before it was begun, no error.
 *
 * @typedef {object} Refused
 * @property {unknown} error
 * @property {Request} request
 * @property {Readonly<Record<string, string>>} filled
 * @property {(request: Request) => unknown} again
 * @property {HTMLElement} leave a button that leaves it at that
 */

const LOOK_AGAIN_MS = 1500

/**
 * Walks a sign-in to its end, whatever it asks on the way. Leaving early cancels it, unless it was begun at
 * another door and only taken up here.
 *
 * @param {string} title
 * @param {string} begin where it is begun
 * @param {object} more
 * @param {Request} [more.request]
 * @param {string} [more.taken] the id of one that is under way already
 * @param {() => unknown} more.over
 * @param {(refused: Refused) => HTMLElement | undefined} [more.instead] what else is shown, also beforehand
 */
export async function walk(title, begin, { request = {}, taken, over, instead = () => undefined }) {
  /** @type {Record<string, string>} */
  const filled = { ...request.vars }
  /** @type {FlowSession | undefined} */
  let session
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  let open = true
  const box = openDialog(title, async () => {
    open = false
    clearTimeout(timer)
    if (session?.state === 'asking' && session.id !== taken)
      await ask('DELETE', path`/api/flows/${session.id}`).catch(() => {})
    over()
  })

  /** @param {Promise<FlowSession>} turn */
  async function go(turn) {
    clearTimeout(timer)
    try {
      took(await turn)
    } catch (error) {
      // What was refused may have changed nothing: then the same is asked again, and why is said above it.
      const now = session && (await ask('GET', path`/api/flows/${session.id}`).catch(() => undefined))
      if (now?.state === 'asking') took(now, error)
      else if (open)
        box.show(
          instead({ error, request, filled, again: start, leave: closing('Cancel') }) ??
            el(
              'div',
              { class: 'stack' },
              refusalText(error),
              actions(...ways(refusalOf(error)), closing('Close')),
            ),
          otherWay(refusalOf(error).instead),
        )
    }
  }

  /** @param {FlowSession} next @param {unknown} [refused] */
  function took(next, refused) {
    if (!open) return
    const moved = shownOf(next) !== shownOf(session)
    session = next
    if (moved || refused !== undefined || next.step?.ask === 'fill') show(next, refused)
    if (next.state === 'asking' && next.step?.ask !== 'fill') timer = setTimeout(look, LOOK_AGAIN_MS)
  }

  function look() {
    if (session !== undefined) go(ask('GET', path`/api/flows/${session.id}`))
  }

  /** @param {FlowAnswer} answer */
  function answer(answer) {
    if (session === undefined) return
    const { id } = session
    if ('fields' in answer) Object.assign(filled, answer.fields)
    box.show(el('p', { class: 'quiet', role: 'status' }, 'One moment…'))
    session = { ...session, step: null }
    go(ask('POST', path`/api/flows/${id}/answer`, answer))
  }

  /** @param {FlowSession} now @param {unknown} [refused] */
  function show(now, refused) {
    if (now.step !== null && now.state === 'asking')
      box.show(
        refused !== undefined && refusalText(refused),
        aboutWay(now),
        showStep(now.step, { id: now.id, answer, leave: closing(now.id === taken ? 'Close' : 'Cancel') }),
        now.id !== taken && otherWay(now.instead),
      )
    else
      box.show(
        ending(now),
        actions(...(now.failure === null ? [] : ways(now.failure)), closing('Close')),
        otherWay(now.instead),
      )
  }

  /** A button that begins again another way, where there is one. @param {Way | null | undefined} way */
  function otherWay(way) {
    if (way === null || way === undefined) return false
    const click = async () => {
      if (session?.state === 'asking') await ask('DELETE', path`/api/flows/${session.id}`).catch(() => {})
      await start({ ...request, flow: way.flow })
    }
    return el('button', { type: 'button', class: 'other', click }, `Use ${way.label} instead`)
  }

  /** @param {'Cancel' | 'Close'} text */
  function closing(text) {
    return el('button', { type: 'button', class: text === 'Close' ? 'main' : '', click: box.close }, text)
  }

  /** What can be done about it right here. @param {Parameters<typeof waysOn>[0]} refused */
  function ways(refused) {
    return waysOn(refused, begin).map(({ text, at, insist }) => {
      const click = () => start(insist ? { ...request, insist } : request, at)
      return el('button', { type: 'button', click }, text)
    })
  }

  /** @param {Request} request @param {string} [at] */
  async function start(request, at = begin) {
    session = undefined
    box.show(el('p', { class: 'quiet', role: 'status' }, 'One moment…'))
    await go(ask('POST', at, request))
  }

  if (taken !== undefined) return go(ask('GET', path`/api/flows/${taken}`))
  const before = instead({ error: undefined, request, filled, again: start, leave: closing('Cancel') })
  if (before === undefined) await start(request)
  else box.show(before)
}

/**
 * What a person sees of it. How often the provider is asked meanwhile is nothing to them.
 *
 * @param {FlowSession | undefined} session
 */
function shownOf(session) {
  return JSON.stringify([session?.state, session?.step], (key, value) =>
    key === 'everySeconds' ? undefined : value,
  )
}

/** What is to be known of the way that is gone, and why those before it are not. @param {FlowSession} session */
function aboutWay({ notice, passedOver }) {
  const passed = Map.groupBy(passedOver, ({ why }) => why)
  const lines = [
    ...(notice === null ? [] : [`${notice.slice(0, 1).toUpperCase()}${notice.slice(1)}.`]),
    ...[...passed].map(([why, ways]) => `Not by ${ways.map(({ label }) => label).join(' or ')}: ${why}.`),
  ]
  return lines.length > 0 && el('div', {}, ...lines.map((line) => el('p', { class: 'quiet small' }, line)))
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
