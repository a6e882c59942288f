import type { EventName } from '#client'
import type { AccountRow, Changed } from '../model/storage.ts'
import { hearAsks } from './asks/hearsay.ts'
import type { Kit } from './kit.ts'
import { tell } from './telling.ts'

/**
 * What other brokers did to an account is told here as well, where it changed the account's status, and what
 * is under way by a lease that they ended is cut off. What happened while the line to the database was broken
 * is not told afterwards.
 */
export function hearOthers(kit: Kit): void {
  const heard = new Map<string, number>()
  const hearAsk = hearAsks(kit)
  let last: Promise<void> = Promise.resolve()
  kit.storage.changes?.((what) => {
    // What was ended elsewhere in the meantime may be among it.
    if (what === 'missed') {
      lookAtCallers(kit)
      kit.minted.forgetAll()
      return kit.accessTokens.forgetAll()
    }
    if (what.table === 'asks') last = last.then(() => hearAsk(what)).catch(() => undefined)
    if (what.own) return
    if (what.table === 'leases') return kit.streams.lookAt(what.record)
    if (what.table === 'keys') return lookAtCallers(kit, what.record)
    if (what.table !== 'accounts') return
    if (!LIVING.includes(what.is))
      for (const known of [kit.accessTokens, kit.minted]) known.forget(what.record)
    for (const wake of kit.awaited.get(what.record) ?? []) wake()
    last = last.then(() => passOn(kit, what, heard)).catch(() => undefined)
  })
}

/** Whoever was ended elsewhere has no socket here any more. */
function lookAtCallers({ keyring }: Kit, id?: string): void {
  keyring.lookAt(id).catch(() => undefined)
}

const LIVING: readonly Changed['is'][] = ['connected', 'failing']

/** For so long what was announced may still be on its way here. */
const ON_ITS_WAY_MS = 60_000
/** So much later than the account itself only an announcement is written. */
const LATER_MS = 1_000

async function passOn(
  kit: Kit,
  { owner, record: id, was, is }: Changed,
  heard: Map<string, number>,
): Promise<void> {
  // Nothing but the erasing of its owner takes an account away.
  if (is === null) return kit.happenings.forget(owner)
  if (kit.vault.locked) return
  const account = await kit.storage.get('accounts', { owner, id })
  if (account?.status !== is) return
  const name = is === was ? newsOf(account, kit.now().getTime(), heard) : is
  if (name) await tell(kit, name, account)
}

/** What is announced changes no status; it says when it was, and each is heard of once. */
function newsOf(account: AccountRow, now: number, heard: Map<string, number>): EventName | undefined {
  const { id, changedAt, warnedAt, rotateToldAt } = account
  const [warned, told] = [warnedAt ?? 0, rotateToldAt ?? 0]
  const at = Math.max(warned, told)
  if (at <= changedAt + LATER_MS || now - at > ON_ITS_WAY_MS || heard.get(id) === at) return undefined
  heard.set(id, at)
  return told > warned ? 'rotation-due' : 'expiring'
}
