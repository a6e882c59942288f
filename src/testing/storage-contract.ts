import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { OwnerId } from '../model/caller.ts'
import {
  type AccountRow,
  type AuditRow,
  EVERY_OWNER,
  type SealedRow,
  type Storage,
} from '../model/storage.ts'

/** One promise of `Rows` and `Storage`, and what shows that it is kept; it throws when it is not. */
export interface StoragePromise {
  readonly promise: string
  readonly keep: (storage: Storage) => Promise<void>
}

/** What an engine can show besides; what is left out is skipped, and the skip says why. */
export interface StorageFacts {
  /** Closes the storage and opens what it had written. */
  readonly reopen?: (storage: Storage) => Promise<Storage>
}

const ADA: OwnerId = 'person:ada'
const BOB: OwnerId = 'person:bob'

function account(more: Partial<AccountRow> = {}): AccountRow {
  const id = randomUUID()
  return {
    id,
    owner: ADA,
    provider: 'openai',
    bucket: id,
    flow: 'api-key',
    status: 'connected',
    reason: null,
    standing: 1,
    generation: 1,
    connectedAt: 1_700_000_000_000,
    changedAt: 1_700_000_000_000,
    lastUsedAt: null,
    expiresAt: null,
    dueAt: null,
    ...more,
  }
}

function sealed(more: Partial<SealedRow> = {}): SealedRow {
  return {
    owner: ADA,
    record: randomUUID(),
    field: 'worn',
    generation: 1,
    keyId: 'key',
    bytes: Uint8Array.of(0, 1, 127, 128, 255),
    ...more,
  }
}

function entry(seq: number): AuditRow {
  return {
    seq,
    owner: ADA,
    at: 1_700_000_000_000 + seq,
    keyId: 'key',
    sealed: new Uint8Array(64).fill(seq % 256),
    hash: new Uint8Array(32),
  }
}

const ids = (rows: readonly AccountRow[]): string[] => rows.map(({ id }) => id)

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'done',
    (error: unknown) => (error instanceof ValetkeyError ? error.code : String(error)),
  )
}

async function dueAt(storage: Storage, ...times: (number | null)[]): Promise<AccountRow[]> {
  const rows = times.map((time) => account({ dueAt: time }))
  await storage.insert('accounts', rows)
  return rows
}

const promises: Record<string, StoragePromise['keep']> = {
  'gives back what was put in, null, bytes and large numbers included': async (storage) => {
    const mine = account({ expiresAt: 9_007_199_254_740_991, reason: 'it’s "quoted"; drop table' })
    const bytes = sealed()
    await storage.insert('accounts', [mine])
    await storage.insert('sealed', [bytes])
    expect(await storage.get('accounts', { owner: ADA, id: mine.id })).toStrictEqual(mine)
    const found = await storage.get('sealed', { owner: ADA, record: bytes.record })
    expect(found?.bytes).toBeInstanceOf(Uint8Array)
    expect({ ...found, bytes: Uint8Array.from(found?.bytes ?? []) }).toStrictEqual(bytes)
  },

  'finds nothing where there is nothing': async (storage) => {
    expect(await storage.get('accounts', { owner: ADA })).toBeUndefined()
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toEqual([])
    expect(await storage.update('accounts', { owner: ADA }, { generation: 2 })).toBe(0)
    expect(await storage.remove('accounts', { owner: ADA })).toBe(0)
  },

  'never shows one owner the rows of another': async (storage) => {
    const [hers, his] = [account(), account({ owner: BOB })]
    await storage.insert('accounts', [hers, his])
    expect(ids(await storage.list('accounts', { owner: ADA }))).toEqual([hers.id])
    expect(await storage.get('accounts', { owner: ADA, id: his.id })).toBeUndefined()
    expect(await storage.list('accounts', { owner: ADA, id: { oneOf: [his.id] } })).toEqual([])
  },

  'never changes or removes the rows of another owner': async (storage) => {
    const his = account({ owner: BOB })
    await storage.insert('accounts', [account(), his])
    expect(await storage.update('accounts', { owner: ADA, id: his.id }, { status: 'revoked' })).toBe(0)
    expect(await storage.remove('accounts', { owner: ADA, id: his.id })).toBe(0)
    expect(await storage.remove('accounts', { owner: ADA })).toBe(1)
    expect(await storage.get('accounts', { owner: BOB, id: his.id })).toStrictEqual(his)
  },

  'crosses owners only when that is said': async (storage) => {
    await storage.insert('accounts', [account(), account({ owner: BOB })])
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toHaveLength(2)
    const nobody = {} as { owner: OwnerId }
    expect(await codeOf(storage.list('accounts', nobody))).toBe('internal-error')
    expect(await codeOf(storage.remove('accounts', nobody))).toBe('internal-error')
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toHaveLength(2)
  },

  'refuses a condition that says nothing, instead of widening the question': async (storage) => {
    await storage.insert('accounts', [account()])
    const unknown = { owner: ADA, id: undefined } as unknown as { owner: OwnerId; id: string }
    expect(await codeOf(storage.remove('accounts', unknown))).toBe('internal-error')
    expect(await codeOf(storage.remove('accounts', { owner: ADA, dueAt: {} }))).toBe('internal-error')
    expect(await codeOf(storage.update('accounts', { owner: ADA }, {}))).toBe('internal-error')
    expect(await storage.list('accounts', { owner: ADA })).toHaveLength(1)
  },

  'finds what is null by null': async (storage) => {
    const [none, one] = await dueAt(storage, null, 5)
    expect(ids(await storage.list('accounts', { owner: ADA, dueAt: null }))).toEqual([none?.id])
    expect(ids(await storage.list('accounts', { owner: ADA, dueAt: 5 }))).toEqual([one?.id])
  },

  'finds by before and by at least, and never what is null': async (storage) => {
    const [, early, middle, late] = await dueAt(storage, null, 1, 2, 3)
    const due = async (test: object) =>
      new Set(ids(await storage.list('accounts', { owner: ADA, dueAt: test })))
    expect(await due({ before: 2 })).toEqual(new Set([early?.id]))
    expect(await due({ atLeast: 2 })).toEqual(new Set([middle?.id, late?.id]))
    expect(await due({ atLeast: 2, before: 3 })).toEqual(new Set([middle?.id]))
  },

  'finds one of several, and nothing of none': async (storage) => {
    const [none, one] = await dueAt(storage, null, 1, 2)
    const list = async (values: (number | null)[]) =>
      new Set(ids(await storage.list('accounts', { owner: ADA, dueAt: { oneOf: values } })))
    expect(await list([1, 7])).toEqual(new Set([one?.id]))
    expect(await list([1, null])).toEqual(new Set([one?.id, none?.id]))
    expect(await list([])).toEqual(new Set())
  },

  'lists in order, both ways, null at the end': async (storage) => {
    const [none, two, one] = await dueAt(storage, null, 2, 1)
    const order = async (descending: boolean) =>
      ids(await storage.list('accounts', { owner: ADA }, { orderBy: 'dueAt', descending }))
    expect(await order(false)).toEqual([one?.id, two?.id, none?.id])
    expect(await order(true)).toEqual([two?.id, one?.id, none?.id])
  },

  'lists no more than was asked for': async (storage) => {
    const [three, one, two] = await dueAt(storage, 3, 1, 2)
    const first = (limit: number) => storage.list('accounts', { owner: ADA }, { orderBy: 'dueAt', limit })
    expect(ids(await first(2))).toEqual([one?.id, two?.id])
    expect(ids(await first(9))).toEqual([one?.id, two?.id, three?.id])
    expect(await first(0)).toEqual([])
  },

  'refuses a row that is already there, and then writes none': async (storage) => {
    const first = account()
    await storage.insert('accounts', [first])
    const more = [account(), account({ id: first.id }), account()]
    expect(await codeOf(storage.insert('accounts', more))).toBe('conflict')
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toStrictEqual([first])
  },

  'writes none of very many rows when the last one conflicts': async (storage) => {
    const many = Array.from({ length: 9_000 }, (_, seq) => entry(seq))
    expect(await codeOf(storage.insert('audit', [...many, entry(0)]))).toBe('conflict')
    expect(await storage.list('audit', { owner: EVERY_OWNER }, { limit: 1 })).toEqual([])
    await storage.insert('audit', many)
    const [last] = await storage.list('audit', { owner: ADA }, { orderBy: 'seq', descending: true, limit: 1 })
    expect(last?.seq).toBe(8_999)
    expect(await storage.remove('audit', { owner: ADA, seq: { before: 8_999 } })).toBe(8_999)
  },

  'takes an insert of no rows as done': async (storage) => {
    await storage.insert('accounts', [])
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toEqual([])
  },

  'keeps one living account at an address, and any number of revoked ones': async (storage) => {
    const place = { provider: 'github', bucket: 'work' }
    const old = account({ ...place, status: 'revoked' })
    await storage.insert('accounts', [old, account({ ...place, status: 'revoked' }), account(place)])
    expect(await codeOf(storage.insert('accounts', [account(place)]))).toBe('conflict')
    const revived = storage.update('accounts', { owner: ADA, id: old.id }, { status: 'connected' })
    expect(await codeOf(revived)).toBe('conflict')
    await storage.insert('accounts', [account({ ...place, owner: BOB })])
  },

  'refuses the second of two writers who read the same version': async (storage) => {
    const { id } = account()
    await storage.insert('accounts', [account({ id })])
    const write = (reason: string) =>
      storage.update('accounts', { owner: ADA, id, generation: 1 }, { generation: 2, reason })
    const changed = await Promise.all([write('first'), write('second')])
    expect(changed.toSorted()).toEqual([0, 1])
    const row = await storage.get('accounts', { owner: ADA, id })
    expect(row?.reason).toBe(changed[0] === 1 ? 'first' : 'second')
  },

  'changes only what is asked for, and says how much': async (storage) => {
    const [one, two] = await dueAt(storage, 1, 2)
    expect(await storage.update('accounts', { owner: ADA, dueAt: { atLeast: 2 } }, { dueAt: null })).toBe(1)
    expect(await storage.get('accounts', { owner: ADA, id: one?.id ?? '' })).toStrictEqual(one)
    const changed = await storage.get('accounts', { owner: ADA, id: two?.id ?? '' })
    expect(changed).toStrictEqual({ ...two, dueAt: null })
  },

  'keeps what a transaction wrote, and hands back what its work gave': async (storage) => {
    const row = account()
    const seen = await storage.transaction('synced', async (rows) => {
      await rows.insert('accounts', [row])
      return await rows.get('accounts', { owner: ADA, id: row.id })
    })
    expect(seen).toStrictEqual(row)
    expect(await storage.get('accounts', { owner: ADA, id: row.id })).toStrictEqual(row)
  },

  'leaves nothing of a transaction that failed, and goes on': async (storage) => {
    const kept = account()
    await storage.insert('accounts', [kept])
    const failure = new Error('of the work')
    for (const durability of ['synced', 'soon'] as const) {
      const failed = storage.transaction(durability, async (rows) => {
        await rows.insert('accounts', [account()])
        await rows.remove('accounts', { owner: ADA, id: kept.id })
        throw failure
      })
      await expect(failed).rejects.toBe(failure)
    }
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toStrictEqual([kept])
    const conflicted = storage.transaction('synced', (rows) => rows.insert('accounts', [account(), kept]))
    expect(await codeOf(conflicted)).toBe('conflict')
    await storage.transaction('synced', (rows) => rows.insert('accounts', [account()]))
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toHaveLength(2)
  },

  'keeps everybody else out of a transaction under way': async (storage) => {
    const plain = account()
    let others: Promise<unknown> = Promise.resolve()
    const failed = storage.transaction('synced', async (rows) => {
      await rows.insert('accounts', [account()])
      await new Promise((resolve) => setTimeout(resolve, 20))
      throw new Error('of the work')
    })
    const seen = storage.list('accounts', { owner: EVERY_OWNER })
    others = Promise.all([seen, storage.insert('accounts', [plain])])
    await expect(failed).rejects.toThrow('of the work')
    await others
    for (const row of await seen) expect(row.id).toBe(plain.id)
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toStrictEqual([plain])
  },

  'lets transactions at the same time read and write without losing one': async (storage) => {
    const row = account({ generation: 0 })
    await storage.insert('accounts', [row])
    const count = async () => {
      await storage.transaction('soon', async (rows) => {
        const read = await rows.get('accounts', { owner: ADA, id: row.id })
        const at = read?.generation ?? -1
        await Promise.resolve()
        const where = { owner: ADA, id: row.id, generation: at }
        if ((await rows.update('accounts', where, { generation: at + 1 })) === 0) throw new Error('late')
      })
    }
    const again = (): Promise<void> => count().catch(again)
    await Promise.all(Array.from({ length: 20 }, again))
    expect((await storage.get('accounts', { owner: ADA, id: row.id }))?.generation).toBe(20)
  },

  'does not stand still when a transaction waits for itself': async (storage) => {
    const work = storage.transaction('soon', async () => {
      await storage.list('accounts', { owner: ADA })
      await storage.transaction('soon', (rows) => rows.list('accounts', { owner: ADA }))
    })
    expect(['done', 'internal-error']).toContain(await codeOf(work))
    expect(await storage.list('accounts', { owner: ADA })).toEqual([])
  },

  'refuses the rows of a transaction that is over': async (storage) => {
    const leaked = await storage.transaction('soon', async (rows) => ({ rows }))
    expect(await codeOf(leaked.rows.insert('accounts', [account()]))).toBe('internal-error')
    expect(await storage.list('accounts', { owner: EVERY_OWNER })).toEqual([])
  },

  'syncs when asked, also with nothing to sync': async (storage) => {
    await storage.sync()
    await storage.transaction('soon', (rows) => rows.insert('accounts', [account()]))
    await storage.sync()
  },

  'closes once and for all, after what was under way': async (storage) => {
    const under = storage.insert('accounts', [account()])
    await Promise.all([under, storage.close(), storage.close()])
    expect(await codeOf(storage.list('accounts', { owner: ADA }))).toBe('internal-error')
  },
}

/** Every promise, to be run against an engine, or against a double that breaks one. */
export const STORAGE_PROMISES: readonly StoragePromise[] = Object.entries(promises).map(
  ([promise, keep]) => ({ promise, keep }),
)

async function keeping(open: () => Promise<Storage>, { keep }: StoragePromise): Promise<void> {
  const storage = await open()
  try {
    await keep(storage)
  } finally {
    await storage.close()
  }
}

/** The promises that a storage does not keep. */
export async function brokenStoragePromises(open: () => Promise<Storage>): Promise<string[]> {
  const kept = await Promise.allSettled(STORAGE_PROMISES.map((one) => keeping(open, one)))
  return STORAGE_PROMISES.filter((_, n) => kept[n]?.status === 'rejected').map(({ promise }) => promise)
}

/** Whatever engine bytes lie in, it keeps these. `open` gives an empty storage each time. */
export function storageContract(name: string, open: () => Promise<Storage>, facts: StorageFacts = {}): void {
  describe(`storage: ${name}`, () => {
    for (const one of STORAGE_PROMISES) it(one.promise, () => keeping(open, one))

    const { reopen } = facts
    const why = reopen === undefined ? ' (skipped: nothing is left when it is closed)' : ''
    it.skipIf(reopen === undefined)(`has everything again after it was closed${why}`, async () => {
      const row = account()
      const first = await open()
      await first.insert('accounts', [row])
      await first.transaction('soon', (rows) => rows.insert('sealed', [sealed()]))
      const second = (await reopen?.(first)) ?? first
      expect(await second.list('accounts', { owner: EVERY_OWNER })).toStrictEqual([row])
      expect(await second.list('sealed', { owner: EVERY_OWNER })).toHaveLength(1)
      await second.close()
    })
  })
}
