import { decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose'
import { ValetkeyError } from '#client'
import type { Judge } from './ask.ts'
import { SKEW_SECONDS } from './id-token.ts'
import { plainAnswer } from './plain-answer.ts'

// draft-ietf-oauth-identity-assertion-authz-grant: an identity provider, shown the ID token of a sign-in, asserts to
// another authorization server whose it is, and that server gives a token for the assertion.
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'
export const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'
export const ID_JAG_PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag'
const TYPE = 'oauth-id-jag+jwt'

/** What is no access token says so: RFC 8693 §2.2.1. The library knows no such type, and reads a token all the same. */
export const idJagAnswer: Judge = async (answer) => {
  const names = ['access_token', 'issued_token_type', 'token_type']
  const judged = await plainAnswer(names, 200)(answer)
  if (judged.status !== 200) return judged
  const { access_token: token, issued_token_type: kind, token_type: type } = judged.body
  const isRight = kind === ID_JAG && typeof type === 'string' && type.toLowerCase() === 'n_a'
  if (isRight && typeof token === 'string' && token !== '')
    return { status: 200, body: { access_token: token, issued_token_type: kind, token_type: 'bearer' } }
  throw new ValetkeyError('bad-answer', 'the identity provider gave something else than was asked for')
}

/** What an assertion must say before it is shown to anybody. Whether it is signed only its reader can tell. */
interface Asserting {
  readonly issuer: string
  /** The issuer of the server that is to read it. */
  readonly audience: string
  /** Our client there. */
  readonly clientId: string
  readonly resource?: string | undefined
  readonly now: Date
}

/** Whose it is. */
export function judgeIdJag(text: string, expected: Asserting): JWTPayload & { readonly sub: string } {
  const { typ, claims } = opened(text)
  const { iss, sub, aud, exp, client_id: clientId, resource } = claims
  if (typ?.toLowerCase() !== TYPE) throw wrong('typ')
  if (iss !== expected.issuer) throw wrong('iss')
  // For several readers one of them could take it to another.
  if ([aud].flat().length !== 1 || [aud].flat()[0] !== expected.audience) throw wrong('aud')
  if (clientId !== expected.clientId) throw wrong('client_id')
  if (typeof exp !== 'number' || exp <= expected.now.getTime() / 1000 - SKEW_SECONDS) throw wrong('exp')
  if (typeof sub !== 'string' || sub === '') throw wrong('sub')
  const { resource: asked } = expected
  if (resource !== undefined && asked !== undefined && ![resource].flat().includes(asked))
    throw wrong('resource')
  return { ...claims, sub }
}

function opened(text: string): { readonly typ: string | undefined; readonly claims: JWTPayload } {
  try {
    return { typ: decodeProtectedHeader(text).typ, claims: decodeJwt(text) }
  } catch {
    throw new ValetkeyError('bad-answer', 'the assertion of the identity provider cannot be read')
  }
}

function wrong(claim: string): ValetkeyError {
  return new ValetkeyError('bad-answer', `the assertion of the identity provider is not right in "${claim}"`)
}

/** What a kept ID token says. It was verified before it was kept. */
export function idTokenClaims(idToken: string): JWTPayload | undefined {
  try {
    return decodeJwt(idToken)
  } catch {
    return undefined
  }
}
