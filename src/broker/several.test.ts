import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { type Endless, endlessProvider } from '../../test/endless.ts'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { openServer, type PostgresServer } from '../../test/postgres.ts'
import { PRACTICE } from '../../test/practice.ts'
import { renewingFlow, type Upstream } from '../../test/renewing.ts'
import type { CallerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import type { ValetkeyEvent } from '../model/words.ts'
import { canaryBytes } from '../testing/canary.ts'

const env = { VALETKEY_KEY: canaryBytes('mk', 32).toString('base64url') }

let server: PostgresServer
let provider: Endless
let url: string
let upstream: Upstream
let one: TestHouse
let other: TestHouse
let ears: { stop(): Promise<void> }[]

beforeAll(async () => {
  server = await openServer()
  provider = await endlessProvider()
})
afterAll(async () => {
  await provider.close()
  await server.close()
})

beforeEach(async () => {
  url = await server.newVault()
  ears = []
  const made = renewingFlow()
  upstream = made.upstream
  const open = () =>
    openTestHouse({
      env: { ...env, DATABASE_URL: url },
      flows: [made.flow],
      providers: [PRACTICE],
      origins: { practice: provider.origin },
    })
  one = await open()
  other = await open()
})
afterEach(async () => {
  for (const { stop } of ears) await stop()
  await one.close()
  await other.close()
})

const lend = async ({ owner }: TestHouse) => (await owner.lend({ address: 'practice' })).token.reveal()

function pass(seconds: number): void {
  for (const { clock } of [one, other]) clock.pass({ seconds })
}

async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await so())) await wait(10)
}

/** Stops the next renewal in its middle, until it is let go on. */
function stopped() {
  const [there, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  upstream.meanwhile = async () => {
    upstream.meanwhile = async () => {}
    there.resolve()
    await goOn.promise
  }
  return { there: there.promise, goOn: goOn.resolve }
}

function heardBy({ owner }: TestHouse): readonly ValetkeyEvent[] {
  const all: ValetkeyEvent[] = []
  const stop = new AbortController()
  const done = (async () => {
    for await (const event of owner.events({ signal: stop.signal })) all.push(event)
  })()
  ears.push({
    stop: async () => {
      stop.abort()
      await done
    },
  })
  return all
}

const named = (events: readonly ValetkeyEvent[]) => events.map(({ name }) => name)

describe('two brokers of one database', () => {
  it('say where the vault lies, and nothing by which one gets in', async () => {
    const { host, pathname, password } = new URL(url)
    const [status, same] = [await one.keeper.status(), await other.keeper.status()]
    expect(status).toMatchObject({ engine: 'postgres', home: `${host}${pathname}`, locked: false })
    expect([same.id, same.socket === status.socket]).toEqual([status.id, false])
    expect(JSON.stringify(status)).not.toContain(password)
  })

  it('ask a provider once for all their callers, with one line on record', async () => {
    await one.owner.connect({ provider: 'practice' })
    pass(3600)
    const { there, goOn } = stopped()
    const all = Promise.all(Array.from({ length: 60 }, (_, n) => lend(n % 2 === 0 ? one : other)))
    await there
    await wait(200)
    goOn()
    expect(new Set(await all)).toEqual(new Set([upstream.token]))
    expect(upstream.asked).toBe(1)
    for (const { owner, keeper } of [one, other]) {
      const entries = await owner.audit({ verb: 'refresh', limit: 1000 })
      expect(entries.map(({ outcome }) => outcome)).toEqual(['done', 'opened'])
      expect(await keeper.verifyAudit()).toMatchObject({ ok: true })
    }
  })

  it('do it again and again, whoever comes first', async () => {
    await other.owner.connect({ provider: 'practice' })
    for (let round = 1; round <= 10; round += 1) {
      pass(3600)
      const lent = await Promise.all([one, other, one, other].map(lend))
      expect(new Set(lent)).toEqual(new Set([upstream.token]))
      expect(upstream.asked).toBe(round)
    }
  })

  it('hand out what is still alive while the other one is at it for long', async () => {
    await one.owner.connect({ provider: 'practice' })
    pass(3600 - 30)
    const { token } = upstream
    const { there, goOn } = stopped()
    const renewing = lend(one)
    await there
    expect(await lend(other)).toBe(token)
    pass(30)
    const waiting = lend(other)
    expect(await Promise.race([waiting, wait(500)])).toBeUndefined()
    goOn()
    expect(await renewing).toBe(upstream.token)
    expect([await waiting, upstream.asked]).toEqual([upstream.token, 1])
  })

  it('succeed one that died over a renewal, when its time is over', async () => {
    await one.owner.connect({ provider: 'practice' })
    pass(3600)
    const { there, goOn } = stopped()
    const slow = lend(one)
    await there
    const successor = lend(other)
    const { kept } = upstream
    expect(await Promise.race([successor, wait(300)])).toBeUndefined()
    const [lease] = await server.ask(url, 'select * from "rowLeases"')
    expect(Number(lease?.['until']) - Date.now()).toBeGreaterThan(50_000)

    // It was only slow: what it brings back in the end is the grant, which the successor took for lost.
    upstream.meanwhile = async () => {
      upstream.meanwhile = async () => {}
      upstream.kept = kept
      throw new ValetkeyError('access-revoked', 'it was used before')
    }
    const [mine, his] = [heardBy(one), heardBy(other)]
    await server.ask(url, 'update "rowLeases" set until = 0')
    expect(await refusal(successor)).toMatchObject({ code: 'needs-reauth' })
    await until(() => mine.length > 0 && his.length > 0)
    goOn()
    expect(await slow).toBe(upstream.token)
    expect(await lend(other)).toBe(upstream.token)
    await until(() => mine.length > 1 && his.length > 1)
    const told = ['needs-reauth', 'connected']
    expect([named(mine), named(his)]).toEqual([told, told])
    expect([upstream.asked, upstream.ended]).toEqual([2, []])
  })

  it('hand out nothing any more of what one of them found to be over, however alive', async () => {
    await one.owner.connect({ provider: 'practice' })
    pass(3600 - 30)
    upstream.kept = 'of somebody else'
    const { there, goOn } = stopped()
    const refused = [refusal(lend(one))]
    await there
    refused.push(refusal(lend(other)))
    await wait(200)
    goOn()
    for (const one of await Promise.all(refused)) expect(one).toMatchObject({ code: 'needs-reauth' })
    expect(upstream.asked).toBe(1)
  })

  it('never take from a successor what he has in hand', async () => {
    await one.owner.connect({ provider: 'practice' })
    pass(3600)
    const first = stopped()
    const slow = lend(one).catch(() => undefined)
    await first.there
    await server.ask(url, 'update "rowLeases" set until = 0')
    const second = stopped()
    const successor = lend(other).catch(() => undefined)
    await second.there
    first.goOn()
    await slow
    expect(await server.ask(url, 'select 1 from "rowLeases"')).toHaveLength(1)
    second.goOn()
    await successor
    expect(await server.ask(url, 'select 1 from "rowLeases"')).toHaveLength(0)
  })

  it('stop lending at once what one of them revoked', async () => {
    await one.owner.connect({ provider: 'practice' })
    await lend(other)
    await one.owner.revoke('practice')
    expect(await refusal(other.owner.lend({ address: 'practice' }))).toMatchObject({ code: 'not-connected' })
  })

  it('tell each other’s listeners of every change of state, once', async () => {
    const [here, there] = [heardBy(one), heardBy(other)]
    await one.owner.connect({ provider: 'practice' })
    await until(() => there.length === 1)
    pass(3600)
    await lend(other)
    upstream.kept = 'of somebody else'
    pass(3600)
    await refusal(lend(other))
    await until(() => here.length === 2)
    await one.owner.reconnect('practice')
    await until(() => there.length === 3)
    await other.owner.revoke('practice')
    await until(() => here.length === 4)
    await wait(50)
    expect(named(here)).toEqual(['connected', 'needs-reauth', 'connected', 'revoked'])
    expect(named(there)).toEqual(named(here))
    expect(here[1]).toMatchObject({ account: { status: 'needs-reauth', reason: 'it was used before' } })
  })

  it('ask the owner wherever they listen, tell whoever waits, and take once for once among them', async () => {
    await one.owner.connect({ provider: 'practice' })
    // The other one may still have to hear that it is connected.
    const [here, there] = [heardBy(one), heardBy(other)]
    const asks = (events: readonly ValetkeyEvent[]) => named(events).filter((name) => name !== 'connected')
    const reason = 'weekly report'
    const app = [one, other].map((house) => house.as('app:reports'))
    const asked = await app[0]?.ask({ address: 'practice', may: ['lend'], reason })
    const { id = '' } = asked ?? {}
    await until(() => asks(there).length === 1)
    expect(await other.owner.asks()).toEqual([asked])
    const waiting = app[0]?.asked(id, 30)
    const decided = await other.owner.decide(id, 'once')
    expect(await waiting).toEqual(decided)
    const uses = app.flatMap((desk) => Array.from({ length: 10 }, () => desk.lend({ address: 'practice' })))
    const came = (await Promise.allSettled(uses)).filter(({ status }) => status === 'fulfilled')
    expect(came).toHaveLength(1)
    await until(() => asks(here).length >= 3 && asks(there).length >= 3)
    await wait(50)
    const asking = ['asked', 'decided', 'asked']
    expect([asks(here), asks(there)]).toEqual([asking, asking])
  })

  it('know the callers that were narrowed at any of them, and cut off whom one of them ended', async () => {
    await one.owner.connect({ provider: 'practice' })
    const grants = [{ address: 'practice', may: ['lend', 'forward'] }] as const
    const { key, secret } = await one.owner.narrow({ kind: 'key', grants })
    const known = () => other.broker.recognise(secret ?? new Secret(''), { door: 'http' })
    expect(await known()).toMatchObject({ id: key.id })
    const caller = key.id as CallerId
    await other.as(caller).lend({ address: 'practice' })
    const { body } = await other.as(caller).forward({ address: 'practice', method: 'GET', path: '/endless' })
    const over = (async () => {
      for await (const _ of body ?? []);
    })().catch((error: { code: string }) => error.code)
    await until(() => provider.open() === 1)
    const ended = Date.now()
    await one.owner.endKey(key.id)
    expect(await over).toBe('cancelled')
    expect(Date.now() - ended).toBeLessThan(1_500)
    expect(await known()).toBeUndefined()
    expect(await refusal(other.as(caller).lend({ address: 'practice' }))).toMatchObject({
      code: 'not-connected',
    })
    expect(await other.owner.keys()).toEqual([])
  })

  it('take away the socket of whom one of them ended', async () => {
    await one.owner.connect({ provider: 'practice' })
    const open = new Map<string, string>()
    await other.broker.listenAt({
      open: async ({ id }) => {
        open.set(id, `/nowhere/${id}`)
        return `/nowhere/${id}`
      },
      close: async (id) => void open.delete(id),
    })
    const grants = [{ address: 'practice', may: ['lend'] }] as const
    const { key } = await other.owner.narrow({ kind: 'socket', grants })
    expect([...open.keys()]).toEqual([key.id])
    // Where several have the vault, one that is gone for good ends nobody; then time does.
    expect(key.until).toEqual(new Date(other.clock.now().getTime() + 24 * 3_600_000))
    await one.owner.endKey(key.id)
    await until(() => open.size === 0)
  })

  it('forget whom one of them erased, and what was told of him', async () => {
    const [before] = [heardBy(other)]
    await one.owner.connect({ provider: 'practice' })
    await until(() => before.length === 1)
    await lend(other)
    await one.keeper.eraseOwner('person:owner')
    expect(await other.owner.accounts()).toEqual([])
    await until(async () => (await told(other, '0-0')).length === 0)
    await other.owner.connect({ provider: 'practice' })
    expect(await lend(one)).toBe(upstream.token)
    for (const { keeper } of [one, other]) expect(await keeper.verifyAudit()).toMatchObject({ ok: true })
  })

  it('say why they are locked when one of them gave the vault a key that the other cannot have', async () => {
    await one.owner.connect({ provider: 'practice' })
    await one.keeper.rekey({ source: 'file' })
    await until(async () => (await other.keeper.status()).locked)
    expect(await refusal(other.owner.accounts())).toMatchObject({
      code: 'locked',
      message: expect.stringMatching(/^another broker gave the vault a new key, which cannot be had here/),
      hint: 'valetkey vault unlock',
    })
    expect(await one.owner.accounts()).toHaveLength(1)
  })
})

/** What a listener is told who was away since. */
async function told({ owner }: TestHouse, after: string): Promise<readonly ValetkeyEvent[]> {
  const stop = AbortSignal.timeout(50)
  const all: ValetkeyEvent[] = []
  for await (const event of owner.events({ after, signal: stop })) all.push(event)
  return all
}
