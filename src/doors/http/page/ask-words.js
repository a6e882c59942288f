/** @typedef {import('../../../../client/src/words.ts').Ask} Ask */
/** @typedef {import('../../../../client/src/words.ts').Decision} Decision */
/** @typedef {import('../../../../client/src/words.ts').May} May */

/** @type {Record<May, string>} */
const WISHES = {
  lend: 'get a token of',
  forward: 'send requests with',
  reveal: 'see the secret of',
  connect: 'connect',
}

/** @type {Record<Decision, string>} */
const DECIDED = {
  once: 'allowed once',
  'ten-minutes': 'allowed for ten minutes',
  always: 'allowed from now on',
  no: 'refused',
}

/** @param {Pick<Ask, 'caller'>} ask */
export function nameOf({ caller }) {
  return caller.replace(/^app:/, '')
}

/** @param {Ask} ask */
export function programOf({ who }) {
  const program = who.executable === null ? 'an unknown program' : named(who.executable)
  const [parent] = who.chain
  return parent === undefined ? program : `${program}, started by ${named(parent)}`
}

/** @param {Pick<Ask, 'may' | 'address'>} ask */
export function wishOf({ may, address }) {
  return `${may.map((verb) => WISHES[verb]).join(' and ')} ${address}`
}

/** What is said of one as it comes and as it goes. @param {'asked' | 'decided'} name @param {Ask} ask */
export function newsOf(name, ask) {
  if (name === 'asked') return `${nameOf(ask)} wants to ${wishOf(ask)}.`
  const not = ask.decision === 'no' ? 'not ' : ''
  return `${ask.decision === null ? 'Decided' : sentence(DECIDED[ask.decision])}: ${nameOf(ask)} may ${not}${wishOf(ask)}.`
}

/** The name of a program, and the script that it runs. @param {string} executable */
export function named(executable) {
  const [program, script] = parted(executable)
  return `${program.slice(program.lastIndexOf('/') + 1)}${script}`
}

/** Where the program lies, and the script. @param {string} executable @returns {readonly [string, string]} */
export function parted(executable) {
  const at = executable.indexOf(' /')
  return at === -1 ? [executable, ''] : [executable.slice(0, at), executable.slice(at)]
}

/** @param {string} text */
export function sentence(text) {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
}
