import type { Kysely, RawBuilder } from 'kysely'
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration'
import { ValetkeyError } from '#client'
import type { TableName, Tables } from '../model/storage.ts'

/** How an engine's SQL differs from another's where a table is made. */
interface ColumnFacts {
  readonly text: 'text' | RawBuilder<unknown>
  readonly bytes: 'blob' | 'bytea'
  /** Where there are several in a database, the one in which these tables are. */
  readonly schema?: string
}

/** A database whose tables are known by name only. */
export type AnyTables = Kysely<Record<string, Record<string, unknown>>>

type ColumnKind = 'text' | 'number' | 'bytes' | 'text?' | 'number?'
type Columns<T extends TableName> = { readonly [K in keyof Tables[T]]: ColumnKind }

/** Columns that tables of before were given by `0004`. What is a number and never null begins at 0. */
const GIVEN = {
  accounts: {
    tries: 'number',
    nextTryAt: 'number?',
    askedAt: 'number?',
    diesAt: 'number?',
    warnedAt: 'number?',
    rotateDays: 'number?',
    rotateAt: 'number?',
    rotateToldAt: 'number?',
  },
  leases: { purpose: 'text?', scopes: 'text?' },
  flowSessions: { dueAt: 'number?' },
  registrations: { trouble: 'text?' },
} as const satisfies { readonly [T in TableName]?: Partial<Columns<T>> }

/** The same, by `0006`. */
const GIVEN_LATER = {
  leases: { audience: 'text?', repositories: 'text?' },
} as const satisfies { readonly [T in TableName]?: Partial<Columns<T>> }

type By<G, T extends TableName> = T extends keyof G ? keyof G[T] : never
type Given<T extends TableName> = By<typeof GIVEN, T> | By<typeof GIVEN_LATER, T>

/** The columns of each table, as it is made; the key comes first. */
const TABLES: { readonly [T in TableName]: Omit<Columns<T>, Given<T>> } = {
  vault: {
    id: 'text',
    owner: 'text',
    format: 'number',
    masterId: 'text',
    keySource: 'text',
    remembered: 'text',
    check: 'bytes',
    createdAt: 'number',
  },
  dataKeys: {
    id: 'text',
    owner: 'text',
    masterId: 'text',
    wrapped: 'bytes',
    current: 'number',
    seals: 'number',
    createdAt: 'number',
  },
  sealed: {
    owner: 'text',
    record: 'text',
    field: 'text',
    generation: 'number',
    keyId: 'text',
    bytes: 'bytes',
  },
  accounts: {
    id: 'text',
    owner: 'text',
    provider: 'text',
    bucket: 'text',
    flow: 'text',
    status: 'text',
    reason: 'text?',
    standing: 'number',
    generation: 'number',
    connectedAt: 'number',
    changedAt: 'number',
    lastUsedAt: 'number?',
    expiresAt: 'number?',
    dueAt: 'number?',
  },
  bindings: {
    id: 'text',
    owner: 'text',
    caller: 'text',
    accountId: 'text',
    generation: 'number',
    createdAt: 'number',
    until: 'number?',
  },
  leases: {
    id: 'text',
    owner: 'text',
    accountId: 'text',
    caller: 'text',
    verb: 'text',
    openedAt: 'number',
    lastAt: 'number',
    until: 'number?',
    endsBy: 'text',
    endedAt: 'number?',
    count: 'number',
  },
  flowSessions: {
    id: 'text',
    owner: 'text',
    caller: 'text',
    provider: 'text?',
    bucket: 'text',
    flow: 'text',
    purpose: 'text',
    accountId: 'text?',
    state: 'text',
    holder: 'text?',
    holderUntil: 'number?',
    generation: 'number',
    createdAt: 'number',
    expiresAt: 'number',
  },
  audit: { seq: 'number', owner: 'text', at: 'number', keyId: 'text', sealed: 'bytes', hash: 'bytes' },
  auditBase: { seq: 'number', owner: 'text', hash: 'bytes', mac: 'bytes' },
  registrations: {
    id: 'text',
    owner: 'text',
    provider: 'text',
    issuer: 'text',
    how: 'text',
    clientId: 'text',
    generation: 'number',
    createdAt: 'number',
  },
  outbox: {
    id: 'text',
    owner: 'text',
    kind: 'text',
    accountId: 'text',
    about: 'text',
    createdAt: 'number',
    dueAt: 'number',
    tries: 'number',
    trouble: 'text?',
  },
  keys: {
    id: 'text',
    owner: 'text',
    parent: 'text',
    kind: 'text',
    name: 'text',
    generation: 'number',
    createdAt: 'number',
    until: 'number?',
  },
  asks: {
    id: 'text',
    owner: 'text',
    caller: 'text',
    likeness: 'text',
    state: 'text',
    generation: 'number',
    askedAt: 'number',
    decidedAt: 'number?',
    until: 'number?',
  },
  usage: {
    owner: 'text',
    accountId: 'text',
    caller: 'text',
    day: 'text',
    lends: 'number',
    forwards: 'number',
    reveals: 'number',
  },
}

const KEYS: { readonly [T in TableName]: readonly (keyof Tables[T] & string)[] } = {
  vault: ['id'],
  dataKeys: ['id'],
  sealed: ['owner', 'record', 'field'],
  accounts: ['id'],
  bindings: ['id'],
  leases: ['id'],
  flowSessions: ['id'],
  audit: ['seq'],
  auditBase: ['seq'],
  registrations: ['id'],
  outbox: ['id'],
  usage: ['owner', 'accountId', 'caller', 'day'],
  keys: ['id'],
  asks: ['id'],
}

const LATER: readonly TableName[] = ['registrations', 'outbox', 'usage', 'keys', 'asks']

async function makeTable(db: AnyTables, table: TableName, facts: ColumnFacts): Promise<void> {
  const types = { number: 'bigint', text: facts.text, bytes: facts.bytes } as const
  let making = db.schema.createTable(table).addPrimaryKeyConstraint(`${table}Key`, KEYS[table] as never)
  for (const [column, kind] of Object.entries<ColumnKind>(TABLES[table])) {
    const type = types[kind.replace('?', '') as keyof typeof types]
    making = making.addColumn(column, type, (made) => (kind.endsWith('?') ? made : made.notNull()))
  }
  await making.execute()
}

async function giveColumns(db: AnyTables, table: string, columns: object, facts: ColumnFacts): Promise<void> {
  for (const [column, kind] of Object.entries<ColumnKind>(columns as Record<string, ColumnKind>)) {
    const type = kind.startsWith('number') ? 'bigint' : facts.text
    const giving = db.schema.alterTable(table)
    await giving
      .addColumn(column, type, (given) => (kind.endsWith('?') ? given : given.notNull().defaultTo(0)))
      .execute()
  }
}

async function makeIndexes(db: AnyTables): Promise<void> {
  const index = (name: string, table: TableName, columns: string[]) =>
    db.schema.createIndex(name).on(table).columns(columns)
  // One vault to a database, and one key an owner's new values are sealed with.
  await index('vaultOne', 'vault', ['owner']).unique().execute()
  await index('dataKeysCurrent', 'dataKeys', ['owner']).unique().where('current', '=', 1).execute()
  // Revoked accounts stay as history, so only the living ones stand in each other's way.
  await index('accountsAddress', 'accounts', ['owner', 'provider', 'bucket'])
    .unique()
    .where('status', '<>', 'revoked')
    .execute()
  await index('accountsDue', 'accounts', ['dueAt']).execute()
  await index('bindingsCaller', 'bindings', ['owner', 'caller']).execute()
  await index('bindingsAccount', 'bindings', ['accountId']).execute()
  await index('leasesAccount', 'leases', ['accountId']).execute()
  await index('leasesCaller', 'leases', ['owner', 'caller']).execute()
  await index('flowSessionsState', 'flowSessions', ['state', 'expiresAt']).execute()
  await index('auditOwner', 'audit', ['owner', 'seq']).execute()
}

/** What was written to disk once is never edited here; what comes later is a migration of its own. */
function migrations(facts: ColumnFacts): Record<string, Migration> {
  return {
    '0001-first-tables': {
      async up(db) {
        const first = (Object.keys(TABLES) as TableName[]).filter((table) => !LATER.includes(table))
        for (const table of first) await makeTable(db, table, facts)
        await makeIndexes(db)
      },
    },
    '0002-registrations': {
      async up(db) {
        await makeTable(db, 'registrations', facts)
        const one = db.schema.createIndex('registrationsProvider').on('registrations')
        await one.columns(['owner', 'provider']).unique().execute()
      },
    },
    // A client belongs to its issuer, whichever and however many providers are signed in to there.
    '0003-one-client-an-issuer': {
      async up(db) {
        await db.schema.dropIndex('registrationsProvider').execute()
        const one = db.schema.createIndex('registrationsIssuer').on('registrations')
        await one.columns(['owner', 'issuer']).unique().execute()
      },
    },
    '0004-one-refresher': {
      async up(db) {
        for (const [table, columns] of Object.entries(GIVEN)) await giveColumns(db, table, columns, facts)
        for (const table of ['outbox', 'usage'] as const) await makeTable(db, table, facts)
        for (const table of ['outbox', 'flowSessions'])
          await db.schema.createIndex(`${table}Due`).on(table).columns(['dueAt']).execute()
      },
    },
    '0005-callers-of-callers': {
      async up(db) {
        for (const table of ['keys', 'asks'] as const) await makeTable(db, table, facts)
        await db.schema.createIndex('keysParent').on('keys').columns(['owner', 'parent']).execute()
        await db.schema.createIndex('asksState').on('asks').columns(['owner', 'state']).execute()
      },
    },
    '0006-what-was-minted': {
      async up(db) {
        for (const [table, columns] of Object.entries(GIVEN_LATER))
          await giveColumns(db, table, columns, facts)
      },
    },
  }
}

async function migrationsDone(db: AnyTables, { schema }: ColumnFacts): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  const here = tables.filter((table) => schema === undefined || table.schema === schema)
  if (!here.some(({ name }) => name === 'kysely_migration')) return []
  const rows = await db.selectFrom('kysely_migration').select('name').execute()
  return rows.map(({ name }) => String(name))
}

/** Brings the tables up to this build; refuses those that a later build has already changed. */
export async function migrate(db: AnyTables, facts: ColumnFacts): Promise<void> {
  const known = migrations(facts)
  const unknown = (await migrationsDone(db, facts)).find((name) => !Object.hasOwn(known, name))
  if (unknown !== undefined)
    throw new ValetkeyError('newer-schema', `the vault was written by a newer valetkey (${unknown})`, {
      hint: 'install the newest valetkey and start it again',
    })
  const provider: MigrationProvider = { getMigrations: async () => known }
  const at = facts.schema === undefined ? {} : { migrationTableSchema: facts.schema }
  const { error } = await new Migrator({ db, provider, ...at }).migrateToLatest()
  if (error !== undefined) throw error
}
