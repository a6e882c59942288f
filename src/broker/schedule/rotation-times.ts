import type { Credential } from '../../model/credential.ts'
import type { AccountRow } from '../../model/storage.ts'

const DAY_MS = 24 * 60 * 60_000

type Rotation = Pick<AccountRow, 'rotateDays' | 'rotateAt' | 'rotateToldAt'>

/** By the owner's wish: what was issued then counts as new. */
export function rotationFrom(rotateDays: number | null, issuedAt: Date): Rotation {
  const rotateAt = rotateDays === null ? null : issuedAt.getTime() + rotateDays * DAY_MS
  return { rotateDays, rotateAt, rotateToldAt: null }
}

/** The same after a renewal: where the provider gave another refresh token, that is new. */
export function rotationAfter(
  { rotateDays, rotateAt, rotateToldAt }: Rotation,
  [old, fresh]: readonly [Credential, Credential],
  now: Date,
): Rotation {
  return isReplaced(old, fresh) ? rotationFrom(rotateDays, now) : { rotateDays, rotateAt, rotateToldAt }
}

/** When something has to be done for it; null once its owner was told. */
export function rotationDueAt({ rotateAt, rotateToldAt }: Rotation): number | null {
  return rotateToldAt === null ? rotateAt : null
}

export function isRotationDue({ rotateAt, status }: AccountRow, now: Date): boolean {
  return status !== 'revoked' && rotateAt !== null && rotateAt <= now.getTime()
}

export function isReplaced(old: Credential, fresh: Credential): boolean {
  const [before, after] = [old, fresh].map(({ kept }) => kept['refreshToken']?.reveal())
  return after !== undefined && before !== after
}
