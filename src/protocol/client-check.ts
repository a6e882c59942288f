import { randomBytes } from 'node:crypto'
import { genericGrantRequest, randomPKCECodeVerifier } from 'openid-client'
import { configurationFor, type Use } from './client.ts'
import { type Expected, tokenAnswer } from './token-answer.ts'
import { refusalOf, troubleOf } from './trouble.ts'

interface Asked extends Pick<Expected, 'answers'> {
  readonly redirectUri: string
}

// RFC 6749 §5.2, and how GitHub says the same. Who asks is judged before what is asked for.
const KNOWN = new Set(['invalid_grant', 'bad_verification_code'])
const UNKNOWN = new Set(['invalid_client', 'unauthorized_client', 'incorrect_client_credentials'])

/**
 * Whether a server knows a client and its secret, found out by a code that nobody was ever given.
 * Undefined where its answer says neither.
 */
export async function knowsClient(
  use: Omit<Use, 'judge'>,
  { answers, redirectUri }: Asked,
): Promise<boolean | undefined> {
  const config = configurationFor({ ...use, judge: tokenAnswer({ answers, idToken: false }) })
  const code = randomBytes(32).toString('base64url')
  const form = { code, redirect_uri: redirectUri, code_verifier: randomPKCECodeVerifier() }
  try {
    await genericGrantRequest(config, 'authorization_code', form)
    return undefined
  } catch (error) {
    const refusal = refusalOf(error)
    if (refusal !== undefined) return KNOWN.has(refusal) || (UNKNOWN.has(refusal) ? false : undefined)
    // A bare 401 is meant for the client: nobody else has shown anything.
    return troubleOf(error).code === 'provider-not-configured' ? false : undefined
  }
}
