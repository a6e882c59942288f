import { randomUUID } from 'node:crypto'
import { copyFile, mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { INSTALLATION, type OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { Place, VaultKeeper } from '../model/vault.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { canary, canaryBytes } from '../testing/canary.ts'
import { SEALS_PER_KEY } from './data-keys.ts'
import { environmentSource } from './sources/environment.ts'
import { fileSource } from './sources/file.ts'
import { passphraseSource } from './sources/passphrase.ts'
import { openVault, type VaultKit } from './vault.ts'

const ADA: OwnerId = 'person:ada'
const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url') }

let folder: string
let keys: string
let file: string
let storage: Storage
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  keys = await mkdtemp(join(tmpdir(), 'valetkey-'))
  file = join(folder, 'vault.db')
  storage = await openSqlite(file)
})
afterEach(async () => {
  await storage.close()
  await leave(folder)
  await leave(keys)
})

function keeperOn(on: Storage, more: Partial<VaultKit> = {}): Promise<VaultKeeper> {
  return openVault({
    storage: on,
    sources: (kind, { passphrase }) => {
      if (kind === 'file') return fileSource(keys)
      return kind === 'passphrase' ? passphraseSource(passphrase) : environmentSource(env)
    },
    preferred: 'environment',
    now: () => new Date(),
    newId: () => randomUUID(),
    ...more,
  })
}

async function unlockedKeeper(more: Partial<VaultKit> = {}): Promise<VaultKeeper> {
  const keeper = await keeperOn(storage, more)
  await keeper.unlock()
  return keeper
}

function placeAt(record: string, more: Partial<Place> = {}): Place {
  return { owner: ADA, record, field: 'worn', generation: 1, ...more }
}

const refused = (code: string) => expect.objectContaining({ code, hint: expect.stringMatching(/./) })
const code = (expected: string) => expect.objectContaining({ code: expected })

async function reopened(): Promise<void> {
  await storage.close()
  storage = await openSqlite(file)
}

describe('a vault', () => {
  it('gives back what was put in, also to the next process', async () => {
    const secret = canary('kept')
    const { vault } = await unlockedKeeper()
    await vault.put(storage, placeAt('one'), new Secret(secret))
    expect((await vault.take(storage, placeAt('one')))?.reveal()).toBe(secret)
    expect(await vault.take(storage, placeAt('two'))).toBeUndefined()
    await reopened()
    const next = await unlockedKeeper()
    expect(next.vault.id).toBe(vault.id)
    expect((await next.vault.take(storage, placeAt('one')))?.reveal()).toBe(secret)
  })

  it('puts and takes through a transaction, the owner’s first secret included', async () => {
    const { vault } = await unlockedKeeper()
    const failed = storage.transaction('synced', async (rows) => {
      await vault.put(rows, placeAt('one'), new Secret(canary('lost')))
      throw new Error('of the work')
    })
    await expect(failed).rejects.toThrow('of the work')
    expect(await storage.list('dataKeys', { owner: ADA })).toEqual([])
    const secret = canary('second')
    await storage.transaction('synced', async (rows) => {
      await vault.put(rows, placeAt('one'), new Secret(secret))
      expect((await vault.take(rows, placeAt('one')))?.reveal()).toBe(secret)
    })
    expect((await vault.take(storage, placeAt('one')))?.reveal()).toBe(secret)
  })

  it('replaces a secret by the next generation’s, and tells who reads too late', async () => {
    const { vault } = await unlockedKeeper()
    await vault.put(storage, placeAt('one'), new Secret(canary('old')))
    const secret = canary('new')
    await vault.put(storage, placeAt('one', { generation: 2 }), new Secret(secret))
    expect((await vault.take(storage, placeAt('one', { generation: 2 })))?.reveal()).toBe(secret)
    await expect(vault.take(storage, placeAt('one'))).rejects.toEqual(code('conflict'))
    await expect(vault.take(storage, placeAt('one', { generation: 3 }))).rejects.toEqual(code('tampered'))
  })

  it('erases every field of a record, and no other record', async () => {
    const { vault } = await unlockedKeeper()
    for (const [record, field] of [
      ['one', 'worn'],
      ['one', 'kept'],
      ['two', 'worn'],
    ] as const)
      await vault.put(storage, placeAt(record, { field }), new Secret(canary(field)))
    await vault.erase(storage, ADA, 'one')
    expect(await vault.take(storage, placeAt('one'))).toBeUndefined()
    expect(await vault.take(storage, placeAt('one', { field: 'kept' }))).toBeUndefined()
    expect(await vault.take(storage, placeAt('two'))).toBeDefined()
  })

  it('seals and opens what others keep', async () => {
    const { vault } = await unlockedKeeper()
    const secret = canary('entry')
    const sealed = await vault.seal(placeAt('entry'), new Secret(secret))
    expect((await vault.open(placeAt('entry'), sealed)).reveal()).toBe(secret)
    await expect(vault.open(placeAt('entry', { owner: 'person:bob' }), sealed)).rejects.toEqual(
      refused('tampered'),
    )
  })

  it('[security 19.2] opens nothing that was swapped between two rows, two fields or two owners', async () => {
    const { vault } = await unlockedKeeper()
    const places = [
      placeAt('one'),
      placeAt('two'),
      placeAt('one', { field: 'kept' }),
      placeAt('one', { owner: 'person:bob' }),
    ]
    const sealed = await Promise.all(places.map((at) => vault.seal(at, new Secret(canary(at.record)))))
    for (const [n, at] of places.entries())
      for (const [m, value] of sealed.entries())
        if (n !== m) await expect(vault.open(at, value)).rejects.toEqual(refused('tampered'))
  })
})

describe('lock and unlock', () => {
  it('makes the vault at the first unlocking, and nothing before', async () => {
    const keeper = await keeperOn(storage)
    expect(keeper.vault.locked).toBe(true)
    await expect(keeper.vault.seal(placeAt('one'), new Secret(canary('early')))).rejects.toEqual(
      refused('locked'),
    )
    expect(await storage.list('vault', { owner: EVERY_OWNER })).toEqual([])
    await Promise.all([keeper.unlock(), keeper.unlock()])
    expect(keeper.vault.locked).toBe(false)
    expect(await storage.list('vault', { owner: INSTALLATION })).toHaveLength(1)
  })

  it('refuses everything while locked, and goes on afterwards', async () => {
    const keeper = await unlockedKeeper()
    const { vault } = keeper
    const sealed = await vault.seal(placeAt('one'), new Secret(canary('one')))
    await vault.put(storage, placeAt('one'), new Secret(canary('one')))
    keeper.lock()
    expect(vault.locked).toBe(true)
    const asked = [
      () => vault.seal(placeAt('one'), new Secret(canary('two'))),
      () => vault.open(placeAt('one'), sealed),
      () => vault.put(storage, placeAt('one'), new Secret(canary('two'))),
      () => vault.take(storage, placeAt('one')),
      () => vault.mac('head', new Uint8Array()),
      () => keeper.rekey(environmentSource(env)),
    ]
    for (const ask of asked) await expect(ask()).rejects.toEqual(refused('locked'))
    await keeper.unlock()
    expect((await vault.open(placeAt('one'), sealed)).reveal()).toContain('CANARY')
  })

  it('seals nothing under a forgotten key when the lock falls in between', async () => {
    const keeper = await unlockedKeeper()
    const under = Array.from({ length: 20 }, (_, n) =>
      keeper.vault.put(storage, placeAt(`${n}`, { owner: `person:${n}` }), new Secret(canary('under'))),
    )
    keeper.lock()
    const done = await Promise.allSettled(under)
    for (const one of done) if (one.status === 'rejected') expect(one.reason).toEqual(refused('locked'))
    await keeper.unlock()
    for (const row of await storage.list('sealed', { owner: EVERY_OWNER }))
      expect(await keeper.vault.take(storage, placeAt(row.record, { owner: row.owner }))).toBeDefined()
  })

  it('stays locked when the lock overtakes the unlocking', async () => {
    const keeper = await unlockedKeeper()
    keeper.lock()
    const unlocking = keeper.unlock()
    keeper.lock()
    await unlocking
    expect(keeper.vault.locked).toBe(true)
  })

  it('[security 19.4] opens with its passphrase, and says what is missing or wrong', async () => {
    const keeper = await keeperOn(storage, { preferred: 'passphrase' })
    await expect(keeper.unlock()).rejects.toEqual(refused('locked'))
    expect(await storage.list('vault', { owner: EVERY_OWNER })).toEqual([])
    await expect(keeper.unlock(new Secret(''))).rejects.toEqual(refused('invalid-request'))
    const passphrase = canary('passphrase')
    await keeper.unlock(new Secret(passphrase))
    const next = await keeperOn(storage)
    expect(next.source).toBe('passphrase')
    await expect(next.unlock()).rejects.toMatchObject({ code: 'locked', hint: 'valetkey vault unlock' })
    await expect(next.unlock(new Secret(canary('other')))).rejects.toEqual(refused('wrong-key'))
    expect(next.vault.locked).toBe(true)
    await next.unlock(new Secret(passphrase))
    expect(next.vault.locked).toBe(false)
  })

  it('[security 19.4] authenticates what the vault says of its key', async () => {
    await unlockedKeeper()
    const [row] = await storage.list('vault', { owner: INSTALLATION })
    if (row === undefined) throw new Error('no vault')
    const altered = [
      { remembered: '{"variable":"OTHER"}' },
      { remembered: `${row.remembered} ` },
      { masterId: randomUUID() },
      { check: Uint8Array.from(row.check).fill(1, 20, 21) },
    ]
    for (const set of altered) {
      await storage.update('vault', { owner: INSTALLATION }, set)
      const keeper = await keeperOn(storage)
      await expect(keeper.unlock()).rejects.toEqual(refused('wrong-key'))
      await storage.update('vault', { owner: INSTALLATION }, row)
    }
    await storage.update('vault', { owner: INSTALLATION }, { remembered: 'no json' })
    await expect((await keeperOn(storage)).unlock()).rejects.toEqual(refused('tampered'))
  })

  it('is never made without a key', async () => {
    const keeper = await keeperOn(storage, { sources: () => environmentSource({}) })
    await expect(keeper.unlock()).rejects.toEqual(refused('locked'))
    expect(await storage.list('vault', { owner: EVERY_OWNER })).toEqual([])
    expect(await storage.list('dataKeys', { owner: EVERY_OWNER })).toEqual([])
  })

  it('says that a newer build has sealed the vault', async () => {
    await unlockedKeeper()
    await storage.update('vault', { owner: INSTALLATION }, { format: 2 })
    await expect((await keeperOn(storage)).unlock()).rejects.toEqual(refused('newer-schema'))
  })
})

describe('data keys', () => {
  const count = async (owner: OwnerId = ADA) =>
    (await storage.get('dataKeys', { owner, current: 1 }))?.seals ?? 0

  it('[security 19.1] are one to an owner, wrapped', async () => {
    const { vault } = await unlockedKeeper()
    const owners: OwnerId[] = [ADA, 'person:bob', 'group:team']
    for (const owner of owners)
      for (const record of ['one', 'two'])
        await vault.put(storage, placeAt(record, { owner }), new Secret(canary('x')))
    for (const owner of owners) expect(await storage.list('dataKeys', { owner })).toHaveLength(1)
    const [mine] = await storage.list('dataKeys', { owner: ADA })
    const [his] = await storage.list('dataKeys', { owner: 'person:bob' })
    await storage.update('dataKeys', { owner: ADA }, { wrapped: his?.wrapped ?? new Uint8Array() })
    const next = await unlockedKeeper()
    await expect(next.vault.take(storage, placeAt('one'))).rejects.toEqual(refused('tampered'))
    await storage.update('dataKeys', { owner: ADA }, { wrapped: mine?.wrapped ?? new Uint8Array() })
    expect(await next.vault.take(storage, placeAt('one'))).toBeDefined()
  })

  it('[security 19.1] count every seal on disk before it is made, over crashes too', async () => {
    for (let made = 0; made < 30; made += 1) {
      // Nothing is closed or locked: every keeper after the first is one after a crash.
      const { vault } = await unlockedKeeper()
      await vault.put(storage, placeAt(`${made}`), new Secret(canary('x')))
      expect(await count()).toBeGreaterThan(made)
    }
    const { vault } = await unlockedKeeper()
    const before = await count()
    for (let made = 1; made <= 10_000; made += 1) {
      await vault.seal(placeAt('x'), new Secret('x'))
      if (made % 500 === 1) expect(await count()).toBeGreaterThanOrEqual(before + made)
    }
    expect(await storage.list('dataKeys', { owner: ADA })).toHaveLength(1)
  })

  it('[security 19.1] are fresh after 2^31 seals, and the old ones still open', async () => {
    const { vault } = await unlockedKeeper()
    const secret = canary('first')
    // Through a transaction seals are counted one by one.
    const put = (record: string, value: string) =>
      storage.transaction('synced', (rows) => vault.put(rows, placeAt(record), new Secret(value)))
    await put('first', secret)
    await storage.update('dataKeys', { owner: ADA }, { seals: SEALS_PER_KEY - 1 })
    for (const record of ['last', 'next']) await put(record, canary(record))
    const keyOf = async (record: string) => (await storage.get('sealed', { owner: ADA, record }))?.keyId
    expect(await keyOf('last')).toBe(await keyOf('first'))
    expect(await keyOf('next')).not.toBe(await keyOf('first'))
    expect(await storage.list('dataKeys', { owner: ADA })).toHaveLength(2)
    const next = await unlockedKeeper()
    expect((await next.vault.take(storage, placeAt('first')))?.reveal()).toBe(secret)
    expect(await next.vault.take(storage, placeAt('next'))).toBeDefined()
  })

  it('are destroyed with their owner, and with them all that they sealed', async () => {
    const keeper = await unlockedKeeper()
    const { vault } = keeper
    const bob = placeAt('his', { owner: 'person:bob' })
    await vault.put(storage, placeAt('hers'), new Secret(canary('hers')))
    await vault.put(storage, bob, new Secret(canary('his')))
    const elsewhere = await vault.seal(placeAt('entry'), new Secret(canary('entry')))
    await keeper.eraseOwner(ADA)
    await expect(vault.open(placeAt('entry'), elsewhere)).rejects.toEqual(refused('tampered'))
    expect(await vault.take(storage, placeAt('hers'))).toBeUndefined()
    expect(await vault.take(storage, bob)).toBeDefined()
    expect(await storage.list('dataKeys', { owner: ADA })).toEqual([])
    await vault.put(storage, placeAt('new'), new Secret(canary('new')))
    expect(await vault.take(storage, placeAt('new'))).toBeDefined()
    await expect(keeper.eraseOwner(INSTALLATION)).rejects.toEqual(refused('invalid-request'))
  })
})

describe('a keyed digest', () => {
  it('is the same again, another for another label, and survives a new key and a restart', async () => {
    const keeper = await unlockedKeeper()
    const bytes = Buffer.from('head')
    const mac = await keeper.vault.mac('audit head', bytes)
    expect(mac).toHaveLength(32)
    expect(await keeper.vault.mac('audit head', bytes)).toEqual(mac)
    expect(await keeper.vault.mac('other', bytes)).not.toEqual(mac)
    expect(await keeper.vault.mac('audit head', Buffer.from('tail'))).not.toEqual(mac)
    await storage.update('dataKeys', { owner: INSTALLATION }, { seals: SEALS_PER_KEY })
    await keeper.vault.put(storage, placeAt('x', { owner: INSTALLATION }), new Secret(canary('x')))
    await keeper.rekey(fileSource(keys))
    expect(await keeper.vault.mac('audit head', bytes)).toEqual(mac)
    await reopened()
    expect(await (await unlockedKeeper()).vault.mac('audit head', bytes)).toEqual(mac)
    const other = await openSqlite(':memory:')
    const stranger = await keeperOn(other)
    await stranger.unlock()
    expect(await stranger.vault.mac('audit head', bytes)).not.toEqual(mac)
    await other.close()
  })
})

describe('a copy of the vault', () => {
  it('opens nothing without the key, and shows nothing of what is in it', async () => {
    const secret = canary('copied')
    const keeper = await unlockedKeeper({ preferred: 'file' })
    await keeper.vault.put(storage, placeAt('one', { about: 'api.openai.com' }), new Secret(secret))
    const [key] = await readdir(keys)
    const bare = Buffer.from((await readFile(join(keys, key ?? ''), 'utf8')).trim(), 'base64url')
    await storage.close()
    const copy = join(folder, 'copy.db')
    await copyFile(file, copy)
    const bytes = await readFile(copy)
    for (const written of [
      secret,
      Buffer.from(secret).toString('hex'),
      Buffer.from(secret).toString('base64'),
    ])
      expect(bytes.includes(written)).toBe(false)
    for (const written of [bare, bare.toString('hex'), bare.toString('base64url')])
      expect(bytes.includes(written)).toBe(false)
    const stolen = await openSqlite(copy)
    const elsewhere = join(folder, 'elsewhere')
    const thief = await keeperOn(stolen, { sources: () => fileSource(elsewhere) })
    await expect(thief.unlock()).rejects.toEqual(refused('wrong-key'))
    const other = await keeperOn(stolen, {
      sources: () => environmentSource({ VALETKEY_KEY: canaryBytes('mk', 32).toString('hex') }),
    })
    await expect(other.unlock()).rejects.toEqual(refused('wrong-key'))
    expect(other.vault.locked).toBe(true)
    await stolen.close()
    storage = await openSqlite(file)
  })
})
