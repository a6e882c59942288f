import { ValetkeyError } from '#client'
import { addressOf } from '../accounts.ts'
import { isRenewable, takeWhole, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { readAgain, wearsReference } from '../referred.ts'
import { freshWhole, renewedInTime } from '../refresh.ts'
import { livingOf } from './ending.ts'

/** So long a provider is not asked for another one that it would refuse as well. */
const LEFT_ALONE_MS = 5 * 60_000

/**
 * For whoever was refused by the provider with this very credential, however alive it looked. One renewal is
 * enough for all who were refused with it.
 */
export async function renewRefused(kit: Kit, refused: Whole): Promise<Whole> {
  const present = livingOf(await takeWhole(kit, refused.account))
  const { account, credential } = present
  if (account.generation !== refused.account.generation) return freshWhole(kit, account)
  if (isRefusedFresh(kit, present)) throw refusedAnyway(present)
  if (wearsReference(credential)) return orRefused(kit, present, await readAgain(kit, refused, present))
  if (!isRenewable(kit, account, credential)) throw refusedAnyway(present)
  return renewedInTime(kit, present)
}

/** What lies elsewhere may have been replaced there. Where it was not, it is not read for that again so soon. */
function orRefused(kit: Kit, present: Whole, again: Whole | undefined): Whole {
  if (again !== undefined) return again
  refusedFresh(kit, present)
  throw refusedAnyway(present)
}

/** It was renewed a moment ago, and is refused all the same: renewing is not what helps. */
export function refusedFresh(kit: Kit, { account: { id, generation } }: Whole): void {
  kit.refusedFresh.set(id, { generation, until: kit.monotonic() + LEFT_ALONE_MS })
}

function isRefusedFresh(kit: Kit, { account: { id, generation } }: Whole): boolean {
  const known = kit.refusedFresh.get(id)
  return known !== undefined && known.generation === generation && kit.monotonic() < known.until
}

export function refusedAnyway({ account }: Whole): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('invalid-token', `the provider refuses the access to ${address}, renewed or not`, {
    hint: `valetkey reconnect ${address}`,
  })
}
