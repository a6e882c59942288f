import { writeSync } from 'node:fs'
import { ValetkeyError } from '#client'
import type { AccountRow, Rows, Storage } from '../../src/model/storage.ts'
import { openSqlite } from '../../src/storage/sqlite.ts'

// Writes accounts into a vault and says on its output which of them were acknowledged: `yes <id>`, or
// `no <id> <code> <whether there was a hint>`. Told so on its input, it goes on where it stopped. Its end is
// a proper one (`close`), or as by a power switch (`kill`).

const [file = '', name = '', most = '0', patience = '3', end = 'close'] = process.argv.slice(2)
const bytes = Buffer.alloc(3_000, 'x')

const say = (line: string) => void writeSync(1, `${line}\n`)

function account(id: string): AccountRow {
  const never = { lastUsedAt: null, expiresAt: null, dueAt: null, nextTryAt: null, askedAt: null }
  const plain = {
    diesAt: null,
    warnedAt: null,
    rotateDays: null,
    rotateAt: null,
    rotateToldAt: null,
    reason: null,
    tries: 0,
  }
  return {
    id,
    owner: 'person:ada',
    provider: 'openai',
    bucket: id,
    flow: 'api-key',
    status: 'connected',
    standing: 1,
    generation: 1,
    connectedAt: 1,
    changedAt: 1,
    ...never,
    ...plain,
  }
}

async function put(rows: Rows, id: string): Promise<void> {
  await rows.insert('accounts', [account(id)])
  await rows.insert('sealed', [
    { owner: 'person:ada', record: id, field: 'worn', generation: 1, keyId: 'key', bytes },
  ])
}

/** Acknowledged by a commit that is on disk, and every third one by a sync after it. */
async function write(storage: Storage, n: number): Promise<void> {
  const id = `${name}-${n}`
  if (n % 3 > 0) return storage.transaction('synced', (rows) => put(rows, id))
  await storage.transaction('soon', (rows) => put(rows, id))
  await storage.sync()
}

async function writeAll(storage: Storage, from: number): Promise<number> {
  let refused = 0
  for (let n = from; n < from + Number(most); n += 1) {
    try {
      await write(storage, n)
      say(`yes ${name}-${n}`)
    } catch (error) {
      say(`no ${name}-${n} ${inShort(error)}`)
      refused += 1
      if (refused === Number(patience)) return n + 1
    }
  }
  return from + Number(most)
}

function inShort(error: unknown): string {
  return error instanceof ValetkeyError ? `${error.code} ${error.hint !== undefined}` : `bug ${error}`
}

try {
  const storage = await openSqlite(file)
  let next = await writeAll(storage, 0)
  say('stopped')
  if (end === 'kill') process.kill(process.pid, 'SIGKILL')
  process.stdin.on('data', async () => {
    next = await writeAll(storage, next)
    say('stopped')
  })
  process.stdin.on('end', () =>
    storage.close().then(
      () => say('closed'),
      (error) => say(`unclosed ${inShort(error)}`),
    ),
  )
} catch (error) {
  say(`unopened ${inShort(error)}`)
}
