import { ValetkeyError } from '#client'
import { addressOf } from '../accounts.ts'
import { isRenewable, takeWhole, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
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
  if (!isRenewable(kit, account, credential) || isRefusedFresh(kit, present)) throw refusedAnyway(present)
  return renewedInTime(kit, present)
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
