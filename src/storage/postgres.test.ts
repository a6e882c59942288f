import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { report } from '../../test/figures.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import type { OwnerId } from '../model/caller.ts'
import {
  type BindingRow,
  type Changed,
  type DataKeyRow,
  EVERY_OWNER,
  type LeaseRow,
  type SealedRow,
  type Storage,
} from '../model/storage.ts'
import { canary } from '../testing/canary.ts'
import { storageContract } from '../testing/storage-contract.ts'
import { openPostgres } from './postgres.ts'
import { openPool } from './postgres-pool.ts'
import { readDatabase } from './postgres-url.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

let last: string
storageContract(
  'postgres',
  async () => {
    last = await server.newVault()
    return await openPostgres(last)
  },
  {
    reopen: async (storage) => {
      await storage.close()
      return await openPostgres(last)
    },
    beside: () => openPostgres(last),
  },
)

function row(record = 'record', owner: OwnerId = 'person:ada'): SealedRow {
  return { owner, record, field: 'worn', generation: 1, keyId: 'key', bytes: Buffer.from('x') }
}

function binding(id: string, owner: OwnerId = 'person:ada'): BindingRow {
  return { id, owner, caller: 'app:one', accountId: `of ${id}`, generation: 1, createdAt: 1, until: null }
}

function lease(id: string): LeaseRow {
  const whose = { id, owner: 'person:ada', accountId: 'a', caller: 'app:one' } as const
  const times = { openedAt: 1, lastAt: 1, until: null, endedAt: null }
  return {
    ...whose,
    ...times,
    verb: 'lend',
    endsBy: 'expiry',
    count: 1,
    purpose: null,
    scopes: null,
    audience: null,
    repositories: null,
  }
}

function dataKey(id: string): DataKeyRow {
  const wrapped = Buffer.from('x')
  return { id, owner: 'person:ada', masterId: 'master', wrapped, current: 1, seals: 0, createdAt: 1 }
}

function account(id: string) {
  const times = { connectedAt: 1, changedAt: 1, lastUsedAt: null, expiresAt: null, dueAt: null }
  const refreshing = { tries: 0, nextTryAt: null, askedAt: null, diesAt: null, warnedAt: null }
  const rotating = { rotateDays: null, rotateAt: null, rotateToldAt: null }
  const kind = { provider: 'openai', bucket: id, flow: 'api-key', reason: null, standing: 1, generation: 1 }
  return {
    id,
    owner: 'person:ada',
    status: 'connected',
    ...kind,
    ...times,
    ...refreshing,
    ...rotating,
  } as const
}

async function refusal(work: Promise<unknown>): Promise<ValetkeyError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof ValetkeyError) return error
  throw new Error('not refused in words', { cause: error })
}

async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await so())) await wait(10)
}

describe('one database', () => {
  let url: string
  let storage: Storage
  beforeEach(async () => {
    url = await server.newVault()
    storage = await openPostgres(url)
  })
  afterEach(() => storage.close())

  /** Raw SQL by the very connections that questions are asked by. */
  async function raw(sql: string) {
    const pool = openPool(readDatabase(url))
    const client = await pool.connect()
    try {
      return (await client.query(sql)) as unknown as { rows: Record<string, unknown>[]; rowCount: number }
    } finally {
      client.release()
      await pool.end()
    }
  }

  describe('the walls between owners', () => {
    const TABLES = [
      'vault',
      'dataKeys',
      'sealed',
      'accounts',
      'bindings',
      'leases',
      'flowSessions',
      'audit',
      'outbox',
      'usage',
    ]

    it('stand around every table there is, whoever looks', async () => {
      const found = await server.ask(
        url,
        `select relname, relrowsecurity and relforcerowsecurity as forced from pg_class
         where relnamespace = 'public'::regnamespace and relkind = 'r' and relname not like 'kysely%'`,
      )
      expect(found.map(({ relname }) => relname)).toEqual(
        expect.arrayContaining([...TABLES, 'auditBase', 'rowLeases']),
      )
      expect(found.filter(({ forced }) => forced !== true)).toEqual([])
    })

    it('show nothing to whoever does not say in whose name he asks, superuser’s URL or not', async () => {
      await storage.insert('sealed', [row(), row('his', 'person:bob')])
      await storage.insert('bindings', [binding('a')])
      await storage.hold('person:ada', 'record', 60_000)
      expect((await server.ask(url, 'select * from sealed')).length).toBe(2)
      for (const table of [...TABLES, 'auditBase', 'rowLeases'])
        expect((await raw(`select * from "${table}"`)).rows).toEqual([])
      expect((await raw('update sealed set generation = 9')).rowCount).toBe(0)
      expect((await raw('delete from sealed')).rowCount).toBe(0)
      await expect(raw(`insert into sealed values ('person:eve', 'r', 'f', 1, 'k', '')`)).rejects.toThrow(
        'row-level security',
      )
    })

    it('stand again when the role was put back to where the connection began', async () => {
      await storage.insert('sealed', [row()])
      for (const back of ['reset role', 'reset all', 'discard all']) {
        const pool = openPool(readDatabase(url))
        await pool.query(back)
        expect((await pool.query('select * from sealed')).rows).toEqual([])
        expect((await pool.query('select current_user as is')).rows[0].is).toMatch(/^valetkey_rows_/)
        await pool.end()
      }
    })

    it('show one owner’s rows to whoever asks for more by mistake', async () => {
      await storage.insert('sealed', [row(), row('his', 'person:bob')])
      const pool = openPool(readDatabase(url))
      const client = await pool.connect()
      await client.query(`begin; set local valetkey.owner = 'person:bob'`)
      expect((await client.query('select record from sealed')).rows).toEqual([{ record: 'his' }])
      await expect(client.query(`update sealed set owner = 'person:ada'`)).rejects.toThrow(
        'row-level security',
      )
      await client.query('rollback')
      expect((await client.query('select record from sealed')).rows).toEqual([])
      client.release()
      await pool.end()
    })

    it('leave nothing said for the next question on the same connection', async () => {
      const pool = openPool(readDatabase(url))
      const client = await pool.connect()
      await client.query(
        `begin; set local valetkey.owner = 'person:ada'; set local valetkey.crossing = 'every owner'; commit`,
      )
      const { rows } = await client.query(
        `select current_setting('valetkey.owner', true) as owner, current_setting('valetkey.crossing', true) as crossing`,
      )
      expect(rows).toEqual([{ owner: '', crossing: '' }])
      client.release()
      await pool.end()
    })

    it('are crossed inside of a transaction for one question only', async () => {
      await storage.insert('sealed', [row(), row('his', 'person:bob')])
      const seen = await storage.transaction('synced', async (rows) => [
        (await rows.list('sealed', { owner: 'person:bob' })).length,
        (await rows.list('sealed', { owner: EVERY_OWNER })).length,
        ...(await Promise.all([
          rows.list('sealed', { owner: 'person:ada' }).then((found) => found[0]?.record),
          rows.list('sealed', { owner: 'person:bob' }).then((found) => found[0]?.record),
        ])),
      ])
      expect(seen).toEqual([1, 2, 'record', 'his'])
    })

    it('are a role that may do nothing else', async () => {
      const { role } = readDatabase(url)
      const [found] = await server.ask(url, `select * from pg_roles where rolname = '${role}'`)
      expect(found).toMatchObject({
        rolcanlogin: false,
        rolsuper: false,
        rolbypassrls: false,
        rolcreatedb: false,
        rolcreaterole: false,
      })
      for (const attempt of [
        'create table mine (id int)',
        'alter table sealed disable row level security',
        'drop policy "ofOwner" on sealed',
        'truncate sealed',
        `insert into kysely_migration values ('0', '0')`,
      ])
        await expect(raw(attempt)).rejects.toThrow()
    })

    it('are not those of another vault on the same server', async () => {
      expect(readDatabase(url).role).not.toBe(readDatabase(await server.newDatabase()).role)
      expect(readDatabase('postgres://h/Größe').role).toMatch(/^valetkey_rows_[0-9a-f]{16}$/)
    })

    it('are raised again where one was taken down', async () => {
      await server.ask(
        url,
        `alter table sealed no force row level security; drop policy "ofOwner" on accounts;
         create policy "all" on bindings using (true); alter table audit disable row level security`,
      )
      const refused = await refusal(openPostgres(url))
      expect(refused.code).toBe('config-invalid')
      expect(refused.message).toContain('bindings')
      await server.ask(url, 'drop policy "all" on bindings')
      await (await openPostgres(url)).close()
      await storage.insert('accounts', [account('a')])
      for (const table of TABLES) expect((await raw(`select * from "${table}"`)).rows).toEqual([])
    })

    it('are not trusted to a role that has rights of its own', async () => {
      for (const rights of ['superuser', 'bypassrls', 'login', 'createrole']) {
        await server.ask(url, `create role mighty ${rights}`)
        const error = await refusal(openPostgres(url, { role: 'mighty' }))
        expect([error.code, error.hint]).toEqual(['config-invalid', expect.stringContaining('nosuperuser')])
        await server.ask(url, 'drop role mighty')
      }
      await server.ask(url, 'create role mighty nologin; grant pg_read_all_data to mighty')
      expect((await refusal(openPostgres(url, { role: 'mighty' }))).code).toBe('config-invalid')
      await server.ask(url, 'drop role mighty')
    })

    it('stand for a user who is no superuser as well, and he is told what he lacks', async () => {
      const own = await server.newDatabase()
      const [name] = new URL(own).pathname.split('/').slice(-1)
      const password = canary('plain')
      await server.ask(
        url,
        `create role plain login password '${password}'; alter database ${name} owner to plain`,
      )
      const plain = own.replace(/\/\/[^@]+@/, `//plain:${password}@`)
      const error = await refusal(openPostgres(plain))
      expect([error.code, error.hint]).toEqual([
        'config-invalid',
        `create role valetkey_rows_${name} nologin; grant valetkey_rows_${name} to the user of DATABASE_URL`,
      ])
      await server.ask(url, 'alter role plain createrole')
      const mine = await openPostgres(plain)
      await mine.insert('sealed', [row()])
      await mine.sync()
      expect(await mine.list('sealed', { owner: EVERY_OWNER })).toHaveLength(1)
      await mine.close()
    })

    it('cost little', async () => {
      await storage.insert('accounts', [account('a')])
      const pool = openPool(readDatabase(url))
      const client = await pool.connect()
      await client.query(`set valetkey.owner = 'person:ada'`)
      const rates = []
      for (const get of [
        () =>
          client.query('select * from accounts where owner = $1 and id = $2 limit 1', ['person:ada', 'a']),
        () => storage.get('accounts', { owner: 'person:ada', id: 'a' }),
      ]) {
        for (let n = 0; n < 200; n += 1) await get()
        const begun = performance.now()
        for (let n = 0; n < 1_000; n += 1) await get()
        rates.push(Math.round(1_000_000 / (performance.now() - begun)))
      }
      client.release()
      await pool.end()
      report(`gets one after the other, ${rates[0]}/s without walls`, `${rates[1]}/s`, 1_000, 'real Postgres')
      expect(rates[1]).toBeGreaterThan(50)
    })
  })

  describe('what was acknowledged', () => {
    async function flushed(): Promise<bigint> {
      const [found] = await server.ask(url, `select pg_current_wal_flush_lsn() - '0/0'::pg_lsn as at`)
      return BigInt(String(found?.['at']))
    }

    async function written(): Promise<bigint> {
      const [found] = await server.ask(url, `select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as at`)
      return BigInt(String(found?.['at']))
    }

    it('is on disk after a sync, and after every change that is not only soon', async () => {
      let later = 0
      for (let n = 0; n < 20; n += 1) {
        await storage.transaction('soon', (rows) => rows.insert('sealed', [row(`soon ${n}`)]))
        const soon = await written()
        await storage.sync()
        expect(await flushed()).toBeGreaterThanOrEqual(soon)
        await storage.insert('sealed', [row(`synced ${n}`)])
        if ((await flushed()) < (await written())) later += 1
      }
      // Now and then the server has something of its own to write in between.
      expect(later).toBeLessThan(5)
    })

    it('is not waited for where soon is enough', async () => {
      const lag = []
      for (let n = 0; n < 50; n += 1) {
        await storage.transaction('soon', (rows) => rows.insert('sealed', [row(`${n}`)]))
        lag.push((await written()) > (await flushed()))
      }
      expect(lag).toContain(true)
    })

    it('is there again after a power cut, and what is asked next reconnects by itself', async () => {
      const acknowledged: string[] = []
      const codes = new Set<string>()
      let stopped = false
      const writer = async (name: string) => {
        for (let n = 0; !stopped; n += 1) {
          const record = `${name} ${n}`
          await storage.insert('sealed', [row(record)]).then(
            () => acknowledged.push(record),
            (error: ValetkeyError) => codes.add(error.code),
          )
          await wait(1)
        }
      }
      const writers = Promise.all(['a', 'b', 'c', 'd'].map(writer))
      for (const ending of ['SIGKILL', 'SIGQUIT', 'SIGINT'] as const) {
        const before = acknowledged.length
        await until(() => acknowledged.length > before + 50)
        await server.stop(ending)
        await wait(50)
        await server.start()
      }
      const before = acknowledged.length
      await until(() => acknowledged.length > before + 50)
      stopped = true
      await writers
      const kept = new Set(
        (await storage.list('sealed', { owner: 'person:ada' })).map(({ record }) => record),
      )
      expect(acknowledged.filter((record) => !kept.has(record))).toEqual([])
      expect([...codes]).toEqual(['network-error'])
    })

    it('needs nobody to notice a restart while nothing was asked', async () => {
      await Promise.all(Array.from({ length: 10 }, () => storage.list('sealed', { owner: EVERY_OWNER })))
      await server.stop()
      await server.start()
      await Promise.all(Array.from({ length: 10 }, (_, n) => storage.insert('sealed', [row(`${n}`)])))
      expect(await storage.list('sealed', { owner: EVERY_OWNER })).toHaveLength(10)
    })
  })

  describe('several brokers', () => {
    it('are told of every account, binding and key that one of them changed, when it is done', async () => {
      const other = await openPostgres(url)
      const heard: (Changed | 'missed')[] = []
      const stop = other.changes?.((what) => heard.push(what))
      await until(() => heard.includes('missed'))
      await storage.insert('accounts', [account('a')])
      await storage.insert('bindings', [binding('b')])
      await storage.insert('dataKeys', [dataKey('k')])
      await storage.update('accounts', { owner: 'person:ada', id: 'a' }, { lastUsedAt: 5 })
      await storage.update('dataKeys', { owner: 'person:ada', id: 'k' }, { seals: 5 })
      await storage.transaction('soon', async (rows) => {
        await rows.update('accounts', { owner: 'person:ada', id: 'a' }, { status: 'failing' })
        await wait(50)
        expect(heard).toHaveLength(4)
      })
      await storage.remove('bindings', { owner: 'person:ada' })
      await storage.remove('dataKeys', { owner: 'person:ada' })
      const failing = storage.transaction('soon', async (rows) => {
        await rows.remove('accounts', { owner: 'person:ada' })
        throw new Error('of the work')
      })
      await expect(failing).rejects.toThrow('of the work')
      await other.remove('accounts', { owner: 'person:ada' })
      await storage.insert('bindings', [binding('last', 'person:bob')])
      await until(() => heard.length >= 9)
      const ada = (table: Changed['table'], record: string, more: Partial<Changed> = {}) => {
        return { table, owner: 'person:ada', record, own: false, was: null, is: null, ...more }
      }
      expect(heard).toEqual([
        'missed',
        ada('accounts', 'a', { is: 'connected' }),
        ada('bindings', 'of b'),
        ada('dataKeys', 'k'),
        ada('accounts', 'a', { was: 'connected', is: 'failing' }),
        ada('bindings', 'of b'),
        ada('dataKeys', 'k'),
        ada('accounts', 'a', { was: 'failing', own: true }),
        ada('bindings', 'of last', { owner: 'person:bob' }),
      ])
      stop?.()
      await storage.insert('bindings', [binding('unheard')])
      await wait(50)
      expect(heard).toHaveLength(9)
      await other.close()
    })

    it('are told of every caller that was narrowed or ended', async () => {
      const other = await openPostgres(url)
      const heard: (Changed | 'missed')[] = []
      other.changes?.((what) => heard.push(what))
      await until(() => heard.includes('missed'))
      const times = { generation: 1, createdAt: 1, until: null }
      const key = {
        id: 'key:a',
        owner: 'person:ada',
        parent: 'app:agent',
        kind: 'key',
        name: 'a',
        ...times,
      } as const
      await storage.insert('keys', [key])
      await storage.remove('keys', { owner: 'person:ada', id: 'key:a' })
      await until(() => heard.length >= 3)
      const told = { table: 'keys', owner: 'person:ada', record: 'key:a', own: false, was: null, is: null }
      expect(heard).toEqual(['missed', told, told])
      await other.close()
    })

    it('are told of every lease that one of them ended or took away, and not of its uses', async () => {
      const other = await openPostgres(url)
      const heard: (Changed | 'missed')[] = []
      other.changes?.((what) => heard.push(what))
      await until(() => heard.includes('missed'))
      const owner = 'person:ada'
      await storage.insert('leases', ['a', 'b', 'c'].map(lease))
      await storage.update('leases', { owner }, { count: 2, lastAt: 5, until: 6 })
      await storage.update('leases', { owner, id: 'a' }, { endedAt: 7, endsBy: 'ended' })
      await storage.remove('leases', { owner, id: { oneOf: ['a', 'b'] } })
      await storage.insert('bindings', [binding('last')])
      await until(() => heard.length >= 4)
      const over = { table: 'leases', owner, own: false, was: null, is: null }
      expect(heard).toMatchObject([
        'missed',
        { ...over, record: 'a' },
        { ...over, record: 'b' },
        { table: 'bindings' },
      ])
      await other.close()
    })

    it('make nothing of what else is said on the line but that they have to look again', async () => {
      const heard: (Changed | 'missed')[] = []
      storage.changes?.((what) => heard.push(what))
      await until(() => heard.length === 1)
      for (const nonsense of ['', '{}', '{"table":"audit","owner":"person:ada","record":"a"}'])
        await server.ask(url, `notify valetkey_changes, '${nonsense}'`)
      await until(() => heard.length === 4)
      expect(new Set(heard)).toEqual(new Set(['missed']))
    })

    it('are told that they may have missed something when the line broke', async () => {
      const heard: (Changed | 'missed')[] = []
      storage.changes?.((what) => heard.push(what))
      await until(() => heard.length === 1)
      await server.stop('SIGQUIT')
      await server.start()
      await until(() => heard.length === 2)
      await storage.insert('accounts', [account('a')])
      await until(() => heard.length === 3)
      expect(heard).toEqual([
        'missed',
        'missed',
        { table: 'accounts', owner: 'person:ada', record: 'a', own: true, was: null, is: 'connected' },
      ])
    })

    it('hold something one at a time, and succeed one that died', async () => {
      const other = await openPostgres(url)
      expect(await storage.hold('person:ada', 'a', 300)).toBeDefined()
      expect(await other.hold('person:ada', 'a', 300)).toBeUndefined()
      await until(async () => (await other.hold('person:ada', 'a', 60_000)) !== undefined)
      await other.close()
    })

    it('bring a new database up to this build together, once', async () => {
      const fresh = await server.newDatabase()
      const all = await Promise.all(Array.from({ length: 5 }, () => openPostgres(fresh)))
      const found = await server.ask(fresh, 'select count(*)::int as count from kysely_migration')
      expect(found[0]?.['count']).toBeGreaterThan(0)
      await Promise.all(all.map((one, n) => one.insert('sealed', [row(`${n}`)])))
      expect(await all[0]?.list('sealed', { owner: EVERY_OWNER })).toHaveLength(5)
      await Promise.all(all.map((one) => one.close()))
    })
  })

  describe('what goes wrong', () => {
    async function wrong(sqlState: string): Promise<ValetkeyError> {
      await server.ask(
        url,
        `create or replace function trouble() returns trigger language plpgsql as
           'begin raise exception using errcode = ''${sqlState}''; end';
         create or replace trigger trouble before insert on leases execute function trouble()`,
      )
      const lease = { accountId: 'a', caller: 'app:a', verb: 'lend', endsBy: 'expiry' } as const
      const times = {
        openedAt: 1,
        lastAt: 1,
        until: null,
        endedAt: null,
        count: 1,
        purpose: null,
        scopes: null,
        audience: null,
        repositories: null,
      }
      return await refusal(storage.insert('leases', [{ id: 'l', owner: 'person:ada', ...lease, ...times }]))
    }

    it.each([
      ['53100', 'disk-full'],
      ['25006', 'read-only'],
      ['53300', 'resource-exhausted'],
      ['40001', 'conflict'],
      ['57P01', 'network-error'],
      ['XX000', 'internal-error'],
    ])('is said in words: %s is %s', async (state, code) => {
      const error = await wrong(state)
      expect(error.code).toBe(code)
      if (!['conflict', 'internal-error'].includes(code)) {
        expect(error.message).toContain(readDatabase(url).place)
        expect(error.hint).toBeTruthy()
      }
      expect(await storage.list('leases', { owner: EVERY_OWNER })).toEqual([])
    })

    it('is called read-only where only a copy is reached', async () => {
      const [name] = new URL(url).pathname.split('/').slice(-1)
      await server.ask(server.url, `alter database ${name} set default_transaction_read_only = on`)
      expect((await refusal(openPostgres(url))).code).toBe('read-only')
    })

    it('is refused when a newer build has written it', async () => {
      await server.ask(url, `insert into kysely_migration values ('9999-later', '2030-01-01T00:00:00.000Z')`)
      const error = await refusal(openPostgres(url))
      expect([error.code, Boolean(error.hint)]).toEqual(['newer-schema', true])
    })

    it('has everything of before, and what came since is empty', async () => {
      const before = { accounts: 14, leases: 11, flowSessions: 14, registrations: 8, rowLeases: 4 }
      await storage.insert('accounts', [account('a')])
      const given = await server.ask(
        url,
        `select key as "table", attname as "column" from pg_attribute, json_each_text('${JSON.stringify(before)}')
         where attrelid = to_regclass(quote_ident(key)) and attnum > value::int`,
      )
      const dropped = given.map(({ table, column }) => `alter table "${table}" drop column "${column}"`)
      expect(dropped.length).toBeGreaterThan(9)
      await server.ask(
        url,
        `drop table outbox; drop table "usage"; drop table keys; drop table asks; drop index "flowSessionsDue"; ${dropped.join('; ')};
         create or replace function "valetkeyTold"() returns trigger language plpgsql as 'begin return null; end';
         delete from kysely_migration where name >= '0004'`,
      )
      const later = await openPostgres(url)
      expect(await later.list('accounts', { owner: EVERY_OWNER })).toEqual([account('a')])
      expect(await later.list('outbox', { owner: EVERY_OWNER })).toEqual([])
      expect(await later.hold('person:ada', 'a', 1_000)).toBeDefined()
      const heard: (Changed | 'missed')[] = []
      later.changes?.((what) => heard.push(what))
      await until(() => heard.length === 1)
      await later.update('accounts', { owner: 'person:ada', id: 'a' }, { askedAt: 1, dueAt: 2 })
      await later.update('accounts', { owner: 'person:ada', id: 'a' }, { generation: 2 })
      await until(() => heard.length === 2)
      expect(heard[1]).toMatchObject({ table: 'accounts', own: true })
      await later.close()
    })

    it('is a vault of its own in each schema', async () => {
      const shared = await server.newVault()
      await server.ask(shared, 'create schema second')
      const at = new URL(shared)
      at.searchParams.set('options', '-c search_path=second')
      const [first, second] = [await openPostgres(shared), await openPostgres(at.href)]
      const heard: (Changed | 'missed')[] = []
      second.changes?.((what) => heard.push(what))
      await until(() => heard.length === 1)
      await first.insert('accounts', [account('first')])
      await second.insert('accounts', [account('second')])
      await until(() => heard.length > 1)
      expect(heard).toMatchObject(['missed', { record: 'second' }])
      expect(await first.list('accounts', { owner: EVERY_OWNER })).toEqual([account('first')])
      expect(await second.list('accounts', { owner: EVERY_OWNER })).toEqual([account('second')])
      for (const one of [first, second]) await one.close()
      for (const again of [shared, at.href]) {
        const reopened = await openPostgres(again)
        expect(await reopened.list('accounts', { owner: EVERY_OWNER })).toHaveLength(1)
        await reopened.close()
      }
      at.searchParams.set('options', '-c search_path=nowhere')
      const error = await refusal(openPostgres(at.href))
      expect([error.code, error.hint]).toEqual(['config-invalid', expect.stringContaining('search_path')])
    })

    it('is left alone when it is somebody else’s database', async () => {
      const other = await server.newDatabase()
      await server.ask(other, 'create table letters (text text)')
      expect((await refusal(openPostgres(other))).code).toBe('vault-unreadable')
      const tables = await server.ask(
        other,
        `select relname from pg_class where relnamespace = 'public'::regnamespace`,
      )
      expect(tables).toEqual([{ relname: 'letters' }])
    })

    it('never shows the password', async () => {
      const { host, pathname } = new URL(url)
      const password = canary('wrong')
      for (const [bad, code] of [
        [`postgres://postgres:${password}@${host}${pathname}`, 'config-invalid'],
        [`postgres://postgres:${password}@127.0.0.1:1${pathname}`, 'network-error'],
        [`postgres://postgres:${password}@no-such-host.invalid${pathname}`, 'network-error'],
        [`mysql://postgres:${password}@${host}${pathname}`, 'config-invalid'],
        [`postgres://postgres:${password}@[`, 'config-invalid'],
      ] as const) {
        const error = await refusal(openPostgres(bad))
        expect([error.code, Boolean(error.hint)]).toEqual([code, true])
        expect(JSON.stringify([error.message, error.hint, String(error.cause), error.stack])).not.toContain(
          password,
        )
      }
      const { password: right } = new URL(url)
      const missing = await refusal(openPostgres(url.replace(/\w+$/, 'nothing')))
      expect([missing.code, missing.message]).toEqual([
        'config-invalid',
        expect.stringContaining(`${host}/nothing`),
      ])
      expect(missing.message + missing.hint).not.toContain(right)
    })

    it('does not let a broker that froze stand in everybody’s way', async () => {
      const frozen = new Client({ connectionString: url })
      frozen.on('error', () => undefined)
      await frozen.connect()
      await frozen.query('begin; lock table "auditBase" in exclusive mode')
      const turn = storage.transaction('soon', async () => 'done', { turn: 'audit' })
      expect(await Promise.race([turn, wait(200)])).toBeUndefined()
      await server.ask(
        url,
        `select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'`,
      )
      expect(await turn).toBe('done')
      const pool = openPool(readDatabase(url))
      const { rows } = await pool.query(`select name, setting from pg_settings where name like '%timeout'`)
      const settings = new Map(rows.map(({ name, setting }) => [name, setting]))
      expect(settings.get('idle_in_transaction_session_timeout')).toBe('30000')
      expect(settings.get('lock_timeout')).toBe('10000')
      await pool.end()
      await frozen.end()
    })

    it('does not stand still when very many ask at once', async () => {
      const many = Array.from({ length: 500 }, (_, n) => storage.insert('sealed', [row(`${n}`)]))
      await Promise.all(many)
      expect(await storage.list('sealed', { owner: EVERY_OWNER })).toHaveLength(500)
      const [found] = await server.ask(
        url,
        `select count(*)::int as count from pg_stat_activity where application_name = 'valetkey' and datname = current_database()`,
      )
      expect(found?.['count']).toBeLessThanOrEqual(10)
    })
  })
})
