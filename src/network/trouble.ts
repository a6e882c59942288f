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
  return byCode(code, host)
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

function byCode(code: string | undefined, host: string): ValetkeyError {
  if (code !== undefined && Object.hasOwn(CERTIFICATE, code)) return untrusted(code, host)
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return new ValetkeyError('connect-timeout', `${host} did not pick up in time`, {
        hint: 'check the network connection and try again',
      })
    case 'UND_ERR_HEADERS_TIMEOUT':
      return new ValetkeyError('answer-timeout', `${host} did not answer in time`)
    case 'UND_ERR_BODY_TIMEOUT':
      return new ValetkeyError('answer-timeout', `${host} fell silent in the middle of its answer`)
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_NOT_SUPPORTED':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return unsendable(host)
    default:
      return new ValetkeyError('network-error', `${host} could not be reached${code ? ` (${code})` : ''}`, {
        hint: 'check the network connection and try again',
      })
  }
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
