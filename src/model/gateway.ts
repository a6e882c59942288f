import type { Duplex, Readable, Writable } from 'node:stream'
import type { AnswerHead } from './network.ts'

/** A request of a caller on its way to a provider, on Node's streams. */
export interface Crossing {
  readonly address: string
  readonly method: string
  /** A path with its query, or a whole URL at one of the provider's hosts; to the letter as it was asked for. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readable | Uint8Array | string | null
  /** How long a body is of which that was said beforehand. */
  readonly length?: number
  /** Aborted when nobody waits for the answer any more. */
  readonly signal?: AbortSignal
  readonly purpose?: string
  /** The credential is taken out of the answer, whoever asks. */
  readonly blind?: true
  /** The protocol that both ends want to go on in. */
  readonly upgrade?: string
}

/** Who takes what comes of it: one of these is called once, unless it is refused. */
export interface Taker {
  /** The answer's body is written to what this returns, which is destroyed where the answer breaks off. */
  answer(head: AnswerHead): Writable
  /** Both directions from here on, where the provider agreed to the upgrade. */
  switched?(head: AnswerHead): Duplex
}

/** What a caller has done by a provider, as it comes and goes. */
export interface Gateway {
  /** Resolves when all of the answer was taken. Rejects where there is none, and where it broke off. */
  forward(crossing: Crossing, taker: Taker): Promise<void>
}
