import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { report, size } from '../../test/figures.ts'
import { leave } from '../../test/leave.ts'
import { INSTALLATION, type OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { KeySource, VaultKeeper } from '../model/vault.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { canary, canaryBytes } from '../testing/canary.ts'
import { environmentSource } from './sources/environment.ts'
import { fileSource } from './sources/file.ts'
import { openVault } from './vault.ts'

const CHILD = fileURLToPath(new URL('../../test/faults/children/rekey.ts', import.meta.url))
const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('hex') }

let folder: string
let keys: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  keys = join(folder, 'keys')
  file = join(folder, 'vault.db')
})
afterEach(() => leave(folder))

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

/** Gives the vault a new master key in a process of its own. `steps`: before which step that kills itself. */
function rekeying(steps?: number): ChildProcess {
  const words = [file, keys, ...(steps === undefined ? [] : [`${steps}`])]
  return fork(CHILD, words, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

async function isKilled(child: ChildProcess): Promise<boolean> {
  const [code, signal] = await once(child, 'exit')
  if (signal !== 'SIGKILL' && code !== 0) throw new Error('it ended in another way')
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
    while (await isKilled(rekeying(kills))) {
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

const RECORDS = size(200, 10_000)
const KILLS = size(4, 200)

/** Each of an owner of its own, so that as many keys have to be wrapped anew. */
const ownerOf = (n: number): OwnerId => `person:p${n}`

/** One after the other, and none of them kept in mind: what a record holds tells whose it is. */
async function fillWithMany(): Promise<string> {
  const storage = await openSqlite(file)
  const keeper = await keeperOn(storage)
  await keeper.unlock()
  const secret = canary('record')
  await storage.transaction('synced', async (rows) => {
    for (let n = 0; n < RECORDS; n += 1)
      await keeper.vault.put(rows, place(ownerOf(n)), new Secret(`${secret} ${n}`))
  })
  await storage.close()
  return secret
}

/** How many of them do not open with the key that counts, and which key that is. */
async function looked(secret: string): Promise<{ readonly unreadable: number; readonly masterId: string }> {
  const storage = await openSqlite(file)
  const keeper = await keeperOn(storage)
  await keeper.unlock()
  let unreadable = 0
  for (let n = 0; n < RECORDS; n += 1) {
    const found = await keeper.vault.take(storage, place(ownerOf(n))).catch(() => undefined)
    if (found?.reveal() !== `${secret} ${n}`) unreadable += 1
  }
  const { masterId = '' } = (await storage.get('vault', { owner: INSTALLATION })) ?? {}
  await storage.close()
  return { unreadable, masterId }
}

interface Course {
  readonly steps: number
  readonly milliseconds: number
}

/** Once without being killed, to know what there is to be killed in. */
async function throughOnce(): Promise<Course> {
  const child = rekeying()
  await once(child, 'message')
  const begun = performance.now()
  const [{ through: steps }] = (await once(child, 'message')) as [{ through: number }]
  const milliseconds = performance.now() - begun
  await isKilled(child)
  return { steps, milliseconds }
}

/**
 * The nth of the kills: at a step or at a moment, both spread over the whole of it, or at one of the last
 * steps, where one key takes the place of the other.
 */
async function killedSomewhere(n: number, { steps, milliseconds }: Course): Promise<boolean> {
  const share = (n % KILLS) / KILLS
  if (n % 4 === 0) return isKilled(rekeying(steps - 1 - ((n / 4) % 12)))
  if (n % 4 === 2) return isKilled(rekeying(Math.floor(steps * share)))
  const child = rekeying()
  await once(child, 'message')
  const killed = isKilled(child)
  await pause(milliseconds * share)
  child.kill('SIGKILL')
  return killed
}

describe('a new master key for very many records', () => {
  it(
    '[security 19.5] leaves each of them readable, wherever kill -9 strikes',
    async () => {
      const secret = await fillWithMany()
      const course = await throughOnce()
      expect(course.steps).toBeGreaterThan(2 * RECORDS)
      let { masterId } = await looked(secret)
      let [kills, unreadable, replaced] = [0, 0, 0]
      for (let n = 0; kills < KILLS; n += 1) {
        if (await killedSomewhere(n, course)) kills += 1
        const found = await looked(secret)
        unreadable += found.unreadable
        if (found.masterId !== masterId) replaced += 1
        masterId = found.masterId
      }
      const what = `records unreadable, a new master key for ${RECORDS}, killed at ${kills} points`
      report(what, unreadable, kills * RECORDS, 'SIGKILL to a process of its own')
      expect(unreadable).toBe(0)
      // Before the one key took the place of the other, and after that.
      expect([replaced > 0, replaced < kills]).toEqual([true, true])
    },
    size(240_000, 3_600_000),
  )
})
