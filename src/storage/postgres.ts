import { sql } from 'kysely'
import { Client, type Pool } from 'pg'
import { ValetkeyError } from '#client'
import { EVERY_OWNER, type Rows, type Storage } from '../model/storage.ts'
import { claimAmongMany, nextDue } from './due.ts'
import { knowInside } from './inside.ts'
import { changesOf } from './postgres-changes.ts'
import { type Meaning, meaningAt } from './postgres-errors.ts'
import { holdsInRows } from './postgres-holds.ts'
import { whoseAre } from './postgres-line.ts'
import { CONNECTION, kyselyOver, openPool } from './postgres-pool.ts'
import { transactions } from './postgres-transactions.ts'
import { type Database, readDatabase } from './postgres-url.ts'
import { CROSSING, CROSSING_SETTING, judgeWalls, raiseWalls, refuseForeign } from './postgres-walls.ts'
import { isClosed } from './refusals.ts'
import { type AnyTables, migrate } from './schema.ts'

// Compared byte by byte, as in every engine, whatever language the database was made for.
const COLUMNS = { text: sql`text collate "C"`, bytes: 'bytea' } as const

// The lock under which a database is prepared: "VALT".
const PREPARING = 0x56414c54

const OLDEST_VERSION = 140_000

export interface PostgresOptions {
  /** The role that every question is asked in; of the vault's own name unless told. */
  readonly role?: string
}

async function judgeVersion(db: AnyTables, place: string): Promise<void> {
  const { rows } = await sql<{ version: number }>`
    select current_setting('server_version_num')::int as version`.execute(db)
  if ((rows[0]?.version ?? 0) >= OLDEST_VERSION) return
  throw new ValetkeyError('config-invalid', `the Postgres at ${place} is too old`, {
    hint: 'valetkey needs Postgres 14 or later',
  })
}

/** Other schemas of the database may hold other vaults, or whatever else. */
async function schemaOf(db: AnyTables, place: string): Promise<string> {
  const { rows } = await sql<{ name: string | null }>`select current_schema() as name`.execute(db)
  const name = rows[0]?.name
  if (typeof name === 'string') return name
  throw new ValetkeyError('config-invalid', `no schema is chosen at ${place} to keep the vault in`, {
    hint: 'make the schema that search_path names, and let the user of DATABASE_URL use it',
  })
}

/** Brings tables and walls up to this build; of many who start at once, one after the other. */
async function prepare({ url, place, role }: Database): Promise<void> {
  const client = new Client({ ...CONNECTION, connectionString: url })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const db = kyselyOver(client)
    await judgeVersion(db, place)
    await sql`select pg_advisory_lock(${sql.lit(PREPARING)}, 0)`.execute(db)
    await refuseForeign(db, place)
    // What a migration changes is everybody's, and its user has to say so like everybody else.
    await sql`select set_config(${CROSSING_SETTING}, ${CROSSING}, false)`.execute(db)
    await migrate(db, { ...COLUMNS, schema: await schemaOf(db, place) })
    await raiseWalls(db, role)
  } finally {
    await client.end()
  }
}

async function openWalled(database: Database): Promise<Pool> {
  const pool = openPool(database)
  try {
    const client = await pool.connect()
    try {
      await judgeWalls(kyselyOver(client), database.role)
    } finally {
      client.release()
    }
    return pool
  } catch (error) {
    await pool.end()
    throw error
  }
}

async function said<R>(meaningOf: Meaning, work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    throw meaningOf(error) ?? error
  }
}

/** Work by which closing waits, and none of which begins after it. */
function gatekeeper() {
  const under = new Set<Promise<unknown>>()
  let closed = false
  return {
    async during<R>(work: () => Promise<R>): Promise<R> {
      if (closed) throw isClosed()
      const doing = work()
      under.add(doing)
      try {
        return await doing
      } finally {
        under.delete(doing)
      }
    },
    async shut(): Promise<void> {
      closed = true
      await Promise.allSettled(under)
    },
  }
}

/** The engine of many brokers: one database, and nothing in it that one owner's question shows of another's. */
export async function openPostgres(url: string, { role }: PostgresOptions = {}): Promise<Storage> {
  const database = readDatabase(url, role)
  const meaningOf = meaningAt(database.place)
  const pool = await said(meaningOf, async () => {
    await prepare(database)
    return await openWalled(database)
  })
  const asking = transactions({ pool, place: database.place, meaningOf })
  const holding = holdsInRows(asking, database)
  const gate = gatekeeper()
  const inside = knowInside()
  const line = changesOf(database)
  let closing: Promise<void> | undefined

  const beside = <R>(work: () => Promise<R>) =>
    gate.during(async () => {
      await inside.outside()
      return await work()
    })

  const alone: Rows = {
    get: (table, where) => beside(() => asking.one(where.owner, true, (rows) => rows.get(table, where))),
    list: (table, where, options) =>
      beside(() => asking.one(where.owner, true, (rows) => rows.list(table, where, options))),
    insert: (table, added) =>
      beside(() => asking.one(whoseAre(added), false, (rows) => rows.insert(table, added))),
    update: (table, where, set) =>
      beside(() => asking.one(where.owner, false, (rows) => rows.update(table, where, set))),
    remove: (table, where) =>
      beside(() => asking.one(where.owner, false, (rows) => rows.remove(table, where))),
  }

  async function close(): Promise<void> {
    line.stop()
    await gate.shut()
    holding.stop()
    await pool.end()
  }

  return {
    ...alone,
    engine: 'postgres',
    place: database.place,
    shared: true,
    transaction: (durability, work, options) =>
      beside(() => asking.many(durability, (rows) => inside.enter(() => work(rows)), options)),
    // A message in the log is a write like any other, so its commit waits until all before it is on disk;
    // a commit of nothing waits for nothing.
    sync: () =>
      beside(async () => {
        await asking.one('', false, (_, { db }) =>
          sql`select pg_logical_emit_message(true, 'valetkey', '')`.execute(db),
        )
      }),
    hold: (...what) => beside(() => holding.hold(...what)),
    claim: (table, claim) =>
      beside(() => asking.one(EVERY_OWNER, false, (_, { db }) => claimAmongMany(db, table, claim))),
    nextDue: (table) => beside(() => asking.one(EVERY_OWNER, true, (_, { db }) => nextDue(db, table))),
    changes: (heard) => {
      if (closing !== undefined) throw isClosed()
      return line.listen(heard)
    },
    close: () => {
      closing ??= close()
      return closing
    },
  }
}
