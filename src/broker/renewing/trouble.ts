import { type ErrorCode, ValetkeyError } from '#client'
import type { AccountRow } from '../../model/storage.ts'
import { addressOf } from '../accounts.ts'
import { markClient } from '../clients/marking.ts'
import type { Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import type { Shut } from '../schedule/breaker.ts'
import { tell } from '../telling.ts'

const SECOND_MS = 1000
const FIRST_WAIT_MS = SECOND_MS
const LONGEST_WAIT_MS = 15 * 60 * SECOND_MS
/** So long a provider may ask to be left alone. */
const LONGEST_ASKED_FOR_MS = 24 * 60 * 60 * SECOND_MS
/** What a person has to set right is not asked for over and over in the meantime. */
const BY_HAND_MS = 60 * 60 * SECOND_MS
const BY_HAND: ReadonlySet<ErrorCode> = new Set([
  'provider-not-configured',
  'refused-by-policy',
  'vendor-policy',
])

/** Where an answer may have been given, and did not come here whole. */
const LOST: readonly ErrorCode[] = ['answer-lost', 'answer-timeout']

export function mayBeLost(error: unknown): boolean {
  return error instanceof ValetkeyError && LOST.includes(error.code)
}

/**
 * Trouble that ends nothing: what is still alive goes on being used, and the provider is left alone for
 * a while. Somebody who wrote meanwhile knows better.
 */
export async function troubled(kit: Kit, whole: Whole, error: ValetkeyError, lost: boolean): Promise<void> {
  const { account } = whole
  const { owner, id, generation } = account
  const tries = account.tries + 1
  const nextTryAt = kit.now().getTime() + waitFor(error, tries)
  kit.troubles.set(id, error)
  const asked = lost || mayBeLost(error) ? {} : { askedAt: null }
  const set = {
    status: 'failing',
    reason: error.message,
    tries,
    nextTryAt,
    dueAt: nextTryAt,
    ...asked,
  } as const
  const changed = await kit.storage.transaction('synced', (rows) =>
    rows.update('accounts', { owner, id, generation }, set),
  )
  if (error.code === 'provider-not-configured') await markClient(kit, whole, error.message)
  kit.schedule.expect(nextTryAt)
  if (changed > 0 && account.status === 'connected') await tell(kit, 'failing', { ...account, ...set })
}

/** The client was accepted, so all that stood against it is over. */
export async function endTrouble(kit: Kit, whole: Whole, before: AccountRow): Promise<void> {
  kit.troubles.delete(whole.account.id)
  await markClient(kit, whole, null, before.status === 'failing')
}

/** Until then nobody asks the provider for this account again. */
export function isWaiting({ nextTryAt }: AccountRow, now: Date): boolean {
  const left = (nextTryAt ?? 0) - now.getTime()
  // Nobody waits for longer than that: the clock was ahead when it was written.
  return left > 0 && left <= LONGEST_ASKED_FOR_MS
}

/** The trouble that there was, told again without asking anybody. */
export function stillTroubled(kit: Kit, account: AccountRow): ValetkeyError {
  const { id, reason, nextTryAt } = account
  const code = kit.troubles.get(id)?.code ?? 'server-error'
  const retryAfter = Math.max(1, Math.ceil(((nextTryAt ?? 0) - kit.now().getTime()) / SECOND_MS))
  const why = reason === null ? '' : `: ${reason}`
  return new ValetkeyError(code, `${addressOf(account)} could not be renewed${why}`, {
    hint: `it is tried again in ${retryAfter} s; to try now: valetkey refresh ${addressOf(account)}`,
    retryAfter,
  })
}

/** So many accounts in a row had trouble there that nobody asks for any more of them at the moment. */
export function stillShut(account: AccountRow, { leftMs, code }: Shut): ValetkeyError {
  const retryAfter = Math.max(1, Math.ceil(leftMs / SECOND_MS))
  const address = addressOf(account)
  return new ValetkeyError(
    code,
    `${address} could not be renewed: its provider has trouble with all accounts`,
    {
      hint: `it is tried again in ${retryAfter} s; to try now: valetkey refresh ${address}`,
      retryAfter,
    },
  )
}

/** Longer each time, and not all at the same moment; what the provider asked for counts before that. */
function waitFor({ code, retryAfter }: ValetkeyError, tries: number): number {
  const usual = Math.min(FIRST_WAIT_MS * 2 ** Math.min(tries - 1, 20), LONGEST_WAIT_MS)
  const least = BY_HAND.has(code) ? BY_HAND_MS : usual
  return Math.max((retryAfter ?? 0) * SECOND_MS, least * (0.75 + Math.random() / 2))
}
