import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { report } from '../../test/figures.ts'
import { leave } from '../../test/leave.ts'
import { INSTALLATION, type OwnerId, THE_PERSON } from '../model/caller.ts'
import type { Anchor, NewEntry } from '../model/gate.ts'
import { type AuditRow, EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { Vault, VaultKeeper } from '../model/vault.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { fileSource } from '../vault/sources/file.ts'
import { openVault } from '../vault/vault.ts'
import { auditChain } from './chain.ts'
import { genesis, hashOf } from './layout.ts'

const TRIED = 1000
const ENTRIES = 24

let folder: string
let storage: Storage
let keeper: VaultKeeper
let vault: Vault
let anchored: Uint8Array
let whole: readonly AuditRow[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  storage = await openSqlite(join(folder, 'vault.db'))
  let ids = 0
  keeper = await openVault({
    storage,
    sources: () => fileSource(folder),
    preferred: 'file',
    now,
    newId: () => `id-${++ids}`,
  })
  await keeper.unlock()
  vault = keeper.vault
  const anchor = anchorOf(undefined)
  const chain = auditChain({ storage, vault, anchor, now })
  await chain.resume()
  for (let n = 0; n < ENTRIES; n += 1) await chain.append(entry(n))
  await chain.pause()
  anchored = (await anchor.read()) ?? new Uint8Array()
  whole = await rows()
})

afterAll(async () => {
  await storage.close()
  await leave(folder)
})

describe('a record that somebody changed from outside', () => {
  it('is whole before anybody touches it', async () => {
    expect(await verify()).toMatchObject({ ok: true, entries: ENTRIES, head: ENTRIES, problems: [] })
  })

  it('[security 20.3] is noticed: edits, deletes, insertions, reorderings, truncations, forks', {
    timeout: 120_000,
  }, async () => {
    const random = dice(20261120)
    const missed: string[] = []
    for (let n = 0; n < TRIED; n += 1) {
      const [name, tamper] = WAYS[n % WAYS.length] ?? ['nothing', async () => undefined]
      await tamper(random)
      if ((await verify()).ok) missed.push(`${n}: ${name}`)
      await restore()
    }
    report('tampered audit records that were noticed', TRIED - missed.length, TRIED, 'real SQLite')
    expect(missed).toEqual([])
    expect(await verify()).toMatchObject({ ok: true })
  })

  it('is named entry by entry', async () => {
    await edit(17, { at: 1 })
    expect((await verify()).problems).toEqual(['entry 17 was changed'])
    await restore()

    await edit(17, { hash: randomBytes(32) })
    expect((await verify()).problems).toEqual(['entry 17 was changed'])
    await restore()

    await storage.remove('audit', { owner: EVERY_OWNER, seq: { atLeast: 10, before: 15 } })
    expect((await verify()).problems).toEqual(['entries 10 to 14 are missing'])
    await restore()

    await storage.remove('audit', { owner: EVERY_OWNER, seq: { atLeast: ENTRIES - 2 } })
    expect((await verify()).problems).toEqual(['the last 3 entries are missing'])
    await restore()

    await storage.remove('audit', { owner: EVERY_OWNER })
    expect((await verify()).problems).toEqual([`the last ${ENTRIES} entries are missing`])
    await restore()
  })

  it('[security 20.2] is noticed when the anchor is taken away or made by somebody else', async () => {
    expect((await verify(anchorOf(undefined))).problems).toEqual(['the anchor is missing'])
    const forged = Uint8Array.from(anchored)
    forged[8] = ENTRIES - 1
    expect((await verify(anchorOf(forged))).problems).toEqual([
      'the anchor was not made with the key of this vault',
    ])
    expect((await verify(anchorOf(anchored.subarray(0, 20)))).ok).toBe(false)
    expect((await verify(anchorOf(new Uint8Array()))).ok).toBe(false)
  })
})

/** A whole number from 0, below the one given. */
type Dice = (below: number) => number

type Way = readonly [string, (random: Dice) => Promise<unknown>]

const WAYS: readonly Way[] = [
  ['a flipped bit in what is sealed', (random) => flip(pick(random), 'sealed', random)],
  ['a flipped bit in a hash', (random) => flip(pick(random), 'hash', random)],
  ['another time', (random) => edit(pick(random), { at: random(1_000_000) })],
  ['another owner', (random) => edit(pick(random), { owner: `person:${random(1000)}` })],
  ['another key', (random) => edit(pick(random), { keyId: `key-${random(1000)}` })],
  ['what another entry sealed', copySealed],
  ['another time, and every hash from there on made anew', rehash],
  ['a cut end of what is sealed', cutSealed],
  ['one entry less', (random) => storage.remove('audit', { owner: EVERY_OWNER, seq: pick(random) })],
  ['a run of entries less', removeRun],
  ['one entry less, the others moved up', closeGap],
  ['one entry more', insertCopy],
  ['one entry more at the end', (random) => appendForged(random)],
  ['one entry more at the end, as if its owner had been erased', appendUnreadable],
  ['two entries in each other’s place', reorder],
  ['two entries in each other’s place, hashes made anew', reorderRehashed],
  ['a shorter end', (random) => removeFrom(pick(random))],
  ['an older copy that went on, shorter', (random) => fork(random, 'shorter')],
  ['an older copy that went on, longer', (random) => fork(random, 'longer')],
  ['an older copy that went on to the very same length', (random) => fork(random, 'as long')],
]

function pick(random: Dice): number {
  return 1 + random(ENTRIES)
}

/** Two different ones, the smaller first. */
function pickTwo(random: Dice): [number, number] {
  const one = pick(random)
  const other = 1 + ((one + random(ENTRIES - 1)) % ENTRIES)
  return one < other ? [one, other] : [other, one]
}

async function edit(seq: number, set: Partial<AuditRow>): Promise<void> {
  expect(await storage.update('audit', { owner: EVERY_OWNER, seq }, set)).toBe(1)
}

async function flip(seq: number, field: 'sealed' | 'hash', random: Dice) {
  const bytes = Uint8Array.from(row(seq)[field])
  const at = random(bytes.length)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
  await edit(seq, { [field]: bytes })
}

async function cutSealed(random: Dice) {
  const seq = pick(random)
  const { sealed } = row(seq)
  await edit(seq, { sealed: sealed.subarray(0, random(sealed.length)) })
}

async function copySealed(random: Dice) {
  const [to, from] = pickTwo(random)
  await edit(to, { sealed: row(from).sealed })
}

async function rehash(random: Dice) {
  const seq = pick(random)
  await replace(whole.map((one) => (one.seq === seq ? { ...one, at: one.at + 1 } : one)))
}

async function removeRun(random: Dice) {
  const [first, last] = pickTwo(random)
  await storage.remove('audit', { owner: EVERY_OWNER, seq: { atLeast: first, before: last + 1 } })
}

async function removeFrom(seq: number) {
  await storage.remove('audit', { owner: EVERY_OWNER, seq: { atLeast: seq } })
}

async function closeGap(random: Dice) {
  const gone = pick(random)
  await replace(whole.filter(({ seq }) => seq !== gone).map((one, at) => ({ ...one, seq: at + 1 })))
}

async function insertCopy(random: Dice) {
  const [from, to] = pickTwo(random)
  const moved = [...whole.slice(0, to), row(from), ...whole.slice(to)]
  await replace(moved.map((one, at) => ({ ...one, seq: at + 1 })))
}

async function appendForged(random: Dice, more: Partial<AuditRow> = {}) {
  const last = row(ENTRIES)
  const forged = { ...last, ...more, seq: ENTRIES + 1, sealed: randomBytes(40 + random(100)) }
  await storage.insert('audit', [{ ...forged, hash: hashOf(last.hash, forged) }])
}

async function appendUnreadable(random: Dice) {
  await appendForged(random, { owner: 'person:nobody', keyId: `key-${random(1000)}` })
}

async function reorder(random: Dice) {
  const [one, other] = pickTwo(random)
  await storage.transaction('soon', async (to) => {
    await to.remove('audit', { owner: EVERY_OWNER, seq: { oneOf: [one, other] } })
    await to.insert('audit', [
      { ...row(one), seq: other },
      { ...row(other), seq: one },
    ])
  })
}

async function reorderRehashed(random: Dice) {
  const [one, other] = pickTwo(random)
  const seqs = new Map([
    [one, other],
    [other, one],
  ])
  const moved = whole.map((each) => ({ ...each, seq: seqs.get(each.seq) ?? each.seq }))
  await replace(moved.toSorted((left, right) => left.seq - right.seq))
}

/** The most that somebody without the key can do: all hashes are right, from the first to the last. */
async function replace(changed: readonly AuditRow[]) {
  let before = genesis(vault.id).hash
  await restore(
    changed.map((one) => {
      before = hashOf(before, one)
      return { ...one, hash: before }
    }),
  )
}

/** The whole house went on from an older copy, with an anchor of its own. */
async function fork(random: Dice, length: 'shorter' | 'longer' | 'as long') {
  const kept = 1 + random(ENTRIES - 3)
  const more = { shorter: 1, 'as long': ENTRIES - kept, longer: ENTRIES - kept + 1 + random(5) }[length]
  await removeFrom(kept + 1)
  const anchor = anchorOf(undefined)
  const chain = auditChain({ storage, vault, anchor, now })
  await chain.resume()
  await chain.acceptRestore()
  for (let n = 1; n < more; n += 1) await chain.append(entry(1000 + n))
  await chain.pause()
  expect(await auditChain({ storage, vault, anchor, now }).verify()).toMatchObject({ ok: true })
}

function verify(anchor: Anchor = anchorOf(anchored)) {
  return auditChain({ storage, vault, anchor, now }).verify()
}

async function restore(to: readonly AuditRow[] = whole): Promise<void> {
  await storage.transaction('soon', async (rows) => {
    await rows.remove('audit', { owner: EVERY_OWNER })
    await rows.insert('audit', to)
  })
}

function rows(): Promise<readonly AuditRow[]> {
  return storage.list('audit', { owner: EVERY_OWNER }, { orderBy: 'seq' })
}

function row(seq: number): AuditRow {
  const found = whole[seq - 1]
  if (found === undefined) throw new Error(`there is no entry ${seq}`)
  return found
}

function entry(n: number): NewEntry {
  const owners: readonly OwnerId[] = [THE_PERSON, 'person:bob', INSTALLATION]
  return {
    owner: owners[n % owners.length] ?? THE_PERSON,
    caller: 'app:agent',
    proof: 'test',
    verb: n % 5 === 0 ? 'lend' : 'bind',
    target: `github/${n}`,
    outcome: 'done',
  }
}

function anchorOf(bytes: Uint8Array | undefined): Anchor {
  let kept = bytes
  return {
    read: async () => kept,
    write: async (given) => {
      kept = given
    },
  }
}

function now(): Date {
  return new Date('2026-11-20T12:00:00Z')
}

/** A small seeded generator (mulberry32), so that a failing try can be played again. */
function dice(seed: number): Dice {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}
