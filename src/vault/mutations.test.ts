import { randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { report } from '../../test/figures.ts'
import { openServer } from '../../test/postgres.ts'
import type { OwnerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { EVERY_OWNER, type SealedRow, type Storage } from '../model/storage.ts'
import type { Place, Vault } from '../model/vault.ts'
import { openPostgres } from '../storage/postgres.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { canary, canaryBytes } from '../testing/canary.ts'
import { environmentSource } from './sources/environment.ts'
import { openVault } from './vault.ts'

/** The sealing is the same in every engine, so the slower one is asked less often. */
const TRIES = { sqlite: 10_000, postgres: 640 }
const SEED = 20_261_120

/** Mulberry32: the same numbers every time, so that a failure is found again. */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides
  }
}

const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url') }
const OWNERS: OwnerId[] = ['person:ada', 'person:bob', 'group:team', 'installation']
const ABOUT = ['api.openai.com', 'api.github.com']

const key = ({ owner, record, field }: SealedRow) => ({ owner, record, field })

function placeOf(row: SealedRow): Place {
  return { ...key(row), generation: row.generation, about: ABOUT[row.record.length % 2] ?? '' }
}

/** Forty secrets of four owners, and how every one of them was sealed one generation before. */
async function filled(storage: Storage, vault: Vault): Promise<[SealedRow[], SealedRow[]]> {
  const put = async (generation: number) => {
    for (const owner of OWNERS)
      for (let record = 0; record < 5; record += 1)
        for (const field of ['worn', 'kept']) {
          const row = {
            owner,
            record: 'r'.repeat(record + 1),
            field,
            generation,
            keyId: '',
            bytes: new Uint8Array(),
          }
          await vault.put(storage, placeOf(row), new Secret(canary(field)))
        }
    return await storage.list('sealed', { owner: EVERY_OWNER })
  }
  return [await put(1), await put(2)]
}

interface Attempt {
  readonly written: Partial<SealedRow>
  readonly asked?: Partial<Place>
}

type Mutation = (row: SealedRow, others: Others, roll: (sides: number) => number) => Attempt

interface Others {
  /** The row as it was one generation before. */
  readonly old: SealedRow
  /** Any other row: of another owner, another record or another field. */
  readonly other: SealedRow
  readonly keyIds: readonly string[]
}

function flipped(bytes: Uint8Array, roll: (sides: number) => number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const at = roll(copy.length)
  copy[at] = (copy[at] ?? 0) ^ (1 << roll(8))
  return copy
}

const MUTATIONS: Record<string, Mutation> = {
  'one bit flipped': ({ bytes }, _, roll) => ({ written: { bytes: flipped(bytes, roll) } }),
  'cut short': ({ bytes }, _, roll) => ({ written: { bytes: bytes.slice(0, roll(bytes.length)) } }),
  'cut in the middle': ({ bytes }, _, roll) => {
    const at = roll(bytes.length)
    return { written: { bytes: Buffer.concat([bytes.slice(0, at), bytes.slice(at + 1)]) } }
  },
  'something added': ({ bytes }, _, roll) => ({
    written: { bytes: Buffer.concat([bytes, randomBytes(1 + roll(16))]) },
  }),
  'another row’s bytes': (_, { other }) => ({ written: { bytes: other.bytes } }),
  'another row’s bytes and key': (_, { other }) => ({ written: { bytes: other.bytes, keyId: other.keyId } }),
  'another row whole': (_, { other: { bytes, keyId, generation } }) => ({
    written: { bytes, keyId, generation },
  }),
  'the old bytes': (_, { old }) => ({ written: { bytes: old.bytes } }),
  'the old row whole': (_, { old: { bytes, keyId, generation } }) => ({
    written: { bytes, keyId, generation },
  }),
  'the old row whole, asked for as old': (_, { old }) => ({
    written: { bytes: old.bytes, keyId: old.keyId },
    asked: { generation: 2 },
  }),
  'another generation': (_, __, roll) => ({ written: { generation: [0, 1, 3, 7][roll(4)] ?? 0 } }),
  'another generation, asked for as such': (_, __, roll) => {
    const generation = [0, 1, 3, 7][roll(4)] ?? 0
    return { written: { generation }, asked: { generation } }
  },
  'another key': ({ keyId }, { keyIds }, roll) => {
    const others = keyIds.filter((id) => id !== keyId)
    return { written: { keyId: others[roll(others.length)] ?? '' } }
  },
  'a key that is not': () => ({ written: { keyId: randomUUID() } }),
  'meant for another place': ({ record }) => ({
    written: {},
    asked: { about: ABOUT[(record.length + 1) % 2] ?? '' },
  }),
  'head of one, tail of another': ({ bytes }, { other }, roll) => {
    const at = 1 + roll(Math.min(bytes.length, other.bytes.length) - 1)
    return { written: { bytes: Buffer.concat([bytes.slice(0, at), other.bytes.slice(at)]) } }
  },
}

/** Two tails may be the same byte: what changes nothing is no mutation, and another is tried instead. */
function changes(row: SealedRow, { written, asked }: Attempt): boolean {
  const after = { ...row, ...written }
  const same = after.generation === row.generation && after.keyId === row.keyId
  return asked !== undefined || !same || !Buffer.from(after.bytes).equals(row.bytes)
}

async function mutate(storage: Storage, tries: number): Promise<void> {
  const keeper = await openVault({
    storage,
    sources: () => environmentSource(env),
    preferred: 'environment',
    now: () => new Date(),
    newId: () => randomUUID(),
  })
  await keeper.unlock()
  const [old, rows] = await filled(storage, keeper.vault)
  const keyIds = [...new Set(rows.map(({ keyId }) => keyId))]
  const roll = dice(SEED)
  const kinds = Object.entries(MUTATIONS)
  const accepted: string[] = []
  const strange: unknown[] = []
  const tried = new Map<string, number>()

  for (let count = 0; count < tries; ) {
    const [kind, mutation] = kinds[count % kinds.length] ?? []
    const at = roll(rows.length)
    const row = rows[at]
    const other = rows[(at + 1 + roll(rows.length - 1)) % rows.length]
    const before = old.find(
      (was) => row && was.record === row.record && was.field === row.field && was.owner === row.owner,
    )
    if (!kind || !mutation || !row || !other || !before) throw new Error('nothing to mutate')
    const attempt = mutation(row, { old: before, other, keyIds }, roll)
    if (!changes(row, attempt)) continue
    const { written, asked } = attempt
    count += 1
    if (Object.keys(written).length > 0) await storage.update('sealed', key(row), written)
    await keeper.vault.take(storage, { ...placeOf(row), ...asked }).then(
      () => accepted.push(`${kind} at ${count}`),
      (error: unknown) => {
        if (!(error instanceof ValetkeyError && error.code === 'tampered')) strange.push(error)
      },
    )
    tried.set(kind, (tried.get(kind) ?? 0) + 1)
    await storage.update('sealed', key(row), row)
  }

  for (const row of rows) expect(await keeper.vault.take(storage, placeOf(row))).toBeDefined()
  const total = [...tried.values()].reduce((sum, one) => sum + one, 0)
  report('mutations of sealed rows that were accepted', accepted.length, total, `real ${storage.engine}`)
  expect(total).toBe(tries)
  expect(tried.size).toBe(kinds.length)
  expect(accepted).toEqual([])
  expect(strange).toEqual([])
}

describe('mutations of a vault', () => {
  it(`[security 19.2] opens none of ${TRIES.sqlite} sealed rows that were changed`, {
    timeout: 120_000,
  }, async () => {
    const storage = await openSqlite(':memory:')
    await mutate(storage, TRIES.sqlite).finally(storage.close)
  })

  it(`[security 19.2] opens none of ${TRIES.postgres} that were changed in Postgres`, {
    timeout: 120_000,
  }, async () => {
    const server = await openServer()
    try {
      const storage = await openPostgres(await server.newDatabase())
      await mutate(storage, TRIES.postgres).finally(storage.close)
    } finally {
      await server.close()
    }
  })
})
