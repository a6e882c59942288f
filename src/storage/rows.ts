import { type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import { ValetkeyError } from '#client'
import { EVERY_OWNER, type ListOptions, type Rows, type TableName, type Tables } from '../model/storage.ts'
import { isOver } from './refusals.ts'
import type { AnyTables } from './schema.ts'

/** Where an engine differs, it states so. */
interface RowFacts {
  /** How many values one statement may carry. */
  readonly valuesPerStatement: number
  /** What an error of this engine means; undefined for one that is not the engine's. */
  readonly meaningOf: (error: unknown) => ValetkeyError | undefined
}

type Builder = ExpressionBuilder<Record<string, Record<string, unknown>>, string>
type Condition = ReturnType<Builder['and']>
export type Conditions = Readonly<Record<string | symbol, unknown>>

const TESTS = ['before', 'atLeast', 'oneOf']

/** An omission would widen a question, or empty a table, so it is a mistake of ours. */
function mistake(what: string): ValetkeyError {
  return new ValetkeyError('internal-error', `storage was asked ${what}`)
}

function isTest(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
}

function never(): Condition {
  return sql<SqlBool>`1 = 0` as unknown as Condition
}

function equal(on: Builder, column: string, value: unknown): Condition {
  return value === null ? on(column, 'is', null) : on(column, '=', value)
}

function oneOf(on: Builder, column: string, values: readonly unknown[]): Condition {
  const present = values.filter((value) => value !== null)
  const either = present.length > 0 ? [on(column, 'in', present)] : []
  if (present.length < values.length) either.push(on(column, 'is', null))
  return either.length > 0 ? on.or(either) : never()
}

function testing(on: Builder, column: string, test: Readonly<Record<string, unknown>>): Condition {
  const parts = Object.entries(test).filter(([, value]) => value !== undefined)
  if (parts.length === 0 || parts.some(([name]) => !TESTS.includes(name)))
    throw mistake(`about ${column} with a test that tests nothing`)
  return on.and(
    parts.map(([name, value]) => {
      if (name === 'oneOf') return oneOf(on, column, value as readonly unknown[])
      return on(column, name === 'before' ? '<' : '>=', value)
    }),
  )
}

/** Every condition of a question; whose rows are meant has to be said in any case. */
export function conditions(where: Conditions): (on: Builder) => Condition {
  const { owner, ...others } = where
  if (owner !== EVERY_OWNER && typeof owner !== 'string') throw mistake('without an owner')
  return (on) => {
    const all = owner === EVERY_OWNER ? [] : [equal(on, 'owner', owner)]
    for (const [column, value] of Object.entries(others)) {
      if (value === undefined) throw mistake(`about an unknown ${column}`)
      all.push(isTest(value) ? testing(on, column, value) : equal(on, column, value))
    }
    return on.and(all)
  }
}

function chunks<R extends object>(rows: readonly R[], values: number): R[][] {
  const size = Math.max(1, Math.floor(values / Object.keys(rows[0] ?? {}).length))
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, n) => rows.slice(n * size, (n + 1) * size))
}

/** The questions and changes of `Rows`, once for every engine that kysely speaks to. */
export function rowsOver(db: AnyTables, facts: RowFacts): Rows {
  async function list<T extends TableName>(table: T, where: Conditions, options: ListOptions<T> = {}) {
    let query = db
      .selectFrom(table as string)
      .selectAll()
      .where(conditions(where))
    const { orderBy, descending = false, limit } = options
    if (orderBy !== undefined)
      query = query.orderBy(orderBy, (order) => (descending ? order.desc() : order.asc()).nullsLast())
    if (limit !== undefined) query = query.limit(limit)
    const rows = await query.execute()
    return rows.map((row) => ({ ...row }) as unknown as Tables[T])
  }

  async function insert(table: string, rows: readonly object[]): Promise<void> {
    const parts = chunks(rows, facts.valuesPerStatement)
    const put = (part: readonly object[]) =>
      db
        .insertInto(table)
        .values(part as Record<string, unknown>[])
        .execute()
    if (parts.length < 2) return void (await Promise.all(parts.map(put)))
    await sql`savepoint parts`.execute(db)
    try {
      for (const part of parts) await put(part)
    } catch (error) {
      // An engine that gave up the whole transaction has no savepoint any more.
      await sql`rollback to savepoint parts`.execute(db).catch(() => undefined)
      await sql`release savepoint parts`.execute(db).catch(() => undefined)
      throw error
    }
    await sql`release savepoint parts`.execute(db)
  }

  async function update(table: string, where: Conditions, set: object): Promise<number> {
    if (Object.keys(set).length === 0) throw mistake('to change nothing')
    const done = await db
      .updateTable(table)
      .set(set as Record<string, unknown>)
      .where(conditions(where))
      .executeTakeFirst()
    return Number(done.numUpdatedRows)
  }

  async function remove(table: string, where: Conditions): Promise<number> {
    const done = await db.deleteFrom(table).where(conditions(where)).executeTakeFirst()
    return Number(done.numDeletedRows)
  }

  async function inWords<R>(work: () => Promise<R>): Promise<R> {
    try {
      return await work()
    } catch (error) {
      throw facts.meaningOf(error) ?? error
    }
  }

  return {
    get: (table, where) => inWords(async () => (await list(table, where, { limit: 1 }))[0]),
    list: (table, where, options) => inWords(() => list(table, where, options)),
    insert: (table, rows) => inWords(() => insert(table, rows)),
    update: (table, where, set) => inWords(() => update(table, where, set)),
    remove: (table, where) => inWords(() => remove(table, where)),
  }
}

/** The same rows, with every question passing through `pass` first. */
function rowsThrough(rows: Rows, pass: <R>(ask: () => Promise<R>) => Promise<R>): Rows {
  return {
    get: (table, where) => pass(() => rows.get(table, where)),
    list: (table, where, options) => pass(() => rows.list(table, where, options)),
    insert: (table, added) => pass(() => rows.insert(table, added)),
    update: (table, where, set) => pass(() => rows.update(table, where, set)),
    remove: (table, where) => pass(() => rows.remove(table, where)),
  }
}

interface RowsOfOne {
  readonly rows: Rows
  /** The first refusal; after it nothing of the transaction is kept. */
  readonly refusal: unknown
  end(): void
}

/** The rows of one transaction. They go no further than the first refusal, and not beyond its end. */
export function rowsOfOne(all: Rows): RowsOfOne {
  let over = false
  let refusal: unknown
  const rows = rowsThrough(all, async (ask) => {
    if (over) throw isOver()
    if (refusal !== undefined) throw refusal
    try {
      return await ask()
    } catch (error) {
      refusal ??= error
      throw error
    }
  })
  return {
    rows,
    get refusal() {
      return refusal
    },
    end: () => {
      over = true
    },
  }
}
