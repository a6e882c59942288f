import { type May, ValetkeyError } from '#client'
import type { Caller, CallerId } from '../../model/caller.ts'
import type { AccountRow } from '../../model/storage.ts'
import { isNarrowed, lineOf } from '../keys/line.ts'
import { rightsAt } from '../keys/rights.ts'
import type { Kit } from '../kit.ts'

/** What is to be done, and where: an account, or an address at which there is none. */
export interface Deed {
  readonly account: AccountRow | undefined
  readonly address: string
  readonly may: readonly May[]
}

/** Who made this caller and may not do it, so that the caller may not either. */
export async function shortOf(
  kit: Kit,
  { owner, id }: Pick<Caller, 'owner' | 'id'>,
  { account, address, may }: Deed,
): Promise<CallerId | undefined> {
  if (!isNarrowed(id)) return undefined
  return kit.storage.transaction('soon', async (rows) => {
    const [row] = await lineOf(rows, { owner, id }, kit.now().getTime())
    const maker = row?.parent ?? id
    const rights = await rightsAt(kit, rows, { owner, id: maker }, account ?? address)
    return may.every((verb) => rights.may.includes(verb)) ? undefined : maker
  })
}

/** Nobody gets more by asking than whoever made them has. */
export async function refuseAbove(kit: Kit, caller: Pick<Caller, 'owner' | 'id'>, deed: Deed): Promise<void> {
  const short = await shortOf(kit, caller, deed)
  if (short === undefined) return
  const isOver = short === caller.id
  const message = isOver
    ? `${caller.id} has ended`
    : `${short}, which made ${caller.id}, may not do this itself`
  throw new ValetkeyError('not-allowed', message, {
    hint: isOver ? 'valetkey keys' : `have ${short} ask first`,
  })
}
