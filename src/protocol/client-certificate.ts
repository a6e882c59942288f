import { type KeyObject, X509Certificate } from 'node:crypto'
import { ValetkeyError } from '#client'
import type { Client } from '../model/flow.ts'
import type { ClientCertificate } from '../model/network.ts'
import { Secret } from '../model/secret.ts'
import { readPrivateKey, withLines } from './signing-key.ts'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=\\]+-----END CERTIFICATE-----/g

/**
 * By what a client is known at the other end of a connection (RFC 8705); undefined for one that has no
 * certificate. Throws `key-format` where its key is not there, or is another's.
 */
export function certificateOf({ certificate, privateKey }: Client): ClientCertificate | undefined {
  if (certificate === undefined) return undefined
  const chain = (certificate.reveal().match(CERTIFICATE) ?? []).map(withLines)
  const key = privateKey && readPrivateKey(privateKey.reveal())
  if (key === undefined || !isOf(key, chain[0])) throw mismatched()
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { chain: new Secret(chain.join('')), key: new Secret(pem) }
}

function isOf(key: KeyObject, certificate = ''): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(key)
  } catch {
    return false
  }
}

function mismatched(): ValetkeyError {
  return new ValetkeyError('key-format', 'this is no certificate with its private key', {
    hint: 'a PEM that begins with -----BEGIN CERTIFICATE-----, and the key that it was made for',
  })
}
