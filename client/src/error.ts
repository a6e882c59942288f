/** What a program does about an error, without a person unless it says so. */
export type Reaction = 'refresh' | 'try-again' | 'ask-the-person' | 'reconnect' | 'nothing'

interface Kind {
  readonly reaction: Reaction
  /** What a person is told when the door has nothing more exact to say. */
  readonly says: string
}

/** Every way in which Valetkey refuses or fails, and what is to be done about it. The list is closed. */
export const ERRORS = {
  // a person's doing
  cancelled: { reaction: 'nothing', says: 'The sign-in was cancelled.' },
  'invalid-credentials': {
    reaction: 'ask-the-person',
    says: 'The provider did not accept what was entered.',
  },
  'key-format': { reaction: 'ask-the-person', says: 'This does not look like a key of that provider.' },
  'access-denied': { reaction: 'ask-the-person', says: 'Access was denied at the provider.' },
  'mfa-required': { reaction: 'ask-the-person', says: 'A second factor is needed.' },
  'browser-unavailable': { reaction: 'ask-the-person', says: 'No browser could be opened here.' },

  // an account's standing
  'not-connected': { reaction: 'reconnect', says: 'There is no such account here.' },
  'needs-reauth': { reaction: 'reconnect', says: 'This account has to be connected again.' },
  'access-revoked': { reaction: 'reconnect', says: 'The access was revoked at the provider.' },
  'token-expired': { reaction: 'refresh', says: 'The access has expired.' },
  'invalid-token': { reaction: 'refresh', says: 'The provider no longer accepts this access.' },
  'refresh-failed': { reaction: 'reconnect', says: 'The access could not be renewed.' },
  'refresh-not-available': { reaction: 'reconnect', says: 'This access cannot be renewed.' },
  'refused-by-policy': {
    reaction: 'ask-the-person',
    says: 'The rules of the provider stand against this at the moment.',
  },
  'vendor-policy': {
    reaction: 'ask-the-person',
    says: 'The vendor does not let other programs sign in this way.',
  },
  'session-expired': { reaction: 'reconnect', says: 'The session at the provider has ended.' },
  'reference-unreadable': {
    reaction: 'ask-the-person',
    says: 'The credential lies elsewhere, and could not be read there.',
  },

  // what the gate says
  'not-allowed': { reaction: 'ask-the-person', says: 'This is not allowed.' },
  'forward-only': { reaction: 'nothing', says: 'This secret never dies by itself, so it is not handed out.' },
  'ask-needed': { reaction: 'ask-the-person', says: 'The owner has to allow this first.' },
  'host-not-allowed': { reaction: 'nothing', says: 'This credential may not go to that address.' },
  unauthenticated: { reaction: 'ask-the-person', says: 'Nobody is signed in here.' },
  'not-recorded': { reaction: 'try-again', says: 'This could not be put on record, so it was not done.' },

  // a sign-in under way
  'provider-not-configured': {
    reaction: 'ask-the-person',
    says: 'This provider cannot be signed in to that way.',
  },
  'unknown-provider': { reaction: 'ask-the-person', says: 'No provider has this name.' },
  'unknown-flow': { reaction: 'ask-the-person', says: 'There is no such way of signing in.' },
  'flow-failed': { reaction: 'try-again', says: 'The sign-in could not be started.' },
  'flow-not-found': { reaction: 'try-again', says: 'There is no such sign-in under way.' },
  'flow-used': { reaction: 'try-again', says: 'This sign-in is already over.' },
  'flow-expired': { reaction: 'try-again', says: 'The sign-in took too long.' },
  'invalid-state': { reaction: 'try-again', says: 'The answer does not belong to this sign-in.' },
  'invalid-code': { reaction: 'try-again', says: 'The code was not accepted.' },
  'exchange-failed': { reaction: 'try-again', says: 'The provider did not complete the sign-in.' },
  'poll-failed': {
    reaction: 'try-again',
    says: 'The provider could not be asked whether the sign-in is done.',
  },

  // the way out
  'network-error': { reaction: 'try-again', says: 'The provider could not be reached.' },
  'certificate-pin': {
    reaction: 'ask-the-person',
    says: 'The provider showed another certificate than the one expected.',
  },
  'connect-timeout': { reaction: 'try-again', says: 'The provider did not pick up in time.' },
  'answer-timeout': { reaction: 'try-again', says: 'The provider did not answer in time.' },
  'answer-lost': { reaction: 'try-again', says: 'The answer of the provider was lost on the way.' },
  'server-error': { reaction: 'try-again', says: 'The provider has trouble of its own.' },
  'bad-answer': { reaction: 'try-again', says: 'The provider answered something that makes no sense.' },
  'response-too-large': { reaction: 'nothing', says: 'The answer was too large.' },

  // the house
  locked: { reaction: 'ask-the-person', says: 'The vault is locked.' },
  held: { reaction: 'try-again', says: 'Another process holds the vault.' },
  'wrong-key': { reaction: 'ask-the-person', says: 'This key does not open the vault.' },
  tampered: { reaction: 'ask-the-person', says: 'Something in the vault was changed from outside.' },
  'vault-restored': { reaction: 'ask-the-person', says: 'An older copy of the vault was put back.' },
  'vault-unreadable': { reaction: 'ask-the-person', says: 'The vault file cannot be read.' },
  'newer-schema': { reaction: 'ask-the-person', says: 'The vault was written by a newer Valetkey.' },
  'disk-full': { reaction: 'ask-the-person', says: 'The disk is full.' },
  'read-only': { reaction: 'ask-the-person', says: 'The vault cannot be written here.' },
  'unsafe-folder': { reaction: 'ask-the-person', says: 'A folder of Valetkey is not safe.' },
  'config-invalid': { reaction: 'ask-the-person', says: 'The configuration cannot be used.' },
  'port-taken': { reaction: 'ask-the-person', says: 'The port is already in use.' },
  'broker-gone': { reaction: 'try-again', says: 'The running Valetkey went away.' },
  conflict: { reaction: 'try-again', says: 'Somebody else changed this at the same moment.' },
  'internal-error': { reaction: 'nothing', says: 'Valetkey made a mistake.' },

  // a request as such
  'invalid-request': { reaction: 'nothing', says: 'The request cannot be understood.' },
  usage: { reaction: 'nothing', says: 'The command cannot be understood.' },
  'not-found': { reaction: 'nothing', says: 'There is no such thing.' },
  'too-large': { reaction: 'nothing', says: 'The request is too large.' },
  'rate-limited': { reaction: 'try-again', says: 'Too many requests.' },
  'resource-exhausted': { reaction: 'try-again', says: 'Too much at once.' },
  'unknown-version': { reaction: 'nothing', says: 'This version of the protocol is not spoken here.' },
} as const satisfies Record<string, Kind>

export type ErrorCode = keyof typeof ERRORS

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text)
}

const REACTIONS: ReadonlySet<string> = new Set(Object.values(ERRORS).map(({ reaction }) => reaction))

export function isReaction(text: string): text is Reaction {
  return REACTIONS.has(text)
}

export interface ErrorMore {
  /** A command, or one sentence: what to do next. */
  readonly hint?: string
  readonly cause?: unknown
  /** How many seconds to wait before it is worth another try, where that is known. */
  readonly retryAfter?: number
  /** Another way to sign in, where that is what failed. */
  readonly instead?: Instead | null | undefined
  /** For an error of a newer version, whose code is not known here. */
  readonly reaction?: Reaction
}

/** A way of signing in, by its flow and as a person knows it. */
interface Instead {
  readonly flow: string
  readonly label: string
}

/** The one error. `message` is for a log or a terminal; `forPeople` is a sentence for a page. */
export class ValetkeyError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly retryAfter: number | undefined
  readonly reaction: Reaction
  readonly instead: Instead | null

  constructor(code: ErrorCode, message: string, more: ErrorMore = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'ValetkeyError'
    this.code = code
    this.hint = more.hint
    this.retryAfter = more.retryAfter
    this.reaction = more.reaction ?? ERRORS[code].reaction
    this.instead = more.instead ?? null
  }

  get retryable(): boolean {
    return this.reaction === 'try-again'
  }

  get forPeople(): string {
    return ERRORS[this.code].says
  }
}
