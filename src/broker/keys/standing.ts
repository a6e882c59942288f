import { formatAddress } from '#client'
import { type Caller, isCallerId } from '../../model/caller.ts'
import type { Standing, Target } from '../../model/gate.ts'
import { readAddress } from '../accounts.ts'
import { boundTo } from '../binding-rows.ts'
import type { Kit } from '../kit.ts'
import { isNarrowed, lineOf } from './line.ts'
import { asBinding, rightsAt, type Spot } from './rights.ts'

/** What the gate has to know of a caller's rights at an address, whether an account is there or not. */
export async function rightsOf(kit: Kit, caller: Caller, at: Spot): Promise<Omit<Standing, 'account'>> {
  const spot = typeof at === 'string' ? formatAddress(readAddress(kit, at)) : at
  return kit.storage.transaction('soon', async (rows) => {
    // The owner has all rights but one: what the owner may see is given to the owner like to anybody.
    if (caller.id === caller.owner) {
      const own = typeof spot === 'string' ? undefined : await boundTo(kit, rows, caller, spot)
      return { binding: own?.binding }
    }
    const rights = await rightsAt(kit, rows, caller, spot)
    const binding = typeof spot === 'string' ? undefined : asBinding(caller, spot, rights)
    const { limits, may, programs, unasked } = rights
    return { binding, limits, may, programs, unasked }
  })
}

/** Of what is no account: where it is a caller that was narrowed, who made it. */
export async function standingOf(
  { storage, now }: Kit,
  { owner }: Caller,
  { name }: Target,
): Promise<Standing> {
  const nothing = { account: undefined, binding: undefined }
  if (name === undefined || !isNarrowed(name) || !isCallerId(name)) return nothing
  const line = await lineOf(storage, { owner, id: name }, now().getTime())
  return { ...nothing, line: line.flatMap(({ id, parent }) => [id, parent]) }
}
