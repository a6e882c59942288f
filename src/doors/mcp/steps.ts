import { type Desk, type FlowSession, type FlowStep, formatAddress } from '#client'
import { otherWay } from './told.ts'
import { type Shown, shownAccount } from './words.ts'

/** A sign-in as a tool shows it; `command` is how the person would do it themselves. */
export async function shownSession(desk: Desk, session: FlowSession, command: string): Promise<Shown> {
  const { id, state, step, account, failure, instead, notice } = session
  const shown = { session: id, account: placeOf(session), state }
  if (state === 'done' && account !== null) {
    return {
      ...shown,
      ...shownAccount(account),
      state,
      next: 'It is connected. If `accounts` does not show it, call `ask` for it.',
    }
  }
  if (state !== 'asking') {
    const why = failure === null ? {} : { error: failure.code, what: failure.detail }
    return { ...shown, ...why, next: instead === null ? AGAIN : `It came to nothing. ${otherWay(instead)}` }
  }
  if (step?.ask === 'fill') return leftToThePerson(desk, session, command)
  return { ...shown, ...(notice === null ? {} : { notice }), ...inWords(step) }
}

const AGAIN = 'It came to nothing. Begin again by `connect`, if the person wants that.'

/** What is typed in goes past every tool: such a sign-in is ended here, for the person to begin where they type. */
async function leftToThePerson(desk: Desk, session: FlowSession, command: string): Promise<Shown> {
  await desk.cancel(session.id)
  return {
    account: placeOf(session),
    state: 'left-to-the-person',
    command,
    next: [
      'This sign-in asks for something that only the person may type, and that never goes through you.',
      `Ask them to run \`${command}\` in a terminal, or to connect it on the page that \`valetkey open\` shows.`,
      'Then call `status` with the account. Never ask for the secret yourself.',
    ].join(' '),
  }
}

const THEN = 'Then call `status` with this session and a `wait`.'

const ENTERED = [
  'Show the person this code, and where it is to be entered, on any device.',
  'Tell them which program on which computer asks, and to enter it only if they want this themselves.',
].join(' ')

function inWords(step: Exclude<FlowStep, { readonly ask: 'fill' }> | null): Shown {
  switch (step?.ask) {
    case 'visit':
      return {
        open: step.url,
        until: step.until,
        next: `Show the person this link, for their own browser. ${THEN}`,
      }
    case 'enter-code': {
      const { at: open, code, device, until } = step
      const shown = { open, code, ...(device === undefined ? {} : { device }), until }
      return { ...shown, next: `${ENTERED} ${THEN}` }
    }
    case 'hand-over':
      return { because: step.because, until: step.until, next: `The person has to act: tell them. ${THEN}` }
    case 'wait':
      return { for: step.for, until: step.until, next: THEN }
    default:
      return { next: THEN }
  }
}

function placeOf({ provider, bucket }: FlowSession): string {
  return formatAddress({ provider: provider ?? 'any', bucket })
}
