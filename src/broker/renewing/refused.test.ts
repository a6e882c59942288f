import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { ForwardAnswer, ForwardRequest } from '../../../client/src/desk.ts'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { until } from '../../../test/real.ts'
import { renewingFlow, type Upstream } from '../../../test/renewing.ts'
import { apiKeyFlow } from '../../flows/api-key.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import {
  type ListeningStandIn,
  type StandInAnswer,
  type StandInRequest,
  standIn,
} from '../../testing/stand-in.ts'

const MEGABYTE = 1024 * 1024
const key = `sk-${canary('openai')}`

let provider: ListeningStandIn
let house: TestHouse
let upstream: Upstream
/** What the provider takes; whatever else is worn is refused. */
let taken: (token: string) => boolean
/** Answers a refusal before the body has come. */
let early = false
/** What comes in meanwhile is answered after this. */
let hold: Promise<void> | undefined

const tokenOf = ({ headers }: StandInRequest) => String(headers['authorization']).replace('Bearer ', '')

async function answer(request: StandInRequest): Promise<StandInAnswer> {
  await hold
  const body = early ? undefined : String(await request.body)
  if (taken(tokenOf(request))) return { body: { method: request.method, length: body?.length, body } }
  return {
    status: 401,
    headers: { 'valetkey-error': 'locked', 'valetkey-retry': 'x' },
    body: { error: 'who?' },
  }
}

beforeEach(async () => {
  early = false
  const forbidden = { status: 403, body: 'no' }
  provider = await standIn({ '/v1/models': { body: {} }, '/forbidden': forbidden, '*': answer }).listen()
  const made = renewingFlow()
  upstream = made.upstream
  const origins = { practice: provider.origin, openai: provider.origin }
  house = await openTestHouse({ flows: [apiKeyFlow, made.flow], providers: [PRACTICE], origins })
  await house.owner.connect({ provider: 'practice' })
  taken = (token) => token === upstream.token
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const forward = (request: Partial<ForwardRequest> = {}) =>
  house.owner.forward({ address: 'practice', method: 'GET', path: '/me', ...request })
const toldBy = ({ headers }: ForwardAnswer) => Object.fromEntries(headers)['valetkey-retry']
const textOf = ({ body }: ForwardAnswer) => new Response(body).text()
const detail = async () =>
  (await house.owner.audit({ verb: 'forward' }))[0]?.detail?.replace(/, lease-\S+$/, '')
const sent = () => provider.requests.filter(({ path }) => path === '/me')

/** The provider takes none of what it has issued so far. */
function forgetAll(): void {
  const dead = upstream.token
  taken = (token) => token !== dead && token === upstream.token
}

describe('what the provider refuses as unauthorized', () => {
  it('is renewed once and sent once more', async () => {
    forgetAll()
    const got = await forward({ method: 'POST', body: '{"a":1}' })
    expect([got.status, JSON.parse(await textOf(got))]).toEqual([
      200,
      { method: 'POST', length: 7, body: '{"a":1}' },
    ])
    expect([toldBy(got), upstream.asked, sent().length]).toEqual([undefined, 1, 2])
    expect(await detail()).toBe('POST 200, renewed')
    expect((await house.owner.audit({ verb: 'refresh' })).map(({ outcome }) => outcome)).toEqual([
      'done',
      'opened',
    ])
    expect(await house.owner.leases()).toMatchObject([{ count: 1 }])
    expect(await house.owner.usage()).toMatchObject([{ forwards: 1 }])
  })

  it.each(['PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'])('is sent once more by %s, too', async (method) => {
    forgetAll()
    expect((await forward({ method })).status).toBe(200)
    expect(sent().map((one) => one.method)).toEqual([method, method])
  })

  it('is renewed once for all who were refused with the same token', async () => {
    forgetAll()
    const all = await Promise.all(Array.from({ length: 50 }, () => forward()))
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200))
    expect(upstream.asked).toBe(1)
    await Promise.all(all.map(textOf))
  })

  it('is renewed once also for whoever hears of it when all is done', async () => {
    const dead = upstream.token
    const held = Promise.withResolvers<void>()
    taken = (token) => token !== dead && token === upstream.token
    hold = held.promise
    const slow = forward()
    await until(() => sent().length === 1)
    hold = undefined
    await textOf(await forward())
    held.resolve()
    expect((await slow).status).toBe(200)
    expect(upstream.asked).toBe(1)
  })

  it('is passed on when it is refused again, and says so beside it', async () => {
    taken = () => false
    const got = await forward()
    expect([got.status, await textOf(got), toldBy(got)]).toEqual([401, '{"error":"who?"}', 'refused-again'])
    expect(got.headers.map(([name]) => name)).not.toContain('valetkey-error')
    expect([upstream.asked, sent().length]).toEqual([1, 2])
    expect(await detail()).toBe('GET 401, refused-again')
    expect(await house.owner.accounts()).toMatchObject([{ status: 'connected' }])
  })

  it('is not renewed over and over where renewing does not help', async () => {
    taken = () => false
    for (let n = 0; n < 5; n += 1) await textOf(await forward())
    const got = await forward()
    expect([toldBy(got), upstream.asked]).toEqual(['not-renewed', 1])
    house.clock.pass({ minutes: 5 })
    expect([toldBy(await forward()), upstream.asked]).toEqual(['refused-again', 2])
  })

  it('is passed on as it came where the renewal fails, which ends nothing', async () => {
    forgetAll()
    upstream.meanwhile = async () => {
      throw new ValetkeyError('server-error', 'the provider has trouble')
    }
    const got = await forward()
    expect([got.status, toldBy(got), await textOf(got)]).toEqual([401, 'not-renewed', '{"error":"who?"}'])
    expect(await house.owner.accounts()).toMatchObject([{ status: 'failing' }])
  })

  it('is passed on where the grant is found to be over, and the account says so', async () => {
    forgetAll()
    upstream.kept = 'of somebody else'
    const got = await forward()
    expect([got.status, toldBy(got)]).toEqual([401, 'not-renewed'])
    expect(await house.owner.accounts()).toMatchObject([
      { status: 'needs-reauth', reason: 'it was used before' },
    ])
  })

  it('is passed on where nothing can be renewed', async () => {
    await house.owner.connect({ provider: 'openai', fields: { key: new Secret(key) } })
    taken = () => false
    const got = await forward({ address: 'openai' })
    expect([got.status, toldBy(got), sent().length]).toEqual([401, 'not-renewable', 1])
  })

  it('is nothing but a 401', async () => {
    const got = await forward({ path: '/forbidden' })
    expect([got.status, toldBy(got), upstream.asked]).toEqual([403, undefined, 0])
    await got.body?.cancel()
  })

  it('is cut off like anything else when its account is revoked meanwhile', async () => {
    forgetAll()
    const reached = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    upstream.meanwhile = async () => {
      reached.resolve()
      await goOn.promise
    }
    const refused = refusal(forward())
    await reached.promise
    const revoked = house.owner.revoke('practice')
    await until(async () => (await house.owner.accounts()).length === 0)
    goOn.resolve()
    await revoked
    expect(await refused).toMatchObject({ code: 'cancelled' })
  })
})

/** So many bytes in pieces; `endless` never says that it is over. */
function pieces(bytes: number, { endless = false, everyMs = 0 } = {}): ReadableStream<Uint8Array> {
  let left = bytes
  return new ReadableStream({
    async pull(controller) {
      if (everyMs > 0) await wait(everyMs)
      if (left <= 0) return endless ? new Promise(() => {}) : controller.close()
      const size = Math.min(left, 64 * 1024)
      controller.enqueue(new Uint8Array(size).fill(97))
      left -= size
    },
  })
}

describe('a body', () => {
  it.each([
    ['that streams in', () => pieces(300_000)],
    ['of a megabyte', () => pieces(MEGABYTE)],
    ['in one piece', () => new Uint8Array(300_000).fill(97)],
    ['that is empty', () => pieces(0)],
  ])('%s is sent once more', async (_, body) => {
    forgetAll()
    const got = await forward({ method: 'POST', body: body() })
    expect(got.status).toBe(200)
    const [first, second] = await Promise.all(sent().map((request) => request.body))
    expect(second?.equals(first ?? Buffer.from('none'))).toBe(true)
    expect(JSON.parse(await textOf(got)).length).toBe(first?.length)
  })

  it.each([
    ['streams', () => pieces(MEGABYTE + 1)],
    ['is in memory', () => new Uint8Array(MEGABYTE + 1)],
  ])('that is longer and %s is not, and the answer says so', async (_, body) => {
    forgetAll()
    const got = await forward({ method: 'POST', body: body() })
    expect([got.status, toldBy(got), sent().length]).toEqual([401, 'not-repeated', 1])
    expect(await detail()).toBe('POST 401, not-repeated')
    await textOf(got)
    expect((await forward({ method: 'POST', body: body() })).status).toBe(200)
    expect(upstream.asked).toBe(1)
  })

  it('is sent once more whole when the provider did not wait for the rest of it', async () => {
    early = true
    forgetAll()
    const got = await forward({ method: 'POST', body: pieces(600_000, { everyMs: 10 }) })
    expect([got.status, toldBy(got)]).toEqual([200, undefined])
    const [, second] = sent()
    expect((await second?.body)?.length).toBe(600_000)
    await textOf(got)
  })

  it('that goes on and on is not waited for', async () => {
    early = true
    forgetAll()
    const got = await forward({ method: 'POST', body: pieces(1000, { endless: true }) })
    expect([got.status, toldBy(got), sent().length]).toEqual([401, 'not-repeated', 1])
    await got.body?.cancel()
  })
})

describe('whoever was lent a token that the provider refuses', () => {
  const lend = (refused?: Secret, desk = house.owner) =>
    desk.lend({ address: 'practice', ...(refused && { refused }) })

  beforeEach(async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    house.clock.pass({ minutes: 2 })
  })

  it('says which one it was, and is lent another', async () => {
    const app = house.as('app:reports')
    const { token } = await lend(undefined, app)
    const next = await lend(token, app)
    expect(next.token.reveal()).not.toBe(token.reveal())
    expect([next.token.reveal(), upstream.asked]).toEqual([upstream.token, 1])
  })

  it('causes one renewal, however many say so', async () => {
    const { token } = await lend()
    const lent = await Promise.all(Array.from({ length: 20 }, () => lend(token)))
    expect(new Set(lent.map((one) => one.token.reveal()))).toEqual(new Set([upstream.token]))
    expect((await lend(token)).token.reveal()).toBe(upstream.token)
    expect((await lend(new Secret(canary('another')))).token.reveal()).toBe(upstream.token)
    expect(upstream.asked).toBe(1)
  })

  it('is told so when one that was only just issued is refused as well', async () => {
    const { token } = await lend()
    const next = await lend(token)
    expect(await refusal(lend(next.token))).toEqual({
      code: 'invalid-token',
      message: 'the provider refuses the access to practice, renewed or not',
      hint: 'valetkey reconnect practice',
    })
    expect(upstream.asked).toBe(1)
  })

  it('switches off nobody else’s renewal by saying so', async () => {
    const app = house.as('app:reports')
    const { token } = await lend(undefined, app)
    const next = await lend(token, app)
    expect(await refusal(lend(next.token, app))).toMatchObject({ code: 'invalid-token' })
    forgetAll()
    const got = await forward()
    expect([got.status, toldBy(got), upstream.asked]).toEqual([200, undefined, 2])
    await textOf(got)
  })

  it('has one renewed in five minutes and no more, which counts for that caller alone', async () => {
    const app = house.as('app:reports')
    for (let minutes = 0; minutes < 15; minutes += 1) {
      await lend((await lend(undefined, app)).token, app).catch(() => undefined)
      house.clock.pass({ minutes: 1 })
    }
    expect(upstream.asked).toBe(3)
    await lend((await lend()).token)
    expect(upstream.asked).toBe(4)
  })
})
