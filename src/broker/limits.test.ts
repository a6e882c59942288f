import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Limits } from '../../client/src/words.ts'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import type { CallerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type ListeningStandIn, standIn } from '../testing/stand-in.ts'

const APP = 'app:reports'

let provider: ListeningStandIn
let house: TestHouse

beforeEach(async () => {
  provider = await standIn({ '/gone': { hangUp: true }, '*': { body: { ok: true } } }).listen()
  house = await openTestHouse({ origins: { openai: provider.origin } })
  await house.owner.connect({ provider: 'openai', fields: { key: new Secret(`sk-${canary('openai')}`) } })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const hold = (limits: Limits) =>
  house.owner.bind({ caller: APP, address: 'openai', may: ['forward', 'reveal'], asks: 'never', limits })

async function use(path = '/v1/models', method = 'GET', headers: Record<string, string> = {}) {
  const answer = await house.as(APP).forward({ address: 'openai', method, path, headers })
  await answer.body?.cancel()
  return answer.status
}

const came = () => provider.requests.slice(1).map(({ method, path }) => `${method} ${path}`)

describe('a caller that may make certain requests only', () => {
  const only = ['GET /v1/files/*', 'POST /v1/chat', '/v1/models/:id/:what?']

  it.each([
    ['GET', '/v1/files/a'],
    ['GET', '/v1/files/a/b?x=/../y'],
    ['GET', '/v1/files/'],
    ['GET', '/v1/files/a%20b'],
    ['GET', '/v1/files/caf%C3%A9'],
    ['GET', '/v1/files/a;v=1'],
    ['GET', '/v1/files/..a'],
    ['GET', '/v1/files/...'],
    ['GET', 'https://api.openai.com/v1/files/a'],
    ['POST', '/v1/chat'],
    ['POST', '/v1/chat?stream=1'],
    ['DELETE', '/v1/models/x'],
    ['PATCH', '/v1/models/x/y'],
  ])('makes those: %s %s', async (method, path) => {
    await hold({ only })
    expect(await use(path, method)).toBe(200)
    expect(came()).toHaveLength(1)
  })

  it.each([
    ['GET', '/v1/chat'],
    ['PUT', '/v1/chat'],
    ['HEAD', '/v1/files/a'],
    ['get', '/v1/chat'],
    ['post', '/v2/chat'],
    ['POST', '/v1/chat/'],
    ['POST', '/v1/chat2'],
    ['POST', '/V1/chat'],
    ['GET', '/v1/file'],
    ['GET', '/'],
    ['GET', ''],
    ['DELETE', '/v1/models/x/y/z'],
    ['DELETE', '/v1/models/'],
    ['GET', 'https://api.openai.com/v1/other'],
  ])('makes no other: %s %s', async (method, path) => {
    await hold({ only })
    expect(await refusal(use(path, method))).toMatchObject({ code: 'not-allowed' })
    expect(came()).toEqual([])
  })

  const inside = '/v1/files'
  const ATTACKS = [
    ...['..', '.', '%2e%2e', '%2E%2E', '.%2e', '%2e.', '%2e', '%2E'].flatMap((dots) => [
      `${inside}/${dots}/secrets`,
      `${inside}/${dots}`,
    ]),
    `${inside}/../../admin`,
    `${inside}/a/../../secrets`,
    `/v1/chat/../files/x`,
    `/../v1/files/x`,
    ...['%2f', '%2F', '%5c', '%5C', '\\'].flatMap((slash) => [
      `${inside}/..${slash}secrets`,
      `${inside}/a${slash}..${slash}..${slash}secrets`,
      `${inside}${slash}..${slash}secrets`,
    ]),
    ...['%252e%252e', '%252f', '%25', '%2525', '%c0%ae%c0%ae', '%c0%af', '%e0%80%af', '%f0%80%80%af'].map(
      (coded) => `${inside}/${coded}/secrets`,
    ),
    ...['%ef%bc%8f', '%ef%bc%8e%ef%bc%8e', '%e2%80%a4%e2%80%a4', '%ef%bc%bc', '%e2%84%80'].map(
      (wide) => `${inside}/x/${wide}/y`,
    ),
    ...['%00', '%0a', '%0d%0a', '%09', '%1f', '%7f', '\0', '\t', '\n', '\r', '\u0085', ' '].map(
      (control) => `${inside}/a${control}b`,
    ),
    ...['..;', '..;x=y', '.;', '%2e%2e;', '..%3b'].map((parameter) => `${inside}/${parameter}/secrets`),
    ...['?', '#'].map((end) => `${inside}/a%${end.charCodeAt(0).toString(16)}b`),
    `${inside}/a#b`,
    `${inside}//secrets`,
    `//v1/files/x`,
    `/v1//files/x`,
    `${inside}/%`,
    `${inside}/%zz`,
    `${inside}/%u002e%u002e/x`,
    `${inside}/．．/secrets`,
    `${inside}/a／b`,
    `${inside}/é`,
    `${inside}/<x>`,
    `${inside}/a"b`,
    `${inside}/a|b`,
    `${inside}/[x]`,
    `${inside}/^x`,
    `${inside}/.. /secrets`,
    `${inside}/..%20/secrets`,
    `https://api.openai.com${inside}/../secrets`,
    `https://api.openai.com\\v1\\files\\x`,
    `https://api.openai.com${inside}/%2e%2e%2fsecrets`,
    `HTTPS://API.OPENAI.COM${inside}/../secrets`,
    ` ${inside}/x`,
    `v1\\files\\x`,
    `${inside}/a?_method=DELETE`,
    `${inside}/a?x=1&_METHOD=DELETE`,
    `${inside}/a?x-http-method-override=DELETE`,
    `${inside}/a?%5fmethod=DELETE`,
    `${inside}/a?x=1;_method=DELETE`,
    `${inside}/a?%5Fmeth%6Fd=DELETE`,
    `${inside}/a?_method[]=DELETE`,
    `${inside}/a?+_method=DELETE`,
    `${inside}/a?_method`,
    `${inside}/a?_method%00=DELETE`,
  ]

  it(`[security 1.17] leads nowhere else by any of ${ATTACKS.length} spellings`, async () => {
    await hold({ only })
    const got = new Map<string, string>()
    for (const path of ATTACKS)
      got.set(
        path,
        await use(path).then(
          () => 'sent',
          (error: { code: string }) => error.code,
        ),
      )
    expect(ATTACKS.length).toBeGreaterThanOrEqual(60)
    expect(new Set(ATTACKS).size).toBe(ATTACKS.length)
    const other = [...got].filter(([, code]) => code !== 'not-allowed' && code !== 'host-not-allowed')
    expect(other).toEqual([])
    expect(came()).toEqual([])
  })

  it.each([
    'x-http-method-override',
    'X-HTTP-Method',
    'x-method-override',
    'x-original-url',
    'X-Rewrite-URL',
    'x-forwarded-prefix',
  ])('does not ask for another one in the header %s', async (name) => {
    await hold({ only })
    expect(await refusal(use('/v1/files/a', 'GET', { [name]: 'DELETE' }))).toMatchObject({
      code: 'not-allowed',
    })
    expect(came()).toEqual([])
  })

  it('makes them at the first host of its provider, whose paths they name, and at no other', async () => {
    const other = await openTestHouse({ origins: { github: provider.origin } })
    const fields = { token: new Secret(`ghp_${canary('github').padEnd(36, 'x')}`) }
    await other.owner.connect({ provider: 'github', fields, insist: true })
    const limits = { only: ['/repos/*'] }
    await other.owner.bind({ caller: APP, address: 'github', may: ['forward'], asks: 'never', limits })
    const to = (path: string) => other.as(APP).forward({ address: 'github', method: 'GET', path })
    const { status, body } = await to('https://api.github.com/repos/a')
    await body?.cancel()
    expect(status).toBe(200)
    const refused = await refusal(to('https://uploads.github.com/repos/a'))
    expect(refused).toMatchObject({ code: 'not-allowed', message: expect.stringContaining('another host') })
    await other.close()
  })

  it('is handed no credential, with which it could make any', async () => {
    await hold({ only })
    expect(await refusal(house.as(APP).reveal({ address: 'openai' }))).toMatchObject({ code: 'not-allowed' })
  })

  it.each(['repos', 'GET repos', 'get /x', '/a(', 'GET /{x', 'GET  /x', ''])(
    'is not held to what nobody understands: "%s"',
    async (request) => {
      expect(await refusal(hold({ only: [request] }))).toMatchObject({ code: 'invalid-request' })
    },
  )

  it('is refused on record, and is told which it may make', async () => {
    await hold({ only })
    expect(await refusal(use('/v1/other'))).toMatchObject({ hint: expect.stringContaining(only[0] ?? '') })
    const [entry] = await house.owner.audit({ verb: 'forward', caller: APP })
    expect(entry).toMatchObject({ code: 'not-allowed', caller: APP })
    expect(await house.as(APP).leases()).toEqual([])
  })
})

describe('a rate', () => {
  const rate = { uses: 3, seconds: 10 }

  it('lets so many uses pass in any such time, and says when the next one may', async () => {
    await hold({ rate })
    for (let nth = 0; nth < 3; nth += 1) {
      await use()
      house.clock.pass({ seconds: 2 })
    }
    const refused = await house
      .as(APP)
      .forward({ address: 'openai', method: 'GET', path: '/' })
      .catch((e) => e)
    expect(refused).toMatchObject({ code: 'rate-limited', retryAfter: 5 })
    house.clock.pass({ seconds: refused.retryAfter })
    expect(await use()).toBe(200)
    expect(await refusal(use())).toMatchObject({ code: 'rate-limited' })
  })

  it('holds many that come at once', async () => {
    await hold({ rate })
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => use()))
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
  })

  it('is the caller’s own, and nobody else is kept waiting', async () => {
    await hold({ rate: { uses: 1, seconds: 60 } })
    await use()
    expect(await refusal(use())).toMatchObject({ code: 'rate-limited' })
    const answer = await house.owner.forward({ address: 'openai', method: 'GET', path: '/' })
    await answer.body?.cancel()
    expect(answer.status).toBe(200)
  })
})

describe('a budget', () => {
  it('is used up once and for all, also by what is revealed, and outlives the broker', async () => {
    await hold({ budget: 3 })
    await use()
    await house.as(APP).reveal({ address: 'openai' })
    await house.meanwhile(() => {})
    await use()
    expect(await refusal(use())).toMatchObject({ code: 'not-allowed', message: expect.stringContaining('3') })
    house.clock.pass({ hours: 24 * 500 })
    await house.meanwhile(() => {})
    expect(await refusal(use())).toMatchObject({ code: 'not-allowed' })
    expect((await house.owner.usage({ days: 400 })).every(({ day }) => /^\d/.test(day))).toBe(true)
  })

  it('is given anew by whoever gives the account anew', async () => {
    await hold({ budget: 1 })
    await use()
    await hold({ budget: 1 })
    expect(await use()).toBe(200)
    expect(await refusal(use())).toMatchObject({ code: 'not-allowed' })
  })

  it('is not used up by what another budget refused', async () => {
    await hold({ budget: 3 })
    const grant = { address: 'openai', may: ['forward'] as const, limits: { budget: 1 } }
    const { key } = await house.as(APP).narrow({ kind: 'key', grants: [grant] })
    const asChild = async () => {
      const child = house.as(key.id as CallerId)
      await (await child.forward({ address: 'openai', method: 'GET', path: '/v1/models' })).body?.cancel()
    }
    await asChild()
    for (const _ of [1, 2, 3]) expect(await refusal(asChild())).toMatchObject({ code: 'not-allowed' })
    expect([await use(), await use()]).toEqual([200, 200])
    expect(await refusal(use())).toMatchObject({ code: 'not-allowed' })
  })

  it('is not used up by many at once beyond its end, nor by what was never sent', async () => {
    await hold({ budget: 5 })
    await provider.close()
    expect(await refusal(use())).toMatchObject({ code: 'network-error' })
    const port = Number(new URL(provider.origin).port)
    expect(port).toBeGreaterThan(0)
    const all = await Promise.allSettled(Array.from({ length: 12 }, () => use()))
    const codes = all.map((one) => (one.status === 'rejected' ? one.reason.code : 'sent'))
    expect(codes.filter((code) => code === 'network-error').length).toBeGreaterThanOrEqual(5)
  })
})

describe('hours', () => {
  const at = (hours: number, minutes = 0) => {
    const now = house.clock.now()
    const then = new Date(now)
    then.setHours(hours, minutes, 0, 0)
    house.clock.pass({ seconds: (then.getTime() - now.getTime() + 86_400_000) / 1000 })
  }

  it.each([
    ['09:00', '17:30', [9, 0], true],
    ['09:00', '17:30', [17, 29], true],
    ['09:00', '17:30', [17, 30], false],
    ['09:00', '17:30', [8, 59], false],
    ['22:00', '06:00', [23, 0], true],
    ['22:00', '06:00', [5, 59], true],
    ['22:00', '06:00', [6, 0], false],
    ['22:00', '06:00', [12, 0], false],
  ])('from %s to %s hold at %j', async (from, to, [hour = 0, minute = 0], isOpen) => {
    await hold({ hours: { from, to } })
    at(hour, minute)
    if (isOpen) return expect(await use()).toBe(200)
    expect(await refusal(use())).toMatchObject({ code: 'not-allowed', hint: `try again at ${from}` })
    expect(came()).toEqual([])
  })
})
