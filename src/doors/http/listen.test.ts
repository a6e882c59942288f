import { once } from 'node:events'
import { request as nodeRequest } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type ForwardRequest, remoteDesk, ValetkeyError } from '#client'
import { THE_PERSON } from '../../model/caller.ts'
import type { Account, Desk, KeeperDesk, ValetkeyEvent } from '../../model/words.ts'
import { canary } from '../../testing/canary.ts'
import { httpDoor } from './door.ts'
import { openFront } from './front.ts'
import { frontDoor } from './front-door.ts'
import { type Listening, listenTcp } from './listen.ts'

const open: Listening[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

describe('the door on loopback', () => {
  it('serves nothing without a cookie but the bare page and whether it lives', async () => {
    const { origin } = await opened({ accounts: async () => [] })
    const statuses = await Promise.all(
      [
        '/',
        '/page/page.js',
        '/healthz',
        '/readyz',
        '/api/accounts',
        '/api/openapi.json',
        '/api/events',
        '/nothing',
      ].map(async (path) => [path, (await fetch(new URL(path, origin))).status]),
    )
    expect(Object.fromEntries(statuses)).toEqual({
      '/': 200,
      '/page/page.js': 200,
      '/healthz': 200,
      '/readyz': 200,
      '/api/accounts': 401,
      '/api/openapi.json': 401,
      '/api/events': 401,
      '/nothing': 401,
    })
  })

  it('[security 18.4] waits for the end of the headers no longer than for anything else', async () => {
    const { origin } = await opened()
    const socket = connect(Number(origin.port), '127.0.0.1')
    const since = performance.now()
    socket.resume().write('GET / HTTP/1.1\r\nX-Slow: ')
    await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    expect(performance.now() - since).toBeLessThan(8000)
  }, 15_000)

  it('lets in who trades a code, until they leave', async () => {
    const { origin, cookie } = await opened({ accounts: async () => [] })
    const headers = { cookie: await cookie() }
    expect((await fetch(new URL('/api/accounts', origin), { headers })).status).toBe(200)
    const gone = await fetch(new URL('/api/session', origin), {
      method: 'DELETE',
      headers: { ...headers, 'valetkey-request': '1' },
    })
    expect(gone.headers.get('set-cookie')).toContain('Max-Age=0')
    expect((await fetch(new URL('/api/accounts', origin), { headers })).status).toBe(401)
  })

  it('answers a code that is wrong, used or nonsense in one and the same way', async () => {
    const { origin, front, enter } = await opened()
    const used = front.newLink(origin).hash.slice('#code='.length)
    expect((await enter(JSON.stringify({ code: used }))).status).toBe(204)
    const answers = await Promise.all(
      [JSON.stringify({ code: used }), '{"code":"wrong"}', '{"code":7}', '{', '[]', 'x'.repeat(5000)].map(
        enter,
      ),
    )
    const told = new Set(await Promise.all(answers.map((answer) => answer.text())))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 401))
    expect([...told]).toHaveLength(1)
    expect([...told][0]).toContain('valetkey open')
  })

  it('[security 18.4] refuses a rebound name before anybody is asked who is there', async () => {
    const { origin, cookie } = await opened({ accounts: async () => [] })
    const answer = await raw(
      origin,
      `GET /api/accounts HTTP/1.1\r\nHost: evil.test\r\nCookie: ${await cookie()}`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 421 /)
    const absolute = `GET http://evil.test/api/accounts HTTP/1.1\r\nHost: ${new URL(origin).host}`
    expect(await raw(origin, absolute)).toMatch(/^HTTP\/1\.1 421 /)
    const twice = `GET /healthz HTTP/1.1\r\nHost: ${new URL(origin).host}\r\nHost: evil.test`
    expect(await raw(origin, twice)).toMatch(/^HTTP\/1\.1 4/)
  })

  it.each([
    ['a user in it', 'GET http://user@HOST/healthz HTTP/1.1', 400],
    ['a user in it, for the gateway', 'GET http://user@HOST/forward/openai/default/x HTTP/1.1', 400],
    ['a port that is none', 'GET http://127.0.0.1:99999999/healthz HTTP/1.1', 400],
    ['a host that is none', 'GET http://[::/healthz HTTP/1.1', 400],
    ['a backslash', 'GET /a\\..\\b HTTP/1.1', 400],
    ['a method that would be answered with the cookie', 'TRACE /api/accounts HTTP/1.1', 405],
  ])('refuses an address with %s, in our words', async (_, line, status) => {
    const { origin, cookie } = await opened({ accounts: async () => [] })
    const { host } = new URL(origin)
    const marks = lines({ host, cookie: await cookie(), 'valetkey-request': '1' })
    const answer = await raw(origin, `${line.replace('HOST', host)}\r\n${marks}`)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toContain('"code":"invalid-request"')
  })

  it.each(['GET / HTTP/9.9', 'nonsense', 'GET /\u0000 HTTP/1.1\r\nHost: x'])('survives %j', async (head) => {
    const { origin } = await opened()
    await raw(origin, head)
    expect((await fetch(new URL('/healthz', origin))).status).toBe(200)
  })

  it('says so when the port is taken', async () => {
    const { origin, door } = await opened()
    const second = listenTcp({ door, port: Number(new URL(origin).port) })
    await expect(second).rejects.toMatchObject({ code: 'port-taken', hint: 'valetkey serve --port 0' })
  })

  it('closes although somebody listens for changes', async () => {
    const { origin, cookie, listening } = await opened({ events: forEver })
    const answer = await fetch(new URL('/api/events', origin), { headers: { cookie: await cookie() } })
    const reader = answer.body?.getReader()
    await reader?.read()
    await listening.close()
    // A connection that had to be cut would end with an error.
    expect((await reader?.read())?.done).toBe(true)
  })
})

describe('forwarding through the door', () => {
  it('streams both ways', async () => {
    const { origin, cookie } = await opened({
      forward: async ({ body }) => ({ status: 200, headers: [], body: body as ReadableStream<Uint8Array> }),
    })
    const { hostname, port } = new URL(origin)
    const sent = nodeRequest({
      hostname,
      port,
      path: '/forward/openai/default/echo',
      method: 'POST',
      headers: { cookie: await cookie(), 'valetkey-request': '1' },
    })
    sent.write('one')
    const [answer] = await once(sent, 'response')
    const [first] = await once(answer, 'data')
    expect(String(first)).toBe('one')
    sent.end('two')
    const [second] = await once(answer, 'data')
    expect(String(second)).toBe('two')
  })

  it('tells upstream when the client goes away', async () => {
    const aborted = Promise.withResolvers<void>()
    const { origin, cookie } = await opened({
      forward: async ({ signal }) => {
        signal?.addEventListener('abort', () => aborted.resolve())
        return { status: 200, headers: [], body: new ReadableStream({ start: (c) => c.enqueue(bytes('x')) }) }
      },
    })
    const leaving = new AbortController()
    const headers = { cookie: await cookie() }
    const answer = await fetch(new URL('/forward/openai/default/x', origin), {
      headers,
      signal: leaving.signal,
    })
    await answer.body?.getReader().read()
    leaving.abort()
    await aborted.promise
  })

  it('breaks off where upstream broke off, and says nothing of why', async () => {
    const secret = canary('upstream')
    const { origin, cookie } = await opened({
      forward: async () => ({
        status: 200,
        headers: [],
        body: new ReadableStream({
          async start(controller) {
            controller.enqueue(bytes('half'))
            await pause(20)
            controller.error(new Error(secret))
          },
        }),
      }),
    })
    const answer = await raw(
      origin,
      `GET /forward/openai/default/x HTTP/1.1\r\nHost: ${new URL(origin).host}\r\nCookie: ${await cookie()}`,
    )
    expect(answer).toContain('half')
    expect(answer).not.toContain(secret)
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/)
  })

  it.each(['document', 'iframe', 'script', 'image', 'serviceworker', 'style'])(
    '[security 1.20] is never shown or run: Sec-Fetch-Dest %s is refused',
    async (destination) => {
      const { origin, cookie } = await opened({
        forward: async () => ({ status: 200, headers: [], body: null }),
      })
      const headers = { cookie: await cookie(), 'sec-fetch-dest': destination }
      const answer = await raw(
        origin,
        `GET /forward/openai/default/x HTTP/1.1\r\nHost: ${new URL(origin).host}\r\n${lines(headers)}`,
      )
      expect(answer).toMatch(/^HTTP\/1\.1 403 /)
    },
  )

  it('takes what is larger than any limit of ours', async () => {
    let size = 0
    const { origin, cookie } = await opened({
      forward: async ({ body }) => {
        for await (const chunk of body as ReadableStream<Uint8Array>) size += chunk.byteLength
        return { status: 204, headers: [], body: null }
      },
    })
    const answer = await fetch(new URL('/forward/openai/default/upload', origin), {
      method: 'POST',
      headers: { cookie: await cookie(), 'valetkey-request': '1' },
      body: new Uint8Array(3_000_000),
    })
    expect(answer.status).toBe(204)
    expect(size).toBe(3_000_000)
  })
})

describe('a desk elsewhere', () => {
  it('gets a refusal as the error it was', async () => {
    const error = new ValetkeyError('forward-only', 'this key is only forwarded', {
      hint: 'valetkey forward openai',
    })
    const { desk } = await remote({ lend: () => Promise.reject(error) })
    const told = await desk.lend({ address: 'openai' }).catch((reason: unknown) => reason)
    expect(told).toBeInstanceOf(ValetkeyError)
    expect(told).toMatchObject({ code: 'forward-only', message: error.message, hint: error.hint })
  })

  it('tells a refusal of ours from an answer of the provider that looks like one', async () => {
    const { desk } = await remote({
      forward: async ({ path }) => {
        if (path === '/refused') throw new ValetkeyError('locked', 'the vault is locked')
        const problem = JSON.stringify({ code: 'locked', detail: 'theirs' })
        return {
          status: 423,
          headers: [['content-type', 'application/problem+json']],
          body: new Response(problem).body,
        }
      },
    })
    const forward = (path: string) => desk.forward({ address: 'openai', method: 'GET', path })
    expect((await forward('/theirs')).status).toBe(423)
    await expect(forward('/refused')).rejects.toMatchObject({ code: 'locked' })
  })

  it('is a fetch for programs that take one', async () => {
    const seen: ForwardRequest[] = []
    const { fetchAs } = await remote({
      forward: async (request) => {
        seen.push({ ...request, body: await new Response(request.body as ReadableStream).text() })
        return { status: 201, headers: [['x-upstream', 'yes']], body: new Response('made').body }
      },
    })
    const fetchOpenai = fetchAs('openai/work')
    const answer = await fetchOpenai('https://api.openai.com/v1/x?y=1', {
      method: 'POST',
      headers: { 'x-mine': '1', authorization: `Bearer ${canary('unused')}` },
      body: 'hello',
    })
    await fetchOpenai(new Request('https://api.openai.com/v1/r', { method: 'PUT', body: 'again' }))
    await fetchOpenai('/v1/models?limit=1')
    expect([answer.status, answer.headers.get('x-upstream'), await answer.text()]).toEqual([
      201,
      'yes',
      'made',
    ])
    expect(seen.map(({ address, method, path, body }) => [address, method, path, body])).toEqual([
      ['openai/work', 'POST', 'https://api.openai.com/v1/x?y=1', 'hello'],
      ['openai/work', 'PUT', 'https://api.openai.com/v1/r', 'again'],
      ['openai/work', 'GET', '/v1/models?limit=1', ''],
    ])
    expect(seen[0]?.headers).toMatchObject({ 'x-mine': '1' })
    expect(JSON.stringify(seen)).not.toMatch(/CANARY/)
  })

  it('sends no credential over plain http', async () => {
    const { fetchAs } = await remote({})
    await expect(fetchAs('openai')('http://api.openai.com/v1')).rejects.toMatchObject({
      code: 'host-not-allowed',
    })
  })

  it('does not follow a redirect of the provider on our own origin', async () => {
    const { fetchAs } = await remote({
      forward: async () => ({ status: 302, headers: [['location', '/api/accounts']], body: null }),
    })
    expect((await fetchAs('openai')('/moved')).status).toBe(302)
  })

  it('says that nobody is there', async () => {
    const { listening, desk } = await remote({})
    await listening.close()
    await expect(desk.accounts()).rejects.toMatchObject({ code: 'broker-gone' })
    const first = desk.events()[Symbol.asyncIterator]().next()
    await expect(first).rejects.toMatchObject({ code: 'broker-gone' })
  })

  it('hears what changes, and goes on after the last event it saw', async () => {
    const asked: (string | undefined)[] = []
    const { desk } = await remote({
      async *events({ after } = {}) {
        asked.push(after)
        yield eventOf(String(Number(after ?? 0) + 1))
      },
    })
    const heard: string[] = []
    for await (const told of desk.events()) {
      if ('account' in told) heard.push(`${told.id} ${told.name} ${told.account.id}`)
      if (heard.length === 3) break
    }
    expect(heard).toEqual(['1 connected a1', '2 connected a1', '3 connected a1'])
    expect(asked).toEqual([undefined, '1', '2'])
  })

  it('stops hearing when it is told to', async () => {
    const { desk } = await remote({ events: forEver })
    const stop = new AbortController()
    const next = desk.events({ signal: stop.signal })[Symbol.asyncIterator]().next()
    await pause(50)
    stop.abort()
    expect(await next).toMatchObject({ done: true })
  })

  it('gets a refusal that comes in the stream', async () => {
    const { desk } = await remote({
      async *events() {
        yield eventOf('1')
        throw new ValetkeyError('locked', 'the vault was locked')
      },
    })
    const events = desk.events()[Symbol.asyncIterator]()
    expect(await events.next()).toMatchObject({ value: { id: '1' } })
    await expect(events.next()).rejects.toMatchObject({ code: 'locked', message: 'the vault was locked' })
  })

  it('is refused a stream as anything else, where that is known at once', async () => {
    const { origin, cookie } = await opened({
      // biome-ignore lint/correctness/useYield: refusing is all it does
      async *events() {
        throw new ValetkeyError('resource-exhausted', 'too many', { retryAfter: 9 })
      },
    })
    const answer = await fetch(new URL('/api/events', origin), { headers: { cookie: await cookie() } })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '9'])
    expect(await answer.json()).toMatchObject({ code: 'resource-exhausted', retryAfter: 9 })
  })

  it.each(['..', '.', ''])('does not climb out of a path by the name "%s"', async (name) => {
    const { desk } = await remote({})
    await expect(desk.revoke(name)).rejects.toMatchObject({ code: 'invalid-request' })
    await expect(desk.connect({ provider: name })).rejects.toMatchObject({ code: 'invalid-request' })
  })
})

const PAGE = new URL('./page/', import.meta.url)

async function opened(desk: Partial<Desk> = {}) {
  const front = openFront({ now: () => new Date() })
  const door = httpDoor({
    version: '0.0.1',
    page: PAGE,
    identify: async (_, env) => env.caller,
    desk: () => desk as Desk,
    keeper: () => ({}) as KeeperDesk,
  })
  const listening = await listenTcp({ door: frontDoor(front, door), port: 0 })
  open.push(listening)
  const { origin } = listening
  const enter = (body: string) =>
    fetch(new URL('/api/session', origin), {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    })
  const cookie = async () => {
    const code = front.newLink(origin).hash.slice('#code='.length)
    const answer = await enter(JSON.stringify({ code }))
    return answer.headers.get('set-cookie')?.split(';')[0] ?? ''
  }
  return { listening, door, front, origin, enter, cookie }
}

async function remote(parts: Partial<Desk>) {
  const { origin, cookie, listening } = await opened(parts)
  const headers = { cookie: await cookie() }
  return { listening, ...remoteDesk({ fetch, base: origin, headers }) }
}

// biome-ignore lint/correctness/useYield: waiting is all it does
async function* forEver({ signal }: { signal?: AbortSignal } = {}): AsyncGenerator<ValetkeyEvent> {
  if (signal !== undefined) await once(signal, 'abort')
}

function eventOf(id: string): ValetkeyEvent {
  const account: Account = {
    id: 'a1',
    providerId: 'openai',
    userId: THE_PERSON,
    displayName: 'OpenAI',
    bucket: 'default',
    subject: null,
    scopes: [],
    status: 'connected',
    reason: null,
    warnings: [],
    missingScopes: [],
    forwardOnly: true,
    connectedAt: new Date(),
    tokenExpiresAt: null,
    rotateAt: null,
    diesAt: null,
    lastUsedAt: null,
  }
  return { id, name: 'connected', at: new Date(), account }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function lines(headers: Record<string, string>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\r\n')
}

/** What comes back for a request as it is written, without a client that would mend it. */
async function raw(origin: string | URL, head: string): Promise<string> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
  socket.write(`${head}\r\nConnection: close\r\n\r\n`)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await closed
  return text
}
