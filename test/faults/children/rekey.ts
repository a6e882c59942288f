import { randomUUID } from 'node:crypto'
import type { Rows, Storage } from '../../../src/model/storage.ts'
import type { KeySource } from '../../../src/model/vault.ts'
import { openSqlite } from '../../../src/storage/sqlite.ts'
import { fileSource } from '../../../src/vault/sources/file.ts'
import { openVault } from '../../../src/vault/vault.ts'

// Gives a vault a new master key. It says when it begins, and kills itself before the nth step, where it is told
// to: a step is each thing that a source or the storage is asked to do, and has done. Once it is through it says
// how many there were, and waits for its end.

const [file = '', keys = '', steps = ''] = process.argv.slice(2)
let done = 0
let last = Number.POSITIVE_INFINITY

function step(): void {
  if (done >= last) process.kill(process.pid, 'SIGKILL')
  done += 1
}

async function stepped<R>(work: () => Promise<R>): Promise<R> {
  step()
  const result = await work()
  step()
  return result
}

function steppingRows<R extends Rows>(rows: R): R {
  return {
    ...rows,
    get: (...of) => stepped(() => rows.get(...of)),
    list: (...of) => stepped(() => rows.list(...of)),
    insert: (...of) => stepped(() => rows.insert(...of)),
    update: (...of) => stepped(() => rows.update(...of)),
    remove: (...of) => stepped(() => rows.remove(...of)),
  }
}

function steppingStorage(storage: Storage): Storage {
  return {
    ...steppingRows(storage),
    transaction: (durability, work, options) =>
      stepped(() => storage.transaction(durability, (rows) => work(steppingRows(rows)), options)),
  }
}

function source(): KeySource {
  const plain = fileSource(keys)
  return {
    kind: plain.kind,
    create: () => stepped(() => plain.create()),
    obtain: (remembered) => stepped(() => plain.obtain(remembered)),
    discard: (remembered) => stepped(async () => plain.discard?.(remembered)),
  }
}

const keeper = await openVault({
  storage: steppingStorage(await openSqlite(file)),
  sources: source,
  preferred: 'file',
  now: () => new Date(),
  newId: () => randomUUID(),
})
await keeper.unlock()
done = 0
if (steps !== '') last = Number(steps)
process.send?.({ begun: true })
await keeper.rekey(source())
process.send?.({ through: done })
