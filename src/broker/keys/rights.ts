import type { Asks, Limits, May } from '#client'
import { type HeldTo, VERBS_OF_A_BINDING } from '../../model/gate.ts'
import type { AccountRow, KeyRow, LeaseRow, Rows } from '../../model/storage.ts'
import type { Binding } from '../../model/words.ts'
import { addressOf } from '../accounts.ts'
import { boundTo, type Reader } from '../binding-rows.ts'
import { type Kit, unlessTampered } from '../kit.ts'
import { endOf, isNarrowed, lineOf, type Who } from './line.ts'
import { grantAt, limitsOf, takeTerms } from './terms.ts'

/** What may be done at one address, by whom, until when, and held to what. */
export interface Rights {
  readonly may: readonly May[]
  readonly asks: Asks
  /** The programs about which the owner need not be asked again. */
  readonly programs: readonly string[]
  /** About these the owner is not asked, as they gave them when they made the caller. */
  readonly unasked: readonly May[]
  /** Since when, and until when. */
  readonly since: number
  readonly until: number | null
  /** What its caller itself is held to there. */
  readonly own: Limits | null
  /** They hold all at once. */
  readonly limits: readonly HeldTo[]
}

const ALL: Rights = {
  may: ['lend', 'forward', 'reveal', 'connect'],
  asks: 'never',
  programs: [],
  unasked: ['lend', 'forward', 'reveal', 'connect'],
  since: 0,
  until: null,
  own: null,
  limits: [],
}
const NONE: Rights = { ...ALL, may: [], unasked: [] }

/** From the least to the most that is asked. */
const ASKING: readonly Asks[] = ['never', 'first-use', 'always']

/** A place to have rights at: where nothing is connected yet, its address alone. */
export type Spot = AccountRow | string

/**
 * What a caller may at an address, at this moment. Whoever was narrowed has what it was given, and what it was
 * bound to since, as far as who made it has that too, and so on up to the owner, who has everything.
 */
export async function rightsAt(kit: Reader, rows: Rows, who: Who, spot: Spot): Promise<Rights> {
  if (who.id === who.owner) return ALL
  if (!isNarrowed(who.id)) return rightsByBinding(kit, rows, who, spot)
  const line = await lineOf(rows, who, kit.now().getTime())
  const [last] = line.slice(-1)
  if (last === undefined) return NONE
  let rights = await rightsAt(kit, rows, { ...who, id: last.parent }, spot)
  for (const row of line.toReversed()) rights = within(rights, await ownRights(kit, rows, row, spot))
  return { ...rights, until: endOf([rights, ...line]) }
}

/** What was given to it when it was made, and what it was bound to since. */
async function ownRights(kit: Reader, rows: Rows, row: KeyRow, spot: Spot): Promise<Rights> {
  const address = typeof spot === 'string' ? spot : addressOf(spot)
  const grant = grantAt(await takeTerms(kit, rows, row), address)
  const limits = limitsOf(grant)
  const given = grant && {
    may: grant.may,
    asks: 'never' as const,
    programs: [],
    unasked: grant.may,
    since: row.createdAt,
    until: null,
    own: limits,
    limits: limits === null ? [] : [{ key: `${row.id} ${address}`, limits }],
  }
  const bound = await rightsByBinding(kit, rows, row, spot)
  if (given === undefined) return bound
  return bound.may.length === 0 ? given : together(given, bound)
}

async function rightsByBinding(kit: Reader, rows: Rows, who: Who, spot: Spot): Promise<Rights> {
  const found = typeof spot === 'string' ? undefined : await boundTo(kit, rows, who, spot)
  if (found === undefined) return NONE
  const { id, generation, until, createdAt: since } = found.row
  const { may, asks, limits } = found.binding
  const held = limits === null ? [] : [{ key: `${id} ${generation}`, limits }]
  const programs = found.programs ?? []
  return { may, asks, programs, unasked: [], since, until, own: limits, limits: held }
}

/** Both may: each adds to what may be done, and to what that is held to. */
function together(one: Rights, other: Rights): Rights {
  return {
    may: [...new Set([...one.may, ...other.may])],
    asks: stricter(one.asks, other.asks),
    programs: [...one.programs, ...other.programs],
    unasked: [...one.unasked, ...other.unasked],
    since: one.since,
    // Then it is looked up anew, and what does not end by then is still there.
    until: endOf([one, other]),
    own: one.own ?? other.own,
    limits: [...one.limits, ...other.limits],
  }
}

/** Only what both may, held to what both are held to. */
function within(above: Rights, own: Rights): Rights {
  return {
    may: own.may.filter((verb) => above.may.includes(verb)),
    asks: stricter(above.asks, own.asks),
    programs: own.programs,
    unasked: own.unasked.filter((verb) => above.unasked.includes(verb)),
    since: own.since,
    until: endOf([above, own]),
    own: own.own,
    limits: [...above.limits, ...own.limits],
  }
}

function stricter(one: Asks, other: Asks): Asks {
  return ASKING.indexOf(one) > ASKING.indexOf(other) ? one : other
}

/** Rights to use an account, in the shape of a binding; undefined where there are none. */
export function asBinding({ id }: Who, account: AccountRow, rights: Rights): Binding | undefined {
  const may = rights.may.filter((verb) => VERBS_OF_A_BINDING.includes(verb))
  if (may.length === 0) return undefined
  return {
    id,
    caller: id,
    accountId: account.id,
    address: addressOf(account),
    may,
    asks: rights.asks,
    limits: rights.own,
    createdAt: new Date(rights.since),
    until: rights.until === null ? null : new Date(rights.until),
  }
}

/** Whether a caller that was narrowed may still do this; asked within the transaction that puts it on record. */
export async function mayStill(
  kit: Reader,
  rows: Rows,
  who: Who,
  account: AccountRow,
  verb: May,
): Promise<boolean> {
  const rights = await unlessTampered(rightsAt(kit, rows, who, account))
  return rights?.may.includes(verb) ?? false
}

/** Of these leases those whose caller was narrowed, and may still do what they are for. */
export async function leasesStill(
  kit: Reader,
  rows: Rows,
  leases: readonly LeaseRow[],
): Promise<ReadonlySet<string>> {
  const still = new Set<string>()
  for (const { id, owner, caller, accountId, verb } of leases) {
    if (!isNarrowed(caller)) continue
    const account = await rows.get('accounts', { owner, id: accountId })
    if (account && (await mayStill(kit, rows, { owner, id: caller }, account, verb))) still.add(id)
  }
  return still
}

/** What a caller that was narrowed may use of what is connected. */
export async function bindingsByRights(kit: Kit, { owner, id }: Who): Promise<readonly Binding[]> {
  return kit.storage.transaction('soon', async (rows) => {
    const seen: Binding[] = []
    for (const account of await rows.list('accounts', { owner }, { orderBy: 'connectedAt' })) {
      if (account.status === 'revoked') continue
      const rights = await unlessTampered(rightsAt(kit, rows, { owner, id }, account))
      const binding = rights && asBinding({ owner, id }, account, rights)
      if (binding !== undefined) seen.push(binding)
    }
    return seen
  })
}

/** Those that were narrowed and may use this account. */
export async function callersByRights(kit: Kit, account: AccountRow): Promise<readonly string[]> {
  const { owner } = account
  return kit.storage.transaction('soon', async (rows) => {
    const callers: string[] = []
    for (const { id } of await rows.list('keys', { owner })) {
      const rights = await unlessTampered(rightsAt(kit, rows, { owner, id }, account))
      if (rights && asBinding({ owner, id }, account, rights)) callers.push(id)
    }
    return callers
  })
}
