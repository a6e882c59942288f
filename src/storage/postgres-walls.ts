import { type RawBuilder, sql } from 'kysely'
import { ValetkeyError } from '#client'
import { stateOf } from './postgres-errors.ts'
import type { AnyTables } from './schema.ts'

// Who asks says whose rows he means, for the length of one transaction; to whoever says nothing every
// table is empty. What is meant for all owners is said in another setting, never by leaving one out.
export const OWNER_SETTING = 'valetkey.owner'
export const CROSSING_SETTING = 'valetkey.crossing'
export const CROSSING = 'every owner'

// Through whose connections something is written, for the length of a connection.
export const WRITER_SETTING = 'valetkey.writer'

/** Told `{"schema", "table", "owner", "record", "by", "was", "is"}` of each change, by the transaction that made it. */
export const CHANGES_CHANNEL = 'valetkey_changes'

const OWN_POLICY = 'ofOwner'
const CROSSING_POLICY = 'ofEveryOwner'
const TOLD = 'valetkeyTold'

/** Which tables are told of, and where in their rows the id stands of what is told. */
const TELLING = {
  accounts: 'id',
  bindings: 'accountId',
  vault: 'id',
  dataKeys: 'id',
  leases: 'id',
  keys: 'id',
  asks: 'id',
} as const
/** They change with every use and every look at the clock, and nothing that is remembered depends on them. */
const UNTOLD_COLUMNS = `'{lastUsedAt,seals,dueAt,askedAt}'::text[]`

const EVERY_CHANGE = sql`insert or update or delete`
/** Leases change with every use; what matters to others is only that one is over. */
const ENDS = sql`update of "endedAt" or delete`
const STILL_OPEN = sql`when (old."endedAt" is null)`

const NAME_TAKEN = ['42710', '23505']
const DENIED = '42501'

/** Tables that hold somebody's rows: the migrations' own notes do not, and an extension's are not ours. */
const OURS = sql`
  c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
  and c.relname not in ('kysely_migration', 'kysely_migration_lock')
  and not exists (select from pg_depend where objid = c.oid and deptype = 'e')`

interface Table {
  readonly name: string
  readonly walled: boolean
  readonly granted: boolean
  readonly told: boolean
}

function roleTrouble(role: string): ValetkeyError {
  return new ValetkeyError('config-invalid', `the role ${role} has rights of its own`, {
    hint: `alter role ${role} nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls, and let it be a member of nothing`,
  })
}

function notGranted(role: string, cause: unknown): ValetkeyError {
  return new ValetkeyError('config-invalid', `the user of DATABASE_URL may not take on the role ${role}`, {
    hint: `create role ${role} nologin; grant ${role} to the user of DATABASE_URL`,
    cause,
  })
}

function notStanding(what: string): ValetkeyError {
  return new ValetkeyError('config-invalid', `the walls between owners do not stand: ${what}`, {
    hint: 'let DATABASE_URL name the server itself, not a pooler, and start valetkey again',
  })
}

async function unless(states: readonly string[], work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!states.includes(stateOf(error) ?? '')) throw error
  })
}

/** A role that may do nothing but what is granted to it here, and the right to take it on. */
async function makeRole(db: AnyTables, role: string): Promise<void> {
  const { rows } = await sql`select 1 from pg_roles where rolname = ${role}`.execute(db)
  if (rows.length === 0) {
    const making = sql`create role ${sql.id(role)} nologin noinherit`.execute(db)
    await unless(NAME_TAKEN, making).catch((error: unknown) => {
      throw stateOf(error) === DENIED ? notGranted(role, error) : error
    })
  }
  await judgeRole(db, role)
  try {
    await takeOn(db, role)
  } catch {
    const granting = sql`grant ${sql.id(role)} to current_user`.execute(db)
    await granting.catch((error: unknown) => {
      throw notGranted(role, error)
    })
    await takeOn(db, role)
  }
}

async function takeOn(db: AnyTables, role: string): Promise<void> {
  await sql`set role ${sql.id(role)}`.execute(db)
  await sql`reset role`.execute(db)
}

async function judgeRole(db: AnyTables, role: string): Promise<void> {
  const { rows } = await sql`
    select 1 from pg_roles r where rolname = ${role} and not (
      rolcanlogin or rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls
      or exists (select from pg_auth_members where member = r.oid)
    )`.execute(db)
  if (rows.length === 0) throw roleTrouble(role)
}

/** Every table of the vault, and which of its walls stand. */
async function tablesOf(db: AnyTables, role: string): Promise<readonly Table[]> {
  const { rows } = await sql<Table>`
    select c.relname as name,
      c.relrowsecurity and c.relforcerowsecurity and (
        select count(*) = 2 and bool_and(polname in (${OWN_POLICY}, ${CROSSING_POLICY}))
        from pg_policy where polrelid = c.oid
      ) as walled,
      has_table_privilege(${role}, c.oid, 'select') and has_table_privilege(${role}, c.oid, 'delete') as granted,
      c.relname not in (${sql.join(Object.keys(TELLING))}) or exists (
        select from pg_trigger join pg_proc p on p.oid = tgfoid
        where tgrelid = c.oid and tgname = ${TOLD} and tgenabled <> 'D' and prosrc = ${TELLER}
      ) as told
    from pg_class c where ${OURS}`.execute(db)
  return rows
}

async function wall(db: AnyTables, name: string): Promise<void> {
  const table = sql.table(name)
  const setting = (of: string) => sql`current_setting(${sql.lit(of)}, true)`
  const policy = async (called: string, rule: RawBuilder<unknown>) => {
    await sql`drop policy if exists ${sql.id(called)} on ${table}`.execute(db)
    await sql`create policy ${sql.id(called)} on ${table} using (${rule}) with check (${rule})`.execute(db)
  }
  await sql`alter table ${table} enable row level security, force row level security`.execute(db)
  await policy(OWN_POLICY, sql`"owner" = ${setting(OWNER_SETTING)}`)
  await policy(CROSSING_POLICY, sql`${setting(CROSSING_SETTING)} = ${sql.lit(CROSSING)}`)
}

/** Whoever changes something tells it, be it this program or a person at the database's own prompt. */
async function tell(db: AnyTables, name: keyof typeof TELLING): Promise<void> {
  const made = sql.id(TOLD)
  const [when, which] = name === 'leases' ? [ENDS, STILL_OPEN] : [EVERY_CHANGE, sql``]
  await sql`
    create or replace function ${made}() returns trigger language plpgsql as ${sql.lit(TELLER)}`.execute(db)
  await sql`
    create or replace trigger ${made} after ${when} on ${sql.table(name)}
    for each row ${which} execute function ${made}(${sql.lit(TELLING[name])})`.execute(db)
}

const TELLER = `
declare
  was jsonb := to_jsonb(old) - ${UNTOLD_COLUMNS};
  becomes jsonb := to_jsonb(new) - ${UNTOLD_COLUMNS};
  row jsonb := coalesce(becomes, was);
begin
  if was is distinct from becomes then
    perform pg_catalog.pg_notify('${CHANGES_CHANNEL}', jsonb_build_object(
      'schema', tg_table_schema, 'table', tg_table_name, 'owner', row ->> 'owner', 'record', row ->> tg_argv[0],
      'by', current_setting('${WRITER_SETTING}', true),
      'was', was ->> 'status', 'is', becomes ->> 'status')::text);
  end if;
  return null;
end`

async function letIn(db: AnyTables, role: string): Promise<void> {
  const { rows } = await sql<{ name: string; open: boolean }>`
    select current_schema() as name, has_schema_privilege(${role}, current_schema(), 'usage') as open`.execute(
    db,
  )
  if (rows[0] === undefined || rows[0].open) return
  await sql`grant usage on schema ${sql.id(rows[0].name)} to ${sql.id(role)}`.execute(db)
}

async function makeLeases(db: AnyTables): Promise<void> {
  await sql`
    create table if not exists "rowLeases" (
      "owner" text collate "C" not null, "record" text collate "C" not null,
      "token" text not null, "until" bigint not null,
      primary key ("owner", "record")
    )`.execute(db)
  const { rows } = await sql`
    select from pg_attribute where attrelid = '"rowLeases"'::regclass and attname = 'line'`.execute(db)
  if (rows.length === 0) await sql`alter table "rowLeases" add column "line" bigint`.execute(db)
}

/**
 * Raises what is not standing yet, as the user of the URL. It is done after the tables were brought up to
 * this build, so a table that a later one adds has its walls before anybody asks it anything.
 */
export async function raiseWalls(db: AnyTables, role: string): Promise<void> {
  await makeRole(db, role)
  await makeLeases(db)
  await letIn(db, role)
  for (const { name, walled, granted, told } of await tablesOf(db, role)) {
    if (!walled) await wall(db, name)
    if (!granted)
      await sql`grant select, insert, update, delete on ${sql.table(name)} to ${sql.id(role)}`.execute(db)
    if (!told) await tell(db, name as keyof typeof TELLING)
  }
}

/** Looks from inside, by a connection as questions are asked by: nothing is taken on trust. */
export async function judgeWalls(db: AnyTables, role: string): Promise<void> {
  const { rows } = await sql<{ is: string; on: string }>`
    select current_user as is, current_setting('row_security') as "on"`.execute(db)
  if (rows[0]?.is !== role) throw notStanding(`questions are asked as ${rows[0]?.is}`)
  if (rows[0].on !== 'on') throw notStanding('row security is switched off')
  await judgeRole(db, role)
  const open = (await tablesOf(db, role)).filter(({ walled }) => !walled)
  if (open.length > 0) throw notStanding(`${open.map(({ name }) => name).join(', ')} can be read by all`)
}

/** A database of somebody else's is left as it is. */
export async function refuseForeign(db: AnyTables, place: string): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_class c where ${OURS}`.execute(db)
  if (rows.length === 0 || rows.some(({ name }) => name === 'vault')) return
  throw new ValetkeyError('vault-unreadable', `the database at ${place} holds something else than a vault`, {
    hint: 'give valetkey a database of its own; nothing was changed',
  })
}
