import type { Rows, Storage, TableName } from '../../model/storage.ts'

/** Nothing that a use is decided by comes from these. */
const BESIDE: readonly TableName[] = [
  'audit',
  'auditBase',
  'usage',
  'outbox',
  'flowSessions',
  'registrations',
]
/** What a use itself leaves behind. */
const LEFT_BY_USE: { readonly [T in TableName]?: readonly string[] } = {
  accounts: ['lastUsedAt'],
  leases: ['lastAt', 'until', 'count'],
}

/** The same storage. Whoever writes to what uses are decided by is told of it when that stands, before anybody else. */
export function watched(storage: Storage, changed: () => void): Storage {
  async function telling<R>(work: (touched: () => void) => Promise<R>): Promise<R> {
    let isTouched = false
    try {
      return await work(() => {
        isTouched = true
      })
    } finally {
      // A commit whose answer was lost may stand all the same.
      if (isTouched) changed()
    }
  }

  const alone = (touched: () => void) => writing(storage, touched)
  return {
    ...storage,
    insert: (table, rows) => telling((touched) => alone(touched).insert(table, rows)),
    update: (table, where, set) => telling((touched) => alone(touched).update(table, where, set)),
    remove: (table, where) => telling((touched) => alone(touched).remove(table, where)),
    transaction: (durability, work, options) =>
      telling((touched) => storage.transaction(durability, (rows) => work(writing(rows, touched)), options)),
    claim: (table, claim) =>
      telling((touched) => {
        if (!BESIDE.includes(table)) touched()
        return storage.claim(table, claim)
      }),
  }
}

function writing(rows: Rows, touched: () => void): Rows {
  return {
    get: rows.get,
    list: rows.list,
    insert(table, added) {
      if (!BESIDE.includes(table) && table !== 'leases') touched()
      return rows.insert(table, added)
    },
    update(table, where, set) {
      const isChange = Object.keys(set).some((column) => !LEFT_BY_USE[table]?.includes(column))
      if (!BESIDE.includes(table) && isChange) touched()
      return rows.update(table, where, set)
    },
    remove(table, where) {
      if (!BESIDE.includes(table)) touched()
      return rows.remove(table, where)
    },
  }
}
