import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { leave } from '../../test/leave.ts'
import { EVERY_OWNER, type SealedRow } from '../model/storage.ts'
import { canary } from '../testing/canary.ts'
import { storageContract } from '../testing/storage-contract.ts'
import { openSqlite } from './sqlite.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  file = join(folder, 'vault.db')
})
afterEach(() => leave(folder))

const ENGINE = new URL('sqlite.ts', import.meta.url).href

function row(bytes: string | Uint8Array, record = 'record'): SealedRow {
  const owner = 'person:ada'
  return { owner, record, field: 'worn', generation: 1, keyId: 'key', bytes: Buffer.from(bytes) }
}

/** Takes away what came with the one refresher. */
function asBefore(database: DatabaseSync): void {
  const columns = (table: string) => database.prepare(`select name from pragma_table_info(?)`).all(table)
  database.exec('drop table outbox; drop table "usage"; drop index "flowSessionsDue"')
  database.exec('drop table keys; drop table asks')
  for (const [table, known] of Object.entries(BEFORE))
    for (const { name } of columns(table).slice(known))
      database.exec(`alter table "${table}" drop column "${name}"`)
  database.exec(`delete from kysely_migration where name >= '0004'`)
}
/** How many columns there were. */
const BEFORE = { accounts: 14, leases: 11, flowSessions: 14, registrations: 8 }

async function refusal(work: Promise<unknown>): Promise<ValetkeyError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof ValetkeyError) return error
  throw new Error('not refused in words', { cause: error })
}

async function made(...rows: SealedRow[]): Promise<void> {
  const storage = await openSqlite(file)
  await storage.insert('sealed', rows)
  await storage.close()
}

/** A process of its own that opens the file and then does `then`. */
function elsewhere(then: string, options: { uid?: number } = {}) {
  const code = `
    const { openSqlite } = await import(${JSON.stringify(ENGINE)})
    try {
      const storage = await openSqlite(${JSON.stringify(file)})
      ${then}
    } catch (error) {
      process.stdout.write(error.code + ' ' + Boolean(error.hint))
    }`
  return spawn(process.execPath, ['--input-type=module', '-e', code], {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function saidBy(child: ReturnType<typeof elsewhere>): Promise<string> {
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  await once(child, 'close')
  return said
}

let contracts = 0
storageContract('sqlite in memory', () => openSqlite(':memory:'))
storageContract(
  'sqlite in a file',
  () => {
    contracts += 1
    return openSqlite(join(folder, `${contracts}.db`))
  },
  {
    reopen: async (storage) => {
      await storage.close()
      return await openSqlite(join(folder, `${contracts}.db`))
    },
  },
)

describe('the file of a vault', () => {
  it('[security 19.7] is for its owner alone, and so is its log', async () => {
    const storage = await openSqlite(file)
    await storage.insert('sealed', [row('x')])
    expect((await readdir(folder)).toSorted()).toEqual(['vault.db', 'vault.db-wal'])
    for (const name of await readdir(folder))
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
    await storage.close()
    await chmod(file, 0o644)
    await (await openSqlite(file)).close()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('[security 19.7] is not a link to another place', async () => {
    await made()
    await symlink(file, join(folder, 'link.db'))
    expect((await refusal(openSqlite(join(folder, 'link.db')))).code).toBe('unsafe-folder')
  })

  it('[security 19.7] is held by one; the second opener is told so, in this process and in another', async () => {
    const storage = await openSqlite(file)
    const second = await refusal(openSqlite(file))
    expect(second.code).toBe('held')
    expect(second.hint).toBeTruthy()
    expect(await saidBy(elsewhere(''))).toBe('held true')
    await storage.insert('sealed', [row('x')])
    await storage.close()
    expect(await saidBy(elsewhere(`process.stdout.write('mine'); await storage.close()`))).toBe('mine')
  })

  it('is free again, with all that was acknowledged, once its holder was killed', async () => {
    const child = elsewhere(`
      const row = (record) => ({ ...${JSON.stringify({ ...row('x'), bytes: null })}, record, bytes: new Uint8Array(3) })
      await storage.insert('sealed', [row('synced')])
      await storage.transaction('soon', (rows) => rows.insert('sealed', [row('soon')]))
      storage.transaction('synced', async (rows) => {
        await rows.insert('sealed', [row('unfinished')])
        process.stdout.write('now')
        await new Promise(() => setInterval(() => {}, 1000))
      })`)
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'close')
    const storage = await openSqlite(file)
    const records = (await storage.list('sealed', { owner: EVERY_OWNER })).map(({ record }) => record)
    expect(records.toSorted()).toEqual(['soon', 'synced'])
    await storage.close()
  })

  it('comes into being for one of many who start at once', async () => {
    const children = [1, 2, 3].map(() =>
      elsewhere(`process.stdout.write('mine'); setInterval(() => {}, 1000)`),
    )
    const all = Promise.all(children.map(saidBy))
    // Whoever has it holds it until the others have found out.
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')))
    for (const child of children) child.kill()
    const said = await all
    expect(said.toSorted()).toEqual(['held true', 'held true', 'mine'])
    expect((await readdir(folder)).filter((name) => name.includes('.new-'))).toEqual([])
  })

  it('carries no trace of what was removed', async () => {
    const secret = canary('removed')
    const storage = await openSqlite(file)
    await storage.insert('sealed', [row(secret), row('stays', 'other')])
    expect(await holds(secret)).toBe(true)
    await storage.remove('sealed', { owner: 'person:ada', record: 'record' })
    expect(await holds(secret)).toBe(false)
    await storage.close()
  })
})

// Another process reads, because closing a descriptor of the file here would drop our own locks.
async function holds(text: string): Promise<boolean> {
  const { stdout } = await promisify(execFile)('sh', ['-c', 'cat "$1"/*', 'sh', folder], {
    encoding: 'buffer',
  })
  return stdout.includes(text)
}

describe('a file that is no good vault', () => {
  async function leftAlone(bytes: Buffer): Promise<void> {
    const error = await refusal(openSqlite(file))
    expect([error.code, Boolean(error.hint)]).toEqual(['vault-unreadable', true])
    expect(await readFile(file)).toEqual(bytes)
  }

  it('is never overwritten, whatever it is', async () => {
    for (const text of ['', 'x', 'a letter to a friend', 'a long letter '.repeat(2_000)]) {
      await writeFile(file, text)
      await leftAlone(Buffer.from(text))
    }
  })

  it('is noticed when it was cut short, at any place', async () => {
    await made(...Array.from({ length: 50 }, (_, n) => row('x'.repeat(3_000), `${n}`)))
    const { size } = await stat(file)
    for (const at of [size - 1, size - 4_096, 8_192, 5_000, 4_096, 700, 100, 50, 0]) {
      await truncate(file, at)
      await leftAlone(await readFile(file))
    }
  })

  it('is noticed when it is somebody else’s database', async () => {
    const other = new DatabaseSync(file)
    other.exec('create table letters (text)')
    other.close()
    const error = await refusal(openSqlite(file))
    expect(error.code).toBe('vault-unreadable')
    const again = new DatabaseSync(file)
    expect(again.prepare('select name from sqlite_schema').all()).toHaveLength(1)
    again.close()
  })

  it('is noticed when only its log is left', async () => {
    await writeFile(`${file}-wal`, 'x')
    expect((await refusal(openSqlite(file))).code).toBe('vault-unreadable')
    expect(await readdir(folder)).toEqual(['vault.db-wal'])
  })

  it('is refused when a newer build has written it', async () => {
    await made()
    const newer = new DatabaseSync(file)
    newer.exec(`insert into kysely_migration values ('9999-later', '2030-01-01T00:00:00.000Z')`)
    newer.close()
    const error = await refusal(openSqlite(file))
    expect([error.code, Boolean(error.hint)]).toEqual(['newer-schema', true])
  })
})

describe('a vault of before', () => {
  it('has everything that was in it, and what came since is empty', async () => {
    await made(row('kept'))
    const before = new DatabaseSync(file)
    asBefore(before)
    before.exec(`insert into accounts (id, owner, provider, bucket, flow, status, standing, generation,
      connectedAt, changedAt) values ('a', 'person:ada', 'github', 'default', 'device-code', 'connected', 0, 3, 1, 2)`)
    before.close()
    const storage = await openSqlite(file)
    expect(await storage.get('accounts', { owner: 'person:ada', id: 'a' })).toMatchObject({
      generation: 3,
      tries: 0,
      nextTryAt: null,
      askedAt: null,
      diesAt: null,
      warnedAt: null,
    })
    expect(await storage.list('sealed', { owner: EVERY_OWNER })).toHaveLength(1)
    for (const table of ['outbox', 'usage'] as const)
      expect(await storage.list(table, { owner: EVERY_OWNER })).toEqual([])
    await storage.close()
  })
})

describe('a place where nothing can be written', () => {
  // Root may write everywhere, so somebody else tries; who is nobody special already tries as himself.
  const other = process.getuid?.() === 0 ? { uid: 65_534 } : {}

  it('is called read-only, be it the folder or the file', async () => {
    await chmod(folder, 0o555)
    expect(await saidBy(elsewhere('', other))).toBe('read-only true')
    await chmod(folder, 0o777)
    await saidBy(elsewhere('await storage.close()', other))
    await chmod(file, 0o400)
    expect(await saidBy(elsewhere('', other))).toBe('read-only true')
  })

  it('is called full when it is full, and is good again when there is room', async () => {
    await made(row('small'))
    const pages = (await stat(file)).size / 4_096
    const storage = await openSqlite(file, { maxPages: pages + 10 })
    const large = row(new Uint8Array(100_000), 'large')
    for (const durability of ['synced', 'soon'] as const) {
      const error = await refusal(
        storage.transaction(durability, async (rows) => {
          await rows.insert('sealed', [row('first', 'first')])
          await rows.insert('sealed', [large])
        }),
      )
      expect([error.code, Boolean(error.hint)]).toEqual(['disk-full', true])
    }
    expect(await storage.list('sealed', { owner: EVERY_OWNER })).toHaveLength(1)
    await storage.insert('sealed', [row('fits', 'fits')])
    await storage.close()
    const roomy = await openSqlite(file)
    await roomy.insert('sealed', [large])
    expect(await roomy.list('sealed', { owner: EVERY_OWNER })).toHaveLength(3)
    await roomy.close()
  })
})
