import { DatabaseSync } from 'node:sqlite'
import type { PoolClient } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { report, size } from '../../test/figures.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import type { DueTable, Storage } from '../model/storage.ts'
import { claimInTurn, claiming, firstDue, inOrderOfIndex, nextDue } from './due.ts'
import { openPostgres } from './postgres.ts'
import { kyselyOver, openPool } from './postgres-pool.ts'
import { readDatabase } from './postgres-url.ts'
import { type AnyTables, migrate } from './schema.ts'
import * as sqlite from './sqlite-dialect.ts'

// One in a hundred is due, one in ten has nothing to be done at all, and the others have time.
const ROWS = size(20_000, 1_000_000)
const NOW = ROWS / 100
const BATCH = 100

const TABLES: readonly DueTable[] = ['accounts', 'outbox', 'flowSessions']
const COLUMNS: Record<DueTable, Record<string, string>> = {
  accounts: {
    provider: `'github'`,
    bucket: `'b' || n`,
    flow: `'authorization-code'`,
    status: `'connected'`,
    standing: '0',
    generation: '1',
    connectedAt: '1',
    changedAt: '1',
    dueAt: 'case when n % 10 = 0 then null else (n * 7919) % ROWS end',
  },
  outbox: {
    kind: `'revoke'`,
    accountId: `'a' || n`,
    about: `'github'`,
    createdAt: '1',
    tries: '0',
    dueAt: '(n * 7919) % ROWS',
  },
  flowSessions: {
    caller: `'app:one'`,
    bucket: `'b' || n`,
    flow: `'device-code'`,
    purpose: `'connect'`,
    state: `'asking'`,
    generation: '1',
    createdAt: '1',
    expiresAt: '1',
    dueAt: 'case when n % 10 = 0 then null else (n * 7919) % ROWS end',
  },
}
const ALSO = {
  accounts: { status: { oneOf: ['connected', 'failing'] } },
  outbox: {},
  flowSessions: { state: 'asking' },
} as const

function filling(table: DueTable, numbers: string): string {
  const columns = { id: `'${table}' || n`, owner: `'person:' || (n % 1000)`, ...COLUMNS[table] }
  const names = Object.keys(columns).map((name) => `"${name}"`)
  const values = Object.values(columns).map((value) => value.replace('ROWS', `${ROWS}`))
  return `insert into "${table}" (${names.join(', ')}) select ${values.join(', ')} from ${numbers}`
}

function claimOf<T extends DueTable>(table: T) {
  return { dueBefore: NOW, until: ROWS * 2, limit: BATCH, also: ALSO[table] as never }
}

describe('what is due in a full table of sqlite', () => {
  const database = new DatabaseSync(':memory:')
  const asked: string[] = []
  const watched: sqlite.SqliteDatabase = {
    get isTransaction() {
      return database.isTransaction
    },
    prepare: (text) => {
      asked.push(text)
      return database.prepare(text)
    },
    exec: (text) => database.exec(text),
    close: () => database.close(),
  }
  const db = sqlite.kyselyOver(watched)
  beforeAll(
    async () => {
      await migrate(db, { text: 'text', bytes: 'blob' })
      const numbers = `(with recursive up(n) as (select 1 union all select n + 1 from up where n < ${ROWS}) select n from up)`
      for (const table of TABLES) database.exec(filling(table, numbers))
    },
    size(60_000, 900_000),
  )
  afterAll(() => database.close())

  function plansOf(texts: readonly string[]): string[] {
    return texts.flatMap((text) => {
      const explained = database.prepare(`explain query plan ${text}`)
      const places = Array.from(text.matchAll(/\?/g), () => 1)
      return explained.all(...places).map(({ detail }) => String(detail))
    })
  }

  it.each(TABLES)('is found in %s by the index, and nothing is sorted or gone through', async (table) => {
    asked.length = 0
    const begun = performance.now()
    expect(await claimInTurn(db, table, claimOf(table))).toHaveLength(BATCH)
    const took = performance.now() - begun
    expect(await nextDue(db, table)).toBeTypeOf('number')
    const plans = plansOf(asked)
    expect(plans.filter((step) => step.includes(`INDEX ${table}Due`))).toHaveLength(2)
    expect(plans.filter((step) => /^SCAN|TEMP B-TREE/.test(step) && !step.includes('Due'))).toEqual([])
    report(
      `${table} gone through to claim ${BATCH}, in ${took.toFixed(1)} ms`,
      0,
      ROWS,
      'SQLite EXPLAIN QUERY PLAN',
    )
  })
})

interface Plan {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly Plans?: readonly Plan[]
}

function nodesOf(plan: Plan): readonly Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]
}

describe('what is due in a full table of postgres', () => {
  let server: PostgresServer
  let url: string
  let storage: Storage
  let client: PoolClient
  let db: AnyTables
  let close = async () => {}

  beforeAll(
    async () => {
      server = await openServer()
      url = await server.newVault()
      storage = await openPostgres(url)
      for (const table of TABLES) {
        await server.ask(
          url,
          `alter table "${table}" disable trigger user; ${filling(table, `generate_series(1::bigint, ${ROWS}) n`)};
         alter table "${table}" enable trigger user; analyze "${table}"`,
        )
      }
      const pool = openPool(readDatabase(url))
      client = await pool.connect()
      db = kyselyOver(client)
      close = async () => {
        client.release()
        await pool.end()
        await storage.close()
        await server.close()
      }
    },
    size(120_000, 900_000),
  )
  afterAll(() => close())

  /** As the role of the questions, behind the walls, and undone. */
  async function planOf(query: {
    compile(): { sql: string; parameters: readonly unknown[] }
  }): Promise<Plan> {
    const { sql: text, parameters } = query.compile()
    await client.query(`begin; set local valetkey.crossing = 'every owner'`)
    try {
      await inOrderOfIndex(db)
      const { rows } = await client.query(`explain (analyze, buffers, format json) ${text}`, [...parameters])
      return rows[0]['QUERY PLAN'][0].Plan
    } finally {
      await client.query('rollback')
    }
  }

  it.each(TABLES)('is found in %s by the index, and nothing is sorted or gone through', async (table) => {
    for (const node of nodesOf(await planOf(firstDue(db, table))))
      expect(['Limit', 'Index Only Scan', 'Index Scan']).toContain(node['Node Type'])
    const plan = await planOf(claiming(db, table, claimOf(table)))
    const nodes = nodesOf(plan)
    expect(nodes.map((node) => node['Index Name'])).toContain(`${table}Due`)
    expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan')
    expect(nodes.map((node) => node['Node Type'])).not.toContain('Sort')
    const blocks = plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    // For each row a few steps down some trees, however many others there are.
    expect(blocks).toBeLessThan(BATCH * 40)
    report(
      `${table} gone through to claim ${BATCH}, by ${blocks} blocks`,
      0,
      ROWS,
      'Postgres EXPLAIN ANALYZE',
    )
  })

  it('is claimed by several, each of it once, though somebody has some of it in hand', async () => {
    const other = await openPostgres(url)
    await client.query(`begin; set local valetkey.crossing = 'every owner'`)
    const { rows: held } = await client.query(
      `select id from outbox where "dueAt" <= 10 order by "dueAt" limit 5 for update`,
    )
    const claim = { dueBefore: 10, until: ROWS * 2, limit: 20 }
    const claimed = (await Promise.all([storage.claim('outbox', claim), other.claim('outbox', claim)])).flat()
    await client.query('rollback')
    const ids = claimed.map(({ id }) => id)
    const before = await server.ask(url, `select count(*)::int as count from outbox where "dueAt" <= 10`)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).not.toEqual(expect.arrayContaining([held[0].id]))
    expect(before).toEqual([{ count: 5 }])
    expect(await storage.nextDue('outbox')).toBeLessThanOrEqual(10)
    await other.close()
  })
})
