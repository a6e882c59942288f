import type { Mint } from '../../model/mint.ts'
import type { AccountRow } from '../../model/storage.ts'
import { isStanding } from '../grants.ts'
import type { Kit } from '../kit.ts'

type Of = Pick<AccountRow, 'provider' | 'flow'>

/** How less than all is had of this account; undefined where its provider gives no less. */
export function mintOf({ catalogue, mints }: Kit, { provider, flow }: Of): Mint | undefined {
  const signIn = catalogue.find(provider, flow)?.signIns.find((one) => one.flow === flow)
  return signIn?.mint && mints.get(signIn.mint.how)
}

/** What never dies by itself is only forwarded, unless something that does can be had for it. */
export function isForwardOnly(kit: Kit, account: Of, credential: Parameters<typeof isStanding>[0]): boolean {
  return isStanding(credential) && mintOf(kit, account) === undefined
}
