import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { report } from '../../test/figures.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import type { Held, Storage } from '../model/storage.ts'
import { openPostgres } from './postgres.ts'

const ENGINE = new URL('postgres.ts', import.meta.url).href
/** As long as a broker is waited for whose end nobody can see. */
const TIME = 65_000
/** Longer than it takes to succeed somebody who died. */
const LONG = 6_000

let server: PostgresServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

let url: string
let storage: Storage
const children: ChildProcess[] = []
beforeEach(async () => {
  url = await server.newVault()
  storage = await openPostgres(url)
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await storage.close()
})

/** A process of its own that holds the account and says so. `release` on its input lets go of it. */
async function holder(at = url, milliseconds = TIME): Promise<ChildProcess> {
  const code = `
    const { openPostgres } = await import(${JSON.stringify(ENGINE)})
    const storage = await openPostgres(process.env.DATABASE_URL)
    const held = await storage.hold('person:ada', 'account', ${milliseconds})
    process.stdout.write(String(held !== undefined))
    process.stdin.once('data', async () => {
      await held.release()
      process.stdout.write('released')
    })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, DATABASE_URL: at },
  })
  children.push(child)
  expect(String((await once(child.stdout, 'data'))[0])).toBe('true')
  return child
}

const ask = (milliseconds = TIME) => storage.hold('person:ada', 'account', milliseconds)

/** Asks again and again, and gives how long it took until he was succeeded. */
async function succeeded(by: () => Promise<Held | undefined> = ask): Promise<number> {
  const begun = performance.now()
  while ((await by()) === undefined) await wait(100)
  return performance.now() - begun
}

async function isKept(milliseconds = LONG): Promise<void> {
  const until = performance.now() + milliseconds
  while (performance.now() < until) {
    expect(await ask()).toBeUndefined()
    await wait(100)
  }
}

async function present(): Promise<Record<string, unknown> | undefined> {
  const [row] = await server.ask(url, 'select token, line, until from "rowLeases"')
  return row
}

/** Ends the line by which the holder is known to live, as an unlucky network would. */
async function cutLine(): Promise<void> {
  const cut = await server.ask(
    url,
    `select pg_terminate_backend(pid) as done from pg_locks, "rowLeases"
     where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())
       and line = ((classid::bigint << 32) | objid::bigint)`,
  )
  expect(cut).toEqual([{ done: true }])
}

async function newLine(old: unknown): Promise<number> {
  const begun = performance.now()
  while ((await present())?.['line'] === old) await wait(10)
  return performance.now() - begun
}

describe('a broker that holds something', () => {
  it('is succeeded soon after it was killed, once', async () => {
    const others = await Promise.all([openPostgres(url), openPostgres(url)])
    const child = await holder()
    expect(await ask()).toBeUndefined()
    child.kill('SIGKILL')
    const took = await Promise.race(
      [storage, ...others].map((one) => succeeded(() => one.hold('person:ada', 'account', TIME))),
    )
    report(
      'seconds until a killed holder was succeeded',
      (took / 1000).toFixed(1),
      65,
      'SIGKILL, real Postgres',
    )
    expect(took).toBeGreaterThan(2_900)
    expect(took).toBeLessThan(20_000)
    await isKept(1_000)
    await Promise.all(others.map((one) => one.close()))
  })

  it('is waited for while it is only stopped, and keeps what it holds', async () => {
    const child = await holder()
    const before = await present()
    child.kill('SIGSTOP')
    await isKept()
    expect(await present()).toEqual(before)
    child.kill('SIGCONT')
    child.stdin?.write('release')
    await once(child.stdout ?? child, 'data')
    expect(await ask()).toBeDefined()
  })

  it('keeps it when its line was cut, names another one within a second, and is succeeded by that', async () => {
    const child = await holder()
    for (let round = 0; round < 3; round += 1) {
      const before = await present()
      await cutLine()
      expect(await newLine(before?.['line'])).toBeLessThan(5_000)
      expect((await present())?.['token']).toBe(before?.['token'])
    }
    await isKept()
    child.kill('SIGKILL')
    expect(await succeeded()).toBeLessThan(20_000)
  })

  it('keeps it when the server was restarted, whichever way, and however long that took', async () => {
    await holder()
    for (const [ending, away] of [
      ['SIGQUIT', 0],
      ['SIGKILL', 4_000],
    ] as const) {
      const before = await present()
      await server.stop(ending)
      await wait(away)
      await server.start()
      expect(await newLine(before?.['line'])).toBeLessThan(5_000)
      await isKept(5_000)
    }
  })

  it('takes nothing back from whoever succeeded it', async () => {
    const child = await holder(url, 500)
    child.kill('SIGSTOP')
    await succeeded()
    const mine = await present()
    child.kill('SIGCONT')
    child.stdin?.write('release')
    await once(child.stdout ?? child, 'data')
    expect(await present()).toEqual(mine)
    expect(await ask()).toBeUndefined()
  })

  it('keeps its line while the server only takes long to answer', async () => {
    const slow = await slowed(new URL(url))
    await holder(slow.url)
    const before = await present()
    expect(before?.['line']).not.toBeNull()
    slow.delay(4_000)
    await isKept(22_000)
    expect(await present()).toEqual(before)
    slow.close()
  }, 60_000)

  it('is waited for to the end of its time where a pooler hides whether it lives', async () => {
    const pooler = await hiding(new URL(url))
    const child = await holder(pooler.url, 10_000)
    expect(await present()).toMatchObject({ line: null })
    child.kill('SIGKILL')
    await isKept(5_500)
    expect(await succeeded()).toBeLessThan(20_000)
    pooler.close()
  })
})

describe('what nobody let go of', () => {
  it('is put away once its time is long over, and nothing else is', async () => {
    await ask()
    await server.ask(
      url,
      `insert into "rowLeases" ("owner", "record", "token", "until") values
       ('person:ada', 'old', 'one', (extract(epoch from now()) * 1000)::bigint - 7200000),
       ('person:ada', 'just over', 'two', (extract(epoch from now()) * 1000)::bigint - 1000)`,
    )
    const another = await openPostgres(url)
    await another.hold('person:bob', 'something', TIME)
    const left = () => server.ask(url, 'select record from "rowLeases" order by record')
    await expect
      .poll(left, { timeout: 20_000 })
      .toEqual([{ record: 'account' }, { record: 'just over' }, { record: 'something' }])
    await another.close()
  })
})

/** Passes on what the server says as late as is asked for, and in its order. */
async function slowed(target: URL) {
  let milliseconds = 0
  const between = createServer((near) => {
    const far = connect(Number(target.port), target.hostname)
    near.pipe(far)
    far.on('data', (bytes) => void setTimeout(() => near.write(bytes), milliseconds))
    near.on('close', () => far.destroy()).on('error', () => far.destroy())
    far.on('close', () => near.destroy()).on('error', () => near.destroy())
  }).listen(0, '127.0.0.1')
  await once(between, 'listening')
  const address = between.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = new URL(target)
  url.port = `${address.port}`
  return {
    url: url.href,
    delay: (by: number) => {
      milliseconds = by
    },
    close: () => between.close(),
  }
}

/** Says, as poolers do, another name of the connection than the server has for it. */
async function hiding(target: URL): Promise<{ url: string; close(): void }> {
  const keyData = Buffer.from([0x4b, 0, 0, 0, 12])
  const between = createServer((near) => {
    const far = connect(Number(target.port), target.hostname)
    near.pipe(far)
    far.on('data', (bytes) => {
      const at = bytes.indexOf(keyData)
      if (at >= 0) bytes.writeInt32BE(bytes.readInt32BE(at + 5) + 1, at + 5)
      near.write(bytes)
    })
    near.on('close', () => far.destroy()).on('error', () => far.destroy())
    far.on('close', () => near.destroy()).on('error', () => near.destroy())
  }).listen(0, '127.0.0.1')
  await once(between, 'listening')
  const address = between.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = new URL(target)
  url.port = `${address.port}`
  return { url: url.href, close: () => between.close() }
}
