/** @typedef {import('../../../../client/src/error.ts').Reaction} Reaction */

/**
 * What a button says that does what is to be done about an error; none where nothing here would help.
 * One more reaction is a type error here.
 *
 * @type {Record<Reaction, string | undefined>}
 */
const TEXTS = {
  'try-again': 'Try again',
  refresh: 'Try again',
  reconnect: 'Reconnect',
  'ask-the-person': 'Begin again',
  nothing: undefined,
}

/**
 * The ways on from a sign-in that was refused: what a button says, and where what it does is begun.
 *
 * @param {{ code: string, reaction: Reaction }} refusal
 * @param {string} begin where the sign-in was begun
 * @returns {{ text: string, at: string, insist?: boolean }[]}
 */
export function waysOn({ code, reaction }, begin) {
  const text = TEXTS[reaction]
  if (text === undefined) return []
  const at = reaction === 'reconnect' ? begin.replace(/\/rotate$/, '/reconnect') : begin
  const ways = [{ text, at }]
  if (code !== 'conflict' || !begin.endsWith('/reconnect')) return ways
  return [...ways, { text: 'Put another account in its place', at, insist: true }]
}

/**
 * The way on from an account that could not be renewed. Where it takes a person, that is not done here: the
 * hint says what.
 *
 * @param {{ reaction: Reaction }} refusal
 */
export function wayToRenew({ reaction }) {
  return reaction === 'ask-the-person' ? undefined : TEXTS[reaction]
}
