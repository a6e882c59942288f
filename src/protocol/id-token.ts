import { createHash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload } from 'jose'
import { ValetkeyError } from '#client'
import { type KeySource, verifyBy } from './keys.ts'
import type { Server } from './server.ts'
import { strictObject } from './strict-json.ts'

export const SKEW_SECONDS = 60
const MOST_SUBJECT = 255

/** What an ID token must be to count: OpenID Connect Core §3.1.3.7 and §3.1.3.8. */
export interface Expectation {
  readonly issuer: string
  readonly clientId: string
  readonly algorithms: Server['algorithms']
  /** The access token that came with it. */
  readonly accessToken: string
  /** What binds it to a request for authorization. */
  readonly nonce?: string
  /** After a refresh: the claims that it must still agree with, §12.2. */
  readonly before?: JWTPayload
}

export type Claims = JWTPayload & { readonly sub: string }

/**
 * The claims of an ID token, read from the very bytes whose signature was verified. The signature
 * counts in every flow, also where the token came by a connection that is trusted.
 */
export async function provenIdToken(
  source: KeySource,
  token: string,
  expected: Expectation,
): Promise<Claims> {
  try {
    return await proven(source, token, expected, source.now())
  } catch (error) {
    throw inWords(error)
  }
}

/**
 * Whether an ID token that came with a refresh is proven. What names somebody else, or is forged, is
 * refused as ever. But what came along was paid for with a refresh token that may not be there any more:
 * a clock that jumped, or keys that are not to be had just now, do not cost the grant.
 */
export async function isProvenAgain(
  source: KeySource,
  token: string,
  expected: Expectation,
): Promise<boolean> {
  const claims = readClaims(token)
  if (claims === undefined) return false
  const issuedAt = new Date(Number(claims.iat) * 1000)
  refuseElsewhere(claims, expected)
  judgeClaims(token, claims, expected, issuedAt)
  try {
    await proven(source, token, expected, issuedAt)
    return true
  } catch (error) {
    if (error instanceof ValetkeyError || error instanceof errors.JWKSNoMatchingKey) return false
    throw inWords(error)
  }
}

async function proven(source: KeySource, token: string, expected: Expectation, at: Date): Promise<Claims> {
  const { payload } = await verifyBy(source, token, {
    issuer: expected.issuer,
    audience: expected.clientId,
    algorithms: [...expected.algorithms],
    currentDate: at,
    clockTolerance: SKEW_SECONDS,
    requiredClaims: ['sub', 'exp', 'iat'],
  })
  refuseTwins(token)
  return judgeClaims(token, payload, expected, at)
}

function readClaims(token: string): JWTPayload | undefined {
  try {
    return decodeJwt(token)
  } catch {
    return undefined
  }
}

function refuseElsewhere({ iss, aud }: JWTPayload, { issuer, clientId }: Expectation): void {
  if (iss !== issuer) throw wrong('iss')
  if (![aud].flat().includes(clientId)) throw wrong('aud')
}

function refuseTwins(token: string): void {
  const [header = '', payload = ''] = token.split('.')
  for (const part of [header, payload]) strictObject(Buffer.from(part, 'base64url').toString('utf8'))
}

/** What the library leaves to us. Split off, so that it can be tried without a key. */
export function judgeClaims(token: string, claims: JWTPayload, expected: Expectation, now: Date): Claims {
  const { sub, aud, azp, iat, nonce, at_hash: hash } = claims
  if (typeof sub !== 'string' || sub === '' || sub.length > MOST_SUBJECT) throw wrong('sub')
  if (Array.isArray(aud) && aud.length > 1 && azp === undefined) throw wrong('azp')
  if (azp !== undefined && azp !== expected.clientId) throw wrong('azp')
  if (typeof iat !== 'number' || iat > now.getTime() / 1000 + SKEW_SECONDS) throw wrong('iat')
  if (expected.nonce !== undefined && nonce !== expected.nonce) throw wrong('nonce')
  if (hash !== undefined && hash !== hashOf(token, expected.accessToken)) throw wrong('at_hash')
  refuseChanged(claims, expected.before)
  return { ...claims, sub }
}

function refuseChanged(claims: JWTPayload, before: JWTPayload | undefined): void {
  if (before === undefined) return
  if (claims.sub !== before.sub) throw wrong('sub')
  for (const name of ['auth_time', 'nonce'])
    if (claims[name] !== undefined && before[name] !== undefined && claims[name] !== before[name])
      throw wrong(name)
}

/** The left half of the token's hash, by the hash that the signature was made with. */
function hashOf(token: string, accessToken: string): string {
  const { alg = '' } = decodeProtectedHeader(token)
  const name = alg.startsWith('Ed') ? 'sha512' : `sha${alg.slice(2)}`
  const digest = createHash(name).update(accessToken, 'ascii').digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}

function wrong(claim: string): ValetkeyError {
  return new ValetkeyError('bad-answer', `the ID token of the provider is not right in "${claim}"`)
}

/** Only the name of a claim is ever told, and never its value. */
function inWords(error: unknown): ValetkeyError {
  if (error instanceof ValetkeyError) return error
  if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
    return wrong(error.claim)
  const why =
    error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey
      ? 'is not signed by it'
      : 'cannot be accepted'
  return new ValetkeyError('bad-answer', `the ID token of the provider ${why}`)
}
