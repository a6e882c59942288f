import { ValetkeyError } from '#client'
import type { Client } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import type { RegisterRequest } from '../../model/words.ts'
import { certificateOf } from '../../protocol/client-certificate.ts'
import { signingKey } from '../../protocol/signing-key.ts'

/** By what a client proves itself that has no secret: a key to sign with, or a certificate with its key. */
export interface Proof {
  readonly privateKey: string
  readonly certificate?: string
}

/** As it was given, once it is known to be of use. */
export function proofIn(request: RegisterRequest): Proof | undefined {
  const { privateKey, certificate, clientSecret } = request
  if (privateKey === undefined) {
    if (certificate === undefined) return undefined
    throw new ValetkeyError('key-format', 'a certificate proves nothing without its private key')
  }
  if (clientSecret !== undefined)
    throw new ValetkeyError('invalid-request', 'a client has a secret or a private key, and not both')
  if (certificate === undefined) signingKey(privateKey.reveal())
  const client = proving({
    privateKey: privateKey.reveal(),
    ...(certificate !== undefined && { certificate }),
  })
  certificateOf({ clientId: '', clientSecret: undefined, ...client })
  return { privateKey: privateKey.reveal().trim(), ...(certificate !== undefined && { certificate }) }
}

/** The same as its client wears it. */
export function proving(proof: Proof | undefined): Pick<Client, 'privateKey' | 'certificate'> {
  if (proof === undefined) return {}
  const { privateKey, certificate } = proof
  return {
    privateKey: new Secret(privateKey),
    certificate: certificate === undefined ? undefined : new Secret(certificate),
  }
}
