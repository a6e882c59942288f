import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AuditVerb, ValetkeyError } from '#client'
import { leave } from '../../test/leave.ts'
import { INSTALLATION, type OwnerId, THE_PERSON } from '../model/caller.ts'
import type { Anchor, AuditChain, NewEntry } from '../model/gate.ts'
import { type Durability, EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { VaultKeeper } from '../model/vault.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { fileSource } from '../vault/sources/file.ts'
import { openVault } from '../vault/vault.ts'
import { auditChain } from './chain.ts'
import { hashOf } from './layout.ts'

let folder: string
let disk: Storage
let keeper: VaultKeeper
let anchor: CountingAnchor
/** What the chain asked of its storage, in order. */
let asked: string[]
/** Thrown by the next transactions or syncs, while set. */
let broken: { transaction?: Error; sync?: Error }
let storage: Storage
let chain: AuditChain
let time: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  time = Date.parse('2026-11-20T12:00:00Z')
  asked = []
  broken = {}
  disk = await openSqlite(join(folder, 'vault.db'))
  storage = watched(disk)
  keeper = await openKeeper(disk)
  anchor = countingAnchor()
  chain = open()
  await chain.resume()
  asked.length = 0
})

afterEach(async () => {
  await chain.pause()
  await disk.close()
  await leave(folder)
})

describe('what was written', () => {
  it('is read by its owner alone, newest first', async () => {
    await chain.append(entry('bind', { target: 'github' }))
    await chain.append(entry('bind', { owner: 'person:bob' }))
    time += 1000
    await chain.append(entry('lend', { target: 'openai', outcome: 'refused', code: 'forward-only' }))
    const entries = await chain.read(THE_PERSON, {})
    expect(entries.map(({ seq, target }) => [seq, target])).toEqual([
      [3, 'openai'],
      [1, 'github'],
    ])
    expect(entries[0]).toEqual({
      ...entry('lend', { target: 'openai', outcome: 'refused', code: 'forward-only' }),
      seq: 3,
      at: new Date('2026-11-20T12:00:01Z'),
    })
  })

  it('is found by verb, caller and time, a hundred at most unless told', async () => {
    const all = Array.from({ length: 700 }, (_, n) =>
      entry(n % 2 ? 'lend' : 'bind', { caller: n === 3 ? 'app:rare' : 'app:agent' }),
    )
    await Promise.all(all.map((one) => chain.append(one)))
    time += 1000
    await chain.append(entry('revoke'))
    const since = new Date(time)
    expect(await chain.read(THE_PERSON, {})).toHaveLength(100)
    expect(await chain.read(THE_PERSON, { limit: 650 })).toHaveLength(650)
    expect(await chain.read(THE_PERSON, { limit: 0 })).toHaveLength(0)
    expect(await chain.read(THE_PERSON, { verb: 'lend', limit: 1000 })).toHaveLength(350)
    expect((await chain.read(THE_PERSON, { caller: 'app:rare' })).map(({ seq }) => seq)).toEqual([4])
    expect((await chain.read(THE_PERSON, { since })).map(({ verb }) => verb)).toEqual(['revoke'])
  })

  it('[security 20.2] is only ever added to: what stands is neither written over nor taken away', async () => {
    for (let n = 0; n < 5; n += 1) await chain.append(entry('bind', { target: `t${n}` }))
    const before = await disk.list('audit', { owner: EVERY_OWNER }, { orderBy: 'seq' })
    const touched: string[] = []
    const guarded: Storage = {
      ...disk,
      transaction: (durability, work, options) =>
        disk.transaction(
          durability,
          (rows) =>
            work({
              ...rows,
              update: (table, where, set) => {
                touched.push(`update ${table}`)
                return rows.update(table, where, set)
              },
              remove: (table, where) => {
                touched.push(`remove ${table}`)
                return rows.remove(table, where)
              },
            }),
          options,
        ),
    }
    await chain.pause()
    const next = auditChain({ storage: guarded, vault: keeper.vault, anchor, now })
    await next.resume()
    for (const verb of ['bind', 'lend', 'forward', 'revoke'] as const) await next.append(entry(verb))
    await next.pause()
    const after = await disk.list('audit', { owner: EVERY_OWNER }, { orderBy: 'seq' })
    expect(after.slice(0, before.length)).toEqual(before)
    expect(touched).toEqual([])
    const [first] = before
    if (first === undefined) throw new Error('nothing was written')
    await expect(disk.insert('audit', [first])).rejects.toMatchObject({ code: 'conflict' })
  })

  it('[security 20.2] lies on the disk as ciphertext', async () => {
    await chain.append(entry('bind', { target: 'a-telling-target', caller: 'app:telling-caller' }))
    await chain.pause()
    await disk.close()
    const bytes = await readFile(join(folder, 'vault.db'), 'latin1')
    expect(bytes).not.toContain('telling')
    disk = await openSqlite(join(folder, 'vault.db'))
  })

  it('stays whole, and stays sealed, when its owner was erased', async () => {
    await chain.append(entry('bind'))
    await chain.append(entry('bind', { owner: 'person:bob' }))
    await keeper.eraseOwner('person:bob')
    await chain.append(entry('erase-owner', { target: 'person:bob' }))
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 3, head: 3, problems: [] })
    expect(await chain.read('person:bob', {})).toEqual([])
    expect(await chain.read(THE_PERSON, {})).toHaveLength(2)
  })

  it('stays whole when the process dies right after an owner was erased', async () => {
    await chain.append(entry('bind', { owner: 'person:bob' }))
    await chain.append(entry('erase-owner', { target: 'person:bob', outcome: 'opened' }))
    await keeper.eraseOwner('person:bob')
    const next = open()
    await next.resume()
    expect(next.restored).toBe(false)
    expect(await next.verify()).toMatchObject({ ok: true, entries: 2 })
    await next.pause()
  })

  it('still verifies after the vault was given another master key', async () => {
    await chain.append(entry('bind'))
    await chain.append(entry('bind'))
    time += 1000
    await chain.prune(new Date(time))
    await chain.append(entry('rekey'))
    await keeper.rekey(fileSource(join(folder, 'other')))
    await chain.append(entry('bind'))
    expect(await chain.verify()).toMatchObject({ ok: true })
    await chain.pause()
    await chain.resume()
    expect(chain.restored).toBe(false)
    expect(await chain.verify()).toMatchObject({ ok: true })
  })
})

describe('how it is written', () => {
  it('writes a thousand entries of one turn in one transaction', async () => {
    const appendLater = async (steps: number) => {
      for (let step = 0; step < steps; step += 1) await undefined
      return chain.append(entry('lend'))
    }
    const seqs = await Promise.all(Array.from({ length: 1000 }, (_, n) => appendLater(n % 7)))
    expect(seqs.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 1000 }, (_, n) => n + 1))
    expect(asked.filter((what) => what.startsWith('transaction'))).toEqual(['transaction soon'])
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 1000, head: 1000 })
  })

  it('lets what comes while it writes wait for the next transaction', async () => {
    const first = chain.append(entry('lend'))
    await new Promise((resolve) => setImmediate(resolve))
    const later = Promise.all([chain.append(entry('lend')), chain.append(entry('lend'))])
    expect([await first, await later]).toEqual([1, [2, 3]])
    expect(asked.filter((what) => what.startsWith('transaction'))).toHaveLength(2)
  })

  it.each<[string, readonly AuditVerb[], Durability]>([
    ['only lend and forward', ['lend', 'forward'], 'soon'],
    ['one of another kind', ['lend', 'bind', 'forward'], 'synced'],
    ['a reveal', ['reveal'], 'synced'],
    ['a refresh', ['refresh'], 'synced'],
  ])('a turn of %s', async (_, verbs, durability) => {
    await Promise.all(verbs.map((verb) => chain.append(entry(verb))))
    expect(asked[0]).toBe(`transaction ${durability}`)
  })

  it('treats a refusal like the verb that was refused', async () => {
    await chain.append(entry('lend', { outcome: 'refused' }))
    await chain.append(entry('reveal', { outcome: 'refused' }))
    expect(asked.filter((what) => what.startsWith('transaction'))).toEqual([
      'transaction soon',
      'transaction synced',
    ])
  })

  it('syncs within 50 ms what was written without', async () => {
    const before = performance.now()
    await chain.append(entry('lend'))
    await until(() => asked.includes('sync'))
    // The promise is 50 ms; the rest is for a busy machine.
    expect(performance.now() - before).toBeLessThan(5000)
    await wait(120)
    expect(asked).toEqual(['transaction soon', 'sync'])
  })

  it('trusts no later sync while one is owed', async () => {
    broken = { sync: new Error('i/o error') }
    await chain.append(entry('lend'))
    await until(() => asked.includes('sync'))
    await wait(5)
    await chain.append(entry('lend'))
    expect(asked.at(-1)).toBe('transaction synced')
    broken = {}
    const lendAgain = async () => {
      await chain.append(entry('lend'))
      return asked.at(-1) === 'transaction soon'
    }
    while (!(await lendAgain())) await wait(50)
  })

  it('[security 20.2] refuses everything of a turn that could not be written, and goes on where it stood', async () => {
    expect(await chain.append(entry('bind'))).toBe(1)
    const full = new ValetkeyError('disk-full', 'the disk is full')
    broken = { transaction: full }
    const tried = await Promise.allSettled([1, 2, 3].map(() => chain.append(entry('lend'))))
    for (const one of tried) {
      expect(one).toMatchObject({
        status: 'rejected',
        reason: { code: 'not-recorded', hint: 'free disk space, then try again', cause: full },
      })
    }
    broken = {}
    expect(await chain.append(entry('bind'))).toBe(2)
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 2, head: 2 })
  })

  it('refuses while the vault is locked, and goes on after', async () => {
    await chain.append(entry('lend'))
    await chain.pause()
    keeper.lock()
    await expect(chain.append(entry('lend'))).rejects.toMatchObject({ code: 'locked' })
    await keeper.unlock()
    await chain.resume()
    expect(await chain.append(entry('lend'))).toBe(2)
  })

  it('says that the vault is locked when it was locked in between', async () => {
    const waiting = chain.append(entry('lend'))
    keeper.lock()
    await expect(waiting).rejects.toMatchObject({ code: 'locked' })
    await keeper.unlock()
    expect(await chain.append(entry('lend'))).toBe(1)
  })

  it('writes what is pending before it pauses', async () => {
    const waiting = chain.append(entry('lend'))
    await chain.pause()
    expect(await waiting).toBe(1)
    await removeFrom(1)
    await chain.resume()
    expect(chain.restored).toBe(true)
  })
})

describe('what is lent again on a lease that is on record', () => {
  const AGAIN = { detail: 'lease-1' }
  const details = async () => (await chain.read(THE_PERSON, {})).map(({ detail }) => detail)

  beforeEach(async () => {
    await chain.append(entry('lend', AGAIN))
    await until(() => asked.includes('sync'))
    asked.length = 0
  })

  it('is counted in memory, and the count is on record and synced within 50 ms', async () => {
    for (let n = 0; n < 3; n += 1) expect(await chain.append(entry('lend', AGAIN))).toBe(1)
    expect(asked).toEqual([])
    await until(() => asked.includes('sync'))
    expect(asked).toEqual(['transaction soon', 'sync'])
    expect(await details()).toEqual(['lease-1, 3 times', 'lease-1'])
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 2 })
  })

  it('stands before whatever came after it', async () => {
    await chain.append(entry('lend', AGAIN))
    await chain.append(entry('lend', AGAIN))
    await chain.append(entry('bind'))
    expect(await details()).toEqual([undefined, 'lease-1, 2 times', 'lease-1'])
  })

  it('is an entry of its own where anything of it differs', async () => {
    const others = [
      { detail: 'lease-2' },
      { ...AGAIN, caller: 'app:other' as const },
      { ...AGAIN, proof: 'another one' },
      { ...AGAIN, outcome: 'failed' as const },
      { ...AGAIN, opened: 1 },
    ]
    for (const [at, other] of others.entries()) expect(await chain.append(entry('lend', other))).toBe(at + 2)
    expect(await chain.append(entry('forward', AGAIN))).toBe(others.length + 2)
    expect(await chain.append(entry('forward', AGAIN))).toBe(others.length + 3)
  })

  it('is written itself where what was counted should have been written by now', async () => {
    await chain.append(entry('lend', AGAIN))
    time += 50
    expect(await chain.append(entry('lend', AGAIN))).toBe(3)
    expect(await details()).toEqual(['lease-1', 'lease-1', 'lease-1'])
  })

  it('is kept where it could not be written, and then nobody else is answered', async () => {
    await chain.append(entry('lend', AGAIN))
    broken = { transaction: new ValetkeyError('disk-full', 'the disk is full') }
    await expect(chain.append(entry('bind'))).rejects.toMatchObject({ code: 'not-recorded' })
    await expect(chain.append(entry('lend', AGAIN))).rejects.toMatchObject({ code: 'not-recorded' })
    broken = {}
    expect(await chain.append(entry('lend', AGAIN))).toBe(3)
    expect(await details()).toEqual(['lease-1', 'lease-1', 'lease-1'])
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 3 })
  })

  it('is tried again by itself, until it is on record', async () => {
    broken = { transaction: new ValetkeyError('disk-full', 'the disk is full') }
    await chain.append(entry('lend', AGAIN))
    await until(() => asked.length > 0)
    await wait(5)
    broken = {}
    await until(() => asked.includes('sync'))
    expect(await details()).toEqual(['lease-1', 'lease-1'])
  })

  it('is on record before the vault is locked', async () => {
    await chain.append(entry('lend', AGAIN))
    await chain.pause()
    keeper.lock()
    await keeper.unlock()
    await chain.resume()
    expect(await details()).toEqual(['lease-1', 'lease-1'])
    expect(await chain.append(entry('lend', AGAIN))).toBe(3)
  })
})

describe('the anchor', () => {
  it('[security 20.2] is there before the first entry, so that a missing one means something', async () => {
    expect(anchor.writes).toBe(1)
    const next = open()
    await next.resume()
    expect(next.restored).toBe(false)
    expect(anchor.writes).toBe(1)
  })

  it('is written at most once a second, and at the pause', async () => {
    const start = Date.now()
    while (Date.now() < start + 1500 || anchor.writes < 2) {
      await chain.append(entry('lend'))
      await wait(20)
    }
    const { writes } = anchor
    expect(writes).toBeGreaterThanOrEqual(2)
    expect(writes).toBeLessThanOrEqual(1 + Math.floor((Date.now() - start) / 1000))
    await chain.pause()
    expect(anchor.writes).toBe(writes + 1)
  })

  it('[security 20.2] never runs ahead of what is synced', async () => {
    await chain.append(entry('lend'))
    anchor.onWrite = () => asked.push('anchor')
    await chain.pause()
    expect(asked.slice(asked.indexOf('anchor') - 1)).toEqual(['sync', 'anchor'])
  })

  it('[security 20.2] is told to the log once a minute at most', async () => {
    const lines: string[] = []
    const next = auditChain({ storage, vault: keeper.vault, anchor, now, log: (line) => lines.push(line) })
    for (const seconds of [0, 30, 29, 1]) {
      time += seconds * 1000
      await next.resume()
      await next.append(entry('bind'))
      await next.pause()
    }
    const last = Buffer.from((await anchor.read()) ?? []).toString('hex')
    expect(lines).toHaveLength(2)
    expect(lines[1]).toBe(`audit head ${last}`)
  })

  it('may lag behind the record of a process that died', async () => {
    for (let n = 0; n < 3; n += 1) await chain.append(entry('bind'))
    const next = open()
    await next.resume()
    expect(next.restored).toBe(false)
    expect(await next.append(entry('bind'))).toBe(4)
    expect(await next.verify()).toMatchObject({ ok: true, entries: 4 })
    await next.pause()
  })

  it('does not keep the vault from being locked when it cannot be written', async () => {
    await chain.append(entry('bind'))
    anchor.onWrite = () => {
      throw new Error('no space left')
    }
    await chain.pause()
    await expect(chain.append(entry('bind'))).rejects.toMatchObject({ code: 'locked' })
  })
})

describe('an older copy that was put back', () => {
  beforeEach(async () => {
    for (let n = 0; n < 5; n += 1) await chain.append(entry('bind'))
    await chain.pause()
  })

  type Way = readonly [string, () => Promise<unknown>, string]
  const copies: readonly Way[] = [
    ['the end is missing', () => removeFrom(4), 'the last 2 entries are missing'],
    ['all is missing', () => removeFrom(1), 'the last 5 entries are missing'],
    ['another end stands there', rewrite, 'entry 5 is not the one that was written'],
    ['the anchor is missing', async () => anchor.put(undefined), 'the anchor is missing'],
    ['the anchor is damaged', damageAnchor, 'the anchor was not made with the key of this vault'],
    ['the anchor is no anchor', async () => anchor.put(new Uint8Array(3)), 'the anchor was not made with'],
  ]

  const forgeries: readonly Way[] = [
    ['a line was put in at the end', () => forge(), 'entry 6 was changed'],
    ['the time of a line after the anchor was changed', moveTime, 'entry 6 was changed'],
    ['an unreadable line was put in at the end', () => forge('person:nobody'), 'entry 6 was changed'],
  ]

  it.each([...copies, ...forgeries])('[security 19.3] is noticed when %s', async (_, put, because) => {
    await put()
    await chain.resume()
    expect(chain.restored).toBe(true)
    for (const verb of ['lend', 'bind', 'reveal', 'prune-audit'] as const) {
      await expect(chain.append(entry(verb))).rejects.toMatchObject({
        code: 'vault-restored',
        message: expect.stringContaining(because),
        hint: 'valetkey vault accept-restore',
      })
    }
    const { ok, problems } = await chain.verify()
    expect(ok).toBe(false)
    expect(problems.join()).toContain(because)
  })

  it.each(copies)('[security 19.3] is gone on from once that was accepted: %s', async (_, put, because) => {
    await put()
    await chain.resume()
    await chain.acceptRestore()
    expect(chain.restored).toBe(false)
    const [accepted] = await chain.read(INSTALLATION, {})
    expect(accepted).toMatchObject({ verb: 'accept-restore', outcome: 'done' })
    expect(accepted?.detail).toContain(because)
    await chain.append(entry('lend'))
    expect(await chain.verify()).toMatchObject({ ok: true, problems: [] })
    const next = open()
    await next.resume()
    expect(next.restored).toBe(false)
  })

  it('is still noticed by the next process, whatever this one did meanwhile', async () => {
    await removeFrom(4)
    await chain.resume()
    await chain.append(entry('lend')).catch(() => undefined)
    await chain.append(entry('accept-restore', { outcome: 'refused' }))
    await wait(1100)
    await chain.pause()
    const next = open()
    await next.resume()
    expect(next.restored).toBe(true)
  })

  it('lets the one who accepts it be written down first', async () => {
    await removeFrom(4)
    await chain.resume()
    expect(await chain.append(entry('accept-restore', { outcome: 'opened' }))).toBe(4)
    await chain.acceptRestore()
    expect(await chain.append(entry('accept-restore', { opened: 4 }))).toBe(6)
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 6 })
  })

  it('is noticed by the process that has it open, even where no anchor was written yet', async () => {
    await chain.resume()
    for (let n = 0; n < 2; n += 1) await chain.append(entry('bind'))
    await removeFrom(6)
    expect((await chain.verify()).problems).toEqual(['the last 2 entries are missing'])
  })
})

describe('a record whose older end was removed', () => {
  let boundary: Date

  beforeEach(async () => {
    for (let n = 0; n < 5; n += 1) await chain.append(entry('bind'))
    time += 60_000
    boundary = new Date(time)
    for (let n = 0; n < 3; n += 1) await chain.append(entry('lend'))
    await chain.prune(boundary)
  })

  it('still verifies, and says that it was done', async () => {
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 4, head: 9, problems: [] })
    expect(await chain.read(INSTALLATION, {})).toMatchObject([{ seq: 9, verb: 'prune-audit' }])
    expect((await chain.read(THE_PERSON, {})).map(({ seq }) => seq)).toEqual([8, 7, 6])
    const next = open()
    await next.resume()
    expect(next.restored).toBe(false)
    expect(await next.append(entry('lend'))).toBe(10)
    expect(await next.verify()).toMatchObject({ ok: true, entries: 5 })
    await next.pause()
  })

  it('is pruned again, up to its own line', async () => {
    time += 60_000
    await chain.prune(new Date(time))
    await chain.prune(new Date(time + 60_000))
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 1, head: 11 })
    await chain.prune(new Date(0))
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 2, head: 12 })
    expect(await disk.list('auditBase', { owner: EVERY_OWNER })).toMatchObject([{ seq: 10 }])
  })

  it('[security 20.3] shows when more was taken, or when the beginning was moved', async () => {
    await disk.remove('audit', { owner: EVERY_OWNER, seq: 6 })
    expect((await chain.verify()).problems).toEqual(['entry 6 is missing'])
    const seventh = await disk.get('audit', { owner: EVERY_OWNER, seq: 7 })
    await disk.remove('audit', { owner: EVERY_OWNER, seq: 7 })
    await disk.update(
      'auditBase',
      { owner: INSTALLATION },
      { seq: 7, ...(seventh && { hash: seventh.hash }) },
    )
    expect((await chain.verify()).problems).toEqual(['the beginning of the record was changed'])
    const next = open()
    await next.resume()
    expect(next.restored).toBe(true)
  })

  it('shows when the beginning was forgotten', async () => {
    await disk.remove('auditBase', { owner: INSTALLATION })
    expect((await chain.verify()).problems).toContain('entries 1 to 5 are missing')
  })

  it('keeps everything when the anchor cannot be written first', async () => {
    anchor.onWrite = () => {
      throw new Error('no space left')
    }
    time += 60_000
    await expect(chain.prune(new Date(time))).rejects.toThrow('no space left')
    expect(await chain.verify()).toMatchObject({ ok: true, entries: 5 })
  })
})

describe('a process that is killed right after an answer left', () => {
  it.each(['lend', 'forward', 'bind'])('loses no entry: %s', { timeout: 60_000 }, async (verb) => {
    await chain.pause()
    await disk.close()
    const answered = await answerAndDie(verb)
    disk = await openSqlite(join(folder, 'vault.db'))
    storage = watched(disk)
    keeper = await openKeeper(disk)
    chain = open()
    await chain.resume()
    expect(chain.restored).toBe(false)
    const [last] = await chain.read(THE_PERSON, { limit: 1 })
    expect(last).toMatchObject({ seq: answered, verb, outcome: 'done', target: 'github' })
    expect(await chain.verify()).toMatchObject({ ok: true })
  })
})

/** Runs a house of its own, which prints the place of its last entry and is killed at that moment. */
async function answerAndDie(verb: string): Promise<number> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', HOUSE, here('.'), folder, verb], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let complaint = ''
  child.stderr.on('data', (piece) => {
    complaint += piece
  })
  const over = once(child, 'exit')
  const answer = await Promise.race([once(child.stdout, 'data'), over.then(() => undefined)])
  if (answer === undefined) throw new Error(complaint)
  child.kill('SIGKILL')
  expect((await over)[1]).toBe('SIGKILL')
  return Number(String(answer[0]))
}

const HOUSE = `
  import { writeSync } from 'node:fs'
  const [rooms, folder, verb] = process.argv.slice(1)
  const { openSqlite } = await import(rooms + '../storage/sqlite.ts')
  const { openVault } = await import(rooms + '../vault/vault.ts')
  const { fileSource } = await import(rooms + '../vault/sources/file.ts')
  const { auditChain } = await import(rooms + 'chain.ts')
  const { openGate } = await import(rooms + 'gate.ts')
  const now = () => new Date()
  const storage = await openSqlite(folder + '/vault.db')
  const keeper = await openVault({
    storage, sources: () => fileSource(folder), preferred: 'file', now, newId: () => crypto.randomUUID(),
  })
  await keeper.unlock()
  let kept
  const anchor = { read: async () => kept, write: async (bytes) => { kept = bytes } }
  const chain = auditChain({ storage, vault: keeper.vault, anchor, now })
  await chain.resume()
  const account = { id: 'a', owner: 'person:owner', status: 'connected', standing: 0, reason: null }
  const gate = openGate({ chain, now, standing: async () => ({ account, binding: undefined }) })
  const me = { id: 'person:owner', owner: 'person:owner', proof: { door: 'test' } }
  for (let n = 0; n < 20; n += 1) {
    const passage = await gate.pass(me, verb, { address: 'github' })
    await passage.close('done')
  }
  writeSync(1, String(verb === 'lend' ? 20 : 40))
  for (;;);
`

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url))
}

function open(): AuditChain {
  return auditChain({ storage, vault: keeper.vault, anchor, now })
}

async function openKeeper(over: Storage): Promise<VaultKeeper> {
  const opened = await openVault({
    storage: over,
    sources: () => fileSource(folder),
    preferred: 'file',
    now,
    newId: () => crypto.randomUUID(),
  })
  await opened.unlock()
  return opened
}

/** The same storage, with a note of what was asked of it, and broken on demand. */
function watched(real: Storage): Storage {
  return {
    ...real,
    transaction(durability, work) {
      asked.push(`transaction ${durability}`)
      return broken.transaction ? Promise.reject(broken.transaction) : real.transaction(durability, work)
    },
    sync() {
      asked.push('sync')
      return broken.sync ? Promise.reject(broken.sync) : real.sync()
    },
  }
}

interface CountingAnchor extends Anchor {
  readonly writes: number
  onWrite: () => void
  put(bytes: Uint8Array | undefined): void
}

function countingAnchor(): CountingAnchor {
  let kept: Uint8Array | undefined
  let writes = 0
  return {
    onWrite: () => undefined,
    get writes() {
      return writes
    },
    put(bytes) {
      kept = bytes
    },
    read: async () => kept,
    async write(bytes) {
      this.onWrite()
      writes += 1
      kept = bytes
    },
  }
}

async function damageAnchor(): Promise<void> {
  const bytes = Uint8Array.from((await anchor.read()) ?? [])
  bytes[20] = (bytes[20] ?? 0) ^ 1
  anchor.put(bytes)
}

function removeFrom(seq: number): Promise<number> {
  return disk.remove('audit', { owner: EVERY_OWNER, seq: { atLeast: seq } })
}

/** A line whose hash is right, by somebody who has the file and not the key. */
async function forge(owner: OwnerId = THE_PERSON): Promise<void> {
  const last = await disk.get('audit', { owner: EVERY_OWNER, seq: 5 })
  if (last === undefined) throw new Error('there is no entry 5')
  const keyId = owner === THE_PERSON ? last.keyId : 'no such key'
  const forged = { ...last, owner, keyId, seq: 6 }
  await disk.insert('audit', [{ ...forged, hash: hashOf(last.hash, forged) }])
}

/** An entry that no anchor vouches for yet, as after a crash, with another time and a right hash. */
async function moveTime(): Promise<void> {
  const anchored = await anchor.read()
  await chain.resume()
  await chain.append(entry('bind'))
  await chain.pause()
  anchor.put(anchored)
  const [fifth, sixth] = await disk.list(
    'audit',
    { owner: EVERY_OWNER, seq: { atLeast: 5 } },
    { orderBy: 'seq' },
  )
  if (fifth === undefined || sixth === undefined) throw new Error('there is no entry 6')
  const moved = { ...sixth, at: sixth.at + 1 }
  await disk.update(
    'audit',
    { owner: EVERY_OWNER, seq: 6 },
    { at: moved.at, hash: hashOf(fifth.hash, moved) },
  )
}

/** The last entry again, as another house would have written it. */
async function rewrite(): Promise<void> {
  await removeFrom(5)
  const other = auditChain({ storage: disk, vault: keeper.vault, anchor: countingAnchor(), now })
  await other.resume()
  await other.append(entry('accept-restore'))
  await other.pause()
}

async function until(so: () => boolean): Promise<void> {
  while (!so()) await wait(1)
}

function entry(verb: AuditVerb, more: Partial<NewEntry> & { owner?: OwnerId } = {}): NewEntry {
  return {
    owner: THE_PERSON,
    caller: 'app:agent',
    proof: 'test',
    verb,
    target: 'github',
    outcome: 'done',
    ...more,
  }
}

function now(): Date {
  return new Date(time)
}
