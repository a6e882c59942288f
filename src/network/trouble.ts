import { ValetkeyError } from '#client'

/**
 * What went wrong on the way, in our words. The original is left out on purpose, cause and all: its
 * text may quote a header, and headers carry credentials.
 */
export function troubleOf(error: unknown, host: string, signal?: AbortSignal): ValetkeyError {
  const chain = [...causes(error)]
  const ours = chain.find((each) => each instanceof ValetkeyError)
  if (ours instanceof ValetkeyError) return ours
  if (signal?.aborted) return aborted(host, signal)
  const code = chain.map(codeOf).find((each) => each !== undefined)
  if (code === undefined && chain.length === 1 && error instanceof TypeError) return unsendable(host)
  return byCode(code, host, chain.some(isUnconnected))
}

const UNCONNECTED = new WeakSet<Error>()

/** Marks what went wrong before there was a connection: then not a byte of a request was written. */
export function unconnected(error: Error): Error {
  UNCONNECTED.add(error)
  return error
}

function isUnconnected(error: unknown): boolean {
  return error instanceof Error && UNCONNECTED.has(error)
}

const SIGNED_BY_NOBODY = 'is signed by nobody that this computer trusts'

/** What may be wrong with a certificate, by the name that TLS has for it. */
const CERTIFICATE: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
  CERT_REVOKED: 'was revoked',
  ERR_TLS_CERT_ALTNAME_INVALID: 'belongs to another host',
  DEPTH_ZERO_SELF_SIGNED_CERT: SIGNED_BY_NOBODY,
  SELF_SIGNED_CERT_IN_CHAIN: SIGNED_BY_NOBODY,
  UNABLE_TO_GET_ISSUER_CERT: SIGNED_BY_NOBODY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: SIGNED_BY_NOBODY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: SIGNED_BY_NOBODY,
  CERT_UNTRUSTED: SIGNED_BY_NOBODY,
  INVALID_PURPOSE: 'was made for something else',
  CERT_SIGNATURE_FAILURE: 'has a signature that is not right',
}

function byCode(code: string | undefined, host: string, isUnsent: boolean): ValetkeyError {
  if (code !== undefined && Object.hasOwn(CERTIFICATE, code)) return untrusted(code, host)
  switch (code) {
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_NOT_SUPPORTED':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return unsendable(host)
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_CLOSED':
      return notReached(code, host)
    default:
      return isUnsent ? notReached(code, host) : lost(code, host)
  }
}

/** There never was a connection, so nothing was asked. */
function notReached(code: string | undefined, host: string): ValetkeyError {
  const hint = 'check the network connection and try again'
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT'
    ? new ValetkeyError('connect-timeout', `${host} did not pick up in time`, { hint })
    : new ValetkeyError('network-error', `${host} could not be reached${named(code)}`, { hint })
}

/** There was one, so the request may have come to where it was meant to, and may have been acted upon. */
function lost(code: string | undefined, host: string): ValetkeyError {
  switch (code) {
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'ETIMEDOUT':
      return new ValetkeyError('answer-timeout', `${host} did not answer in time`)
    case 'UND_ERR_BODY_TIMEOUT':
      return new ValetkeyError('answer-timeout', `${host} fell silent in the middle of its answer`)
    default:
      return new ValetkeyError('answer-lost', `the answer of ${host} was lost on the way${named(code)}`, {
        hint: 'check the network connection and try again',
      })
  }
}

function named(code: string | undefined): string {
  return code === undefined ? '' : ` (${code})`
}

function untrusted(code: string, host: string): ValetkeyError {
  const message = `${host} showed a certificate that ${CERTIFICATE[code]}, so nothing was sent there (${code})`
  return new ValetkeyError('network-error', message, {
    hint: 'if it is the certificate of your own network, name it in NODE_EXTRA_CA_CERTS',
  })
}

function aborted(host: string, signal: AbortSignal): ValetkeyError {
  const late = signal.reason instanceof Error && signal.reason.name === 'TimeoutError'
  return late
    ? new ValetkeyError('answer-timeout', `${host} took longer than it was given`)
    : new ValetkeyError('cancelled', `the request to ${host} was called off`)
}

function unsendable(host: string): ValetkeyError {
  return new ValetkeyError('invalid-request', `the request for ${host} cannot be sent as it is`)
}

function* causes(error: unknown): Generator<unknown> {
  for (let each = error, depth = 0; each !== undefined && depth < 8; depth += 1) {
    yield each
    each = each instanceof Error ? each.cause : undefined
  }
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code) ? code : undefined
}
