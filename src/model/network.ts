/** A pin: `sha256/`, and the SHA-256 digest in base64 of the public key (SPKI) of a certificate. */
export const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/

export interface Outgoing {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>> | ReadonlyArray<readonly [string, string]>
  readonly body?: ReadableStream<Uint8Array> | Uint8Array | string | null
  readonly signal?: AbortSignal | undefined
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
