import { Kysely, PostgresDialect } from 'kysely'
import { type Client, type CustomTypesConfig, Pool, type PoolClient, types } from 'pg'
import { type Database, withSettings } from './postgres-url.ts'
import { WRITER_SETTING } from './postgres-walls.ts'
import type { AnyTables } from './schema.ts'

const CONNECTIONS = 10
const CONNECT_MILLISECONDS = 10_000
// Longer than the server allows itself: then it is not the server that is slow, but nobody is there.
const ANSWER_MILLISECONDS = 70_000

// Object ids of types, as the server's catalogue has them.
const BIGINT = 20
const BYTEA = 17

const parseBytes = types.getTypeParser(BYTEA) as (text: string) => Uint8Array

/** Numbers are numbers in every engine: no row holds one that is too large for that. */
const TYPES: CustomTypesConfig = {
  getTypeParser: ((id: number, format: 'text' | 'binary') => {
    if (id === BIGINT) return Number
    if (id === BYTEA) return (text: string) => Uint8Array.from(parseBytes(text))
    return types.getTypeParser(id, format as 'text')
  }) as typeof types.getTypeParser,
}

/**
 * The role is there from a connection's first moment on, and what goes back to where the connection
 * began goes back to it. A broker that froze in the middle of something is not waited for.
 */
export function settingsOf({ role, self }: Database): Readonly<Record<string, string>> {
  return {
    role,
    [WRITER_SETTING]: self,
    synchronous_commit: 'on',
    lock_timeout: '10s',
    statement_timeout: '60s',
    idle_in_transaction_session_timeout: '30s',
  }
}

export const CONNECTION = {
  application_name: 'valetkey',
  connectionTimeoutMillis: CONNECT_MILLISECONDS,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  types: TYPES,
}

/** Connections by which questions are asked; one that dies unused is dropped, and the next one is new. */
export function openPool(database: Database): Pool {
  const pool = new Pool({
    ...CONNECTION,
    connectionString: withSettings(database.url, settingsOf(database)),
    query_timeout: ANSWER_MILLISECONDS,
    max: CONNECTIONS,
    // What belongs together is sent together, and answered in one go.
    pipeline: true,
  })
  pool.on('error', () => undefined)
  // Whoever is asking by a connection that dies hears of it by the answer.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

/** Kysely over one connection, which is somebody else's to begin, end and let go of. */
export function kyselyOver(client: Client | PoolClient): AnyTables {
  const line = {
    query: (sql: string, values: readonly unknown[]) => client.query(sql, [...values]),
    release: () => undefined,
  }
  const pool = { connect: async () => line, end: async () => undefined, options: {} }
  return new Kysely({ dialect: new PostgresDialect({ pool: pool as never }) })
}
