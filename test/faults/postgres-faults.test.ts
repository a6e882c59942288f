import type { ChildProcess } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Account, type RemoteDesk, ValetkeyError } from '#client'
import { WRITTEN_WITHIN_MS } from '../../src/broker/renewing/replacing.ts'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { deskOver } from '../../src/reach.ts'
import { canaryBytes } from '../../src/testing/canary.ts'
import { faults } from '../../src/testing/faults.ts'
import { wherePaths } from '../../src/where.ts'
import { report, size } from '../figures.ts'
import { openServer, type PostgresServer } from '../postgres.ts'
import { kill, type RealHome, until } from '../real.ts'
import { TOKEN } from './broker.ts'
import { connectAt, practiceHome } from './homes.ts'
import { type FaultyPractice, practiceBehindFaults } from './practice.ts'

const ACCOUNTS = size(12, 60)
const AT_ONCE = 6
const BREATH_MS = 100
/** For so long the database stands still between its end and its start. */
const LONGEST_AWAY_MS = size(1_000, 20_000)
const STRICT = 0
const LONG_GRACE = 3600
const TOOL = 'Postgres, 2 real brokers, oidc-provider'
const VALETKEY_KEY = canaryBytes('mk', 32).toString('base64url')
const timeout = size(240_000, 3_600_000)

/** One of the brokers at the database, which can be killed and started again. */
interface Machine extends Pick<RemoteDesk, 'desk'> {
  readonly home: RealHome
  start(): Promise<void>
  kill(): Promise<void>
}

let server: PostgresServer
let practice: FaultyPractice
let machines: readonly Machine[]
let addresses: readonly string[]

beforeAll(async () => {
  server = await openServer()
}, 120_000)
afterAll(() => server?.close())

async function newMachine(url: string): Promise<Machine> {
  const home = await practiceHome(practice, { DATABASE_URL: url, VALETKEY_KEY })
  let child: ChildProcess

  async function start(): Promise<void> {
    child = home.start(['serve', '--no-page'])
    await until(home.holder, 120)
  }

  const { desk } = deskOver(socketFetch(wherePaths(home).socket))
  await start()
  return { home, desk, start, kill: () => kill(child.pid ?? 0) }
}

/** Two brokers, and many accounts at a provider that takes a used refresh token for so many seconds more. */
async function openHouses(url: string, grace: number): Promise<void> {
  practice = await practiceBehindFaults({ process: true, grace })
  machines = await Promise.all([newMachine(url), newMachine(url)])
  const desk = machines[0]?.desk as RemoteDesk['desk']
  const buckets = Array.from({ length: ACCOUNTS }, (_, n) => `n${n}`)
  for (let at = 0; at < ACCOUNTS; at += AT_ONCE)
    await Promise.all(
      buckets.slice(at, at + AT_ONCE).map((bucket) => connectAt(desk, practice, { bucket, seconds: 3600 })),
    )
  addresses = buckets.map((bucket) => `practice/${bucket}`)
}

async function closeHouses(): Promise<void> {
  await Promise.all(machines?.map(({ home }) => home.close()) ?? [])
  await practice?.close()
}

/** What the callers of both brokers were answered meanwhile. */
interface Load {
  readonly answered: number
  /** How often each was heard, and what a program does about it. */
  readonly errors: ReadonlyMap<string, number>
  /** Waits until so many more were answered at each broker. */
  goesOn(): Promise<void>
  stop(): Promise<void>
}

/** Renews and lends all the accounts at both brokers, on and on. */
function load(): Load {
  const errors = new Map<string, number>()
  const answered = new Map(machines.map((machine) => [machine, 0]))
  let over = false

  async function tried(machine: Machine, work: Promise<unknown>): Promise<void> {
    const error = await work.then(
      () => undefined,
      (error: unknown) => error,
    )
    if (error === undefined) return void answered.set(machine, (answered.get(machine) ?? 0) + 1)
    const word = error instanceof ValetkeyError ? `${error.code}, ${error.reaction}` : String(error)
    errors.set(word, (errors.get(word) ?? 0) + 1)
  }

  async function caller(machine: Machine, address: string): Promise<void> {
    while (!over) {
      await tried(machine, machine.desk.refresh(address))
      await tried(machine, machine.desk.lend({ address }))
      await pause(BREATH_MS)
    }
  }

  const callers = machines.flatMap((machine) => addresses.map((address) => caller(machine, address)))
  return {
    errors,
    get answered() {
      return [...answered.values()].reduce((sum, one) => sum + one, 0)
    },
    async goesOn() {
      const before = new Map(answered)
      await until(
        () => machines.every((one) => (answered.get(one) ?? 0) >= (before.get(one) ?? 0) + ACCOUNTS),
        120,
      )
    },
    stop: async () => {
      over = true
      await Promise.all(callers)
    },
  }
}

const isSettled = ({ status }: Account) => status === 'connected' || status === 'needs-reauth'

/** Nobody does anything but look, until nothing changes by itself any more; then all is lent once more by everybody. */
async function expectNothingLost(what: string, { answered, errors }: Load): Promise<void> {
  const all = await until(async () => {
    const lists = await Promise.all(machines.map(({ desk }) => desk.accounts().catch(() => [])))
    const seen = lists.flat()
    return seen.length === machines.length * ACCOUNTS && seen.every(isSettled) ? lists[0] : undefined
  }, 180)
  const lost = all.filter(({ status }) => status === 'needs-reauth')
  const lent = await Promise.allSettled(
    machines.flatMap(({ desk }) => addresses.map((address) => desk.lend({ address }))),
  )
  const recovered = lent.filter(({ status }) => status === 'fulfilled').length
  const heard = [...errors.values()].reduce((sum, count) => sum + count, 0)
  const hard = [...errors].filter(([word]) => !word.endsWith(', try-again'))
  report(`grants lost, ${what}`, lost.length, ACCOUNTS, TOOL)
  report(`lent again by themselves, ${what}`, recovered, lent.length, TOOL)
  const hardOnes = hard.reduce((sum, [, count]) => sum + count, 0)
  report(`errors that were not for trying again, ${what}, of ${answered} answers`, hardOnes, heard, TOOL)
  expect(lost.map(({ reason }) => reason)).toEqual([])
  expect([recovered, hard]).toEqual([machines.length * ACCOUNTS, []])
}

/** So many times while all of it is in use; then what came of it. */
async function through(rounds: number, trouble: () => Promise<void>, what: string): Promise<Load> {
  const underLoad = load()
  for (let round = 0; round < rounds; round += 1) {
    await underLoad.goesOn()
    await trouble()
  }
  await underLoad.goesOn()
  await underLoad.stop()
  await expectNothingLost(`${what} ${rounds} times`, underLoad)
  return underLoad
}

describe('two brokers under load, and a strict provider', { timeout }, () => {
  let url: string

  beforeAll(async () => {
    url = await server.newVault()
    await openHouses(url, STRICT)
  }, timeout)
  afterAll(closeHouses)

  it('lose no grant when their database is restarted', async () => {
    const endings = ['SIGQUIT', 'SIGKILL'] as const
    let times = 0
    async function restart(): Promise<void> {
      await server.stop(endings[times % endings.length])
      await pause(Math.random() * LONGEST_AWAY_MS)
      await server.start()
      times += 1
    }
    const { errors } = await through(size(1, 20), restart, 'Postgres restarted')
    expect(errors.size).toBeGreaterThan(0)
  })

  it('lose nothing that was answered, though their database is away longer than anybody waits for it', async () => {
    async function outage(): Promise<void> {
      const held = faults.holdAnswer()
      await practice.proxy.set(held, TOKEN)
      await until(() => held.held() >= ACCOUNTS, 120)
      await server.stop('SIGKILL')
      held.release()
      await practice.proxy.set(undefined)
      await pause(WRITTEN_WITHIN_MS + 3_000)
      await server.start()
    }
    await through(size(1, 5), outage, 'Postgres away over all answers')
  })

  it('lose no grant when others take all connections', async () => {
    async function takeAll(): Promise<void> {
      const letGo = await takeAllConnections()
      await pause(size(2_000, 15_000))
      await letGo()
    }
    const { errors } = await through(size(1, 5), takeAll, 'all connections taken')
    expect([...errors.keys()].join()).toContain('resource-exhausted')
  })

  it('lose no grant when somebody locks the accounts', async () => {
    async function lock(): Promise<void> {
      const locking = new Client({ connectionString: url })
      await locking.connect()
      await locking.query('begin; lock table "accounts" in access exclusive mode')
      await pause(size(2_000, 15_000))
      await locking.end()
    }
    await through(size(1, 5), lock, 'the accounts locked')
  })
})

describe('two brokers under load, and a provider with grace', { timeout }, () => {
  beforeAll(async () => openHouses(await server.newVault(), LONG_GRACE), timeout)
  afterAll(closeHouses)

  it('lose no grant when one of them is killed', async () => {
    const [, other] = machines
    async function restart(): Promise<void> {
      await other?.kill()
      await pause(Math.random() * 1000)
      await other?.start()
    }
    const { errors } = await through(size(1, 10), restart, 'a broker killed')
    expect(errors.size).toBeGreaterThan(0)
  })
})

const END_THEIRS = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'valetkey'`

/** Those of the brokers as well, which are ended for that. Gives what lets go of all of them. */
async function takeAllConnections(): Promise<() => Promise<void>> {
  const taken: Client[] = []
  let over = false

  async function take(): Promise<boolean> {
    const client = new Client({ connectionString: server.url })
    client.on('error', () => undefined)
    return client.connect().then(
      () => taken.push(client) > 0,
      () => false,
    )
  }

  async function takeOn(): Promise<void> {
    while (!over) if (!(await take())) await pause(5)
  }

  async function endTheirs(): Promise<void> {
    while (!over) {
      await taken[0]?.query(END_THEIRS)
      await pause(50)
    }
  }

  while (await take());
  const taking = Promise.all([takeOn(), takeOn(), endTheirs()])
  return async () => {
    over = true
    await taking
    await Promise.all(taken.map((client) => client.end()))
  }
}
