import { createPrivateKey, type KeyObject, type webcrypto } from 'node:crypto'
import { ValetkeyError } from '#client'

type Algorithm = Parameters<KeyObject['toCryptoKey']>[0]

const CURVES: ReadonlyMap<string | undefined, string> = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
])
const PEM = /^-----BEGIN ([A-Z ]*PRIVATE KEY)-----([\sA-Za-z0-9+/=]|\\n)+-----END \1-----$/

/**
 * The private key by which a client proves who it is: a PEM, also one whose line ends were lost when it was
 * pasted, or a JWK. What cannot sign is refused, in words that repeat nothing of it.
 */
export function signingKey(text: string): webcrypto.CryptoKey {
  const key = readKey(text.trim())
  const algorithm = key && algorithmOf(key)
  if (key !== undefined && algorithm !== undefined) return key.toCryptoKey(algorithm, false, ['sign'])
  throw new ValetkeyError('key-format', 'this is no private key that can sign', {
    hint: 'a PEM that begins with -----BEGIN PRIVATE KEY-----, or a JWK',
  })
}

function readKey(text: string): KeyObject | undefined {
  try {
    return text.startsWith('{') ? fromJwk(text) : createPrivateKey(withLines(text))
  } catch {
    return undefined
  }
}

function fromJwk(text: string): KeyObject {
  return createPrivateKey({ key: JSON.parse(text), format: 'jwk' })
}

function withLines(text: string): string {
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
