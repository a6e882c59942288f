import type { ChildProcess } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FlowSession, type RemoteDesk, ValetkeyError } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { openPractice, type Practice } from '../../src/practice/practice.ts'
import { visitorOf } from '../../src/practice/visitor.ts'
import { deskOver } from '../../src/reach.ts'
import { readDatabase } from '../../src/storage/postgres-url.ts'
import { canary, canaryBytes } from '../../src/testing/canary.ts'
import { wherePaths } from '../../src/where.ts'
import { openServer, type PostgresServer } from '../postgres.ts'
import { type RealHome, realHome, until } from '../real.ts'

/** One of several computers: a home of its own, and the real command serving in it. */
interface Machine extends Pick<RemoteDesk, 'desk' | 'keeper'> {
  readonly home: RealHome
  readonly serving: ChildProcess
}

const LATE_CLOCK = new URL('./children/late-clock.ts', import.meta.url).href
const VALETKEY_KEY = canaryBytes('mk', 32).toString('base64url')

let server: PostgresServer
let practice: Practice
let url: string
let machines: Machine[]

beforeAll(async () => {
  machines = []
  server = await openServer()
  practice = await openPractice()
  url = await databaseOfPlainUser()
}, 60_000)

afterAll(async () => {
  await Promise.all(machines.map(({ home }) => home.close()))
  await practice?.close()
  await server?.close()
})

/** A database as an operator makes it for us: whose login may do nothing but take on one role. */
async function databaseOfPlainUser(): Promise<string> {
  const empty = await server.newDatabase()
  const [name, password] = [new URL(empty).pathname.slice(1), canary('postgreslogin')]
  const { role } = readDatabase(empty)
  await server.ask(
    server.url,
    `create role ${role} nologin; create role plain login password '${password}';
     grant ${role} to plain; alter database ${name} owner to plain`,
  )
  const plain = new URL(empty)
  Object.assign(plain, { username: 'plain', password })
  return plain.href
}

async function newMachine(): Promise<Machine> {
  const config = { allow: [practice.origin.host] }
  const home = await realHome(config, { DATABASE_URL: url, VALETKEY_KEY })
  const folder = join(home.home, 'config', 'providers')
  const oauth = { ...practice.file.oauth, ...practice.client }
  await mkdir(folder, { mode: 0o700 })
  await writeFile(join(folder, 'practice.json'), JSON.stringify({ ...practice.file, oauth }), { mode: 0o600 })
  const serving = home.start(['serve', '--no-page'], { nodeOptions: ['--import', LATE_CLOCK] })
  const { desk, keeper } = deskOver(socketFetch(wherePaths(home).socket))
  const machine = { home, desk, keeper, serving }
  machines.push(machine)
  expect(await until(async () => serving.exitCode ?? (await home.holder()))).toBe(serving.pid)
  return machine
}

const lend = async ({ desk }: Machine) => (await desk.lend({ address: 'practice' })).token

/** Half a minute's tokens are dead to these machines from now on. */
async function passMinute(...all: readonly Machine[]): Promise<void> {
  for (const { serving } of all) {
    const { promise: later, resolve } = Promise.withResolvers<void>()
    serving.stderr?.once('data', () => resolve())
    serving.kill('SIGUSR2')
    await later
  }
}

async function refreshes(): Promise<number> {
  const counts = await fetch(new URL('/practice/counts', practice.origin))
  return ((await counts.json()) as { refreshes: number }).refreshes
}

async function userinfo(token: string): Promise<number> {
  const answer = await fetch(new URL('/me', practice.origin), {
    headers: { authorization: `Bearer ${token}` },
  })
  return answer.status
}

/** The person consents in a browser, which comes back to the computer that the sign-in was begun at. */
async function consent({ step }: FlowSession): Promise<string> {
  if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
  const back = await visitorOf(practice).consent(new URL(step.url), { seconds: 30 })
  return await (await fetch(back)).text()
}

async function connect({ desk }: Machine, bucket = 'default'): Promise<void> {
  const session = await desk.connect({ provider: 'practice', bucket })
  await consent(session)
  expect(await desk.flow(session.id)).toMatchObject({ state: 'done', account: { status: 'connected' } })
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof ValetkeyError) return error.code
  throw new Error('it was not refused', { cause: error })
}

describe('one database and several computers', () => {
  let one: Machine
  let other: Machine

  beforeAll(async () => {
    one = await newMachine()
    other = await newMachine()
  }, 60_000)

  it('are one vault: what one of them connects the other one lends', async () => {
    await connect(one)
    const token = await lend(other)
    expect(await userinfo(token)).toBe(200)
    expect(await lend(one)).toBe(token)
    const [here, there] = await Promise.all([one, other].map(({ keeper }) => keeper.status()))
    expect(here).toMatchObject({ engine: 'postgres', id: there?.id, keySource: 'environment' })
    expect([here?.pid === there?.pid, here?.socket === there?.socket]).toEqual([false, false])
    const { host, pathname } = new URL(url)
    expect((await other.home.run(['vault', 'status'])).stdout).toContain(`${host}${pathname}`)
  })

  it('renew what has expired once, though both are asked for it at the same moment', async () => {
    const token = await lend(one)
    for (let round = 1; round <= 3; round += 1) {
      await passMinute(one, other)
      const lent = await Promise.all(Array.from({ length: 20 }, (_, n) => lend(n % 2 === 0 ? one : other)))
      expect(new Set(lent).size).toBe(1)
      expect(lent[0]).not.toBe(token)
      expect(await userinfo(lent[0] ?? '')).toBe(200)
      expect(await refreshes()).toBe(round)
    }
  })

  it('keep one record, which is whole to both', async () => {
    for (const { desk, home } of [one, other]) {
      const renewed = await desk.audit({ verb: 'refresh', limit: 100 })
      expect(renewed.filter(({ outcome }) => outcome === 'done')).toHaveLength(3)
      const seqs = (await desk.audit({ limit: 1000 })).map(({ seq }) => seq)
      expect(seqs).toEqual(Array.from(seqs, (_, at) => (seqs[0] ?? 0) - at))
      expect(await home.run(['audit', 'verify'])).toMatchObject({ code: 0 })
    }
  })

  it('trust a new one only when its owner says so, who has no anchor there yet', async () => {
    const third = await newMachine()
    expect(await third.keeper.status()).toMatchObject({ restored: true })
    expect(await third.home.run(['lend', 'practice'])).toMatchObject({
      stdout: '',
      stderr: expect.stringContaining('hint: valetkey vault accept-restore'),
    })
    expect(await third.home.run(['vault', 'accept-restore', '--yes'])).toMatchObject({ code: 0 })
    expect(await userinfo(await lend(third))).toBe(200)
    for (const { keeper } of [one, other, third])
      expect(await keeper.verifyAudit()).toMatchObject({ ok: true, problems: [] })
    third.serving.kill('SIGTERM')
  })

  it('show the login they come by nothing, and ask in a role that has no rights', async () => {
    const token = await lend(one)
    const rows = await server.ask(asSuperuser(), 'select * from accounts')
    expect(rows).toMatchObject([{ provider: 'practice', status: 'connected' }])
    const raw = new Client({ connectionString: url })
    await raw.connect()
    try {
      const { role } = readDatabase(url)
      const found = await raw.query(
        `select quote_ident(relname) as name from pg_class
         where relnamespace = 'public'::regnamespace and relkind = 'r' and relname not like 'kysely%'`,
      )
      const tables: readonly string[] = found.rows.map(({ name }) => name)
      expect(tables.length).toBeGreaterThan(10)
      const all = await dumped(tables)
      expect(all).toContain('practice')
      for (const written of [token, Buffer.from(token).toString('hex')]) expect(all).not.toContain(written)
      for (const as of ['reset role', `set role ${role}`]) {
        await raw.query(as)
        for (const name of tables) {
          expect((await raw.query(`select * from ${name}`)).rows).toEqual([])
          expect((await raw.query(`delete from ${name}`)).rowCount).toBe(0)
        }
        await expect(
          raw.query(`insert into sealed values ('person:owner', 'r', 'f', 1, 'k', '')`),
        ).rejects.toThrow('row-level security')
      }
      for (const deed of ['create table mine (id int)', 'drop table sealed', 'create role mine'])
        await expect(raw.query(deed)).rejects.toThrow(/permission denied|must be owner/)
    } finally {
      await raw.end()
    }
  })

  it('stop lending what one of them revoked', async () => {
    await lend(other)
    const heard = other.desk.events()[Symbol.asyncIterator]()
    const next = heard.next()
    // Nothing tells when somebody has begun to listen.
    await pause(1000)
    await one.desk.revoke('practice')
    expect(await refusal(other.desk.lend({ address: 'practice' }))).toBe('not-connected')
    expect((await next).value).toMatchObject({ name: 'revoked', account: { providerId: 'practice' } })
    await heard.return?.()
    expect(await other.desk.accounts()).toEqual([])
  })
})

/** The same database, for the superuser: to him there are no walls. */
function asSuperuser(): string {
  return server.url.replace(/postgres$/, new URL(url).pathname.slice(1))
}

/** All there is in these tables, in the letters that a dump would have. */
async function dumped(tables: readonly string[]): Promise<string> {
  const rows = tables.map((name) =>
    server.ask(asSuperuser(), `select to_jsonb(t)::text as row from ${name} t`),
  )
  return JSON.stringify(await Promise.all(rows))
}

describe('a database server that is restarted in the middle of everything', () => {
  let machine: Machine

  beforeAll(async () => {
    machine = await newMachine()
    await machine.home.run(['vault', 'accept-restore', '--yes'])
  }, 60_000)

  it.each(['SIGINT', 'SIGKILL'] as const)(
    'is found again by itself after %s, and nothing is lost',
    async (ending) => {
      const { desk } = machine
      const bucket = ending.toLowerCase()
      const address = `practice/${bucket}`
      await connect(machine, bucket)
      const underWay = await desk.connect({ provider: 'practice', bucket: `${bucket}-later` })

      const bound: string[] = []
      const codes = new Set<string>()
      let [lent, atWork] = [0, true]
      const work = async (hand: number) => {
        for (let n = 0; atWork; n += 1) {
          const caller = `app:${bucket}-${hand}-${n}`
          await desk.bind({ caller, address, may: ['lend'], asks: 'never' }).then(
            () => bound.push(caller),
            ({ code }) => codes.add(code),
          )
          await desk.lend({ address }).then(
            () => (lent += 1),
            ({ code }) => codes.add(code),
          )
        }
      }
      const hands = Promise.all([1, 2, 3].map(work))
      const more = (to: number) => until(() => bound.length > to && lent > to)
      await more(5)
      await server.stop(ending)
      await pause(300)
      await server.start()
      await more(bound.length + 5)
      atWork = false
      await hands

      expect([...codes].filter((code) => !['network-error', 'not-recorded'].includes(code))).toEqual([])
      expect(await machine.home.holder()).toBe(machine.serving.pid)
      const kept = (await desk.bindings()).map(({ caller }) => caller)
      expect(bound.filter((caller) => !kept.includes(caller))).toEqual([])
      const recorded = await desk.audit({ verb: 'bind', limit: 10_000 })
      const done = recorded
        .filter(({ outcome }) => outcome === 'done')
        .map(({ detail }) => detail?.split(' ')[0])
      expect(bound.filter((caller) => !done.includes(caller))).toEqual([])
      expect(await machine.home.run(['audit', 'verify'])).toMatchObject({ code: 0 })

      expect(await consent(underWay)).toContain('Connected to Practice provider')
      expect(await desk.flow(underWay.id)).toMatchObject({ state: 'done' })
      expect(await userinfo((await desk.lend({ address: `${address}-later` })).token)).toBe(200)
    },
    60_000,
  )

  it('is found again when it was away while a token had to be renewed', async () => {
    const address = 'practice/sigint'
    const before = await refreshes()
    await passMinute(machine)
    await server.stop('SIGKILL')
    const lent = until(() => machine.desk.lend({ address }).catch(() => undefined))
    await pause(300)
    await server.start()
    const { token } = await lent
    expect(await userinfo(token)).toBe(200)
    expect((await refreshes()) - before).toBe(1)
  })
})
