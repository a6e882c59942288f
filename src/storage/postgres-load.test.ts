import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { report, size } from '../../test/figures.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import { type BindingRow, EVERY_OWNER, type Rows, type Storage } from '../model/storage.ts'
import { openPostgres } from './postgres.ts'

const ENGINE = new URL('postgres.ts', import.meta.url).href
const ADA = 'person:ada'

let server: PostgresServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

let url: string
let storage: Storage
beforeEach(async () => {
  url = await server.newVault()
  storage = await openPostgres(url)
})
afterEach(() => storage.close())

function binding(id: string): BindingRow {
  return { id, owner: ADA, caller: 'app:one', accountId: 'account', generation: 0, createdAt: 1, until: null }
}

/** The word for what became of it; whatever is no error in words is a mistake. */
async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'done'
  } catch (error) {
    if (error instanceof ValetkeyError) return `${error.code}, ${error.reaction}`
    throw error
  }
}

async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await so())) await wait(10)
}

const COUNTER = { owner: ADA, id: 'counter' } as const

async function countUp(rows: Rows): Promise<void> {
  const read = await rows.get('bindings', COUNTER)
  await rows.update('bindings', COUNTER, { generation: (read?.generation ?? 0) + 1 })
}

describe('a server that is restarted while a broker is at work', () => {
  it(
    'costs errors after which one tries again, and nothing that was acknowledged',
    async () => {
      await storage.insert('bindings', [binding('counter')])
      const [outcomes, kept] = [new Map<string, number>(), [] as string[]]
      let missed = 0
      storage.changes?.((what) => {
        if (what === 'missed') missed += 1
      })
      await until(() => missed === 1)
      let [stopped, counted] = [false, 0]

      async function count(work: Promise<unknown>): Promise<boolean> {
        const what = await outcome(work)
        outcomes.set(what, (outcomes.get(what) ?? 0) + 1)
        return what === 'done'
      }
      const works: readonly ((id: string) => Promise<void>)[] = [
        async (id) => {
          if (await count(storage.insert('bindings', [binding(id)]))) kept.push(id)
        },
        async () => {
          if (await count(storage.transaction('synced', countUp))) counted += 1
        },
        async () => void (await count(storage.claim('accounts', { dueBefore: 1, until: 2, limit: 5 }))),
        async () => {
          const holding = storage.hold(ADA, 'account', 200)
          await count(holding.then((held) => held?.release()))
        },
        async () => void (await count(storage.list('bindings', { owner: ADA }, { limit: 5 }))),
      ]
      const workers = Promise.all(
        [...works, ...works].map(async (work, name) => {
          for (let n = 0; !stopped; n += 1) {
            await work(`${name}-${n}`)
            await wait(1)
          }
        }),
      )

      const rounds = size(2, 20)
      for (let round = 0; round < rounds; round += 1) {
        for (const ending of ['SIGKILL', 'SIGQUIT', 'SIGINT'] as const) {
          const [keptBefore, countedBefore, missedBefore] = [kept.length, counted, missed]
          await until(() => kept.length > keptBefore + 30 && counted > countedBefore + 10)
          await server.stop(ending)
          await wait(round * 100)
          await server.start()
          await until(() => missed > missedBefore)
          await until(() => kept.length > keptBefore + 60 && counted > countedBefore + 20)
        }
      }
      stopped = true
      await workers

      const there = new Set((await storage.list('bindings', { owner: ADA })).map(({ id }) => id))
      const lost = kept.filter((id) => !there.has(id))
      const troubles = [...outcomes.keys()].filter((what) => what !== 'done')
      expect(troubles).toContain('network-error, try-again')
      expect(troubles.filter((what) => !what.endsWith('try-again'))).toEqual([])
      const counter = (await storage.get('bindings', COUNTER))?.generation ?? 0
      report(
        `acknowledged writes lost, Postgres restarted ${rounds * 3} times under load`,
        lost.length,
        kept.length,
        'SIGKILL, SIGQUIT, SIGINT',
      )
      expect(lost).toEqual([])
      expect(counter).toBeGreaterThanOrEqual(counted)
      expect(counter - counted).toBeLessThanOrEqual(outcomes.get('network-error, try-again') ?? 0)
    },
    size(120_000, 900_000),
  )
})

describe('a broker that is killed in the middle of its work', () => {
  it(
    'leaves all that it was acknowledged, and nobody waiting for it',
    async () => {
      const rounds = size(3, 30)
      let [all, missing] = [0, 0]
      for (let round = 0; round < rounds; round += 1) {
        const code = `
        const { openPostgres } = await import(${JSON.stringify(ENGINE)})
        const storage = await openPostgres(process.env.DATABASE_URL)
        for (let n = 0; ; n += 1) {
          const row = { ...${JSON.stringify(binding(''))}, id: '${round}-' + n }
          await storage.transaction('soon', async (rows) => {
            await rows.insert('bindings', [row])
            await rows.list('bindings', { owner: row.owner }, { limit: 1 })
          }, { turn: 'audit' })
          process.stdout.write(row.id + '\\n')
        }`
        const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
          stdio: ['ignore', 'pipe', 'inherit'],
          env: { ...process.env, DATABASE_URL: url },
        })
        const acknowledged: string[] = []
        createInterface(child.stdout).on('line', (id) => acknowledged.push(id))
        await until(() => acknowledged.length > 50)
        child.kill('SIGKILL')
        await once(child, 'close')
        await storage.transaction('synced', (rows) => rows.insert('bindings', [binding(`after ${round}`)]), {
          turn: 'audit',
        })
        const there = new Set((await storage.list('bindings', { owner: EVERY_OWNER })).map(({ id }) => id))
        all += acknowledged.length
        missing += acknowledged.filter((id) => !there.has(id)).length
      }
      report('acknowledged writes lost when their broker was killed', missing, all, 'SIGKILL, real Postgres')
      expect(missing).toBe(0)
    },
    size(120_000, 900_000),
  )
})

describe('connections that are all in use', () => {
  /** As many as there are, each in the middle of something until it is told to go on. */
  async function busy() {
    const { promise: over, resolve: letGo } = Promise.withResolvers<void>()
    let begun = 0
    const works = Array.from({ length: 10 }, () =>
      storage.transaction('soon', async (rows) => {
        await rows.get('bindings', COUNTER)
        begun += 1
        await over
      }),
    )
    await until(() => begun === 10)
    return { letGo, done: Promise.all(works) }
  }

  it('are waited for', async () => {
    const { letGo, done } = await busy()
    const questions = Array.from({ length: 50 }, (_, n) => storage.insert('bindings', [binding(`${n}`)]))
    expect(await Promise.race([...questions, wait(500, 'waiting')])).toBe('waiting')
    letGo()
    await Promise.all([done, ...questions])
    expect(await storage.list('bindings', { owner: ADA })).toHaveLength(50)
  })

  it('are not waited for without end, and are good again as soon as one is free', async () => {
    const { letGo, done } = await busy()
    const begun = performance.now()
    const questions = Array.from({ length: 20 }, () => outcome(storage.list('bindings', { owner: ADA })))
    expect(new Set(await Promise.all(questions))).toEqual(new Set(['resource-exhausted, try-again']))
    expect(performance.now() - begun).toBeLessThan(25_000)
    letGo()
    await done
    expect(await outcome(storage.list('bindings', { owner: ADA }))).toBe('done')
  }, 60_000)

  it('may be all of the server’s, which is told and passes', async () => {
    const others: Client[] = []
    for (;;) {
      const client = new Client({ connectionString: url })
      client.on('error', () => undefined)
      others.push(client)
      if (
        await client.connect().then(
          () => false,
          () => true,
        )
      )
        break
    }
    const questions = Array.from({ length: 20 }, () => outcome(storage.list('bindings', { owner: ADA })))
    const outcomes = new Set(await Promise.all(questions))
    expect(outcomes).toContain('resource-exhausted, try-again')
    outcomes.delete('done')
    expect(outcomes.size).toBe(1)
    await Promise.all(others.map((client) => client.end().catch(() => undefined)))
    await until(async () => (await outcome(storage.list('bindings', { owner: ADA }))) === 'done')
    const again = Array.from({ length: 20 }, () => outcome(storage.list('bindings', { owner: ADA })))
    expect(new Set(await Promise.all(again))).toEqual(new Set(['done']))
  }, 60_000)
})
