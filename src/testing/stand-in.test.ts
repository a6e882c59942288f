import { afterEach, describe, expect, it } from 'vitest'
import { type ListeningStandIn, type StandInRoute, standIn } from './stand-in.ts'

const open: ListeningStandIn[] = []

afterEach(async () => {
  for (const there of open.splice(0)) await there.close()
})

async function listening(routes: Readonly<Record<string, StandInRoute>>): Promise<ListeningStandIn> {
  const there = await standIn(routes).listen()
  open.push(there)
  return there
}

describe('a stand-in', () => {
  it('answers by its table, the exact route before the general one', async () => {
    const { origin } = await listening({
      'GET /v1/models': { body: { data: [] } },
      '/v1/models': { status: 405 },
      '/v1/models?all=1': { body: 'all of them' },
      '*': { status: 418, headers: { 'x-pot': 'tea' } },
    })
    expect(await (await fetch(`${origin}/v1/models`)).json()).toEqual({ data: [] })
    expect((await fetch(`${origin}/v1/models`, { method: 'DELETE' })).status).toBe(405)
    expect(await (await fetch(`${origin}/v1/models?all=1`)).text()).toBe('all of them')
    expect((await fetch(`${origin}/else`)).headers.get('x-pot')).toBe('tea')
  })

  it('answers 404 to what no route knows', async () => {
    const { origin } = await listening({ '/a': {} })
    for (const path of ['/b', '/constructor', '/']) expect((await fetch(origin + path)).status).toBe(404)
  })

  it('remembers what came in, with headers and body', async () => {
    const there = await listening({ '*': {} })
    await fetch(`${there.origin}/x?y=1`, { method: 'POST', headers: { 'x-key': 'k' }, body: 'hello' })
    expect(there.requests).toHaveLength(1)
    expect(there.requests[0]).toMatchObject({ method: 'POST', path: '/x?y=1', headers: { 'x-key': 'k' } })
    expect(String(await there.requests[0]?.body)).toBe('hello')
  })

  it('lets a route answer by what was asked', async () => {
    const { origin } = await listening({
      '*': async ({ body }) => ({ body: String(await body).toUpperCase() }),
    })
    expect(await (await fetch(origin, { method: 'POST', body: 'hello' })).text()).toBe('HELLO')
  })

  it('sends pieces as they come', async () => {
    let more = () => {}
    const gate = new Promise<void>((resolve) => {
      more = resolve
    })
    async function* pieces() {
      yield 'one'
      await gate
      yield 'two'
    }
    const { origin } = await listening({ '*': { body: pieces() } })
    const reader = (await fetch(origin)).body?.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader?.read())?.value).toBe('one')
    more()
    expect((await reader?.read())?.value).toBe('two')
  })

  it('echoes a body that is still arriving', async () => {
    const { origin } = await listening({ '*': { echo: true } })
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    const wrote = writer.write(new TextEncoder().encode('first'))
    const answer = await fetch(origin, { method: 'POST', body: readable, duplex: 'half' } as RequestInit)
    await wrote
    const reader = answer.body?.getReader()
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('first')
    await writer.close()
    expect((await reader?.read())?.done).toBe(true)
  })

  it('takes its time, or hangs up, where it is told to', async () => {
    const { origin } = await listening({ '/slow': { afterMs: 150 }, '/gone': { hangUp: true } })
    const before = performance.now()
    await fetch(`${origin}/slow`)
    expect(performance.now() - before).toBeGreaterThan(140)
    await expect(fetch(`${origin}/gone`)).rejects.toThrow()
  })

  it('is gone once it is closed, with whoever is still connected', async () => {
    const there = await standIn({ '*': { afterMs: 60_000 } }).listen()
    const asked = fetch(there.origin)
    const gone = expect(asked).rejects.toThrow()
    while (there.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await there.close()
    await gone
  })
})
