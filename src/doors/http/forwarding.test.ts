import { once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { PassThrough, type Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { type Caller, THE_PERSON } from '../../model/caller.ts'
import type { Crossing, Taker } from '../../model/gateway.ts'
import { canary } from '../../testing/canary.ts'
import { forwarding } from './forwarding.ts'
import { type Listening, listenTcp } from './listen.ts'

const cookie = `__Host-valetkey=${canary('cookie')}`
const owner: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'page' } }

let crossings: Crossing[]
let forward: (crossing: Crossing, taker: Taker) => Promise<void>
let underWay: number
let listening: Listening

beforeEach(async () => {
  crossings = []
  underWay = 0
  forward = async (_, taker) => end(taker.answer({ status: 200, headers: [['x-a', '1']] }), 'good')
  listening = await listenTcp({
    port: 0,
    door: { fetch: async () => new Response('another door') },
    identify: ({ headers }) => (headers.get('cookie') === cookie ? owner : undefined),
    forwarding: forwarding({
      identify: async (_, { caller }) => caller,
      gateway: () => ({
        forward: (crossing, taker) => {
          crossings.push(crossing)
          return forward(crossing, taker)
        },
      }),
      begun: () => {
        underWay += 1
        return () => {
          underWay -= 1
        }
      },
    }),
  })
})
afterEach(() => listening.close())

function end(into: Writable, text: string): Promise<void> {
  return new Promise((resolve) => into.end(text, resolve))
}

interface Came {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

interface Sending {
  readonly method?: string
  readonly headers?: Record<string, string | number>
  readonly body?: string
}

function send(path: string, { method = 'GET', headers = {}, body }: Sending = {}): Promise<Came> {
  const { hostname, port } = listening.origin
  const { promise, resolve, reject } = Promise.withResolvers<Came>()
  const request = httpRequest({ host: hostname, port, path, method, headers: { cookie, ...headers } })
  request.on('error', reject)
  request.on('upgrade', ({ statusCode: status, headers }, socket) => {
    socket.destroy()
    resolve({ status, headers, text: '' })
  })
  request.on('response', async (response) => {
    let text = ''
    for await (const piece of response) text += piece
    resolve({ status: response.statusCode, headers: response.headers, text })
  })
  request.end(body)
  return promise
}

const GOOD = '/forward/openai/work/v1/x?a=1'
const webSocket = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'x' }

describe('the gateway at a listener', () => {
  it('takes what is its own, and leaves all else to the door', async () => {
    expect(await send('/api/accounts')).toMatchObject({ text: 'another door' })
    expect(crossings).toEqual([])
    expect(await send(GOOD)).toMatchObject({ status: 200, text: 'good', headers: { 'x-a': '1' } })
    expect(crossings[0]).toMatchObject({
      address: 'openai/work',
      method: 'GET',
      path: '/v1/x?a=1',
      body: null,
    })
    expect(crossings[0]?.headers).toEqual({})
    expect(underWay).toBe(0)
  })

  it.each([
    ['a stranger', { cookie: '' }, 401],
    ['another name of this computer', { host: 'evil.test' }, 421],
    ['no name at all', { host: 'a b' }, 400],
    ['a page of another site', { origin: 'https://evil.test' }, 403],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a frame', { 'sec-fetch-dest': 'iframe' }, 403],
    ['somebody who is nobody’s owner', { 'valetkey-as': 'person:ada' }, 403],
  ])('[security 18.4] refuses %s, and an upgrade as well', async (_, headers, status) => {
    for (const more of [{}, webSocket]) {
      const came = await send(GOOD, { headers: { ...more, ...headers } })
      expect([came.status, came.headers['valetkey-error'] !== undefined]).toEqual([status, true])
      expect(came.headers).not.toHaveProperty('upgrade')
    }
    expect(crossings).toEqual([])
  })

  it('[security 18.4] takes a change only from whoever means it', async () => {
    const type = { 'content-type': 'text/plain' }
    expect(await send(GOOD, { method: 'POST', headers: type, body: 'x' })).toMatchObject({ status: 403 })
    const marked = { ...type, 'valetkey-request': '1' }
    expect(await send(GOOD, { method: 'POST', headers: marked, body: 'x' })).toMatchObject({ status: 200 })
    expect(crossings[0]).toMatchObject({ length: 1 })
  })

  it('says why there is no answer, and breaks off one that has begun', async () => {
    forward = () => Promise.reject(new ValetkeyError('rate-limited', 'too often', { retryAfter: 7 }))
    expect(await send(GOOD)).toMatchObject({ status: 429, headers: { 'retry-after': '7' } })
    forward = () => Promise.reject(new TypeError(canary('inside')))
    expect(await send(GOOD)).toMatchObject({ status: 500, text: expect.not.stringContaining('CANARY') })
    forward = async (_, taker) => {
      taker.answer({ status: 200, headers: [['content-length', '10']] }).write('half')
      throw new ValetkeyError('answer-lost', 'lost')
    }
    await expect(send(GOOD)).rejects.toMatchObject({ code: 'ECONNRESET' })
    forward = async (_, taker) => void taker.answer({ status: 200, headers: [['x-a', 'b\r\nc: d']] })
    expect(await send(GOOD)).toMatchObject({ status: 502 })
    expect(underWay).toBe(0)
  })

  it('answers before all of a body has come, and goes on at the same connection', async () => {
    const body = 'x'.repeat(5_000_000)
    const headers = { 'content-type': 'application/json', 'content-length': body.length }
    for (let nth = 0; nth < 3; nth += 1)
      expect(await send(GOOD, { method: 'POST', headers, body })).toMatchObject({ status: 200, text: 'good' })
  })

  it('tells the broker when nobody waits any more', async () => {
    const gone = Promise.withResolvers<void>()
    forward = ({ signal }) =>
      new Promise((resolve) => {
        signal?.addEventListener('abort', () => {
          gone.resolve()
          resolve()
        })
      })
    const { hostname, port } = listening.origin
    const request = httpRequest({ host: hostname, port, path: GOOD, headers: { cookie } }).end()
    request.on('error', () => {})
    while (crossings.length === 0) await new Promise(setImmediate)
    request.destroy()
    await gone.promise
  })
})

describe('an upgrade', () => {
  it('is offered for what a provider may go on in, and for no second version of HTTP', async () => {
    forward = async (_, taker) => {
      const { switched } = taker
      if (switched === undefined) return end(taker.answer({ status: 200, headers: [] }), 'plain')
      switched({ status: 101, headers: [['sec-websocket-accept', 'y']] })
    }
    const came = await send(GOOD, { headers: { ...webSocket, 'sec-websocket-protocol': 'a, b' } })
    expect(came).toMatchObject({
      status: 101,
      headers: { upgrade: 'websocket', 'sec-websocket-accept': 'y' },
    })
    expect(crossings[0]).toMatchObject({
      upgrade: 'websocket',
      headers: { 'sec-websocket-key': 'x', 'sec-websocket-protocol': 'a, b' },
    })
    const h2c = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'x' }
    expect(await send(GOOD, { headers: h2c })).toMatchObject({ status: 200, text: 'plain' })
    expect(await send('/api/x', { headers: webSocket })).toMatchObject({ status: 200, text: 'another door' })
  })

  it('carries a key of ours no further, wherever it was shown', async () => {
    const key = `vk_abcdefgh_${'A'.repeat(43)}`
    const headers = { ...webSocket, 'sec-websocket-protocol': `realtime, x.${key}`, 'x-mine': key }
    await send(GOOD, { headers })
    expect(JSON.stringify(crossings)).not.toContain('vk_')
    expect(crossings[0]?.headers).toMatchObject({ 'sec-websocket-protocol': 'realtime' })
  })

  it('does not keep the listener from closing', async () => {
    const there = new PassThrough()
    forward = async (_, taker) => {
      const socket = taker.switched?.({ status: 101, headers: [] })
      await once(socket ?? there, 'close')
    }
    const { hostname, port } = listening.origin
    const request = httpRequest({ host: hostname, port, path: GOOD, headers: { cookie, ...webSocket } }).end()
    const [, socket] = await once(request, 'upgrade')
    const closed = once(socket, 'close')
    socket.on('error', () => {})
    await listening.close()
    await closed
  })
})
