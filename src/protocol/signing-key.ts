import { createPrivateKey, type KeyObject, type webcrypto } from 'node:crypto'
import { ValetkeyError } from '#client'

type Algorithm = Parameters<KeyObject['toCryptoKey']>[0]

const CURVES: ReadonlyMap<string | undefined, string> = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
])
const PEM = /^-----BEGIN ([A-Z ]*PRIVATE KEY|CERTIFICATE)-----([\sA-Za-z0-9+/=]|\\n)+-----END \1-----$/

/**
 * The private key by which a client proves who it is: a PEM, also one whose line ends were lost when it was
 * pasted, or a JWK. What cannot sign is refused, in words that repeat nothing of it.
 */
export function signingKey(text: string): webcrypto.CryptoKey {
  const key = readPrivateKey(text)
  const algorithm = key && algorithmOf(key)
  if (key !== undefined && algorithm !== undefined) return key.toCryptoKey(algorithm, false, ['sign'])
  throw new ValetkeyError('key-format', 'this is no private key that can sign', {
    hint: 'a PEM that begins with -----BEGIN PRIVATE KEY-----, or a JWK',
  })
}

/** By what name its server knows it, where a JWK says so. */
export function keyIdOf(text: string): string | undefined {
  if (!text.trim().startsWith('{')) return undefined
  const { kid }: { kid?: unknown } = JSON.parse(text)
  return typeof kid === 'string' && kid !== '' ? kid : undefined
}

/** Undefined for what is none. */
export function readPrivateKey(given: string): KeyObject | undefined {
  const text = given.trim()
  try {
    return text.startsWith('{') ? fromJwk(text) : createPrivateKey(withLines(text))
  } catch {
    return undefined
  }
}

function fromJwk(text: string): KeyObject {
  return createPrivateKey({ key: JSON.parse(text), format: 'jwk' })
}

/** A PEM with the line ends that it may have lost when it was pasted. */
export function withLines(text: string): string {
  const [, label = ''] = PEM.exec(text) ?? []
  const body = text
    .replace(/-----[A-Z ]+-----/g, '')
    .replaceAll('\\n', '')
    .replaceAll(/\s/g, '')
  const lines = body.match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): Algorithm | undefined {
  if (asymmetricKeyType === 'ed25519') return { name: 'Ed25519' }
  if (asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  if (asymmetricKeyType === 'rsa-pss') return { name: 'RSA-PSS', hash: 'SHA-256' }
  const namedCurve = asymmetricKeyType === 'ec' ? CURVES.get(asymmetricKeyDetails?.namedCurve) : undefined
  return namedCurve === undefined ? undefined : { name: 'ECDSA', namedCurve }
}
