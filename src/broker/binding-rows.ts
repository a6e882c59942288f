import type { Asks, Limits, May } from '#client'
import { ValetkeyError } from '#client'
import type { CallerId, OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow, BindingRow, Rows } from '../model/storage.ts'
import type { Binding } from '../model/words.ts'
import { addressOf, dateOrNull } from './accounts.ts'
import { type Kit, unlessTampered } from './kit.ts'

/** What a binding allows is sealed, so that nobody gives himself more by writing into the table. */
interface Terms {
  readonly caller: CallerId
  readonly accountId: string
  readonly may: readonly May[]
  readonly asks: Asks
  readonly limits?: Limits
  /** The programs about which the owner need not be asked again. */
  readonly programs?: readonly string[]
  readonly until: number | null
}

/** A live binding, and the row that it stands in. */
interface BoundTo extends Pick<Terms, 'programs'> {
  readonly row: BindingRow
  readonly binding: Binding
}

export type BindingTerms = Omit<Terms, 'accountId'>

/** Whoever wants to read what is sealed, and to know whether it is over. */
export type Reader = Pick<Kit, 'vault' | 'now'>

/** The live binding of a caller to an account, and the row that it stands in. */
export async function boundTo(
  kit: Reader,
  rows: Rows,
  { owner, id: caller }: { readonly owner: OwnerId; readonly id: CallerId },
  account: AccountRow,
): Promise<BoundTo | undefined> {
  const row = await rows.get('bindings', { owner, caller, accountId: account.id })
  if (row === undefined) return undefined
  const terms = await takeTerms(kit, rows, row)
  const binding = toBinding(row, terms, account)
  return isLive(binding, kit.now()) ? { row, binding, programs: terms.programs ?? [] } : undefined
}

export function isLive({ until }: Binding, now: Date): boolean {
  return until === null || until > now
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

export async function viewBinding(
  kit: Pick<Kit, 'vault'>,
  rows: Rows,
  row: BindingRow,
  account: AccountRow,
): Promise<Binding> {
  return toBinding(row, await takeTerms(kit, rows, row), account)
}

async function takeTerms(kit: Pick<Kit, 'vault'>, rows: Rows, row: BindingRow): Promise<Terms> {
  const sealed = await unlessTampered(kit.vault.take(rows, placeOf(row)))
  const terms = sealed && (JSON.parse(sealed.reveal()) as Terms)
  if (terms?.caller !== row.caller || terms.accountId !== row.accountId || terms.until !== row.until) {
    throw new ValetkeyError('tampered', `a binding of ${row.caller} was changed outside Valetkey`, {
      hint: `valetkey unbind ${row.id}`,
    })
  }
  return terms
}

/** What was changed from outside allows nothing; it is listed so that it can be taken away. */
export function worthless(row: BindingRow, account: AccountRow): Binding {
  return toBinding(row, { may: [], asks: 'always' }, account)
}

function toBinding(
  row: BindingRow,
  { may, asks, limits }: Pick<Terms, 'may' | 'asks' | 'limits'>,
  account: AccountRow,
): Binding {
  return {
    id: row.id,
    caller: row.caller,
    accountId: row.accountId,
    address: addressOf(account),
    may,
    asks,
    limits: limits ?? null,
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
