import { SignJWT } from 'jose'
import {
  allowInsecureRequests,
  type ClientAuth,
  Configuration,
  customFetch,
  genericGrantRequest,
} from 'openid-client'
import { ValetkeyError } from '#client'
import type { Network } from '../model/network.ts'
import { type Judge, judgedFetch } from './ask.ts'
import { metadataOf, type Server } from './server.ts'
import { signingKey } from './signing-key.ts'

const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
/** RFC 7518 §3.3. */
const RSA = 'RSASSA-PKCS1-v1_5'
/** A clock that is a little ahead states nothing of the future. */
const BACK_MS = 5000

/** Who asks, and whom for (RFC 7523 §3). */
export interface Statement {
  readonly issuer: string
  readonly audience: string
  /** In whose place, where that is somebody else. */
  readonly subject?: string | undefined
  readonly scope?: string | undefined
  readonly keyId?: string | undefined
  readonly seconds: number
  readonly id: string
  readonly now: Date
}

/** Signs what is stated once, with RS256. The key is a PEM or a JWK, and nothing else of it is ever shown. */
export async function signed(privateKey: string, statement: Statement): Promise<string> {
  const key = signingKey(privateKey)
  if (key.algorithm.name !== RSA)
    throw new ValetkeyError('key-format', 'this private key is not an RSA key', {
      hint: 'give the key as its provider handed it out',
    })
  const { issuer, audience, subject, scope, keyId, seconds, id, now } = statement
  const issuedAt = Math.floor((now.getTime() - BACK_MS) / 1000)
  const jwt = new SignJWT(scope === undefined ? {} : { scope })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', ...(keyId === undefined ? {} : { kid: keyId }) })
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + seconds)
    .setJti(id)
  return (subject === undefined ? jwt : jwt.setSubject(subject)).sign(key)
}

export interface Asking {
  readonly server: Server
  readonly network: Network
  readonly now: () => Date
  readonly judge: Judge
}

/** The statement is all the proof there is: no client stands beside it (RFC 7523 §2.1). */
const NOBODY: ClientAuth = () => undefined

/** A token for a statement, which its server is asked for once. Throws what the library throws. */
export async function byAssertion(
  { server, network, now, judge }: Asking,
  assertion: string,
  params: Readonly<Record<string, string>>,
) {
  const config = new Configuration(metadataOf(server), 'nobody', {}, NOBODY)
  config[customFetch] = judgedFetch(network, judge, now)
  allowInsecureRequests(config)
  return genericGrantRequest(config, GRANT, { ...params, assertion })
}
