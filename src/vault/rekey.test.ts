import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { INSTALLATION, type OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { KeySource, VaultKeeper } from '../model/vault.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { canary } from '../testing/canary.ts'
import { environmentSource } from './sources/environment.ts'
import { fileSource } from './sources/file.ts'
import { openVault } from './vault.ts'

const env = { VALETKEY_KEY: randomBytes(32).toString('hex') }

let folder: string
let keys: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  keys = join(folder, 'keys')
  file = join(folder, 'vault.db')
})
afterEach(() => rm(folder, { recursive: true }))

function keeperOn(storage: Storage): Promise<VaultKeeper> {
  return openVault({
    storage,
    sources: (kind) => (kind === 'file' ? fileSource(keys) : environmentSource(env)),
    preferred: 'file',
    now: () => new Date(),
    newId: () => randomUUID(),
  })
}

const place = (owner: OwnerId) => ({ owner, record: 'one', field: 'worn', generation: 1 })
const OWNERS: OwnerId[] = ['person:ada', 'person:bob', 'group:team']

async function filled(storage: Storage): Promise<[VaultKeeper, Map<OwnerId, string>]> {
  const keeper = await keeperOn(storage)
  await keeper.unlock()
  const secrets = new Map(OWNERS.map((owner) => [owner, canary(owner)]))
  for (const [owner, secret] of secrets) await keeper.vault.put(storage, place(owner), new Secret(secret))
  return [keeper, secrets]
}

async function expectAll({ vault }: VaultKeeper, storage: Storage, secrets: Map<OwnerId, string>) {
  for (const [owner, secret] of secrets)
    expect((await vault.take(storage, place(owner)))?.reveal()).toBe(secret)
}

// The same in a process of its own, which kills itself at the nth step of the re-keying: a step is
// each thing that a source or the storage is asked to do.
const victim = (steps: number) => `
  const { openSqlite } = await import(${JSON.stringify(new URL('../storage/sqlite.ts', import.meta.url).href)})
  const { openVault } = await import(${JSON.stringify(new URL('vault.ts', import.meta.url).href)})
  const { fileSource } = await import(${JSON.stringify(new URL('sources/file.ts', import.meta.url).href)})
  const { randomUUID } = await import('node:crypto')
  let left = Infinity
  const step = async (work) => {
    if (left-- <= 0) process.kill(process.pid, 'SIGKILL')
    const result = await work()
    if (left-- <= 0) process.kill(process.pid, 'SIGKILL')
    return result
  }
  const stepping = (object) => new Proxy(object, {
    get: (of, name) => typeof of[name] === 'function'
      ? (...args) => step(() => of[name](...args.map((arg) => name === 'transaction' && typeof arg === 'function'
          ? (rows) => arg(stepping(rows)) : arg)))
      : of[name],
  })
  const storage = stepping(await openSqlite(${JSON.stringify(file)}))
  const source = () => stepping(fileSource(${JSON.stringify(keys)}))
  const keeper = await openVault({
    storage, sources: source, preferred: 'file', now: () => new Date(), newId: () => randomUUID(),
  })
  await keeper.unlock()
  left = ${steps}
  await keeper.rekey(source())
  process.stdout.write('through')`

async function killedAfter(steps: number): Promise<boolean> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', victim(steps)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  const [, signal] = await once(child, 'close')
  if (signal !== 'SIGKILL' && said !== 'through') throw new Error('it ended in another way')
  return signal === 'SIGKILL'
}

describe('a new master key', () => {
  it('[security 19.5] takes over while verbs go on, and the old one opens nothing any more', async () => {
    const storage = await openSqlite(file)
    const [keeper, secrets] = await filled(storage)
    const before = await storage.list('dataKeys', { owner: EVERY_OWNER })
    const newcomer: OwnerId = 'person:newcomer'
    secrets.set(newcomer, canary('newcomer'))
    const work = [
      keeper.vault.put(storage, place(newcomer), new Secret(secrets.get(newcomer) ?? '')),
      expectAll(keeper, storage, new Map([...secrets].slice(0, 3))),
      keeper.vault.seal(place(INSTALLATION), new Secret(canary('entry'))),
    ]
    await Promise.all([keeper.rekey(environmentSource(env)), ...work])
    expect(keeper.source).toBe('environment')
    expect(await readdir(keys)).toEqual([])
    await expectAll(keeper, storage, secrets)
    const next = await keeperOn(storage)
    await next.unlock()
    await expectAll(next, storage, secrets)
    const after = await storage.list('dataKeys', { owner: EVERY_OWNER })
    for (const { id, wrapped } of before)
      expect(after.find((row) => row.id === id)?.wrapped).not.toEqual(wrapped)
    expect(new Set(after.map(({ masterId }) => masterId)).size).toBe(1)
    await storage.close()
  })

  it('[security 19.5] may be the key of the same kind of source again', async () => {
    const storage = await openSqlite(file)
    const [keeper, secrets] = await filled(storage)
    const [first] = await readdir(keys)
    for (let times = 0; times < 3; times += 1) await keeper.rekey(fileSource(keys))
    expect(await readdir(keys)).toHaveLength(1)
    expect(await readdir(keys)).not.toContain(first)
    const next = await keeperOn(storage)
    await next.unlock()
    await expectAll(next, storage, secrets)
    await storage.close()
  })

  it('[security 19.5] leaves everything as it was when it cannot be made or written', async () => {
    const storage = await openSqlite(file)
    const [keeper, secrets] = await filled(storage)
    const names = await readdir(keys)
    await expect(keeper.rekey(environmentSource({}))).rejects.toMatchObject({ code: 'locked' })
    const [stolen] = await storage.list('dataKeys', { owner: 'person:bob' })
    if (stolen === undefined) throw new Error('no key')
    await storage.update('dataKeys', { owner: 'person:bob' }, { wrapped: new Uint8Array(80) })
    await expect(keeper.rekey(fileSource(keys))).rejects.toMatchObject({ code: 'tampered' })
    expect(await readdir(keys)).toEqual(names)
    await storage.update('dataKeys', { owner: 'person:bob' }, stolen)
    expect(keeper.source).toBe('file')
    const next = await keeperOn(storage)
    await next.unlock()
    await expectAll(next, storage, secrets)
    await storage.close()
  })

  it('[security 19.5] comes to nothing when the vault is locked in the middle', async () => {
    const storage = await openSqlite(file)
    const [keeper, secrets] = await filled(storage)
    const slow: KeySource = {
      ...fileSource(keys),
      create: async () => {
        const created = await fileSource(keys).create()
        keeper.lock()
        return created
      },
    }
    await expect(keeper.rekey(slow)).rejects.toMatchObject({ code: 'locked' })
    expect(keeper.vault.locked).toBe(true)
    expect(await readdir(keys)).toHaveLength(1)
    await keeper.unlock()
    await expectAll(keeper, storage, secrets)
    await storage.close()
  })

  it('[security 19.5] leaves a readable vault wherever kill -9 strikes', { timeout: 120_000 }, async () => {
    const made = await openSqlite(file)
    const [, secrets] = await filled(made)
    await made.close()
    let kills = 0
    while (await killedAfter(kills)) {
      kills += 1
      const storage = await openSqlite(file)
      const keeper = await keeperOn(storage)
      await keeper.unlock()
      await expectAll(keeper, storage, secrets)
      await storage.close()
    }
    // Reading the vault, the new key, the row, four data keys, the commit, the row again, the old key.
    expect(kills).toBeGreaterThan(15)
  })
})
