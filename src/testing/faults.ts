/** Holds what is under way until it is let go. */
export interface Hold {
  /** Keeps when the first one is held. */
  readonly arrived: Promise<void>
  /** How many are held, or were. */
  held(): number
  /** Lets go what is held, and whatever comes after it. */
  release(): void
  /** For who holds: says that something arrived, and keeps when it may go on. */
  hold(): Promise<void>
}

export interface FaultAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Fault =
  /** Nobody listens. Where it is for one request, its connection is reset before anything is forwarded. */
  | { readonly fault: 'refuse' }
  /** Nothing reaches the target until it is let go; then all goes its way. */
  | ({ readonly fault: 'hold-request' } & Hold)
  /** The target has answered, and the whole answer waits here. */
  | ({ readonly fault: 'hold-answer' } & Hold)
  /** The target has answered, and the connection ends without a byte of it. */
  | { readonly fault: 'lose-answer' }
  /** The head, this many bytes behind it, and a proper end of the connection. */
  | { readonly fault: 'truncate'; readonly bytes: number }
  /** The head, this many bytes behind it, and a reset of the connection. */
  | { readonly fault: 'reset'; readonly bytes: number }
  /** The answer comes this much later. */
  | { readonly fault: 'delay'; readonly ms: number }
  /** This is the answer, and the target is not asked. */
  | { readonly fault: 'answer'; readonly answer: FaultAnswer }

/** All that a `faultProxy` can do wrong. */
export const faults = {
  refuse: { fault: 'refuse' },
  loseAnswer: { fault: 'lose-answer' },
  holdRequest: () => ({ fault: 'hold-request', ...newHold() }) as const,
  holdAnswer: () => ({ fault: 'hold-answer', ...newHold() }) as const,
  truncate: (bytes: number) => ({ fault: 'truncate', bytes }) as const,
  reset: (bytes: number) => ({ fault: 'reset', bytes }) as const,
  delay: (ms: number) => ({ fault: 'delay', ms }) as const,
  answer: (status: number, headers: Readonly<Record<string, string>> = {}, body = '') =>
    ({ fault: 'answer', answer: { status, headers, body } }) as const,
} as const

function newHold(): Hold {
  const arrival = Promise.withResolvers<void>()
  const leave = Promise.withResolvers<void>()
  let held = 0
  return {
    arrived: arrival.promise,
    held: () => held,
    release: leave.resolve,
    hold: () => {
      held += 1
      arrival.resolve()
      return leave.promise
    },
  }
}
