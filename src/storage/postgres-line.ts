import { escapeLiteral, type PoolClient } from 'pg'
import { EVERY_OWNER, type Rows } from '../model/storage.ts'
import type { Meaning } from './postgres-errors.ts'
import { kyselyOver } from './postgres-pool.ts'
import { CROSSING, CROSSING_SETTING, OWNER_SETTING } from './postgres-walls.ts'
import { rowsOver } from './rows.ts'
import type { AnyTables } from './schema.ts'

/** In whose name something is asked. */
export type Whose = string | typeof EVERY_OWNER

// The protocol counts a statement's values in 16 bits.
const VALUES_PER_STATEMENT = 60_000

/** A connection with what was once built over it. */
export interface Line {
  readonly client: PoolClient
  readonly db: AnyTables
  readonly rows: Rows
}

/** Lines by their connections, for as long as those live. */
export function lines(meaningOf: Meaning): (client: PoolClient) => Line {
  const known = new WeakMap<PoolClient, Line>()
  return (client) => {
    const there = known.get(client)
    if (there !== undefined) return there
    const db = kyselyOver(client)
    const rows = rowsOver(db, { valuesPerStatement: VALUES_PER_STATEMENT, meaningOf })
    const line = { client, db, rows }
    known.set(client, line)
    return line
  }
}

const ownerIs = (owner: string) => `set local ${OWNER_SETTING} = ${escapeLiteral(owner)}`
const crossingIs = (crossing: string) => `set local ${CROSSING_SETTING} = ${escapeLiteral(crossing)}`

/** Says at the beginning of a transaction whose rows are to be seen: one owner's, or, in so many words, all. */
export function inNameOf(whose: Whose): string {
  return whose === EVERY_OWNER ? crossingIs(CROSSING) : ownerIs(whose)
}

/** The same where something else was said before. */
function nowInNameOf(whose: Whose): string {
  return whose === EVERY_OWNER ? crossingIs(CROSSING) : `${crossingIs('')}; ${ownerIs(whose)}`
}

/** Rows of several owners are put in as such, which the rows themselves say. */
export function whoseAre(rows: readonly { readonly owner: string }[]): Whose {
  const [first = { owner: '' }] = rows
  return rows.every(({ owner }) => owner === first.owner) ? first.owner : EVERY_OWNER
}

/** The rows of a line in a transaction: each question is asked in the name that it says itself. */
export function namedRows({ client, rows }: Line, first?: Whose): Rows {
  let present = first
  let last: Promise<unknown> = Promise.resolve()

  /** One by one, so that no name is changed between another's being said and its question. */
  function as<R>(whose: Whose, ask: () => Promise<R>): Promise<R> {
    const turn = last.then(async () => {
      if (whose === present) return await ask()
      present = whose
      const [, answer] = await Promise.all([client.query(nowInNameOf(whose)), ask()])
      return answer
    })
    last = turn.catch(() => undefined)
    return turn
  }

  return {
    get: (table, where) => as(where.owner, () => rows.get(table, where)),
    list: (table, where, options) => as(where.owner, () => rows.list(table, where, options)),
    insert: (table, added) => as(whoseAre(added), () => rows.insert(table, added)),
    update: (table, where, set) => as(where.owner, () => rows.update(table, where, set)),
    remove: (table, where) => as(where.owner, () => rows.remove(table, where)),
  }
}
