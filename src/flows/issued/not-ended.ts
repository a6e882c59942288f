import type { RevokedPiece } from '../../model/flow.ts'
import { troubleOf } from '../../protocol/trouble.ts'

/** Why something could not be ended, and whether its provider is asked again. */
export function whyNotEnded(error: unknown): Pick<RevokedPiece, 'how' | 'again'> {
  const { message: how, retryable, retryAfter } = troubleOf(error)
  if (!retryable) return { how }
  return { how, again: retryAfter === undefined ? {} : { after: retryAfter } }
}
