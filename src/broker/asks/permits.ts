import { type May, readPurpose, ValetkeyError } from '#client'
import { type Caller, programOf } from '../../model/caller.ts'
import type { Permit, Permits, Standing, Target } from '../../model/gate.ts'
import type { AccountRow, AskRow } from '../../model/storage.ts'
import type { Ask } from '../../model/words.ts'
import { behind, type Kit } from '../kit.ts'
import { shortOf } from './above.ts'
import { askedAlready, askFor, type Wish } from './ask.ts'
import { type Asking, isCurrent, readAsking, writeAsking } from './rows.ts'

/** What the gate has to know of what the owner was asked. */
export function openPermits(kit: () => Kit): Permits {
  return {
    find: (caller, verb, stands) => findPermit(kit(), caller, verb, stands),
    ask: (caller, verb, target, stands) => askAboutUse(kit(), caller, verb, target, stands),
  }
}

/** The permit for a use that its binding does not allow by itself. */
async function findPermit(
  kit: Kit,
  caller: Caller,
  verb: May,
  stands: Standing,
): Promise<Permit | undefined> {
  const { account, binding } = stands
  if (account === undefined || binding === undefined) return undefined
  const found = await allowedOnes(kit, caller, account, verb)
  const allowed = found.find(({ terms }) => terms.decision === 'ten-minutes') ?? found[0]
  if (allowed === undefined) return undefined
  if ((await shortOf(kit, caller, { account, address: binding.address, may: [verb] })) !== undefined)
    return undefined
  const may = [...new Set([...binding.may, verb])]
  return {
    // What else the binding gives was not asked about, and is no part of it.
    standing: { ...stands, may: [verb], binding: { ...binding, may, asks: 'never' } },
    take: async () => allowed.terms.decision !== 'once' || useUp(kit, allowed.row),
  }
}

/** Asks the owner about a use, and says so. */
async function askAboutUse(
  kit: Kit,
  caller: Caller,
  verb: May,
  { purpose }: Target,
  { binding }: Standing,
): Promise<ValetkeyError> {
  const address = binding?.address ?? ''
  const reason = saidOf(purpose) ?? `use of ${verb}`
  const wish = { address, may: [verb], reason }
  try {
    // A program that tries again and again puts nothing more on record than its uses.
    const { id, state } = (await askedAlready(kit, caller, wish)) ?? (await recorded(kit, caller, wish))
    return state === 'refused' ? saidNo(caller, verb, address) : askNeeded(caller, address, id)
  } catch (error) {
    if (error instanceof ValetkeyError) return error
    throw error
  }
}

async function recorded(kit: Kit, caller: Caller, wish: Wish): Promise<Ask> {
  const passage = await kit.gate.pass(caller, 'ask', { address: wish.address })
  return behind(
    passage,
    () => askFor(kit, caller, wish),
    ({ id, state, may, reason }) => `${id}, ${state}: ${may.join(', ')} (${reason})`,
  )
}

async function allowedOnes(
  kit: Kit,
  caller: Caller,
  account: AccountRow,
  verb: May,
): Promise<readonly Asking[]> {
  const { owner, id } = caller
  return kit.storage.transaction('soon', async (rows) => {
    const live = { owner, caller: id, state: 'allowed', until: { atLeast: kit.now().getTime() + 1 } } as const
    const good: Asking[] = []
    for (const row of await rows.list('asks', live, { orderBy: 'askedAt' })) {
      const asking = await readAsking(kit, rows, row)
      const terms = asking?.terms
      if (terms?.accountId === account.id && terms.may.includes(verb) && terms.program === programOf(caller))
        good.push(asking as Asking)
    }
    return good
  })
}

/** Of many at once one is served. */
async function useUp(kit: Kit, { owner, id }: AskRow): Promise<boolean> {
  return kit.storage.transaction('synced', async (rows) => {
    const asking = await readAsking(kit, rows, await rows.get('asks', { owner, id }))
    const now = kit.now()
    if (asking === undefined || asking.terms.state !== 'allowed' || !isCurrent(asking, now)) return false
    await writeAsking(kit, rows, asking.row, { ...asking.terms, until: now.getTime() })
    return true
  })
}

/** What cannot be read is refused where the use is; nobody is shown it. */
function saidOf(purpose: string | undefined): string | null {
  try {
    return readPurpose(purpose)
  } catch {
    return null
  }
}

function askNeeded({ id: caller }: Caller, address: string, id: string): ValetkeyError {
  return new ValetkeyError('ask-needed', `the owner is asked first whether ${caller} may use ${address}`, {
    hint: `valetkey asks allow ${id}`,
  })
}

function saidNo({ id }: Caller, verb: May, address: string): ValetkeyError {
  return new ValetkeyError('not-allowed', `the owner said no: ${id} may not ${verb} ${address}`, {
    hint: 'the owner is not asked again for a while',
  })
}
