import type { ChildProcess } from 'node:child_process'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RemoteDesk } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { deskOver } from '../../src/reach.ts'
import { canaryBytes } from '../../src/testing/canary.ts'
import { faults } from '../../src/testing/faults.ts'
import { wherePaths } from '../../src/where.ts'
import { report } from '../figures.ts'
import { openServer, type PostgresServer } from '../postgres.ts'
import { kill, type RealHome, until } from '../real.ts'
import { passMinute } from './callers.ts'
import { connectAt, LATE_CLOCK, practiceHome } from './homes.ts'
import { countsOf, type FaultyPractice, practiceBehindFaults } from './practice.ts'

const BROKERS = 3
const CALLERS = 300
const TOKEN = 'POST /token'
const TOOL = 'real processes, Postgres, oidc-provider'
const VALETKEY_KEY = canaryBytes('mk', 32).toString('base64url')

interface Machine extends Pick<RemoteDesk, 'desk'> {
  readonly home: RealHome
  readonly child: ChildProcess
}

let server: PostgresServer
let practice: FaultyPractice
let machines: readonly Machine[]

beforeAll(async () => {
  server = await openServer()
  practice = await practiceBehindFaults({ process: true })
}, 60_000)
afterAll(async () => {
  await practice?.close()
  await server?.close()
})
beforeEach(async () => {
  const url = await server.newVault()
  const all: Machine[] = []
  for (let n = 0; n < BROKERS; n += 1) all.push(await newMachine(url))
  machines = all
}, 60_000)
afterEach(() => Promise.all(machines.map(({ home }) => home.close())))

async function newMachine(DATABASE_URL: string): Promise<Machine> {
  const home = await practiceHome(practice, { DATABASE_URL, VALETKEY_KEY })
  const child = home.start(['serve', '--no-page'], { nodeOptions: ['--import', LATE_CLOCK] })
  await until(home.holder)
  return { home, child, desk: deskOver(socketFetch(wherePaths(home).socket)).desk }
}

/** What came of so many callers at each of these brokers, all at the same moment. */
async function allLend(at: readonly Machine[]) {
  const ends = await Promise.allSettled(
    at.flatMap(({ desk }) => Array.from({ length: CALLERS }, () => desk.lend({ address: 'practice' }))),
  )
  const tokens = ends.flatMap((end) => (end.status === 'fulfilled' ? end.value.token : []))
  const errors = ends.flatMap((end) => (end.status === 'rejected' ? String(end.reason) : []))
  return { answered: tokens.length, tokens: new Set(tokens).size, errors }
}

const refreshes = async () => (await countsOf(practice)).refreshes

describe('an expired account that everybody asks three brokers for at the same moment', () => {
  it('is renewed once', async () => {
    const [one] = machines
    if (one === undefined) throw new Error('there is no broker')
    await connectAt(one.desk, practice)
    for (const machine of machines) await passMinute(machine)
    const before = await refreshes()
    const { answered, tokens, errors } = await allLend(machines)
    const asked = (await refreshes()) - before
    report('upstream refreshes, 3 brokers × 300 callers', asked, BROKERS * CALLERS, TOOL)
    report('caller errors, 3 brokers × 300 callers', errors.length, BROKERS * CALLERS, TOOL)
    expect({ answered, tokens, errors, asked }).toEqual({ answered: 900, tokens: 1, errors: [], asked: 1 })
  })

  it('is renewed once, though the broker that is at it is killed in the middle', async () => {
    const [dying, ...others] = machines
    if (dying === undefined) throw new Error('there is no broker')
    await connectAt(dying.desk, practice)
    for (const machine of machines) await passMinute(machine)
    const before = await refreshes()
    const held = faults.holdRequest()
    practice.proxy.next(held, TOKEN)
    const doomed = dying.desk.lend({ address: 'practice' }).catch(() => undefined)
    await held.arrived
    const lent = allLend(others)
    await kill(dying.child.pid ?? 0)
    const { answered, tokens, errors } = await lent
    await doomed
    const asked = (await refreshes()) - before
    report('upstream refreshes, 2 × 300 callers, the broker at it killed', asked, 600, TOOL)
    report('caller errors, 2 × 300 callers, the broker at it killed', errors.length, 600, TOOL)
    expect({ answered, tokens, errors, asked }).toEqual({ answered: 600, tokens: 1, errors: [], asked: 1 })
  }, 120_000)
})
