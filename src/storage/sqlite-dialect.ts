import { Kysely, SqliteAdapter, SqliteDialect } from 'kysely'
import type { AnyTables } from './schema.ts'

type Value = string | number | bigint | null | Uint8Array

/** The part of node:sqlite that this engine uses. */
export interface SqliteDatabase {
  readonly isTransaction: boolean
  prepare(sql: string): {
    columns(): readonly unknown[]
    all(...values: Value[]): unknown[]
    run(...values: Value[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  }
  exec(sql: string): void
  close(): void
}

export interface Statement {
  readonly reader: boolean
  all(values: readonly unknown[]): unknown[]
  run(values: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  iterate(): never
}

/** Long statements are made of many rows at once; no two are alike, so none is kept. */
const KEPT_STATEMENTS = 256
const KEPT_LENGTH = 4_000

function statementOf(database: SqliteDatabase, sql: string): Statement {
  const statement = database.prepare(sql)
  return {
    reader: statement.columns().length > 0,
    all: (values) => statement.all(...(values as Value[])),
    run: (values) => statement.run(...(values as Value[])),
    iterate: () => {
      throw new Error('rows are not streamed')
    },
  }
}

/** Statements by their text, the longest unused of which is dropped first. */
export function statementCache(database: SqliteDatabase): (sql: string) => Statement {
  const kept = new Map<string, Statement>()
  return (sql) => {
    const statement = kept.get(sql) ?? statementOf(database, sql)
    if (sql.length > KEPT_LENGTH) return statement
    kept.delete(sql)
    kept.set(sql, statement)
    const [oldest] = kept.keys()
    if (kept.size > KEPT_STATEMENTS && oldest !== undefined) kept.delete(oldest)
    return statement
  }
}

/** SQLite changes its tables inside a transaction as well as its rows, so a migration is whole or not. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

class NodeSqliteDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter()
  }
}

/** After some failures SQLite has rolled back by itself, and would hide them behind a complaint about that. */
const NOTHING_TO_ROLL_BACK: Statement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => {
    throw new Error('rows are not streamed')
  },
}

export function kyselyOver(database: SqliteDatabase, statement = statementCache(database)): AnyTables {
  const prepare = (sql: string) =>
    sql === 'rollback' && !database.isTransaction ? NOTHING_TO_ROLL_BACK : statement(sql)
  return new Kysely({
    dialect: new NodeSqliteDialect({ database: { prepare, close: () => database.close() } }),
  })
}
