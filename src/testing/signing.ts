import { randomBytes } from 'node:crypto'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

/** A key that a server signs with, and shows. */
export interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

export async function signingKey(alg: string): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const kid = randomBytes(6).toString('hex')
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

export async function honestIdToken(claims: JWTPayload, [key]: readonly SigningKey[]): Promise<string> {
  if (!key) throw new Error('there is no key to sign with')
  return new SignJWT(claims).setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey)
}

/** Of a type of its own, which says what it is for. */
export function signJwt(
  claims: JWTPayload,
  { alg, kid, privateKey }: SigningKey,
  typ: string,
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, kid, typ }).sign(privateKey)
}
