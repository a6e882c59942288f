import { ValetkeyError } from '#client'
import { type Caller, isCallerId } from '../model/caller.ts'
import type { CallerReceipt } from '../model/words.ts'
import { addressOf } from './accounts.ts'
import { endAsks } from './asks/ending.ts'
import { isOver } from './forwarding/streams.ts'
import { cutOffEnded, endMadeBy } from './keys/ending.ts'
import { behind, type Kit } from './kit.ts'
import { endLeases } from './leases.ts'
import { lentOf } from './outbox/cutting.ts'

/**
 * Ends all that a caller may use, at once, and the callers that it made. What it was lent is told apart: that
 * dies by itself, and not before.
 */
export async function revokeCaller(kit: Kit, caller: Caller, who: string): Promise<CallerReceipt> {
  const passage = await kit.gate.pass(caller, 'revoke', { name: who })
  return behind(passage, () => cutCaller(kit, caller, who), inShort)
}

async function cutCaller(kit: Kit, { owner }: Caller, who: string): Promise<CallerReceipt> {
  if (!isCallerId(who))
    throw new ValetkeyError('invalid-request', 'this is not a caller', { hint: 'valetkey bindings' })
  const which = { owner, caller: who }
  const { told, others } = await kit.storage.transaction('synced', async (rows) => {
    const accounts = new Map((await rows.list('accounts', { owner })).map((one) => [one.id, addressOf(one)]))
    const bindings = await rows.list('bindings', which)
    const livesOn = await lentOf(kit, rows, which, (id) => accounts.get(id) ?? id)
    for (const { id } of bindings) await kit.vault.erase(rows, owner, id)
    await rows.remove('bindings', which)
    await endAsks(kit, rows, which)
    const ended = await endLeases(kit, rows, which, 'ended')
    const others = await endMadeBy(kit, rows, { owner, id: who }, { itself: true })
    if (bindings.length === 0 && ended === 0 && others.rows.length === 0) throw nothingThere(who)
    const leasesEnded = ended + others.leases
    const told = { caller: who, at: kit.now(), livesOn, leasesEnded, bindingsEnded: bindings.length }
    return { told, others }
  })
  kit.streams.cut(which, isOver('all that its caller may use was ended'))
  await cutOffEnded(kit, others)
  return told
}

function inShort({ bindingsEnded, leasesEnded, livesOn }: CallerReceipt): string {
  return `${bindingsEnded} bindings and ${leasesEnded} leases ended, ${livesOn.length} lent tokens live on`
}

function nothingThere(who: string): ValetkeyError {
  return new ValetkeyError('not-found', `${who} may use nothing here`, { hint: 'valetkey bindings' })
}
