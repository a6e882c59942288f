import { ERRORS, type ErrorCode, type Reaction, ValetkeyError, type Way } from '#client'

/** What a tool answers: the same for whoever reads text and for whoever reads fields. */
export interface Told {
  readonly content: { readonly type: 'text'; readonly text: string }[]
  readonly structuredContent: Record<string, unknown>
  readonly isError?: true
  [more: string]: unknown
}

export function tell(answer: Readonly<Record<string, unknown>>): Told {
  return {
    content: [{ type: 'text', text: JSON.stringify(answer, null, 2) }],
    structuredContent: { ...answer },
  }
}

/** What a program that speaks through tools does about such an error in general. */
const IN_GENERAL: Record<Reaction, string> = {
  refresh: 'Call the tool again: the access is renewed first.',
  'try-again': 'Call the tool again in a moment.',
  'ask-the-person': 'Tell the person; they have to do something about it first.',
  reconnect: 'Call `connect` with this account, and show the person what it answers.',
  nothing: 'Do not repeat this call as it is.',
}

const IN_PARTICULAR: Partial<Record<ErrorCode, string>> = {
  'not-connected': [
    'Call `accounts` to see what you may use.',
    'If it is not among them, `connect` it, or call `ask` with this account and a reason.',
  ].join(' '),
  'invalid-request': 'Look at what the tool takes, and call it again with that.',
  'not-allowed': 'Call `ask` with this account and a reason. If the owner said no, do something else.',
  'ask-needed':
    'The owner was asked. Call `ask` with the same account, a reason and a `wait`, to hear what they say.',
  'forward-only': 'Use the tool `request`: the secret itself is never given out.',
  'host-not-allowed': 'Use a path at the provider that this account belongs to.',
  locked: 'Tell the person that the vault is locked; they unlock it by `valetkey vault unlock`.',
  'vendor-policy': 'Tell the person: the vendor does not let programs like this one sign in that way.',
  'rate-limited': 'Wait before you call the tool again.',
  'flow-not-found': 'Begin the sign-in again by `connect`.',
  'flow-expired': 'Begin the sign-in again by `connect`, and show the person the new link.',
  'flow-used': 'Call `accounts`: the sign-in is over.',
}

/** A refusal in the tools' own voice: which it is, what happened, and what to do next. */
export function tellRefusal(error: unknown): Told {
  const told = error instanceof ValetkeyError ? error : madeAMistake(error)
  const { code, message, hint, retryAfter } = told
  const usual = IN_PARTICULAR[code] ?? IN_GENERAL[told.reaction]
  const next = told.instead === null ? usual : `${usual} ${otherWay(told.instead)}`
  const inSeconds = retryAfter === undefined ? {} : { retryAfterSeconds: retryAfter }
  // What is hinted at is a command or a sentence for a person, but that one asks is done by a tool.
  const person = hint === undefined || hint.startsWith('valetkey ask ') ? {} : { forThePerson: hint }
  const refusal = { error: code, what: message, next, ...inSeconds, ...person }
  return { ...tell(refusal), isError: true }
}

/** The way that may be tried instead, in one sentence. */
export function otherWay({ flow, label }: Way): string {
  return `Or call \`connect\` once more with the flow \`${flow}\`: by ${label}.`
}

/** Nothing of what went wrong inside is said: it may quote what nobody outside shall read. */
function madeAMistake(error: unknown): ValetkeyError {
  const gone = error instanceof Error && error.name === 'AbortError'
  const code = gone ? 'cancelled' : 'internal-error'
  return new ValetkeyError(code, ERRORS[code].says.toLowerCase().replace(/\.$/, ''))
}
