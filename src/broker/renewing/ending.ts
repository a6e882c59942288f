import { ValetkeyError } from '#client'
import type { AccountRow } from '../../model/storage.ts'
import { addressOf } from '../accounts.ts'
import type { Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { tell } from '../telling.ts'
import { replace } from './replacing.ts'

/** In the place of the time at which a provider was asked: the vault was put back, so nobody knows. */
export const PUT_BACK = 0

/** What was found to be over for good is not used again. */
export function livingOf(whole: Whole): Whole {
  const { account } = whole
  if (account.status === 'needs-reauth') throw needsReauth(account, account.reason)
  return whole
}

/** Why the provider takes the token for dead, where that is our side's doing. */
export function whyOver({ askedAt, tries }: AccountRow, lost: boolean): string | undefined {
  if (askedAt === PUT_BACK) return 'an older copy of the vault was put back, with tokens that were used since'
  if (askedAt !== null && tries === 0)
    return 'lost in a crash: the provider had answered, and nobody could keep it'
  if (lost || askedAt !== null)
    return "lost on the way: the provider's answer did not arrive, and it gives none twice"
  return undefined
}

/** The dead tokens go at once; the account, its bindings and its history stay. False where it changed meanwhile. */
export async function end(kit: Kit, { account, ...grant }: Whole, reason: string): Promise<boolean> {
  const credential = { ...grant.credential, worn: {}, kept: {} }
  const times = { expiresAt: null, dueAt: null, askedAt: null, nextTryAt: null, diesAt: null, warnedAt: null }
  const over = { ...times, status: 'needs-reauth', reason } as const
  const next = await replace(kit, account, { ...grant, credential }, () => over)
  if (next === undefined) return false
  kit.accessTokens.forget(account.id)
  await tell(kit, 'needs-reauth', next)
  return true
}

export function needsReauth(account: AccountRow, reason: string | null): ValetkeyError {
  const address = addressOf(account)
  const why = reason === null ? '' : `: ${reason}`
  return new ValetkeyError('needs-reauth', `${address} has to be connected again${why}`, {
    hint: `valetkey reconnect ${address}`,
  })
}
