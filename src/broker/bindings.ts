import { type Asks, type May, ValetkeyError } from '#client'
import { type Caller, type CallerId, isCallerId, isOwner } from '../model/caller.ts'
import { VERBS_OF_A_BINDING } from '../model/gate.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow, BindingRow, Rows } from '../model/storage.ts'
import type { Binding, BindRequest } from '../model/words.ts'
import { addressOf, dateOrNull } from './accounts.ts'
import { isOver } from './forwarding/streams.ts'
import { accountOf, behind, type Kit, unlessTampered } from './kit.ts'
import { endLeases } from './leases.ts'

/** What a binding allows is sealed, so that nobody gives himself more by writing into the table. */
interface Terms {
  readonly caller: CallerId
  readonly accountId: string
  readonly may: readonly May[]
  readonly asks: Asks
  readonly until: number | null
}

export type BindingTerms = Omit<Terms, 'accountId'>

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
    const row = await kit.storage.get('bindings', { owner: caller.owner, id })
    if (row === undefined)
      throw new ValetkeyError('not-found', 'there is no such binding', { hint: 'valetkey bindings' })
    await kit.storage.transaction('synced', async (rows) => {
      await rows.remove('bindings', { owner: caller.owner, id })
      await kit.vault.erase(rows, caller.owner, id)
      const { owner, accountId } = row
      await endLeases(kit, rows, { owner, accountId, caller: row.caller }, 'ended')
    })
    const { owner, accountId, caller: borrower } = row
    kit.streams.cut({ owner, accountId, caller: borrower }, isOver('the binding was ended'))
  })
}

/** The owner sees every binding, anybody else their own that are live. */
export async function bindingsOf(kit: Kit, caller: Caller): Promise<readonly Binding[]> {
  const { owner } = caller
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

/** The live binding by which a caller stands at an account. */
export async function bindingFor(
  kit: Kit,
  caller: Caller,
  account: AccountRow,
): Promise<Binding | undefined> {
  const { owner, id: accountId } = account
  return kit.storage.transaction('soon', async (rows) => {
    const row = await rows.get('bindings', { owner, caller: caller.id, accountId })
    const binding = row && (await viewBinding(kit, rows, row, account))
    return binding && isLive(binding, kit.now()) ? binding : undefined
  })
}

/** Whether a caller stands at an account at this moment, as far as its rows say. */
export async function isBound({ storage, now }: Kit, caller: Caller, accountId: string): Promise<boolean> {
  const row = await storage.get('bindings', { owner: caller.owner, caller: caller.id, accountId })
  return row !== undefined && (row.until === null || row.until > now().getTime())
}

/** Who may know of an account, besides its owner. */
export async function callersBoundTo(kit: Kit, account: AccountRow): Promise<readonly string[]> {
  return (await liveBindings(kit, account)).map(({ caller }) => caller)
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

function isLive({ until }: Binding, now: Date): boolean {
  return until === null || until > now
}

function readTerms(request: BindRequest, now: Date): BindingTerms {
  const { caller, may, asks = 'never', until = null } = request
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
  return { caller, may: [...new Set(may)], asks, until: until?.getTime() ?? null }
}

async function writeBinding(kit: Kit, account: AccountRow, terms: BindingTerms): Promise<Binding> {
  return kit.storage.transaction('synced', (rows) => putBinding(kit, rows, account, terms))
}

/** One binding for a caller and an account: a new one takes the place of what was there. */
export async function putBinding(
  kit: Kit,
  rows: Rows,
  account: AccountRow,
  terms: BindingTerms,
): Promise<Binding> {
  const { owner, id: accountId } = account
  const { caller, until } = terms
  const old = await rows.get('bindings', { owner, caller, accountId })
  const row: BindingRow = {
    id: old?.id ?? `bind-${kit.newId()}`,
    owner,
    caller,
    accountId,
    generation: (old?.generation ?? 0) + 1,
    createdAt: kit.now().getTime(),
    until,
  }
  await rows.remove('bindings', { owner, id: row.id })
  await rows.insert('bindings', [row])
  await kit.vault.erase(rows, owner, row.id)
  await kit.vault.put(rows, placeOf(row), new Secret(JSON.stringify({ ...terms, accountId } satisfies Terms)))
  return toBinding(row, terms, account)
}

async function viewBinding(kit: Kit, rows: Rows, row: BindingRow, account: AccountRow): Promise<Binding> {
  const sealed = await unlessTampered(kit.vault.take(rows, placeOf(row)))
  const terms = sealed && (JSON.parse(sealed.reveal()) as Terms)
  if (terms?.caller !== row.caller || terms.accountId !== row.accountId || terms.until !== row.until) {
    throw new ValetkeyError('tampered', `a binding of ${row.caller} was changed outside Valetkey`, {
      hint: `valetkey unbind ${row.id}`,
    })
  }
  return toBinding(row, terms, account)
}

/** What was changed from outside allows nothing; it is listed so that it can be taken away. */
function worthless(row: BindingRow, account: AccountRow): Binding {
  return toBinding(row, { may: [], asks: 'always' }, account)
}

function toBinding(
  row: BindingRow,
  { may, asks }: Pick<Terms, 'may' | 'asks'>,
  account: AccountRow,
): Binding {
  return {
    id: row.id,
    caller: row.caller,
    accountId: row.accountId,
    address: addressOf(account),
    may,
    asks,
    createdAt: new Date(row.createdAt),
    until: dateOrNull(row.until),
  }
}

function placeOf(row: BindingRow) {
  return {
    owner: row.owner,
    record: row.id,
    field: 'terms',
    generation: row.generation,
    about: row.accountId,
  }
}
