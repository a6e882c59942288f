import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Durability, Rows, Storage, TableName } from '../model/storage.ts'
import { claimInTurn, nextDue } from './due.ts'
import { holdsInMemory } from './holds.ts'
import { isClosed } from './refusals.ts'
import { rowsOfOne, rowsOver } from './rows.ts'
import { type AnyTables, migrate } from './schema.ts'
import { kyselyOver, type SqliteDatabase, type Statement, statementCache } from './sqlite-dialect.ts'
import { inWords, meaningOf } from './sqlite-errors.ts'
import { judgeLength, logOf, syncPath, takeFile } from './sqlite-file.ts'
import { plainly } from './sqlite-plain.ts'
import { takeTurns } from './turns.ts'

// The mark in the file's header by which a vault is told from any other database: "VALT".
const APPLICATION_ID = 0x56414c54

const COLUMNS = { text: 'text', bytes: 'blob' } as const
const ROWS = { valuesPerStatement: 30_000, meaningOf }

// What is taken out of these tables shall not linger in the write-ahead log either.
const TRACELESS: readonly TableName[] = ['sealed', 'dataKeys', 'vault']

const MEMORY = ':memory:'

// The log goes into the file when it has grown to so many pages (16 MB). Whoever writes just then waits for the disk.
const LOG_PAGES = 4_000

export interface SqliteOptions {
  /** The most pages of 4 KiB that the file may grow to; beyond it writing fails with `disk-full`. */
  readonly maxPages?: number
}

function connect(file: string, { maxPages }: SqliteOptions = {}): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 0, defensive: true, enableForeignKeyConstraints: false })
  try {
    // Exclusive from the first read on: a second opener finds out at once, and no index is shared.
    database.exec('pragma locking_mode = exclusive; pragma trusted_schema = off; pragma cell_size_check = on')
    database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma fullfsync = on')
    database.exec('pragma secure_delete = on; pragma temp_store = memory')
    database.exec(`pragma wal_autocheckpoint = ${LOG_PAGES}`)
    if (maxPages !== undefined) database.exec(`pragma max_page_count = ${Math.trunc(maxPages)}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

async function makeDatabase(file: string): Promise<void> {
  const database = connect(file)
  try {
    database.exec(`pragma application_id = ${APPLICATION_ID}`)
    await migrate(kyselyOver(database), COLUMNS)
    // What is left to the closing fails without a word, and the log does not come along to the new name.
    database.exec('pragma wal_checkpoint(truncate)')
  } finally {
    database.close()
  }
}

function lengthOf(database: DatabaseSync): number {
  const pragma = (name: string) => Number(database.prepare(`pragma ${name}`).get()?.[name])
  return pragma('page_count') * pragma('page_size')
}

interface Opened {
  readonly database: DatabaseSync
  readonly db: AnyTables
  readonly prepare: (sql: string) => Statement
  close(): void
}

async function openDatabase(file: string, options: SqliteOptions, letGo = () => {}): Promise<Opened> {
  let database: DatabaseSync | undefined
  const close = () => {
    database?.close()
    letGo()
  }
  try {
    database = connect(file, options)
    if (file !== MEMORY) await judgeLength(file, lengthOf(database))
    const prepare = statementCache(database)
    const db = kyselyOver(database, prepare)
    await migrate(db, COLUMNS)
    return { database, db, prepare, close }
  } catch (error) {
    close()
    throw error
  }
}

async function openFile(file: string, options: SqliteOptions): Promise<Opened> {
  if (file === MEMORY) return await openDatabase(file, options)
  return await openDatabase(file, options, await takeFile(file, APPLICATION_ID, makeDatabase))
}

/** How safe a commit is, and what is done after one. */
function committing(database: SqliteDatabase, prepare: (sql: string) => Statement) {
  let level: Durability = 'synced'
  let lingering = false

  function begin(durability: Durability): void {
    if (durability !== level)
      database.exec(`pragma synchronous = ${durability === 'synced' ? 'full' : 'normal'}`)
    level = durability
    prepare('begin immediate').run([])
  }

  // What a checkpoint could not do now is done by a later one; the commit itself stands.
  function sweep(): void {
    if (!lingering || database.isTransaction) return
    try {
      database.exec('pragma wal_checkpoint(truncate)')
      lingering = false
    } catch {}
  }

  return {
    begin,
    commit: () => {
      prepare('commit').run([])
      sweep()
    },
    // After some failures SQLite has rolled back by itself.
    rollback: () => {
      if (database.isTransaction) database.exec('rollback')
    },
    linger: () => {
      lingering = true
    },
  }
}

function traceless(rows: Rows, linger: () => void): Rows {
  return {
    ...rows,
    async remove(table, where) {
      const removed = await rows.remove(table, where)
      if (removed > 0 && TRACELESS.includes(table)) linger()
      return removed
    },
    async update(table, where, set) {
      if (table === 'vault') linger()
      return await rows.update(table, where, set)
    },
  }
}

/** Waits off the main thread until the log, and once its name in the folder, are on disk. */
function logSync(file: string): () => Promise<void> {
  let named = false
  return async () => {
    const handle = await open(logOf(file), 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    if (handle === undefined) return
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
    if (!named) await syncPath(dirname(file))
    named = true
  }
}

/** The embedded engine: one process, one file, held exclusively from the moment it is open. */
export async function openSqlite(file: string, options: SqliteOptions = {}): Promise<Storage> {
  const { database, db, prepare, close } = await inWords(() => openFile(file, options))
  const turns = takeTurns()
  const commits = committing(database, prepare)
  const rows = traceless(plainly({ prepare, others: rowsOver(db, ROWS), inWords }), commits.linger)
  const hold = holdsInMemory()
  const syncLog = file === MEMORY ? async () => {} : logSync(file)
  let closing: Promise<void> | undefined

  async function inTransaction<R>(durability: Durability, work: (rows: Rows) => Promise<R>): Promise<R> {
    const own = rowsOfOne(rows)
    await inWords(() => commits.begin(durability))
    try {
      const result = await work(own.rows).finally(own.end)
      if (own.refusal !== undefined) throw own.refusal
      await inWords(commits.commit)
      return result
    } catch (error) {
      commits.rollback()
      throw error
    }
  }

  async function whileOpen<R>(work: () => Promise<R>): Promise<R> {
    if (closing !== undefined) throw isClosed()
    return await work()
  }

  function transaction<R>(durability: Durability, work: (rows: Rows) => Promise<R>): Promise<R> {
    return whileOpen(() => turns.hold(() => inTransaction(durability, work)))
  }

  const reading = <R>(work: () => Promise<R>) => whileOpen(() => turns.take(work))

  const alone: Rows = {
    get: (table, where) => reading(() => rows.get(table, where)),
    list: (table, where, more) => reading(() => rows.list(table, where, more)),
    insert: (table, added) => transaction('synced', (own) => own.insert(table, added)),
    update: (table, where, set) => transaction('synced', (own) => own.update(table, where, set)),
    remove: (table, where) => transaction('synced', (own) => own.remove(table, where)),
  }

  return {
    ...alone,
    engine: 'sqlite',
    transaction,
    sync: () => inWords(syncLog),
    hold: (...what) => whileOpen(async () => hold(...what)),
    // Should a power cut undo a claim, its row is only due again.
    claim: (table, claim) => transaction('soon', () => inWords(() => claimInTurn(db, table, claim))),
    nextDue: (table) => reading(() => inWords(() => nextDue(db, table))),
    close: () => {
      closing ??= turns.take(async () => close())
      return closing
    },
  }
}
