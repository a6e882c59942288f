import { randomUUID } from 'node:crypto'
import { copyFile, mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import type { OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { Place, VaultKeeper } from '../model/vault.ts'
import { openPostgres } from '../storage/postgres.ts'
import { canary, canaryBytes } from '../testing/canary.ts'
import { environmentSource } from './sources/environment.ts'
import { fileSource } from './sources/file.ts'
import { passphraseSource } from './sources/passphrase.ts'
import { openVault } from './vault.ts'

/** One of several brokers at one database: a computer of its own, with a folder of its own for keys. */
interface Broker {
  readonly storage: Storage
  readonly keys: string
  readonly env: NodeJS.ProcessEnv
  readonly keeper: VaultKeeper
}

const ADA: OwnerId = 'person:ada'
const BOB: OwnerId = 'person:bob'
const VALETKEY_KEY = canaryBytes('mk', 32).toString('base64url')

let server: PostgresServer
let url: string
let brokers: Broker[]

beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

beforeEach(async () => {
  url = await server.newVault()
  brokers = []
})
afterEach(async () => {
  for (const { storage, keys } of brokers) {
    await storage.close()
    await leave(keys)
  }
})

interface More {
  readonly preferred?: 'file' | 'environment' | 'passphrase'
  /** Hears nothing of what others do. */
  readonly deaf?: boolean
}

async function newBroker({ preferred = 'environment', deaf = false }: More = {}): Promise<Broker> {
  const { changes, ...mute } = await openPostgres(url)
  const storage: Storage = deaf || changes === undefined ? mute : { ...mute, changes }
  const keys = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const env: NodeJS.ProcessEnv = { VALETKEY_KEY }
  const keeper = await openVault({
    storage,
    sources: (kind, { passphrase }) => {
      if (kind === 'file') return fileSource(keys)
      return kind === 'passphrase' ? passphraseSource(passphrase) : environmentSource(env)
    },
    preferred,
    now: () => new Date(),
    newId: () => randomUUID(),
  })
  const broker = { storage, keys, env, keeper }
  brokers.push(broker)
  return broker
}

async function unlockedBroker(more?: More): Promise<Broker> {
  const broker = await newBroker(more)
  await broker.keeper.unlock()
  return broker
}

const placeAt = (record: string, owner = ADA): Place => ({ owner, record, field: 'worn', generation: 1 })

function put({ storage, keeper }: Broker, place: Place, text: string): Promise<void> {
  return storage.transaction('synced', (rows) => keeper.vault.put(rows, place, new Secret(text)))
}

function take({ storage, keeper }: Broker, place: Place): Promise<string | undefined> {
  return storage.transaction('soon', async (rows) => (await keeper.vault.take(rows, place))?.reveal())
}

async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await so())) await wait(10)
}

describe('several brokers of one vault', () => {
  it('found it once, though they come at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      url = await server.newVault()
      const all = await Promise.all([1, 2, 3].map(() => newBroker()))
      await Promise.all(all.map(({ keeper }) => keeper.unlock()))
      expect(new Set(all.map(({ keeper }) => keeper.vault.id)).size).toBe(1)
      const [one, other] = all as [Broker, Broker]
      const secret = canary('shared')
      await put(one, placeAt('one'), secret)
      expect(await take(other, placeAt('one'))).toBe(secret)
    }
  })

  it('are told which key is missing where each has a folder of its own for it, and leave none behind', async () => {
    const [one, other] = [await newBroker({ preferred: 'file' }), await newBroker({ preferred: 'file' })]
    const ends = await Promise.allSettled([one.keeper.unlock(), other.keeper.unlock()])
    const late = ends[0]?.status === 'rejected' ? one : other
    const first = late === one ? other : one
    expect(ends.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'wrong-key', hint: expect.stringContaining(late.keys) } },
    ])
    expect([await readdir(late.keys), late.keeper.vault.locked]).toEqual([[], true])
    await copyKeys(first, late)
    await late.keeper.unlock()
    await put(first, placeAt('one'), canary('one'))
    expect(await take(late, placeAt('one'))).toBe(await take(first, placeAt('one')))
  })

  it('[security 19.5] go on when one of them gave the vault a new key, as long as they can have it too', async () => {
    const [one, other] = [await unlockedBroker(), await unlockedBroker()]
    const secret = canary('cold')
    await put(one, placeAt('one'), secret)
    await one.keeper.rekey(environmentSource(one.env))
    expect(await take(other, placeAt('one'))).toBe(secret)
    await put(other, placeAt('his', BOB), canary('first'))
    expect(await masters()).toHaveLength(1)
    await other.keeper.rekey(environmentSource(one.env))
    expect(await take(one, placeAt('his', BOB))).toBe(await take(other, placeAt('his', BOB)))
  })

  it('notice it without being told, in the middle of their work', async () => {
    const [one, deaf] = [await unlockedBroker(), await unlockedBroker({ deaf: true })]
    const secret = canary('cold')
    await put(one, placeAt('one'), secret)
    await one.keeper.rekey(environmentSource(one.env))
    expect(await take(deaf, placeAt('one'))).toBe(secret)
    await one.keeper.rekey(environmentSource(one.env))
    await put(deaf, placeAt('his', BOB), canary('first'))
    expect(await take(one, placeAt('his', BOB))).toBe(await take(deaf, placeAt('his', BOB)))
    expect(await masters()).toHaveLength(1)
  })

  it('lock themselves when they cannot have the new key, and say why', async () => {
    const [one, other] = [await unlockedBroker(), await unlockedBroker()]
    await one.keeper.rekey(fileSource(one.keys))
    await until(() => other.keeper.vault.locked)
    expect(() => other.keeper.vault.refuseLocked()).toThrow(
      expect.objectContaining({
        code: 'locked',
        message:
          'another broker gave the vault a new key, which cannot be had here: it comes from another source now: file',
        hint: 'valetkey vault unlock',
      }),
    )
    await copyKeys(one, other)
    await other.keeper.unlock()
    await one.keeper.rekey(fileSource(one.keys))
    await until(() => other.keeper.vault.locked)
    expect(() => other.keeper.vault.refuseLocked()).toThrow(
      expect.objectContaining({ code: 'locked', hint: expect.stringContaining(`${other.keys}/master-`) }),
    )
    await expect(other.keeper.unlock()).rejects.toMatchObject({ code: 'wrong-key' })
    await copyKeys(one, other)
    await other.keeper.unlock()
    expect(() => other.keeper.vault.refuseLocked()).not.toThrow()
    other.keeper.lock()
    expect(() => other.keeper.vault.refuseLocked()).toThrow('the vault is locked')
  })

  it('do not take for the new key what only comes from where it should', async () => {
    const [one, other] = [await unlockedBroker(), await unlockedBroker()]
    one.env['VALETKEY_KEY'] = canaryBytes('mk', 32).toString('base64url')
    await one.keeper.rekey(environmentSource(one.env))
    await until(() => other.keeper.vault.locked)
    expect(() => other.keeper.vault.refuseLocked()).toThrow('this key does not open the vault')
    Object.assign(other.env, one.env)
    await other.keeper.unlock()
    await put(one, placeAt('one'), canary('one'))
    expect(await take(other, placeAt('one'))).toBe(await take(one, placeAt('one')))
  })

  it('do not ask another source for a key because a row says so', async () => {
    const [one] = [await unlockedBroker(), await unlockedBroker()]
    await server.ask(
      url,
      `update vault set "masterId" = 'new', "keySource" = 'command', remembered = '{"command":"/bin/true"}'`,
    )
    await until(() => one.keeper.vault.locked)
    expect(() => one.keeper.vault.refuseLocked()).toThrow('it comes from another source now: command')
  })

  it('do not take what another changed by hand for a new key', async () => {
    const one = await unlockedBroker({ deaf: true })
    await put(one, placeAt('one'), canary('one'))
    await server.ask(url, `update "dataKeys" set "masterId" = 'other' where owner = '${ADA}'`)
    const next = await unlockedBroker()
    await expect(take(next, placeAt('one'))).rejects.toMatchObject({ code: 'tampered' })
    expect(next.keeper.vault.locked).toBe(false)
  })

  it('keep one of two new keys that come at once, and the vault opens for both', async () => {
    const [one, other] = [await unlockedBroker(), await unlockedBroker()]
    await put(one, placeAt('one'), canary('one'))
    const ends = await Promise.allSettled(
      [one, other].map(({ keeper, env }) => keeper.rekey(environmentSource(env))),
    )
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'conflict' })
    expect(await masters()).toHaveLength(1)
    for (const broker of [one, other, await unlockedBroker()])
      expect(await take(broker, placeAt('one'))).toMatch(/^CANARYone/)
  })

  it('all forget the key of an owner whom one of them erased', async () => {
    const [one, other] = [await unlockedBroker(), await unlockedBroker()]
    await put(one, placeAt('one'), canary('one'))
    await take(other, placeAt('one'))
    const kept = await other.keeper.vault.seal(placeAt('entry'), new Secret(canary('entry')))
    await other.keeper.vault.open(placeAt('entry'), kept)
    await one.keeper.eraseOwner(ADA)
    await until(() => cannotOpen(other, kept))
    const secret = canary('new')
    await put(other, placeAt('two'), secret)
    expect(await take(one, placeAt('two'))).toBe(secret)
  })

  it('forget it too when the line was broken at that moment', async () => {
    const [one, other] = [await unlockedBroker(), await unlockedBroker()]
    await put(one, placeAt('one'), canary('one'))
    const kept = await other.keeper.vault.seal(placeAt('entry'), new Secret(canary('entry')))
    await server.ask(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity where query = 'listen valetkey_changes'`,
    )
    await one.keeper.eraseOwner(ADA)
    await one.keeper.rekey(environmentSource(one.env))
    await until(() => cannotOpen(other, kept))
    expect(other.keeper.vault.locked).toBe(false)
    await put(other, placeAt('his', BOB), canary('his'))
    expect(await take(one, placeAt('his', BOB))).toMatch(/^CANARYhis/)
  })
})

async function cannotOpen({ keeper }: Broker, sealed: Parameters<VaultKeeper['vault']['open']>[1]) {
  return await keeper.vault.open(placeAt('entry'), sealed).then(
    () => false,
    ({ code }) => code === 'tampered',
  )
}

/** By which master keys data keys are wrapped. */
async function masters(): Promise<readonly string[]> {
  const [{ storage } = await unlockedBroker()] = brokers
  const rows = await storage.list('dataKeys', { owner: EVERY_OWNER })
  const vault = await storage.get('vault', { owner: 'installation' })
  return [...new Set([...rows.map(({ masterId }) => masterId), vault?.masterId ?? ''])]
}

async function copyKeys(from: Broker, to: Broker): Promise<void> {
  for (const name of await readdir(from.keys)) await copyFile(join(from.keys, name), join(to.keys, name))
}
