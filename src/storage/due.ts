import { expressionBuilder, sql } from 'kysely'
import { type Claim, type DueTable, EVERY_OWNER, type Tables } from '../model/storage.ts'
import { conditions } from './rows.ts'
import type { AnyTables } from './schema.ts'

function askedBesides<T extends DueTable>({ also }: Claim<T>) {
  return conditions({ ...also, owner: EVERY_OWNER })
}

/**
 * For an engine whose transactions come one after the other: nobody can get in between. The index is
 * named, as by itself this engine thinks more of one by which all rows of a state are found.
 */
export async function claimInTurn<T extends DueTable>(
  db: AnyTables,
  table: T,
  claim: Claim<T>,
): Promise<Tables[T][]> {
  const besides = askedBesides(claim)(expressionBuilder())
  const { rows: due } = await sql<Record<string, unknown>>`
    select * from ${sql.table(table)} indexed by ${sql.id(`${table}Due`)}
    where "dueAt" <= ${claim.dueBefore} and ${besides} order by "dueAt" limit ${claim.limit}`.execute(db)
  if (due.length === 0) return []
  const dueAt = claim.until
  await db
    .updateTable(table as string)
    .set({ dueAt })
    .where(
      'id',
      'in',
      due.map(({ id }) => id),
    )
    .execute()
  return due.map((row) => ({ ...row, dueAt }) as unknown as Tables[T])
}

/**
 * For an engine of many connections, in one statement: what somebody else has in hand is stepped over
 * instead of being waited for.
 */
export async function claimAmongMany<T extends DueTable>(
  db: AnyTables,
  table: T,
  claim: Claim<T>,
): Promise<Tables[T][]> {
  const [, rows] = await Promise.all([inOrderOfIndex(db), claiming(db, table, claim).execute()])
  return rows
    .toSorted((one, other) => Number(one['was']) - Number(other['was']))
    .map(({ was: _, ...row }) => row as unknown as Tables[T])
}

/**
 * Behind the walls the server expects to see few rows, and would sooner gather all that is due and sort
 * that than take the first ones. This holds to the end of the transaction.
 */
export async function inOrderOfIndex(db: AnyTables): Promise<void> {
  await sql`set local enable_sort = off`.execute(db)
}

/**
 * The statement by itself, so that its plan can be asked for. What was found is asked for by its ids, one
 * by one: a join with it might be made by going through the whole table.
 */
export function claiming<T extends DueTable>(db: AnyTables, table: T, claim: Claim<T>) {
  const due = db
    .selectFrom(table as string)
    .select(['id as dueId', 'dueAt as was'])
    .where('dueAt', '<=', claim.dueBefore)
    .where(askedBesides(claim))
    .orderBy('dueAt')
    .limit(claim.limit)
    .forUpdate()
    .skipLocked()
  return db
    .with(
      (made) => made('due').materialized(),
      () => due,
    )
    .updateTable(table as string)
    .set({ dueAt: claim.until })
    .where(sql<boolean>`"id" = any(array(select "dueId" from "due"))`)
    .returningAll()
    .returning(sql<number>`(select "was" from "due" where "dueId" = "id")`.as('was'))
}

export function firstDue(db: AnyTables, table: DueTable) {
  return db
    .selectFrom(table as string)
    .select('dueAt')
    .where('dueAt', 'is not', null)
    .orderBy('dueAt')
    .limit(1)
}

export async function nextDue(db: AnyTables, table: DueTable): Promise<number | undefined> {
  const row = await firstDue(db, table).executeTakeFirst()
  return row === undefined ? undefined : Number(row['dueAt'])
}
