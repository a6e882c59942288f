import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, createServer } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { refusal } from '../../test/house.ts'
import { upstream } from '../../test/upstream.ts'
import type { AnswerHead, Sending } from '../model/network.ts'
import { authority } from '../testing/certificates.ts'
import { type NetworkOptions, openNetwork } from './network.ts'

// The same way out as that of a fetch: what is refused there is refused here.

const ends: Array<() => unknown> = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function provider() {
  const there = await upstream({
    '/echo': (request, response) => void request.pipe(response.writeHead(201, { 'x-two': ['a', 'b'] })),
    '/strange': ({ socket }) => void socket.end('HTTP/1.1 700 What\r\ncontent-length: 0\r\n\r\n'),
  })
  ends.push(there.close)
  return there
}

function network(options: Partial<NetworkOptions> = {}) {
  const opened = openNetwork({ allow: [], ...options })
  ends.push(opened.close)
  return opened
}

/** Takes all of it, and says what it was. */
function taker() {
  const pieces: Buffer[] = []
  let head: AnswerHead | undefined
  const into = new Writable({
    write(piece, _, done) {
      pieces.push(piece)
      done()
    },
  })
  into.on('error', () => {})
  const begun = (its: AnswerHead) => {
    head = its
    return into
  }
  return { begun, into, head: () => head, text: () => Buffer.concat(pieces).toString() }
}

const get: Sending = { method: 'GET', headers: [] }

describe('a request on streams', () => {
  it('goes there and back, with every header as it was sent', async () => {
    const there = await provider()
    const taken = taker()
    const body = Readable.from([Buffer.from('one '), Buffer.from('two')])
    const request = { method: 'POST', headers: [['x-mine', '1']], body } as const
    await network({ allow: [there.origin] }).stream(new URL('/echo?x=1', there.origin), request, taken.begun)
    expect(taken.text()).toBe('one two')
    expect(taken.head()?.status).toBe(201)
    expect(taken.head()?.headers.filter(([name]) => name === 'x-two')).toEqual([
      ['x-two', 'a'],
      ['x-two', 'b'],
    ])
    expect(there.got[0]).toMatchObject({ method: 'POST', path: '/echo?x=1', headers: { 'x-mine': '1' } })
  })

  it.each([
    'http://127.0.0.1:1/',
    'https://127.0.0.1/',
    'https://10.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:7f00:1]/',
    'https://169.254.169.254/latest',
    'https://metadata.google.internal/',
    'http://example.com/',
    'https://name:word@example.com/',
  ])('[security 20.4] does not go to %s, nor does an upgrade', async (link) => {
    const { stream, upgrade } = network()
    const taken = taker()
    const asked = [stream(new URL(link), get, taken.begun)]
    const switched = upgrade(new URL(link), { ...get, protocol: 'websocket' }, taken.begun)
    for (const one of [...asked, switched])
      expect(await refusal(one)).toMatchObject({ code: 'host-not-allowed' })
    expect(taken.head()).toBeUndefined()
  })

  it('[security 20.4] does not go where a public name leads to a private address', async () => {
    let connections = 0
    const inside = createServer((socket) => {
      connections += 1
      socket.destroy()
    }).listen(0, '127.0.0.1')
    await once(inside, 'listening')
    ends.push(() => inside.close())
    const { port } = inside.address() as AddressInfo
    const lookup = ((_: string, _options: object, done: (error: null, all: LookupAddress[]) => void) =>
      done(null, [{ address: '127.0.0.1', family: 4 }])) as unknown as NonNullable<NetworkOptions['lookup']>
    const { stream, upgrade } = network({ lookup })
    const url = new URL(`https://public.test:${port}/`)
    for (const one of [
      stream(url, get, taker().begun),
      upgrade(url, { ...get, protocol: 'websocket' }, taker().begun),
    ])
      expect(await refusal(one)).toMatchObject({ code: 'host-not-allowed' })
    expect(connections).toBe(0)
  })

  it('sends not a byte where the certificate is not the one that is pinned', async () => {
    const trusted = authority()
    let requests = 0
    const server = createHttps(trusted.issue({ hosts: ['127.0.0.1'] }), (_, response) => {
      requests += 1
      response.end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    ends.push(() => server.close())
    const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    const pins = { '127.0.0.1': [`sha256/${'A'.repeat(43)}=`] }
    const { stream, upgrade } = network({ allow: [url.origin], ca: [trusted.cert], pins })
    for (const one of [
      stream(url, get, taker().begun),
      upgrade(url, { ...get, protocol: 'websocket' }, taker().begun),
    ])
      expect(await refusal(one)).toMatchObject({ code: 'certificate-pin' })
    expect(requests).toBe(0)
  })

  it.each(['TRACE', 'trace', 'CONNECT', 'GET X', ''])(
    'has a method that may be sent, unlike "%s"',
    async (method) => {
      const there = await provider()
      const { stream } = network({ allow: [there.origin] })
      const asked = stream(new URL(there.origin), { method, headers: [] }, taker().begun)
      expect(await refusal(asked)).toMatchObject({ code: 'invalid-request' })
      expect(there.got).toHaveLength(0)
    },
  )

  it.each([
    ['/hangs-up', 'answer-lost', false],
    ['/strange', 'bad-answer', false],
    ['/breaks', 'answer-lost', true],
    ['/bad-chunks', 'answer-lost', true],
    ['/silent', 'answer-timeout', false],
  ])('says what went wrong at %s, and leaves nothing half done', async (path, code, isBegun) => {
    const there = await provider()
    const taken = taker()
    const { stream } = network({ allow: [there.origin], answerSeconds: 0.5 })
    expect(await refusal(stream(new URL(path, there.origin), get, taken.begun))).toMatchObject({ code })
    expect([taken.head() !== undefined, taken.into.destroyed]).toEqual([isBegun, isBegun])
  })

  it('ends with an error at more than is taken', async () => {
    const there = await provider()
    const taken = taker()
    const { stream } = network({ allow: [there.origin], maxBytes: 1000 })
    const asked = stream(new URL('/large?bytes=100000', there.origin), get, taken.begun)
    expect(await refusal(asked)).toMatchObject({ code: 'response-too-large' })
    expect(taken.into.destroyed).toBe(true)
  })

  it('is called off by whoever asked, before the answer and in the middle of it', async () => {
    const there = await provider()
    const { stream } = network({ allow: [there.origin] })
    for (const path of ['/silent', '/large?bytes=1000000000']) {
      const leaving = new AbortController()
      setTimeout(() => leaving.abort(), 50)
      const slow = new Writable({ write: (_piece, _encoding, done) => void setTimeout(done, 5) })
      slow.on('error', () => {})
      const asked = stream(new URL(path, there.origin), { ...get, signal: leaving.signal }, () => slow)
      expect(await refusal(asked)).toMatchObject({ code: 'cancelled' })
    }
  })
})

describe('what takes an answer and is only promised', () => {
  const later = () => Promise.withResolvers<{ into: Writable }>()

  it('gets all that came before it was known, in order and once', async () => {
    const there = await provider()
    const taken = taker()
    const promised = later()
    const { stream } = network({ allow: [there.origin] })
    const body = Buffer.from('one two three')
    const asked = stream(new URL('/echo', there.origin), { ...get, method: 'POST', body }, (head) => {
      taken.begun(head)
      return promised.promise
    })
    await expect.poll(() => taken.head()?.status, { timeout: 10_000 }).toBe(201)
    expect(taken.text()).toBe('')
    promised.resolve({ into: taken.into })
    await asked
    expect(taken.text()).toBe('one two three')
  })

  it('is not run ahead of: no more than a little waits for it', async () => {
    const there = await provider()
    const promised = later()
    const bytes = 64 * 1024 * 1024
    const { stream } = network({ allow: [there.origin] })
    const before = process.memoryUsage().arrayBuffers
    const asked = stream(new URL(`/large?bytes=${bytes}`, there.origin), get, () => promised.promise)
    await pause(200)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(bytes / 2)
    let size = 0
    const into = new Writable({
      write(piece: Buffer, _, done) {
        size += piece.byteLength
        setImmediate(done)
      },
    })
    promised.resolve({ into })
    await asked
    expect(size).toBe(bytes)
  })

  it('is destroyed where the answer broke off before it was known', async () => {
    const there = await provider()
    const taken = taker()
    const promised = later()
    const { stream } = network({ allow: [there.origin] })
    const asked = stream(new URL('/breaks', there.origin), get, () => promised.promise)
    expect(await refusal(asked)).toMatchObject({ code: 'answer-lost' })
    promised.resolve({ into: taken.into })
    await pause(10)
    expect([taken.into.destroyed, taken.text()]).toEqual([true, ''])
  })

  it('that is gone already calls the request off', async () => {
    const there = await provider()
    const { into } = taker()
    into.destroy()
    const { stream } = network({ allow: [there.origin] })
    const asked = stream(new URL('/large?bytes=1000000000', there.origin), get, async () => ({ into }))
    expect(await refusal(asked)).toMatchObject({ code: 'answer-lost' })
  })

  it('that cannot be had does the same, and says why', async () => {
    const there = await provider()
    const { stream } = network({ allow: [there.origin] })
    const why = new ValetkeyError('not-allowed', 'nobody may have it')
    const asked = stream(new URL('/large?bytes=1000000000', there.origin), get, async () => {
      throw why
    })
    expect(await refusal(asked)).toMatchObject({ code: 'not-allowed' })
  })
})

describe('an upgrade', () => {
  const protocol = 'websocket'
  const headers = [
    ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['sec-websocket-version', '13'],
  ] as const

  it('ends in a connection of its own', async () => {
    const there = await provider()
    const { upgrade } = network({ allow: [there.origin] })
    const switched = await upgrade(new URL('/x', there.origin), { ...get, headers, protocol }, taker().begun)
    expect(switched?.status).toBe(101)
    expect(Object.fromEntries(switched?.headers ?? [])).toMatchObject({
      'sec-websocket-accept': expect.any(String),
    })
    switched?.socket.destroy()
  })

  it('that is refused is an answer like any other', async () => {
    const there = await provider()
    const taken = taker()
    const { upgrade } = network({ allow: [there.origin] })
    const asked = { ...get, headers, protocol }
    expect(await upgrade(new URL('/refused', there.origin), asked, taken.begun)).toBeUndefined()
    expect([taken.head()?.status, taken.text()]).toEqual([403, 'no'])
  })
})
