import { timingSafeEqual } from 'node:crypto'
import type { Secret } from '../../../model/secret.ts'
import { type Told, tell } from './codes.ts'
import type { Frame } from './frames.ts'
import { NEWEST, OLDEST, type Version } from './limits.ts'

/** The newest version that both speak, or why none is spoken. */
export function shakeHands({ op, payload }: Frame, token: Secret | undefined): Version | Told {
  if (op !== 'handshake') return tell('INVALID_REQUEST', 'The first frame has to be a handshake.')
  const { minVersion, maxVersion, capabilityToken } = fieldsOf(payload)
  const version = agreed(minVersion, maxVersion)
  if (version === undefined)
    return tell('UNKNOWN_VERSION', `Versions ${OLDEST} to ${NEWEST} are spoken here.`)
  if (token !== undefined && !isSame(token, capabilityToken))
    return tell('UNAUTHORIZED', 'The capability token is missing or wrong.')
  return version
}

function fieldsOf(payload: unknown): Frame {
  return typeof payload === 'object' && payload !== null ? (payload as Frame) : {}
}

function agreed(least: unknown, most: unknown): Version | undefined {
  if (!isVersion(least) || !isVersion(most)) return undefined
  const version = Math.min(most, NEWEST)
  return version >= Math.max(least, OLDEST) ? (version as Version) : undefined
}

function isVersion(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value)
}

function isSame(token: Secret, shown: unknown): boolean {
  if (typeof shown !== 'string') return false
  const [one, other] = [Buffer.from(token.reveal()), Buffer.from(shown)]
  return one.length === other.length && timingSafeEqual(one, other)
}
