import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AuditVerb } from '#client'
import { report } from '../../test/figures.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import { INSTALLATION, type OwnerId, THE_PERSON } from '../model/caller.ts'
import type { Anchor, AuditChain, NewEntry } from '../model/gate.ts'
import { EVERY_OWNER, type Storage } from '../model/storage.ts'
import type { VaultKeeper } from '../model/vault.ts'
import { openPostgres } from '../storage/postgres.ts'
import { canaryBytes } from '../testing/canary.ts'
import { environmentSource } from '../vault/sources/environment.ts'
import { openVault } from '../vault/vault.ts'
import { auditChain } from './chain.ts'

/** One of several brokers: a machine of its own with an anchor of its own, at one database. */
interface Broker {
  readonly storage: Storage
  readonly keeper: VaultKeeper
  readonly anchor: Anchor
  readonly log: string[]
  /** What its syncs wait for, while set. */
  stuck: Promise<void> | undefined
  chain: AuditChain
}

const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url') }

let server: PostgresServer
let url: string
let brokers: Broker[]
let time: number

beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server.close())

beforeEach(async () => {
  time = Date.parse('2026-11-20T12:00:00Z')
  url = await server.newVault()
  brokers = []
})
afterEach(async () => {
  for (const { chain, storage } of brokers) {
    await chain.pause()
    await storage.close()
  }
})

describe('one record that several brokers write to', () => {
  it('holds everything that any of them was told is written, each once and in one order', async () => {
    const three = [await newBroker(), await newBroker(), await newBroker()]
    const begun = performance.now()
    const seqs = await Promise.all(
      three.map(async ({ chain }, n) => {
        const mine: number[] = []
        for (let round = 0; round < 25; round += 1) {
          const verbs: AuditVerb[] = round % 5 === n ? ['bind', 'lend'] : ['lend', 'forward']
          mine.push(
            ...(await Promise.all(verbs.map((verb) => chain.append(entry(verb, { target: `${n}` }))))),
          )
        }
        return mine
      }),
    )
    const seconds = (performance.now() - begun) / 1000
    report('batches of three brokers in one record', `${Math.round(75 / seconds)}/s`, 75, 'real Postgres')
    expect(seqs.flat().toSorted((one, other) => one - other)).toEqual(upTo(150))
    for (const mine of seqs) expect(mine).toEqual(mine.toSorted((one, other) => one - other))
    for (const { chain } of three)
      expect(await chain.verify()).toMatchObject({ ok: true, entries: 150, problems: [] })
  })

  it('is the same to a broker that was idle or away while others wrote and pruned', async () => {
    const [idle, away, busy] = [await newBroker(), await newBroker(), await newBroker()]
    await idle.chain.append(entry('bind'))
    await away.chain.append(entry('bind'))
    await away.chain.pause()
    for (let n = 0; n < 5; n += 1) await busy.chain.append(entry('bind'))
    time += 60_000
    await busy.chain.prune(new Date(time))
    for (const { chain } of [idle, busy]) expect(await chain.verify()).toMatchObject({ ok: true })
    await away.chain.resume()
    expect(away.chain.restored).toBe(false)
    expect(await idle.chain.append(entry('lend'))).toBe(9)
    expect(await away.chain.append(entry('lend'))).toBe(10)
    for (const { chain } of brokers) expect(await chain.verify()).toMatchObject({ ok: true, entries: 3 })
  })

  it('stays whole to all when one of them erased an owner', async () => {
    const [one, other] = [await newBroker(), await newBroker()]
    await one.chain.append(entry('bind'))
    await other.chain.append(entry('bind', { owner: 'person:bob' }))
    await other.chain.append(entry('erase-owner', { target: 'person:bob', outcome: 'opened' }))
    await other.keeper.eraseOwner('person:bob')
    for (const { chain } of [one, other]) expect(await chain.verify()).toMatchObject({ ok: true, entries: 3 })
    const third = await newBroker()
    await one.chain.pause()
    await one.chain.resume()
    expect([one.chain.restored, third.chain.restored]).toEqual([false, true])
    await third.chain.acceptRestore()
    expect(await third.chain.verify()).toMatchObject({ ok: true })
  })

  it('[security 20.3] shows a line that somebody without a key put in behind the last one', async () => {
    const [one, other] = [await newBroker(), await newBroker()]
    await one.chain.append(entry('bind'))
    await one.chain.pause()
    const last = await other.storage.get('audit', { owner: EVERY_OWNER, seq: 1 })
    if (last === undefined) throw new Error('there is no entry 1')
    const forged = { ...last, seq: 2, owner: 'person:nobody', keyId: 'none' } as const
    await other.storage.insert('audit', [forged])
    expect((await other.chain.verify()).problems).toContain('entry 2 was changed')
    await one.chain.resume()
    expect(one.chain.restored).toBe(true)
  })

  it('goes on when the server crashed and lost what it had not synced', async () => {
    const [one, other] = [await newBroker(), await newBroker()]
    await one.chain.append(entry('bind'))
    await other.chain.append(entry('bind'))
    await settledBy(one, other)
    const { promise: stuck, reject: unstick } = Promise.withResolvers<void>()
    stuck.catch(() => undefined)
    for (const broker of [one, other]) broker.stuck = stuck
    const pid = await logWriter()
    process.kill(pid, 'SIGSTOP')
    const lost = await Promise.all([1, 2, 3].map(() => one.chain.append(entry('lend'))))
    expect(lost).toEqual([3, 4, 5])
    process.kill(pid, 'SIGKILL')
    while ((await logWriter().catch(() => pid)) === pid) await wait(50)
    for (const broker of [one, other]) broker.stuck = undefined
    unstick(new Error('i/o error'))
    const [kept] = await one.storage.list(
      'audit',
      { owner: EVERY_OWNER },
      { orderBy: 'seq', descending: true, limit: 1 },
    )
    expect(kept?.seq).toBe(2)
    expect(await one.chain.verify()).toMatchObject({ ok: true, head: 2 })
    expect(await other.chain.append(entry('lend'))).toBe(3)
    expect(await one.chain.append(entry('bind'))).toBe(4)
    for (const { chain } of [one, other]) {
      expect(chain.restored).toBe(false)
      expect(await chain.verify()).toMatchObject({ ok: true, entries: 4, problems: [] })
      await chain.pause()
      await chain.resume()
      expect(chain.restored).toBe(false)
    }
  })

  it('[security 19.3] is refused by each of them once its end was taken away, until that is accepted', async () => {
    const [one, other] = [await newBroker(), await newBroker()]
    for (let n = 0; n < 3; n += 1) for (const { chain } of [one, other]) await chain.append(entry('bind'))
    await server.ask(url, 'delete from audit where seq > 3')
    for (const { chain } of [one, other]) {
      await expect(chain.append(entry('lend'))).rejects.toMatchObject({
        code: 'vault-restored',
        hint: 'valetkey vault accept-restore',
      })
      expect(chain.restored).toBe(true)
      expect(await chain.verify()).toMatchObject({ ok: false })
    }
    for (const { chain } of [one, other]) await chain.acceptRestore()
    expect(await one.chain.append(entry('lend'))).toBe(6)
    expect(await other.chain.append(entry('lend'))).toBe(7)
    for (const { chain } of [one, other]) expect(await chain.verify()).toMatchObject({ ok: true, entries: 7 })
    const [accepted] = await one.chain.read(INSTALLATION, {})
    expect(accepted).toMatchObject({ verb: 'accept-restore' })
  })
})

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n + 1)
}

async function newBroker(): Promise<Broker> {
  const real = await openPostgres(url)
  const storage: Storage = { ...real, sync: () => broker.stuck ?? real.sync() }
  const keeper = await openVault({
    storage,
    sources: () => environmentSource(env),
    preferred: 'environment',
    now,
    newId: () => crypto.randomUUID(),
  })
  await keeper.unlock()
  const anchor = keptAnchor()
  const log: string[] = []
  const chain = auditChain({ storage, vault: keeper.vault, anchor, now, log: (line) => log.push(line) })
  const broker: Broker = { storage, keeper, anchor, log, stuck: undefined, chain }
  brokers.push(broker)
  await chain.resume()
  return broker
}

function keptAnchor(): Anchor {
  let kept: Uint8Array | undefined
  return {
    read: async () => kept,
    write: async (bytes) => {
      kept = bytes
    },
  }
}

/** Each has its anchor where the record stands now. */
async function settledBy(...all: readonly Broker[]): Promise<void> {
  for (const { chain } of all) {
    await chain.pause()
    await chain.resume()
  }
}

/** The server's process that writes to the disk what nobody waits for; gone while the server is. */
async function logWriter(): Promise<number> {
  const [found] = await server.ask(url, `select pid from pg_stat_activity where backend_type = 'walwriter'`)
  if (found === undefined) throw new Error('the server is not up')
  return Number(found['pid'])
}

function entry(verb: AuditVerb, more: Partial<NewEntry> & { owner?: OwnerId } = {}): NewEntry {
  return {
    owner: THE_PERSON,
    caller: 'app:agent',
    proof: 'test',
    verb,
    target: 'github',
    outcome: 'done',
    ...more,
  }
}

function now(): Date {
  return new Date(time)
}
