import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ForwardAnswer, ForwardRequest } from '../../client/src/desk.ts'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type ListeningStandIn, type StandInRoute, standIn } from '../testing/stand-in.ts'

const key = `sk-${canary('openai')}`
const ofTheCaller = canary('callers')
const MEGABYTE = 1024 * 1024

let provider: ListeningStandIn
let house: TestHouse
let route: StandInRoute

beforeEach(async () => {
  route = { body: { ok: true } }
  provider = await standIn({
    '/echo': { echo: true },
    '*': (request) => (typeof route === 'function' ? route(request) : route),
  }).listen()
  house = await openTestHouse({ origins: { openai: provider.origin, datadog: provider.origin } })
  await house.owner.connect({ provider: 'openai', fields: { key: new Secret(key) } })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const forward = (request: Partial<ForwardRequest> = {}, desk = house.owner) =>
  desk.forward({ address: 'openai', method: 'GET', path: '/v1/models', ...request })
const textOf = async ({ body }: ForwardAnswer) => new Response(body).text()
const done = async (answer: Promise<ForwardAnswer>) => void (await (await answer).body?.cancel())
const sent = () => provider.requests.at(-1)

describe('forwarding', () => {
  it('does the request with the credential, and hands back the answer', async () => {
    route = { status: 201, headers: { 'x-request-id': 'r1' }, body: { made: 1 } }
    const answer = await forward({ method: 'POST', path: '/v1/things?x=1', body: '{"a":1}' })
    expect(answer.status).toBe(201)
    expect(await textOf(answer)).toBe('{"made":1}')
    expect(new Headers(answer.headers.map(([...pair]) => pair)).get('x-request-id')).toBe('r1')
    expect(sent()).toMatchObject({ method: 'POST', path: '/v1/things?x=1' })
    expect(sent()?.headers['authorization']).toBe(`Bearer ${key}`)
    expect(String(await sent()?.body)).toBe('{"a":1}')
  })

  it('goes through for a caller who is bound to it', async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'openai', may: ['forward'], asks: 'never' })
    await done(forward({}, house.as('app:reports')))
    await done(forward({}, house.as('app:reports')))
    expect(await house.as('app:reports').leases()).toMatchObject([
      { verb: 'forward', endsBy: 'forward', count: 2 },
    ])
  })

  it('stands on record with its method and what came back', async () => {
    await done(forward())
    const [entry] = await house.owner.audit({ verb: 'forward' })
    const [lease] = await house.owner.leases()
    expect(entry).toMatchObject({ target: 'openai', outcome: 'done', detail: `GET 200, ${lease?.id}` })
  })

  it("hands through the provider's own refusal", async () => {
    route = { status: 401, headers: { 'www-authenticate': 'Bearer' }, body: { error: 'no' } }
    const answer = await forward()
    expect([answer.status, await textOf(answer)]).toEqual([401, '{"error":"no"}'])
    expect(await house.owner.accounts()).toMatchObject([{ status: 'connected' }])
  })

  it('follows no redirect, since the credential would go along', async () => {
    route = { status: 302, headers: { location: 'https://evil.test/' } }
    const answer = await forward()
    expect(answer.status).toBe(302)
    expect(provider.requests).toHaveLength(2)
  })

  it.each([
    ['a method that there is not', { method: 'GET X' }],
    ['a method that would show the credential', { method: 'TRACE' }],
    ['a header that is none', { headers: { 'a b': 'c' } }],
    ['a header with a line end in it', { headers: { 'x-a': 'b\r\nauthorization: c' } }],
  ])('refuses %s', async (_, request) => {
    expect(await refusal(forward(request))).toMatchObject({ code: 'invalid-request' })
    expect(provider.requests).toHaveLength(1)
  })

  it('says so when the answer of the provider is lost', async () => {
    route = { hangUp: true }
    expect(await refusal(forward())).toMatchObject({ code: 'answer-lost' })
  })
})

describe('the address that a credential may go to', () => {
  const own = 'https://api.openai.com'

  it.each([
    ['/v1/models', '/v1/models'],
    ['v1/models', '/v1/models'],
    ['user@', '/user@'],
    ['', '/'],
    ['/v1/models?next=https%3A%2F%2Felsewhere.test%2F', '/v1/models?next=https%3A%2F%2Felsewhere.test%2F'],
    ['/v4/projects/group%2Fproject', '/v4/projects/group%2Fproject'],
    ['/v1/../../v2', '/v2'],
    ['/v1/%2e%2e/v2', '/v2'],
    ['/v1/..%2fv2', '/v1/..%2fv2'],
    ['/v1\\models', '/v1/models'],
    [`${own}/v1/models?a=1`, '/v1/models?a=1'],
    [`${own}:443/v1`, '/v1'],
    [`${own}//evil.test/x`, '//evil.test/x'],
    ['/x#fragment', '/x'],
  ])('%s is there', async (path, asked) => {
    await done(forward({ path }))
    expect(sent()?.path).toBe(asked)
  })

  it.each([
    '//evil.test/v1/models',
    'https://user@api.openai.com/v1/models',
    'https://user@/v1',
    '//user@',
    'https://[::',
    '///evil.test',
    '\\\\evil.test\\v1',
    '/\\evil.test/v1',
    'https://evil.test/v1/models',
    'https:\\\\evil.test',
    'http://api.openai.com/v1/models',
    'https://api.openai.com:8443/v1',
    'https://api.openai.com.evil.test/',
    'https://api.openai.com./',
    'https://evil.test%2f.api.openai.com/',
    'https://api.openai.com%2f@evil.test/',
    'https://api.openai.com@evil.test/',
    'https://user:word@api.openai.com/v1',
    'https://user@api.openai.com/v1',
    'https://uploads.openai.com/',
    'http://127.0.0.1:1/',
    'http://[::1]/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'data:,x',
    '\t//evil.test',
    ' https://evil.test',
    'https://',
  ])('%j is not, and nothing is sent', async (path) => {
    expect(await refusal(forward({ path }))).toMatchObject({
      code: 'host-not-allowed',
      message: 'the credential of openai may not go to this address',
    })
    expect(provider.requests).toHaveLength(1)
    expect(await house.owner.leases()).toEqual([])
  })

  it('is also any other host of the same provider', async () => {
    const github = `ghp_${canary('github').padEnd(36, 'x')}`
    const plain = await openTestHouse()
    const fields = { token: new Secret(github) }
    await plain.owner.connect({ provider: 'github', fields, insist: true })
    const to = (path: string) => refusal(plain.owner.forward({ address: 'github', method: 'GET', path }))
    const hint = 'it goes to https://api.github.com, https://uploads.github.com'
    expect(await to('https://github.com/')).toMatchObject({ code: 'host-not-allowed', hint })
    // Nothing answers there in a test; that it was tried is what counts.
    const tried = plain.owner.forward({
      address: 'github',
      method: 'GET',
      path: 'https://uploads.github.com/',
      signal: AbortSignal.timeout(1),
    })
    expect((await refusal(tried)).code).not.toBe('host-not-allowed')
    await plain.close()
  })
})

describe('what is worn', () => {
  it("is the account's credential, whatever the caller sent in its place", async () => {
    const headers = {
      Authorization: `Bearer ${ofTheCaller}`,
      'X-Api-Key': ofTheCaller,
      Cookie: `session=${ofTheCaller}`,
      'Proxy-Authorization': ofTheCaller,
      'Valetkey-As': ofTheCaller,
      'X-Forwarded-For': ofTheCaller,
      Referer: `https://${ofTheCaller}.test/`,
    }
    await done(forward({ headers }))
    expect(JSON.stringify(sent()?.headers)).not.toContain(ofTheCaller)
    expect(sent()?.headers['authorization']).toBe(`Bearer ${key}`)
  })

  it('is only this account, also where it lacks a part that the caller sent', async () => {
    const ddKey = `${canary('dd').replaceAll(/[^a-f0-9]/g, '')}`.slice(-24).padStart(32, '0')
    const fields = { key: new Secret(ddKey) }
    await house.owner.connect({ provider: 'datadog', vars: { site: 'datadoghq.eu' }, fields })
    const headers = { 'DD-APPLICATION-KEY': ofTheCaller, 'dd-api-key': ofTheCaller }
    await done(forward({ address: 'datadog', headers }))
    expect(sent()?.headers).toMatchObject({ 'dd-api-key': ddKey })
    expect(sent()?.headers).not.toHaveProperty('dd-application-key')
  })

  it('leaves what else the caller says of the request', async () => {
    const headers = { accept: 'text/plain', 'user-agent': 'reports/1', 'idempotency-key': 'i1' }
    await done(forward({ headers }))
    expect(sent()?.headers).toMatchObject(headers)
  })

  it('is taken off the answer: no cookie comes back', async () => {
    route = {
      headers: {
        'set-cookie': `session=${ofTheCaller}`,
        refresh: '0; url=https://evil.test/',
        'x-other': '1',
        connection: 'close',
      },
      body: 'x',
    }
    const answer = await forward()
    expect(answer.headers.map(([name]) => name)).not.toContain('set-cookie')
    expect(answer.headers.map(([name]) => name)).not.toContain('refresh')
    expect(answer.headers.map(([name]) => name)).not.toContain('connection')
    expect(answer.headers).toContainEqual(['x-other', '1'])
    await answer.body?.cancel()
  })
})

/** So many bytes, each piece only when it is asked for. */
function pieces(bytes: number, pulled = { bytes: 0 }): ReadableStream<Uint8Array> {
  const size = 64 * 1024
  return new ReadableStream(
    {
      pull(controller) {
        if (pulled.bytes >= bytes) return controller.close()
        controller.enqueue(new Uint8Array(size).fill(pulled.bytes / size))
        pulled.bytes += size
      },
    },
    { highWaterMark: 0 },
  )
}

describe('a stream', () => {
  it('passes both ways at once: the answer begins while the request still goes on', async () => {
    const pulled = { bytes: 0 }
    const answer = await forward({ method: 'POST', path: '/echo', body: pieces(64 * MEGABYTE, pulled) })
    let received = 0
    for await (const piece of answer.body ?? []) {
      if (received === 0) expect(pulled.bytes).toBeLessThan(64 * MEGABYTE)
      received += piece.byteLength
    }
    expect(received).toBe(64 * MEGABYTE)
  })

  it('waits for a reader who is slow, instead of piling up', async () => {
    const made = { bytes: 0 }
    const many = 256 * MEGABYTE
    route = () => ({ body: pieces(many, made) })
    const answer = await forward()
    const reader = answer.body?.getReader()
    await reader?.read()
    await wait(300)
    expect(made.bytes).toBeGreaterThan(0)
    expect(made.bytes).toBeLessThan(many / 4)
    await reader?.cancel()
  })

  it('is called off upstream when its caller goes away', async () => {
    const gone = Promise.withResolvers<void>()
    route = async ({ body }) => {
      void body.then(() => gone.resolve())
      return new Promise(() => {})
    }
    const leaving = new AbortController()
    const answer = forward({ signal: leaving.signal })
    while (provider.requests.length < 2) await wait(5)
    leaving.abort()
    expect(await refusal(answer)).toMatchObject({ code: 'cancelled' })
    await gone.promise
  })

  it('is called off in the middle of the answer, too', async () => {
    let made = 0
    async function* endless() {
      for (;;) {
        made += 1
        yield new Uint8Array(1024)
        await wait(5)
      }
    }
    route = () => ({ body: endless() })
    const leaving = new AbortController()
    const answer = await forward({ signal: leaving.signal })
    await answer.body?.getReader().read()
    leaving.abort()
    // It ends soon, and not at a set time.
    for (let before = -1; before !== made; await wait(150)) before = made
  })
})
