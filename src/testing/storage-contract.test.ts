import { describe, expect, it } from 'vitest'
import { EVERY_OWNER, type Rows, type Storage } from '../model/storage.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { brokenPromises } from './check.ts'
import { storageChecks } from './storage-contract.ts'

type Break = (rows: Rows) => Partial<Rows>

/** A storage with one thing wrong, in and out of transactions. */
function broken(wrong: Break): () => Promise<Storage> {
  return async () => {
    const storage = await openSqlite(':memory:')
    return {
      ...storage,
      ...wrong(storage),
      transaction: (durability, work) =>
        storage.transaction(durability, (rows) => work({ ...rows, ...wrong(rows) })),
    }
  }
}

const DOUBLES: Record<string, [Break, string]> = {
  'shows everybody everything': [
    (rows) => ({
      list: (table, where, more) => rows.list(table, { ...where, owner: EVERY_OWNER }, more),
    }),
    'never shows one owner the rows of another',
  ],
  'overwrites whatever version is there': [
    (rows) => ({
      update: (table, where, set) => {
        const { generation: _, ...rest } = where as typeof where & { generation?: unknown }
        return rows.update(table, rest as typeof where, set)
      },
    }),
    'refuses the second of two writers who read the same version',
  ],
  'writes rows one by one': [
    (rows) => ({
      insert: async (table, added) => {
        for (const row of added) await rows.insert(table, [row])
      },
    }),
    'refuses a row that is already there, and then writes none',
  ],
  'forgets the limit': [
    (rows) => ({
      list: (table, where, more) => {
        const { limit: _, ...rest } = more ?? {}
        return rows.list(table, where, rest)
      },
    }),
    'lists no more than was asked for',
  ],
}

/** Only what the double breaks is asked of it. */
async function breaks(open: () => Promise<Storage>, promise: string): Promise<boolean> {
  const checks = storageChecks(open).filter(({ name }) => name === promise)
  expect(checks).toHaveLength(1)
  return (await brokenPromises(checks)).includes(promise)
}

describe('the storage contract', () => {
  it('finds nothing wrong with an engine that keeps its promises', async () => {
    const checks = storageChecks(() => openSqlite(':memory:'))
    expect(await brokenPromises(checks)).toEqual([])
    expect(checks.length).toBeGreaterThan(20)
  })

  for (const [what, [wrong, promise]] of Object.entries(DOUBLES))
    it(`fails a storage that ${what}`, async () => {
      expect(await breaks(broken(wrong), promise)).toBe(true)
    })

  it('fails a storage that gives out what is due without taking it', async () => {
    const shown = async (): Promise<Storage> => {
      const storage = await openSqlite(':memory:')
      return {
        ...storage,
        claim: (table, { dueBefore, limit }) =>
          storage.list(table, { owner: EVERY_OWNER, dueAt: { before: dueBefore + 1 } } as never, {
            orderBy: 'dueAt',
            limit,
          }),
      }
    }
    expect(await breaks(shown, 'gives out what is due, the oldest first, and nothing that is not')).toBe(true)
  })

  it('fails a storage whose transactions leave half of their work', async () => {
    const halves = async (): Promise<Storage> => {
      const storage = await openSqlite(':memory:')
      return { ...storage, transaction: (_, work) => work(storage) }
    }
    expect(await breaks(halves, 'leaves nothing of a transaction that failed, and goes on')).toBe(true)
  })
})
