import type { Imported } from '#client'
import type { Caller } from '../../model/caller.ts'
import type { AccountRow } from '../../model/storage.ts'
import { addressOf, showAccount } from '../accounts.ts'
import type { Kit } from '../kit.ts'
import { livingAccounts } from './exporting.ts'
import type { Judged } from './import-arrivals.ts'

/** Who of the owner's is known at a provider, and under which address. */
export type Known = Map<string, string>

export async function knownHere(kit: Kit, caller: Caller): Promise<Known> {
  const known: Known = new Map()
  for (const account of await livingAccounts(kit, caller)) {
    const shown = await showAccount(kit, account.owner, account.id)
    remember(known, account, shown?.subject ?? null)
  }
  return known
}

/** The same person twice at one provider may well be meant, and is told. */
export function withNamesake({ line, good }: Judged, known: Known): Imported {
  if (good === undefined) return line
  const { account, grant } = good
  const other = remember(known, account, grant.profile.subject)
  if (other === undefined) return line
  const told = `the same person at ${account.provider} as ${other}`
  return { ...line, why: line.why === null ? told : `${line.why}; ${told}` }
}

/** Gives the other address under which the same person is known. */
function remember(known: Known, account: AccountRow, subject: string | null): string | undefined {
  if (subject === null) return undefined
  const key = JSON.stringify([account.provider, subject])
  const other = known.get(key)
  if (other === undefined) known.set(key, addressOf(account))
  return other === addressOf(account) ? undefined : other
}
