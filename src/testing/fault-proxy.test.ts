import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FaultProxy, faultProxy } from './fault-proxy.ts'
import { faults } from './faults.ts'
import { type ListeningStandIn, standIn } from './stand-in.ts'

const WHOLE = { refreshed: true, padding: 'x'.repeat(200) }

let there: ListeningStandIn
let proxy: FaultProxy

beforeEach(async () => {
  there = await standIn({
    'POST /token': async ({ body }) => ({ body: { ...WHOLE, asked: String(await body) } }),
    'GET /stream': () => ({ body: pieces() }),
  }).listen()
  proxy = await faultProxy({ target: { host: '127.0.0.1', port: Number(new URL(there.origin).port) } })
})
afterEach(async () => {
  await proxy.close()
  await there.close()
})

async function* pieces() {
  yield 'first'
  await new Promise(() => {})
}

const ask = (body = 'grant') => fetch(`${proxy.origin}/token?x=1`, { method: 'POST', body })
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error) => error.cause?.code ?? error.message,
  )

describe('a fault proxy', () => {
  it('forwards what it was told nothing about, as it came', async () => {
    const answer = await ask('grant_type=refresh_token')
    expect(await answer.json()).toEqual({ ...WHOLE, asked: 'grant_type=refresh_token' })
    expect(there.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /token?x=1'])
    expect(there.requests[0]?.headers['host']).toBe(new URL(proxy.origin).host)
    expect([proxy.connections, proxy.requests]).toEqual([1, ['POST /token']])
  })

  it('forwards a body that comes in pieces, and an answer that never ends', async () => {
    const body = new ReadableStream({
      start(to) {
        for (const piece of ['one ', 'two']) to.enqueue(new TextEncoder().encode(piece))
        to.close()
      },
    })
    const init = { method: 'POST', body, duplex: 'half' as const }
    expect(await (await fetch(`${proxy.origin}/token`, init)).json()).toMatchObject({ asked: 'one two' })
    const stream = await fetch(`${proxy.origin}/stream`)
    const first = await stream.body?.getReader().read()
    expect(new TextDecoder().decode(first?.value)).toBe('first')
  })

  it('refuses connections as nobody would listen, until it does again on the same port', async () => {
    await proxy.set(faults.refuse)
    expect(await codeOf(ask())).toBe('ECONNREFUSED')
    expect([there.requests.length, proxy.connections]).toEqual([0, 0])
    await proxy.set(undefined)
    expect((await ask()).status).toBe(200)
  })

  it('resets one connection before anything is forwarded', async () => {
    proxy.next(faults.refuse)
    expect(await codeOf(ask())).toBe('ECONNRESET')
    expect(there.requests).toEqual([])
    expect((await ask()).status).toBe(200)
  })

  it('holds a request before it reaches the target, and says when it is there', async () => {
    const held = faults.holdRequest()
    proxy.next(held)
    const answer = ask()
    await held.arrived
    expect(there.requests).toEqual([])
    held.release()
    expect(await (await answer).json()).toMatchObject(WHOLE)
    expect(there.requests.length).toBe(1)
  })

  it('holds an answer that the target has given', async () => {
    const held = faults.holdAnswer()
    proxy.next(held)
    const answer = ask()
    await held.arrived
    expect(there.requests.length).toBe(1)
    held.release()
    expect(await (await answer).json()).toMatchObject(WHOLE)
  })

  it('loses an answer after the target has done what it was asked for', async () => {
    proxy.next(faults.loseAnswer)
    expect(await codeOf(ask())).not.toBe('done')
    expect(there.requests.length).toBe(1)
  })

  it('truncates an answer, and ends it in the middle with a reset', async () => {
    for (const fault of [faults.truncate(20), faults.reset(20)]) {
      proxy.next(fault)
      const answer = await ask().catch(() => undefined)
      expect(await codeOf(answer?.text() ?? Promise.reject(new Error('before its head')))).not.toBe('done')
    }
    expect(there.requests.length).toBe(2)
  })

  it('delays an answer', async () => {
    proxy.next(faults.delay(300))
    const begun = performance.now()
    expect((await ask()).status).toBe(200)
    expect(performance.now() - begun).toBeGreaterThanOrEqual(295)
  })

  it.each([
    ['500', faults.answer(500)],
    ['503 with Retry-After', faults.answer(503, { 'retry-after': '7' })],
    ['429 with Retry-After', faults.answer(429, { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' })],
    ['400 without JSON', faults.answer(400, { 'content-type': 'text/plain' }, 'no')],
    ['200 with a page', faults.answer(200, { 'content-type': 'text/html' }, '<p>sign in to the wifi é')],
    ['200 with half of a JSON', faults.answer(200, { 'content-type': 'application/json' }, '{"access_to')],
    ['a redirect', faults.answer(302, { location: 'http://127.0.0.1:1/' })],
  ])('answers in the place of the target: %s', async (_, fault) => {
    proxy.next(fault)
    const answer = await fetch(`${proxy.origin}/token`, { method: 'POST', redirect: 'manual' })
    expect(answer.status).toBe(fault.answer.status)
    for (const [name, value] of Object.entries(fault.answer.headers))
      expect(answer.headers.get(name)).toBe(value)
    expect(await answer.text()).toBe(fault.answer.body)
    expect(there.requests).toEqual([])
  })

  it('plays what is meant for once in its order, and then what is meant for ever', async () => {
    await proxy.set(faults.answer(503))
    proxy.next(faults.answer(500))
    proxy.next(faults.answer(429))
    const statuses = []
    for (const _ of [1, 2, 3, 4]) statuses.push((await ask()).status)
    expect(statuses).toEqual([500, 429, 503, 503])
    await proxy.set(undefined)
    expect((await ask()).status).toBe(200)
  })

  it('leaves alone what a fault is not for', async () => {
    proxy.next(faults.answer(500), 'POST /revoke')
    await proxy.set(faults.answer(503), 'GET /token')
    expect((await ask()).status).toBe(200)
    expect((await fetch(`${proxy.origin}/revoke`, { method: 'POST' })).status).toBe(500)
    expect((await fetch(`${proxy.origin}/token`)).status).toBe(503)
  })

  it('asks another target when it is aimed anew, and is reset where nobody is there', async () => {
    proxy.aim({ host: '127.0.0.1', port: 1 })
    expect(await codeOf(ask())).toBe('ECONNRESET')
    proxy.aim({ host: '127.0.0.1', port: Number(new URL(there.origin).port) })
    expect((await ask()).status).toBe(200)
  })

  it('serves many at once, each with its own answer', async () => {
    const bodies = Array.from({ length: 100 }, (_, n) => `grant ${n}`)
    const answers = await Promise.all(bodies.map(async (body) => (await ask(body)).json()))
    expect(answers.map((answer) => (answer as { asked: string }).asked)).toEqual(bodies)
  })

  it('is gone with all that is held when it is closed', async () => {
    const held = faults.holdRequest()
    proxy.next(held)
    const answer = codeOf(ask())
    await held.arrived
    await proxy.close()
    expect(await answer).not.toBe('done')
    expect(await codeOf(ask())).toBe('ECONNREFUSED')
  })
})
