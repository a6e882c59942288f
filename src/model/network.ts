import type { Duplex, Readable, Writable } from 'node:stream'
import type { Secret } from './secret.ts'

/** A pin: `sha256/`, and the SHA-256 digest in base64 of the public key (SPKI) of a certificate. */
export const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/

/** By what one is known at the other end of a connection (RFC 8705): a certificate and its key, as PEM. */
export interface ClientCertificate {
  readonly chain: Secret
  readonly key: Secret
}

export interface Outgoing {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>> | ReadonlyArray<readonly [string, string]>
  readonly body?: ReadableStream<Uint8Array> | Uint8Array | string | null
  readonly signal?: AbortSignal | undefined
  /** Shown to whoever is asked. Only what shows the same goes over the same connection. */
  readonly certificate?: ClientCertificate | undefined
}

/** The way out. Nothing else in the house dials. */
export interface Network {
  /**
   * One guarded request. It goes to public https addresses and to the origins which the operator
   * opened by name, follows no redirect, and streams both ways. Throws `host-not-allowed`,
   * `certificate-pin`, `network-error` or `connect-timeout` where the request did not get there, and
   * `answer-lost` or `answer-timeout` where it may have, and no whole answer came back.
   */
  fetch(url: URL, request?: Outgoing): Promise<Response>
  close(): Promise<void>
}

/** How an answer begins. */
export interface AnswerHead {
  readonly status: number
  /** As they were sent, in lower case; one that was sent twice is here twice. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
}

/** A request on Node's streams. */
export interface Sending {
  readonly method: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body?: Readable | Uint8Array | string | null
  readonly signal?: AbortSignal | undefined
  readonly certificate?: ClientCertificate | undefined
}

/** What becomes of a body on its way: pieces go in as they come, and as much comes out as is ready. */
export interface Through {
  feed(piece: Buffer): Buffer
  /** All that is left. */
  end(): Buffer
}

/** What takes an answer. */
export interface Taking {
  readonly into: Writable
  readonly through?: Through | undefined
}

/** A connection on which both ends now speak something else than HTTP. */
export interface Switched extends AnswerHead {
  readonly socket: Duplex
}

/** The same way out for what is passed on: on Node's streams, with nothing taken off what comes. */
export interface StreamingNetwork extends Network {
  /**
   * Writes the answer's body to what `begun` returns, as fast as that takes it, and resolves at its end. Where
   * that is only promised, a little of the body is taken in meanwhile. Where the answer breaks off it is
   * destroyed, and this rejects with what went wrong; trailers are dropped.
   */
  stream(url: URL, request: Sending, begun: (head: AnswerHead) => Writable | Promise<Taking>): Promise<void>
  /** Asks to speak `protocol` from here on. Where the answer is another one, it goes the way of `stream`. */
  upgrade(
    url: URL,
    request: Sending & { readonly protocol: string },
    begun: (head: AnswerHead) => Writable | Promise<Taking>,
  ): Promise<Switched | undefined>
}

/** RFC 9110 §7.6.1: these speak of one connection, and never cross from one to another. */
export const HOP_BY_HOP: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]
