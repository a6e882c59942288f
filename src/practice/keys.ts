import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { JWK, JWKS } from 'oidc-provider'

const pair = promisify(generateKeyPair)

/** RS256 because OpenID Connect has every client know it, ES256 because many would rather have it. */
export async function newKeys(): Promise<JWKS> {
  const [rsa, ec] = await Promise.all([
    pair('rsa', { modulusLength: 2048 }),
    pair('ec', { namedCurve: 'P-256' }),
  ])
  return { keys: [jwkOf(rsa.privateKey, 'RS256'), jwkOf(ec.privateKey, 'ES256')] }
}

function jwkOf(key: KeyObject, alg: string): JWK {
  return { ...(key.export({ format: 'jwk' }) as JWK), use: 'sig', alg }
}
