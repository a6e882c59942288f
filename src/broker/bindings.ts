import { type Asks, type May, ValetkeyError } from '#client'
import { type Caller, type CallerId, isCallerId, isOwner } from '../model/caller.ts'
import { VERBS_OF_A_BINDING } from '../model/gate.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow, BindingRow } from '../model/storage.ts'
import type { Binding, BindRequest } from '../model/words.ts'
import { addressOf, dateOrNull } from './accounts.ts'
import { accountOf, behind, type Kit } from './kit.ts'

/** What a binding allows is sealed, so that nobody gives himself more by writing into the table. */
interface Terms {
  readonly caller: CallerId
  readonly accountId: string
  readonly may: readonly May[]
  readonly asks: Asks
  readonly until: number | null
}

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
      await rows.update(
        'leases',
        { owner: row.owner, accountId: row.accountId, caller: row.caller, endedAt: null },
        { endedAt: kit.now().getTime() },
      )
    })
  })
}

/** The owner sees every binding, anybody else their own. */
export async function bindingsOf(kit: Kit, caller: Caller): Promise<readonly Binding[]> {
  const { owner } = caller
  const where = isOwner(caller) ? { owner } : { owner, caller: caller.id }
  const rows = await kit.storage.list('bindings', where, { orderBy: 'createdAt' })
  const seen: Binding[] = []
  for (const row of rows) {
    const account = await kit.storage.get('accounts', { owner, id: row.accountId })
    if (account !== undefined) seen.push(await viewBinding(kit, row, account))
  }
  return isOwner(caller) ? seen : seen.filter((binding) => isLive(binding, kit.now()))
}

/** The live binding by which a caller stands at an account. */
export async function bindingFor(
  kit: Kit,
  caller: Caller,
  account: AccountRow,
): Promise<Binding | undefined> {
  const row = await kit.storage.get('bindings', {
    owner: account.owner,
    caller: caller.id,
    accountId: account.id,
  })
  if (row === undefined) return undefined
  const binding = await viewBinding(kit, row, account)
  return isLive(binding, kit.now()) ? binding : undefined
}

function isLive({ until }: Binding, now: Date): boolean {
  return until === null || until > now
}

function readTerms(request: BindRequest, now: Date): Omit<Terms, 'accountId'> {
  const { caller, may, asks = 'never', until = null } = request
  if (!isCallerId(caller)) {
    throw new ValetkeyError('invalid-request', 'this is not a caller', {
      hint: 'write it as app:reports, node:n1 or me',
    })
  }
  if (may.length === 0 || may.some((verb) => !VERBS_OF_A_BINDING.includes(verb))) {
    throw new ValetkeyError('invalid-request', `a binding may ${VERBS_OF_A_BINDING.join(', ')}`)
  }
  if (until !== null && until <= now)
    throw new ValetkeyError('invalid-request', 'this binding would be over already')
  return { caller, may: [...new Set(may)], asks, until: until?.getTime() ?? null }
}

/** One binding for a caller and an account: a new one takes the place of what was there. */
async function writeBinding(
  kit: Kit,
  account: AccountRow,
  terms: Omit<Terms, 'accountId'>,
): Promise<Binding> {
  const { owner, id: accountId } = account
  const { caller, until } = terms
  return kit.storage.transaction('synced', async (rows) => {
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
    await kit.vault.put(
      rows,
      placeOf(row),
      new Secret(JSON.stringify({ ...terms, accountId } satisfies Terms)),
    )
    return toBinding(row, { ...terms, accountId }, account)
  })
}

async function viewBinding(kit: Kit, row: BindingRow, account: AccountRow): Promise<Binding> {
  const sealed = await kit.vault.take(kit.storage, placeOf(row))
  const terms = sealed && (JSON.parse(sealed.reveal()) as Terms)
  if (terms?.caller !== row.caller || terms.accountId !== row.accountId || terms.until !== row.until) {
    throw new ValetkeyError('tampered', `a binding of ${row.caller} was changed outside Valetkey`, {
      hint: `valetkey unbind ${row.id}`,
    })
  }
  return toBinding(row, terms, account)
}

function toBinding(row: BindingRow, terms: Terms, account: AccountRow): Binding {
  return {
    id: row.id,
    caller: row.caller,
    accountId: row.accountId,
    address: addressOf(account),
    may: terms.may,
    asks: terms.asks,
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
