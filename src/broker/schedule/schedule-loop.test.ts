import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { report, size } from '../../../test/figures.ts'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { leave } from '../../../test/leave.ts'
import { lookingFlow } from '../../../test/looking.ts'
import { type Grants, manyGrants } from '../../../test/many.ts'
import { PRACTICE } from '../../../test/practice.ts'
import type { AccountRow, Storage } from '../../model/storage.ts'
import { openSqlite } from '../../storage/sqlite.ts'
import { type Timer, usualTimer } from './schedule.ts'

const HOUR = 60 * 60

/** A timer that rings when a test says so. */
function bell() {
  let next: { readonly milliseconds: number; readonly ring: () => void } | undefined
  let set = 0
  const timer: Timer = (milliseconds, ring) => {
    const mine = { milliseconds, ring }
    next = mine
    set += 1
    return () => {
      if (next === mine) next = undefined
    }
  }
  return {
    timer,
    get times() {
      return set
    },
    get sleeps() {
      return next?.milliseconds
    },
    ring() {
      const { ring } = next ?? {}
      next = undefined
      ring?.()
    },
  }
}

async function until(so: () => boolean): Promise<void> {
  while (!so()) await wait(5)
}

let folder: string
let storage: Storage
let house: TestHouse
let grants: Grants
let alarm: ReturnType<typeof bell>
/** How often it was asked which accounts are due. */
let claims: number

async function open(timer: Timer): Promise<void> {
  const [many, looking] = [manyGrants(), lookingFlow()]
  grants = many.grants
  claims = 0
  const looks = { ...looking.flow, id: 'looks' }
  const [signIn] = PRACTICE.signIns
  house = await openTestHouse({
    flows: [many.flow, looks],
    providers: [PRACTICE, { ...PRACTICE, id: 'looking', signIns: [{ ...signIn, flow: 'looks' }] } as never],
    timer,
    storage: {
      ...storage,
      claim: (table, claim) => {
        if (table === 'accounts') claims += 1
        return storage.claim(table, claim)
      },
    },
  })
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  storage = await openSqlite(join(folder, 'vault.db'))
  alarm = bell()
})
afterEach(async () => {
  await house.close()
  await leave(folder)
})

const connect = (bucket = 'default', provider = 'practice') => house.owner.connect({ provider, bucket })

describe('the schedule', () => {
  beforeEach(async () => {
    await open(alarm.timer)
    alarm.ring()
    await until(() => alarm.sleeps !== undefined)
  })

  it('sleeps while nothing is due, and looks now and then whether somebody else wrote something', async () => {
    expect(alarm.sleeps).toBe(30_000)
    await connect()
    await house.owner.lend({ address: 'practice' })
    const before = claims
    for (let n = 0; n < 5; n += 1) {
      alarm.ring()
      await until(() => alarm.sleeps !== undefined)
      expect(alarm.sleeps).toBe(30_000)
    }
    expect(claims - before).toBe(5)
  })

  it('is woken by what is written to be due earlier', async () => {
    await connect('default', 'looking')
    expect(alarm.sleeps).toBe(5_000)
  })

  it('does what is due when it wakes, and sleeps until the next', async () => {
    await connect()
    await house.owner.lend({ address: 'practice' })
    house.clock.pass({ seconds: HOUR - 5 * 60 })
    alarm.ring()
    await until(() => grants.inAll === 1 && alarm.sleeps !== undefined)
    expect(alarm.sleeps).toBe(30_000)
  })

  it('is not busy over what is due and nobody can do', async () => {
    await connect()
    const [row] = await storage.list('accounts', { owner: 'person:owner' })
    await storage.update('accounts', { owner: 'person:owner', id: row?.id ?? '' }, { dueAt: 0 })
    const sleeps: number[] = []
    storage.claim = async () => []
    for (let n = 0; n < 8; n += 1) {
      alarm.ring()
      await until(() => alarm.sleeps !== undefined)
      sleeps.push(alarm.sleeps ?? 0)
    }
    expect(sleeps).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  })

  it('rests while the vault is locked, and wakes when it is unlocked', async () => {
    const before = claims
    await house.keeper.lock()
    alarm.ring()
    await until(() => alarm.sleeps !== undefined)
    expect([alarm.sleeps, claims]).toEqual([30_000, before])
    await house.keeper.unlock()
    expect(alarm.sleeps).toBe(0)
  })

  it('sets no timer any more once the house is closed', async () => {
    await house.close()
    expect(alarm.sleeps).toBeUndefined()
  })
})

describe('a house that is closed over a renewal of its schedule', () => {
  it('waits for it, so that the answer is kept', async () => {
    await open(usualTimer)
    await connect()
    await house.owner.lend({ address: 'practice' })
    const goOn = Promise.withResolvers<void>()
    grants.meanwhile = () => goOn.promise
    house.clock.pass({ seconds: HOUR - 5 * 60 })
    const ticked = house.tick()
    await until(() => grants.inAll === 1)
    const closed = house.broker.close()
    setTimeout(goOn.resolve, 100)
    await Promise.all([ticked, closed])
    const reopened = await openSqlite(join(folder, 'vault.db'))
    const [row] = await reopened.list('accounts', { owner: 'person:owner' })
    await reopened.close()
    expect(row).toMatchObject({ status: 'connected', askedAt: null, generation: 2 })
  })
})

// A house that is opened and never closed.
const LEFT_OPEN = `
import { openHouse } from ${JSON.stringify(fileURLToPath(new URL('../../open.ts', import.meta.url)))}
await openHouse({ home: process.argv[1], env: {} })
console.log('open')
`

describe('by the real clock', () => {
  it('keeps no process alive', async () => {
    await open(usualTimer)
    const words = ['--input-type=module', '-e', LEFT_OPEN, join(folder, 'home')]
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'], env: {} })
    const said = child.stdout.toArray()
    const [code] = await once(child, 'exit')
    expect([code, Buffer.concat(await said).toString()]).toEqual([0, 'open\n'])
  })

  it('an account is renewed by itself', async () => {
    await open(usualTimer)
    const ticking = setInterval(() => house.clock.pass({ seconds: 0.05 }), 50)
    try {
      grants.lifeSeconds = 3
      await connect()
      await house.owner.lend({ address: 'practice' })
      await until(() => grants.inAll >= 1)
    } finally {
      clearInterval(ticking)
    }
  })
})

describe('the time that a look takes', () => {
  const DUE = 10
  const ROWS = size(20_000, 1_000_000)
  const ROUNDS = 15

  async function fill(from: number, to: number): Promise<void> {
    const [like] = await storage.list('accounts', { owner: 'person:owner', bucket: 'b0' })
    if (like === undefined) throw new Error('there is one to be like')
    for (let at = from; at < to; at += 500) {
      const rows: AccountRow[] = Array.from({ length: Math.min(500, to - at) }, (_, n) => ({
        ...like,
        id: `acct-more-${at + n}`,
        bucket: `more${at + n}`,
        dueAt: n % 10 === 0 ? null : Date.parse('2029-01-01') + (((at + n) * 7919) % 1_000_000),
      }))
      await storage.insert('accounts', rows)
    }
  }

  /** Those that are due are looked at, and nobody uses them. */
  async function lookTakes(): Promise<number> {
    const buckets = Array.from({ length: DUE }, (_, n) => `b${n}`)
    const took: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      house.clock.pass({ seconds: 1 })
      const dueAt = house.clock.now().getTime()
      await storage.update('accounts', { owner: 'person:owner', bucket: { oneOf: buckets } }, { dueAt })
      const begun = performance.now()
      await house.tick()
      took.push(performance.now() - begun)
      const left = await storage.list('accounts', {
        owner: 'person:owner',
        dueAt: { before: dueAt + 200_000 },
      })
      if (left.length > 0) throw new Error('all of them were looked at')
    }
    return took.toSorted((one, other) => one - other)[Math.floor(ROUNDS / 2)] ?? 0
  }

  it(
    'does not grow with how many accounts there are',
    async () => {
      await open(alarm.timer)
      for (let n = 0; n < DUE; n += 1) await connect(`b${n}`)
      await fill(DUE, 200)
      await lookTakes()
      const few = await lookTakes()
      await fill(200, ROWS)
      const many = await lookTakes()
      const ratio = many / few
      report(
        `tick time ratio, ${few.toFixed(1)} ms at 200 rows, ${many.toFixed(1)} ms with rows`,
        ratio.toFixed(2),
        ROWS,
        'sqlite, 10 due',
      )
      expect(ratio).toBeLessThan(4)
    },
    size(120_000, 1_800_000),
  )
})
