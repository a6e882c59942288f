import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, type JWK, jwtVerify } from 'jose'
import { ValetkeyError } from '#client'
import { strictObject } from './strict-json.ts'

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'PS256', 'PS384', 'PS512', 'RS256']
const LONGEST_PROOF = 8192
const LONGEST_JTI = 200
/** How old a proof may be, and how far ahead a clock. */
const OLD_SECONDS = 60
const AHEAD_SECONDS = 30
/** RFC 7518 §6: what only the holder of a private key has. */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** What a proof has to prove. */
export interface Possession {
  readonly proof: string
  readonly method: string
  readonly url: URL
  /** What is shown beside it, and is of no use without it. */
  readonly token: string
}

/** The proofs of the last moments. Each is good once. */
export interface SeenProofs {
  /** False where it was seen before, or no more can be remembered. */
  isNew(id: string, untilMs: number, nowMs: number): boolean
}

/**
 * RFC 9449 §4.3: the RFC 7638 thumbprint of the key that this very request was signed by. Throws
 * `unauthenticated` where the proof proves nothing of it.
 */
export async function provenThumbprint(possession: Possession, seen: SeenProofs, now: Date): Promise<string> {
  const { proof } = possession
  try {
    const { header, payload } = await verified(proof, now)
    const thumbprint = await calculateJwkThumbprint(header.jwk)
    judge(possession, payload)
    const { jti, iat } = payload
    const untilMs = (iat + OLD_SECONDS + AHEAD_SECONDS) * 1000
    if (!seen.isNew(`${thumbprint} ${jti}`, untilMs, now.getTime())) throw refused('jti')
    return thumbprint
  } catch (error) {
    throw isRefused(error) ? error : refused('signature')
  }
}

interface Claims {
  readonly jti: string
  readonly iat: number
  readonly htm: unknown
  readonly htu: unknown
  readonly ath: unknown
}

async function verified(proof: string, now: Date): Promise<{ header: { jwk: JWK }; payload: Claims }> {
  const parts = proof.split('.')
  if (proof.length > LONGEST_PROOF || parts.length !== 3 || !parts.every(isCanonical)) throw refused('form')
  // What two readers could read differently is read by neither.
  for (const part of parts.slice(0, 2)) strictObject(Buffer.from(part, 'base64url').toString('utf8'))
  const { protectedHeader, payload } = await jwtVerify(proof, EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ALGORITHMS,
    currentDate: now,
    clockTolerance: AHEAD_SECONDS,
  })
  const { jwk } = protectedHeader
  if (jwk === undefined || PRIVATE.some((name) => Object.hasOwn(jwk, name))) throw refused('jwk')
  const { jti, iat, htm, htu, ath } = payload as Readonly<Record<string, unknown>>
  if (typeof jti !== 'string' || jti === '' || jti.length > LONGEST_JTI) throw refused('jti')
  const age = typeof iat === 'number' ? now.getTime() / 1000 - iat : Number.NaN
  if (typeof iat !== 'number' || !(age <= OLD_SECONDS && age >= -AHEAD_SECONDS)) throw refused('iat')
  return { header: { jwk }, payload: { jti, iat, htm, htu, ath } }
}

/** Spelled in the one way that there is to spell these bytes. */
function isCanonical(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part
}

function judge({ method, url, token }: Possession, { htm, htu, ath }: Claims): void {
  if (htm !== method) throw refused('htm')
  const named = typeof htu === 'string' ? URL.parse(htu) : null
  if (named === null || named.origin !== url.origin || named.pathname !== url.pathname) throw refused('htu')
  if (ath !== createHash('sha256').update(token).digest('base64url')) throw refused('ath')
}

/** RFC 9449 §11.1. Where there is no room for more, nothing is believed until there is. */
export function seenProofs(most = 20_000): SeenProofs {
  const until = new Map<string, number>()
  return {
    isNew(id, untilMs, nowMs) {
      if (until.has(id)) return false
      if (until.size >= most) for (const [old, end] of until) if (end <= nowMs) until.delete(old)
      if (until.size >= most) return false
      until.set(id, untilMs)
      return true
    },
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof ValetkeyError && error.code === 'unauthenticated'
}

function refused(claim: string): ValetkeyError {
  return new ValetkeyError('unauthenticated', `this proof of possession is not good: ${claim}`, {
    hint: 'sign one for every request (RFC 9449)',
  })
}
