/** What one connection may cost. Where a number is bare it is milliseconds. */
export interface FrameLimits {
  readonly handshakeMs: number
  /** From the first byte of a frame to its last. */
  readonly frameMs: number
  readonly idleMs: number
  /** How long the broker may take over one request. */
  readonly operationMs: number
  readonly inFlight: number
  /** Requests in any one second, of a caller that is not the owner. */
  readonly rate: number | undefined
  /** The same for the owner's own programs. */
  readonly ownerRate: number | undefined
  readonly handshakeBytes: number
  /** By version, the largest frame; both ways. */
  readonly frameBytes: Readonly<Record<Version, number>>
}

export type Version = 1 | 2
export const OLDEST: Version = 1
export const NEWEST = 2 as Version

export const USUAL_LIMITS: FrameLimits = {
  handshakeMs: 3000,
  frameMs: 5000,
  idleMs: 5 * 60_000,
  operationMs: 60_000,
  inFlight: 16,
  rate: 60,
  ownerRate: undefined,
  handshakeBytes: 4 * 1024,
  frameBytes: { 1: 64 * 1024, 2: 4 * 1024 * 1024 },
}
