import type { webcrypto } from 'node:crypto'
import { calculateThumbprint, generateKeyPair, generateProof } from 'dpop'
import { ValetkeyError } from '#client'
import { Secret } from '../model/secret.ts'
import { readChallenges } from './challenge.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const
/** More servers and keys than this are not in use at once. */
const MOST_NONCES = 10_000
const LONGEST_NONCE = 1024

/** Who asks for a nonce: an authorization server and a resource server may be the same origin, and never share one. */
export type Side = 'server' | 'resource'

/** A key that tokens are bound to (RFC 9449), ready for use. */
export interface Bound {
  readonly pair: webcrypto.CryptoKeyPair
  /** By which it is known (RFC 7638). */
  readonly thumbprint: string
}

/** A new key, as it is sealed with its account. */
export async function newDpopKey(): Promise<Secret> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const { kty, crv, x, y, d } = await crypto.subtle.exportKey('jwk', privateKey)
  return new Secret(JSON.stringify({ kty, crv, x, y, d }))
}

const opened = new WeakMap<Secret, Promise<Bound>>()

/** The key as it can be used; it is read once for as long as it lies in memory. */
export function openDpopKey(sealed: Secret): Promise<Bound> {
  const before = opened.get(sealed)
  if (before !== undefined) return before
  const bound = readKey(sealed)
  opened.set(sealed, bound)
  return bound
}

async function readKey(sealed: Secret): Promise<Bound> {
  try {
    const { subtle } = globalThis.crypto
    const whole: webcrypto.JsonWebKey = JSON.parse(sealed.reveal())
    const { d: _, ...rest } = whole
    const privateKey = await subtle.importKey('jwk', whole, ALGORITHM, false, ['sign'])
    const publicKey = await subtle.importKey('jwk', rest, ALGORITHM, true, ['verify'])
    return { pair: { privateKey, publicKey }, thumbprint: await calculateThumbprint(publicKey) }
  } catch {
    throw new ValetkeyError('needs-reauth', 'the key that this access is bound to cannot be read', {
      hint: 'connect the account again',
    })
  }
}

/** What servers gave for the next proof. */
const nonces = new Map<string, string>()

function keyOf({ thumbprint }: Bound, side: Side, { origin }: URL): string {
  return `${side} ${thumbprint} ${origin}`
}

export function nonceFor(bound: Bound, side: Side, url: URL): string | undefined {
  return nonces.get(keyOf(bound, side, url))
}

/** RFC 9449 §8.2: any answer may bring the next one. Says whether it is another than before. */
export function adoptNonce(bound: Bound, side: Side, url: URL, nonce: string | null | undefined): boolean {
  if (!nonce || nonce.length > LONGEST_NONCE || !/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(nonce)) return false
  const key = keyOf(bound, side, url)
  const before = nonces.get(key)
  nonces.delete(key)
  nonces.set(key, nonce)
  if (nonces.size > MOST_NONCES) for (const oldest of nonces.keys()) return nonces.delete(oldest)
  return before !== nonce
}

interface Proved {
  readonly method: string
  readonly url: URL
  readonly token: string
}

/** A proof for this one request to a resource server, and for no other. */
export function proofFor(bound: Bound, { method, url, token }: Proved): Promise<string> {
  const htu = url.origin + url.pathname
  return generateProof(bound.pair, htu, method, nonceFor(bound, 'resource', url), token)
}

/** Whether a resource server refused only for want of its nonce (RFC 9449 §9). */
export function wantsNonce(challenge: string | null | undefined): boolean {
  return readChallenges(challenge).some(
    ({ scheme, params }) => scheme === 'dpop' && params.get('error') === 'use_dpop_nonce',
  )
}
