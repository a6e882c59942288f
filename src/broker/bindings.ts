import { type Asks, ValetkeyError } from '#client'
import { type Caller, isCallerId, isOwner } from '../model/caller.ts'
import { VERBS_OF_A_BINDING } from '../model/gate.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Binding, BindRequest } from '../model/words.ts'
import { endAsks } from './asks/ending.ts'
import { type BindingTerms, isLive, putBinding, viewBinding, worthless } from './binding-rows.ts'
import { isOver } from './forwarding/streams.ts'
import { endRights } from './keys/ending.ts'
import { readLimits } from './keys/limits.ts'
import { isNarrowed, type Who } from './keys/line.ts'
import { asBinding, bindingsByRights, callersByRights, rightsAt } from './keys/rights.ts'
import { accountOf, behind, type Kit, unlessTampered } from './kit.ts'

export { type BindingTerms, putBinding } from './binding-rows.ts'

export async function bind(kit: Kit, caller: Caller, request: BindRequest): Promise<Binding> {
  const passage = await kit.gate.pass(caller, 'bind', { address: request.address, name: request.caller })
  return behind(
    passage,
    () => writeBinding(kit, accountOf(passage, request.address), readTerms(request, kit.now())),
    ({ caller: bound, may, address }) => `${bound} may ${may.join(', ')} ${address}`,
  )
}

export async function unbind(kit: Kit, caller: Caller, id: string): Promise<void> {
  const passage = await kit.gate.pass(caller, 'unbind', { name: id })
  await behind(passage, async () => {
    const { owner } = caller
    const ended = await kit.storage.transaction('synced', async (rows) => {
      const row = await rows.get('bindings', { owner, id })
      if (row === undefined)
        throw new ValetkeyError('not-found', 'there is no such binding', { hint: 'valetkey bindings' })
      await rows.remove('bindings', { owner, id })
      await kit.vault.erase(rows, owner, id)
      await endAsks(kit, rows, row)
      return endRights(kit, rows, row)
    })
    for (const which of ended) kit.streams.cut(which, isOver('the binding was ended'))
  })
}

/** The owner sees every binding, anybody else their own that are live; who was narrowed, what comes of it. */
export async function bindingsOf(kit: Kit, caller: Caller): Promise<readonly Binding[]> {
  const { owner } = caller
  if (isNarrowed(caller.id)) return bindingsByRights(kit, caller)
  const where = isOwner(caller) ? { owner } : { owner, caller: caller.id }
  return kit.storage.transaction('soon', async (rows) => {
    const seen: Binding[] = []
    for (const row of await rows.list('bindings', where, { orderBy: 'createdAt' })) {
      const account = await rows.get('accounts', { owner, id: row.accountId })
      if (account === undefined) continue
      const binding = await unlessTampered(viewBinding(kit, rows, row, account))
      if (isOwner(caller)) seen.push(binding ?? worthless(row, account))
      else if (binding !== undefined && isLive(binding, kit.now())) seen.push(binding)
    }
    return seen
  })
}

/** Whether a caller stands at an account at this moment. */
export async function isBound(kit: Kit, { owner, id }: Caller, accountId: string): Promise<boolean> {
  return kit.storage.transaction('soon', async (rows) => {
    const account = await rows.get('accounts', { owner, id: accountId })
    return account !== undefined && (await standsAt(kit, rows, { owner, id }, account))
  })
}

type Rows = Parameters<typeof rightsAt>[1]

async function standsAt(kit: Kit, rows: Rows, who: Who, account: AccountRow): Promise<boolean> {
  const rights = await unlessTampered(rightsAt(kit, rows, who, account))
  return rights !== undefined && asBinding(who, account, rights) !== undefined
}

/** Who may know of an account, besides its owner. */
export async function callersBoundTo(kit: Kit, account: AccountRow): Promise<readonly string[]> {
  const bound = (await liveBindings(kit, account)).map(({ caller }) => caller)
  return [...bound.filter((id) => !isNarrowed(id)), ...(await callersByRights(kit, account))]
}

/** What is live at an account; what was changed from outside allows nothing. */
export async function liveBindings(kit: Kit, account: AccountRow): Promise<readonly Binding[]> {
  const { owner, id: accountId } = account
  return kit.storage.transaction('soon', async (rows) => {
    const live: Binding[] = []
    for (const row of await rows.list('bindings', { owner, accountId }, { orderBy: 'createdAt' })) {
      const binding = await unlessTampered(viewBinding(kit, rows, row, account))
      if (binding !== undefined && isLive(binding, kit.now())) live.push(binding)
    }
    return live
  })
}

function readTerms(request: BindRequest, now: Date): BindingTerms {
  const { caller, may, asks = usuallyAsked(caller), limits, until = null } = request
  if (!isCallerId(caller)) {
    throw new ValetkeyError('invalid-request', 'this is not a caller', {
      hint: 'write it as app:reports, node:n1 or me',
    })
  }
  if (may.length === 0 || may.some((verb) => !VERBS_OF_A_BINDING.includes(verb))) {
    throw new ValetkeyError('invalid-request', `a binding may ${VERBS_OF_A_BINDING.join(', ')}`)
  }
  if (until !== null && !(until > now))
    throw new ValetkeyError('invalid-request', 'this binding would be over already')
  return {
    caller,
    may: [...new Set(may)],
    asks,
    ...(limits && { limits: readLimits(limits) }),
    until: until?.getTime() ?? null,
  }
}

/** A new program of a caller is asked about, unless the caller is the owner, or one that was made for a purpose. */
function usuallyAsked(caller: string): Asks {
  return isNarrowed(caller) || caller.startsWith('person:') ? 'never' : 'first-use'
}

async function writeBinding(kit: Kit, account: AccountRow, terms: BindingTerms): Promise<Binding> {
  return kit.storage.transaction('synced', (rows) => putBinding(kit, rows, account, terms))
}
