import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  jwtVerify,
} from 'jose'
import { ValetkeyError } from '#client'
import type { Network } from '../model/network.ts'
import { ask, refuseTrouble } from './ask.ts'
import { strictObject } from './strict-json.ts'

const MOST_AGE_MS = 60 * 60 * 1000
const BETWEEN_MISSES_MS = 30 * 1000
const MOST_TRIED = 16
const MOST_KEPT = 100

interface Kept {
  readonly set: JSONWebKeySet
  readonly at: number
  /** When the set was last fetched again because no key in it would do. */
  readonly missedAt: number
}

/** Key sets that were fetched lately, by their address. */
export type FoundKeys = Map<string, Kept>

export interface KeySource {
  readonly network: Network
  readonly jwks: string
  readonly found: FoundKeys
  readonly now: () => Date
}

/**
 * Verifies a JWT by the keys of its issuer. When none of them will do, they are fetched once more,
 * twice a minute at most: the issuer may have changed them just now.
 */
export async function verifyBy(
  source: KeySource,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const now = source.now().getTime()
  const kept = source.found.get(source.jwks)
  const fresh = kept && now - kept.at < MOST_AGE_MS ? kept : await fetchKeys(source, kept?.missedAt ?? 0)
  try {
    return await verifyAmong(fresh.set, token, options)
  } catch (error) {
    if (!isMiss(error) || now - fresh.missedAt < BETWEEN_MISSES_MS) throw error
    return verifyAmong((await fetchKeys(source, now)).set, token, options)
  }
}

function isMiss(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed
}

async function fetchKeys({ network, jwks, found, now }: KeySource, missedAt: number): Promise<Kept> {
  const answer = await ask(network, new URL(jwks), {}, { now })
  refuseTrouble(answer)
  if (answer.status !== 200 || !/^application\/(jwk-set\+)?json$/.test(answer.type))
    throw new ValetkeyError('bad-answer', 'the provider does not show its keys')
  const kept = { set: keySet(answer.text), at: now().getTime(), missedAt }
  found.delete(jwks)
  for (const oldest of [...found.keys()].slice(0, Math.max(0, found.size - MOST_KEPT + 1)))
    found.delete(oldest)
  found.set(jwks, kept)
  return kept
}

function keySet(text: string): JSONWebKeySet {
  const { keys } = strictObject(text)
  if (Array.isArray(keys)) return { keys: keys.filter((key) => typeof key?.kty === 'string') }
  throw new ValetkeyError('bad-answer', 'the keys of the provider cannot be read')
}

/** A token that names no key is tried with all that could have signed it, up to a bound. */
async function verifyAmong(
  set: JSONWebKeySet,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const keys = createLocalJWKSet(set)
  try {
    return await jwtVerify(token, keys, options)
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    let tried = 0
    for await (const key of error) {
      if (++tried > MOST_TRIED) break
      const verified = await jwtVerify(token, key, options).catch(onlyMiss)
      if (verified) return verified
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

function onlyMiss(error: unknown): undefined {
  if (!isMiss(error)) throw error
}
