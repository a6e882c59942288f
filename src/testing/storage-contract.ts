import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { OwnerId } from '../model/caller.ts'
import {
  type AccountRow,
  type AuditRow,
  EVERY_OWNER,
  type OutboxRow,
  type SealedRow,
  type Storage,
} from '../model/storage.ts'
import { type Check, tell } from './check.ts'

/** What an engine can show besides; what is left out is skipped, and the skip says why. */
export interface StorageFacts {
  /** Closes the storage and opens what it had written. */
  readonly reopen?: (storage: Storage) => Promise<Storage>
  /** Opens the same once more, as another broker does while the first one goes on. */
  readonly beside?: () => Promise<Storage>
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
    tries: 0,
    nextTryAt: null,
    askedAt: null,
    diesAt: null,
    warnedAt: null,
    rotateDays: null,
    rotateAt: null,
    rotateToldAt: null,
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

function message(more: Partial<OutboxRow> = {}): OutboxRow {
  return {
    id: randomUUID(),
    owner: ADA,
    kind: 'revoke',
    accountId: 'account',
    about: 'github/work',
    createdAt: 1_700_000_000_000,
    dueAt: 0,
    tries: 0,
    trouble: null,
    ...more,
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

const PROMISES: Record<string, (storage: Storage) => Promise<void>> = {
  'gives back what was put in, null, bytes and large numbers included': async (storage) => {
    const mine = account({ expiresAt: 9_007_199_254_740_991, reason: 'it’s "quoted"; drop table' })
    const bytes = sealed()
    await storage.insert('accounts', [mine])
    await storage.insert('sealed', [bytes])
    assert.deepEqual(await storage.get('accounts', { owner: ADA, id: mine.id }), mine)
    const found = await storage.get('sealed', { owner: ADA, record: bytes.record })
    assert.ok(found?.bytes instanceof Uint8Array)
    assert.deepEqual({ ...found, bytes: Uint8Array.from(found?.bytes ?? []) }, bytes)
  },

  'finds nothing where there is nothing': async (storage) => {
    assert.equal(await storage.get('accounts', { owner: ADA }), undefined)
    assert.deepEqual(await storage.list('accounts', { owner: EVERY_OWNER }), [])
    assert.equal(await storage.update('accounts', { owner: ADA }, { generation: 2 }), 0)
    assert.equal(await storage.remove('accounts', { owner: ADA }), 0)
  },

  'never shows one owner the rows of another': async (storage) => {
    const [hers, his] = [account(), account({ owner: BOB })]
    await storage.insert('accounts', [hers, his])
    assert.deepEqual(ids(await storage.list('accounts', { owner: ADA })), [hers.id])
    assert.equal(await storage.get('accounts', { owner: ADA, id: his.id }), undefined)
    assert.deepEqual(await storage.list('accounts', { owner: ADA, id: { oneOf: [his.id] } }), [])
  },

  'never changes or removes the rows of another owner': async (storage) => {
    const his = account({ owner: BOB })
    await storage.insert('accounts', [account(), his])
    assert.equal(await storage.update('accounts', { owner: ADA, id: his.id }, { status: 'revoked' }), 0)
    assert.equal(await storage.remove('accounts', { owner: ADA, id: his.id }), 0)
    assert.equal(await storage.remove('accounts', { owner: ADA }), 1)
    assert.deepEqual(await storage.get('accounts', { owner: BOB, id: his.id }), his)
  },

  'crosses owners only when that is said': async (storage) => {
    await storage.insert('accounts', [account(), account({ owner: BOB })])
    assert.equal((await storage.list('accounts', { owner: EVERY_OWNER })).length, 2)
    const nobody = {} as { owner: OwnerId }
    assert.equal(await codeOf(storage.list('accounts', nobody)), 'internal-error')
    assert.equal(await codeOf(storage.remove('accounts', nobody)), 'internal-error')
    assert.equal((await storage.list('accounts', { owner: EVERY_OWNER })).length, 2)
  },

  'refuses a condition that says nothing, instead of widening the question': async (storage) => {
    await storage.insert('accounts', [account()])
    const unknown = { owner: ADA, id: undefined } as unknown as { owner: OwnerId; id: string }
    assert.equal(await codeOf(storage.remove('accounts', unknown)), 'internal-error')
    assert.equal(await codeOf(storage.remove('accounts', { owner: ADA, dueAt: {} })), 'internal-error')
    assert.equal(await codeOf(storage.update('accounts', { owner: ADA }, {})), 'internal-error')
    assert.equal((await storage.list('accounts', { owner: ADA })).length, 1)
  },

  'finds what is null by null': async (storage) => {
    const [none, one] = await dueAt(storage, null, 5)
    assert.deepEqual(ids(await storage.list('accounts', { owner: ADA, dueAt: null })), [none?.id])
    assert.deepEqual(ids(await storage.list('accounts', { owner: ADA, dueAt: 5 })), [one?.id])
  },

  'finds by before and by at least, and never what is null': async (storage) => {
    const [, early, middle, late] = await dueAt(storage, null, 1, 2, 3)
    const due = async (test: object) =>
      new Set(ids(await storage.list('accounts', { owner: ADA, dueAt: test })))
    assert.deepEqual(await due({ before: 2 }), new Set([early?.id]))
    assert.deepEqual(await due({ atLeast: 2 }), new Set([middle?.id, late?.id]))
    assert.deepEqual(await due({ atLeast: 2, before: 3 }), new Set([middle?.id]))
  },

  'finds one of several, and nothing of none': async (storage) => {
    const [none, one] = await dueAt(storage, null, 1, 2)
    const list = async (values: (number | null)[]) =>
      new Set(ids(await storage.list('accounts', { owner: ADA, dueAt: { oneOf: values } })))
    assert.deepEqual(await list([1, 7]), new Set([one?.id]))
    assert.deepEqual(await list([1, null]), new Set([one?.id, none?.id]))
    assert.deepEqual(await list([]), new Set())
  },

  'lists in order, both ways, null at the end': async (storage) => {
    const [none, two, one] = await dueAt(storage, null, 2, 1)
    const order = async (descending: boolean) =>
      ids(await storage.list('accounts', { owner: ADA }, { orderBy: 'dueAt', descending }))
    assert.deepEqual(await order(false), [one?.id, two?.id, none?.id])
    assert.deepEqual(await order(true), [two?.id, one?.id, none?.id])
  },

  'lists no more than was asked for': async (storage) => {
    const [three, one, two] = await dueAt(storage, 3, 1, 2)
    const first = (limit: number) => storage.list('accounts', { owner: ADA }, { orderBy: 'dueAt', limit })
    assert.deepEqual(ids(await first(2)), [one?.id, two?.id])
    assert.deepEqual(ids(await first(9)), [one?.id, two?.id, three?.id])
    assert.deepEqual(await first(0), [])
  },

  'refuses a row that is already there, and then writes none': async (storage) => {
    const first = account()
    await storage.insert('accounts', [first])
    const more = [account(), account({ id: first.id }), account()]
    assert.equal(await codeOf(storage.insert('accounts', more)), 'conflict')
    assert.deepEqual(await storage.list('accounts', { owner: EVERY_OWNER }), [first])
  },

  'writes none of very many rows when the last one conflicts': async (storage) => {
    const many = Array.from({ length: 9_000 }, (_, seq) => entry(seq))
    assert.equal(await codeOf(storage.insert('audit', [...many, entry(0)])), 'conflict')
    assert.deepEqual(await storage.list('audit', { owner: EVERY_OWNER }, { limit: 1 }), [])
    await storage.insert('audit', many)
    const [last] = await storage.list('audit', { owner: ADA }, { orderBy: 'seq', descending: true, limit: 1 })
    assert.equal(last?.seq, 8_999)
    assert.equal(await storage.remove('audit', { owner: ADA, seq: { before: 8_999 } }), 8_999)
  },

  'takes an insert of no rows as done': async (storage) => {
    await storage.insert('accounts', [])
    assert.deepEqual(await storage.list('accounts', { owner: EVERY_OWNER }), [])
  },

  'keeps one living account at an address, and any number of revoked ones': async (storage) => {
    const place = { provider: 'github', bucket: 'work' }
    const old = account({ ...place, status: 'revoked' })
    await storage.insert('accounts', [old, account({ ...place, status: 'revoked' }), account(place)])
    assert.equal(await codeOf(storage.insert('accounts', [account(place)])), 'conflict')
    const revived = storage.update('accounts', { owner: ADA, id: old.id }, { status: 'connected' })
    assert.equal(await codeOf(revived), 'conflict')
    await storage.insert('accounts', [account({ ...place, owner: BOB })])
  },

  'refuses the second of two writers who read the same version': async (storage) => {
    const { id } = account()
    await storage.insert('accounts', [account({ id })])
    const write = (reason: string) =>
      storage.update('accounts', { owner: ADA, id, generation: 1 }, { generation: 2, reason })
    const changed = await Promise.all([write('first'), write('second')])
    assert.deepEqual(changed.toSorted(), [0, 1])
    const row = await storage.get('accounts', { owner: ADA, id })
    assert.equal(row?.reason, changed[0] === 1 ? 'first' : 'second')
  },

  'changes only what is asked for, and says how much': async (storage) => {
    const [one, two] = await dueAt(storage, 1, 2)
    assert.equal(await storage.update('accounts', { owner: ADA, dueAt: { atLeast: 2 } }, { dueAt: null }), 1)
    assert.deepEqual(await storage.get('accounts', { owner: ADA, id: one?.id ?? '' }), one)
    const changed = await storage.get('accounts', { owner: ADA, id: two?.id ?? '' })
    assert.deepEqual(changed, { ...two, dueAt: null })
  },

  'keeps what a transaction wrote, and hands back what its work gave': async (storage) => {
    const row = account()
    const seen = await storage.transaction('synced', async (rows) => {
      await rows.insert('accounts', [row])
      return await rows.get('accounts', { owner: ADA, id: row.id })
    })
    assert.deepEqual(seen, row)
    assert.deepEqual(await storage.get('accounts', { owner: ADA, id: row.id }), row)
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
      await assert.rejects(failed, (error) => error === failure)
    }
    assert.deepEqual(await storage.list('accounts', { owner: EVERY_OWNER }), [kept])
    const conflicted = storage.transaction('synced', (rows) => rows.insert('accounts', [account(), kept]))
    assert.equal(await codeOf(conflicted), 'conflict')
    await storage.transaction('synced', (rows) => rows.insert('accounts', [account()]))
    assert.equal((await storage.list('accounts', { owner: EVERY_OWNER })).length, 2)
  },

  'keeps nothing of a transaction in which something was refused, caught or not': async (storage) => {
    const kept = account()
    await storage.insert('accounts', [kept])
    const work = storage.transaction('synced', async (rows) => {
      await rows.insert('accounts', [account()])
      await rows.insert('accounts', [kept]).catch(() => undefined)
      return 'as if nothing had been'
    })
    assert.equal(await codeOf(work), 'conflict')
    assert.deepEqual(await storage.list('accounts', { owner: EVERY_OWNER }), [kept])
  },

  'shows a transaction one moment, whatever is written meanwhile': async (storage) => {
    const row = account()
    await storage.insert('accounts', [row])
    const read = { owner: ADA, id: row.id }
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    // Somebody else's, and not a part of the transaction that he disturbs.
    const written = begun.then(() => storage.update('accounts', read, { generation: 2 }))
    const seen = await storage.transaction('soon', async (rows) => {
      const first = await rows.get('accounts', read)
      begin()
      await new Promise((resolve) => setTimeout(resolve, 100))
      return [first?.generation, (await rows.get('accounts', read))?.generation]
    })
    assert.deepEqual(seen, [1, 1])
    await written
    assert.equal((await storage.get('accounts', read))?.generation, 2)
  },

  'lets those who have a turn write behind each other': async (storage) => {
    const append = () =>
      storage.transaction(
        'soon',
        async (rows) => {
          const [last] = await rows.list(
            'audit',
            { owner: EVERY_OWNER },
            { orderBy: 'seq', descending: true, limit: 1 },
          )
          await rows.insert('audit', [entry((last?.seq ?? 0) + 1)])
        },
        { turn: 'audit' },
      )
    await Promise.all(Array.from({ length: 30 }, append))
    const rows = await storage.list('audit', { owner: ADA }, { orderBy: 'seq' })
    assert.deepEqual(
      rows.map(({ seq }) => seq),
      Array.from({ length: 30 }, (_, n) => n + 1),
    )
  },

  'gives what can be held to one, until that one lets go': async (storage) => {
    const held = await storage.hold(ADA, 'account', 60_000)
    assert.ok(held !== undefined)
    assert.equal(await storage.hold(ADA, 'account', 60_000), undefined)
    const others = await Promise.all([storage.hold(BOB, 'account', 1000), storage.hold(ADA, 'other', 1000)])
    assert.ok(others.every((one) => one !== undefined))
    await held.release()
    assert.ok((await storage.hold(ADA, 'account', 60_000)) !== undefined)
  },

  'gives what can be held to one of many who ask at once': async (storage) => {
    const asked = await Promise.all(Array.from({ length: 20 }, () => storage.hold(ADA, 'account', 60_000)))
    assert.equal(asked.filter((held) => held !== undefined).length, 1)
  },

  'lets a holder be succeeded when the time is over, and his successor keep it': async (storage) => {
    const slow = await storage.hold(ADA, 'account', 30)
    const next = async (): Promise<unknown> => {
      const held = await storage.hold(ADA, 'account', 60_000)
      return held ?? (await new Promise((resolve) => setTimeout(resolve, 10)).then(next))
    }
    assert.ok((await next()) !== undefined)
    await slow?.release()
    assert.equal(await storage.hold(ADA, 'account', 60_000), undefined)
  },

  'gives out what is due, the oldest first, and nothing that is not': async (storage) => {
    const [, late, early, , exact] = await dueAt(storage, null, 20, 10, 31, 30)
    const claimed = await storage.claim('accounts', { dueBefore: 30, until: 99, limit: 9 })
    assert.deepEqual(
      claimed,
      [early, late, exact].map((row) => ({ ...row, dueAt: 99 })),
    )
    for (const row of claimed)
      assert.deepEqual(await storage.get('accounts', { owner: ADA, id: row.id }), row)
    assert.deepEqual(await storage.claim('accounts', { dueBefore: 30, until: 99, limit: 9 }), [])
  },

  'gives out no more of what is due than was asked for, and the rest to whoever asks next': async (
    storage,
  ) => {
    const [, b, a, c] = await dueAt(storage, 40, 2, 1, 3)
    const claim = { dueBefore: 30, until: 99, limit: 2 }
    assert.deepEqual(ids(await storage.claim('accounts', claim)), [a?.id, b?.id])
    assert.deepEqual(ids(await storage.claim('accounts', claim)), [c?.id])
    assert.deepEqual(await storage.claim('accounts', { ...claim, limit: 0 }), [])
  },

  'gives out what was claimed and not dealt with once more when its new time has come': async (storage) => {
    const [row] = await dueAt(storage, 1)
    const claim = (dueBefore: number, until: number) =>
      storage.claim('accounts', { dueBefore, until, limit: 9 })
    assert.deepEqual(ids(await claim(10, 20)), [row?.id])
    assert.deepEqual(await claim(19, 30), [])
    assert.deepEqual(ids(await claim(20, 30)), [row?.id])
  },

  'gives out of what is due only what is asked for besides, of every owner': async (storage) => {
    const [hers, his] = [account({ dueAt: 2 }), account({ owner: BOB, dueAt: 1 })]
    await storage.insert('accounts', [hers, his, account({ dueAt: 1, status: 'needs-reauth' })])
    const also = { status: { oneOf: ['connected', 'failing'] } } as const
    const claimed = await storage.claim('accounts', { dueBefore: 5, until: 9, limit: 9, also })
    assert.deepEqual(ids(claimed), [his.id, hers.id])
  },

  'gives out messages and flows that are due like accounts': async (storage) => {
    const messages = [message({ dueAt: 2 }), message({ dueAt: 1, owner: BOB }), message({ dueAt: 9 })]
    await storage.insert('outbox', messages)
    const claim = { dueBefore: 5, until: 20, limit: 9 }
    const [late, early] = messages
    assert.deepEqual(
      await storage.claim('outbox', claim),
      [early, late].map((row) => ({ ...row, dueAt: 20 })),
    )
    assert.deepEqual(await storage.claim('flowSessions', claim), [])
    assert.equal(await storage.nextDue('flowSessions'), undefined)
    assert.equal(await storage.nextDue('outbox'), 9)
  },

  'knows when the next one is due, or was': async (storage) => {
    assert.equal(await storage.nextDue('accounts'), undefined)
    await dueAt(storage, null)
    assert.equal(await storage.nextDue('accounts'), undefined)
    await dueAt(storage, 7, 5, null)
    assert.equal(await storage.nextDue('accounts'), 5)
    await storage.claim('accounts', { dueBefore: 5, until: 6, limit: 9 })
    assert.equal(await storage.nextDue('accounts'), 6)
  },

  'counts what a caller used of an account on a day by itself': async (storage) => {
    const use = { owner: ADA, accountId: 'a', caller: 'app:one', lends: 1, forwards: 0, reveals: 0 } as const
    await storage.insert('usage', [
      { ...use, day: '2026-11-20' },
      { ...use, day: '2026-11-21' },
    ])
    assert.equal(await codeOf(storage.insert('usage', [{ ...use, day: '2026-11-20' }])), 'conflict')
    const day = { owner: ADA, accountId: 'a', caller: 'app:one', day: '2026-11-20' } as const
    assert.equal(await storage.update('usage', { ...day, lends: 1 }, { lends: 2 }), 1)
    const days = await storage.list('usage', { owner: ADA }, { orderBy: 'day' })
    assert.deepEqual(
      days.map(({ lends }) => lends),
      [2, 1],
    )
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
    await assert.rejects(failed, { message: 'of the work' })
    await others
    for (const row of await seen) assert.equal(row.id, plain.id)
    assert.deepEqual(await storage.list('accounts', { owner: EVERY_OWNER }), [plain])
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
    assert.equal((await storage.get('accounts', { owner: ADA, id: row.id }))?.generation, 20)
  },

  'does not stand still when a transaction waits for itself': async (storage) => {
    const work = storage.transaction('soon', async () => {
      await storage.list('accounts', { owner: ADA })
      await storage.transaction('soon', (rows) => rows.list('accounts', { owner: ADA }))
    })
    assert.ok(['done', 'internal-error'].includes(await codeOf(work)))
    assert.deepEqual(await storage.list('accounts', { owner: ADA }), [])
  },

  'refuses the rows of a transaction that is over': async (storage) => {
    const leaked = await storage.transaction('soon', async (rows) => ({ rows }))
    assert.equal(await codeOf(leaked.rows.insert('accounts', [account()])), 'internal-error')
    assert.deepEqual(await storage.list('accounts', { owner: EVERY_OWNER }), [])
  },

  'syncs when asked, also with nothing to sync': async (storage) => {
    await storage.sync()
    await storage.transaction('soon', (rows) => rows.insert('accounts', [account()]))
    await storage.sync()
  },

  'closes once and for all, after what was under way': async (storage) => {
    const under = storage.insert('accounts', [account()])
    await Promise.all([under, storage.close(), storage.close()])
    assert.equal(await codeOf(storage.list('accounts', { owner: ADA })), 'internal-error')
  },
}

/** Every promise of `Rows` and `Storage`. `open` gives an empty storage each time. */
export function storageChecks(open: () => Promise<Storage>): readonly Check[] {
  return Object.entries(PROMISES).map(([name, keep]) => ({
    name,
    run: async () => {
      const storage = await open()
      await keep(storage).finally(() => storage.close())
    },
  }))
}

async function comesBack(open: () => Promise<Storage>, reopen: NonNullable<StorageFacts['reopen']>) {
  const row = account()
  const first = await open()
  await first.insert('accounts', [row])
  await first.transaction('soon', (rows) => rows.insert('sealed', [sealed()]))
  const second = await reopen(first)
  assert.deepEqual(await second.list('accounts', { owner: EVERY_OWNER }), [row])
  assert.equal((await second.list('sealed', { owner: EVERY_OWNER })).length, 1)
  await second.close()
}

/** Two brokers at work at the same time, each taking a few again and again until nothing is left. */
async function isSharedOut(one: Storage, other: Storage) {
  const rows = await dueAt(one, ...Array.from({ length: 500 }, (_, n) => n))
  const takeAll = async (storage: Storage): Promise<string[]> => {
    const some = await storage.claim('accounts', { dueBefore: 1_000, until: 9_000, limit: 7 })
    return some.length === 0 ? [] : [...ids(some), ...(await takeAll(storage))]
  }
  const taken = await Promise.all([one, one, other, other].map(takeAll))
  assert.deepEqual(taken.flat().toSorted(), ids(rows).toSorted())
  for (const share of taken) assert.deepEqual(share, share.toSorted(byAge(rows)))
  const [mine, mineToo, theirs, theirsToo] = taken.map(({ length }) => length > 0)
  assert.ok((mine || mineToo) && (theirs || theirsToo))
}

function byAge(rows: readonly AccountRow[]): (one: string, other: string) => number {
  const ages = new Map(rows.map(({ id, dueAt: due }) => [id, due ?? 0]))
  return (one, other) => (ages.get(one) ?? 0) - (ages.get(other) ?? 0)
}

/** Whatever engine bytes lie in, it keeps these. */
export function storageContract(name: string, open: () => Promise<Storage>, facts: StorageFacts = {}): void {
  const title = `the storage contract, kept by ${name}`
  tell(title, storageChecks(open))
  describe(title, () => {
    const { reopen } = facts
    if (reopen !== undefined) it('has everything again after it was closed', () => comesBack(open, reopen))
    else it.skip('has everything again after it was closed (skipped: nothing of it outlives its process)')
    const { beside } = facts
    const shared = beside === undefined ? 'several who share one broker' : 'several brokers'
    it(`gives each thing that is due to one of ${shared}, the oldest first, and forgets none`, async () => {
      const one = await open()
      const other = (await beside?.()) ?? one
      try {
        await isSharedOut(one, other)
      } finally {
        await one.close()
        await other.close()
      }
    })
  })
}
