import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { faults } from '../../src/testing/faults.ts'
import { report } from '../figures.ts'
import { kill, type RealHome } from '../real.ts'
import { allLend, type Callers, openCallers, passMinute } from './callers.ts'
import { connectAt, practiceHome } from './homes.ts'
import { countsOf, type FaultyPractice, practiceBehindFaults } from './practice.ts'

const PROCESSES = 8
const CALLERS = 125
const TOKEN = 'POST /token'
const TOOL = 'real processes, oidc-provider'

let practice: FaultyPractice
let home: RealHome

beforeAll(async () => {
  practice = await practiceBehindFaults({ process: true })
})
afterAll(() => practice.close())
beforeEach(async () => {
  home = await practiceHome(practice)
})
afterEach(() => home.close())

const refreshes = async () => (await countsOf(practice)).refreshes

/** The first one holds the vault, the others are its clients. */
async function fleet(): Promise<[Callers, ...Callers[]]> {
  const holder = await openCallers(home)
  const clients = await Promise.all(Array.from({ length: PROCESSES - 1 }, () => openCallers(home)))
  expect(await Promise.all(clients.map((one) => one.holder()))).toEqual(clients.map(() => holder.pid))
  return [holder, ...clients]
}

async function isAlive(token = ''): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(new URL('/me', practice.origin), { headers })).ok
}

describe('an expired account that everybody asks for at the same moment', () => {
  it('is renewed once for a thousand callers in one process', async () => {
    const holder = await openCallers(home)
    await connectAt(holder, practice)
    await passMinute(holder)
    const before = await refreshes()
    const { answered, tokens, errors } = await holder.lend('practice', 1000)
    const asked = (await refreshes()) - before
    report('upstream refreshes, 1,000 callers in one process', asked, 1000, TOOL)
    expect({ answered, errors, asked, tokens: tokens.length }).toEqual({
      answered: 1000,
      errors: [],
      asked: 1,
      tokens: 1,
    })
  })

  it(`is renewed once for ${PROCESSES} processes of ${CALLERS} callers`, async () => {
    const all = await fleet()
    const [holder] = all
    await connectAt(holder, practice)
    await passMinute(holder)
    const before = await refreshes()
    const { answered, tokens, errors } = await allLend(all, CALLERS)
    const asked = (await refreshes()) - before
    report('upstream refreshes, 8 × 125 callers, one vault', asked, PROCESSES * CALLERS, TOOL)
    report('caller errors, 8 × 125 callers, one vault', errors.length, PROCESSES * CALLERS, TOOL)
    expect({ answered, errors, asked }).toEqual({ answered: PROCESSES * CALLERS, errors: [], asked: 1 })
    expect([tokens.length, await isAlive(tokens[0])]).toEqual([1, true])
  })

  it('is renewed once, though whoever is at it is killed in the middle', async () => {
    const [holder, ...clients] = await fleet()
    await connectAt(holder, practice)
    await passMinute(holder)
    const before = await refreshes()
    const held = faults.holdRequest()
    practice.proxy.next(held, TOKEN)
    const lent = allLend(clients, CALLERS)
    void holder.lend('practice', CALLERS)
    await held.arrived
    await kill(holder.pid)
    const { answered, tokens, errors } = await lent
    const asked = (await refreshes()) - before
    report('upstream refreshes, 7 × 125 callers, the holder killed in the middle', asked, 875, TOOL)
    report('caller errors, 7 × 125 callers, the holder killed in the middle', errors.length, 875, TOOL)
    expect({ answered, errors, asked }).toEqual({ answered: 875, errors: [], asked: 1 })
    expect([tokens.length, await isAlive(tokens[0])]).toEqual([1, true])
    expect(clients.map(({ pid }) => pid)).toContain(await clients[0]?.holder())
  })
})
