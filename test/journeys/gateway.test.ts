import { execFile } from 'node:child_process'
import type { RequestOptions } from 'node:http'
import { promisify } from 'node:util'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { canary } from '../../src/testing/canary.ts'
import { asked, gatewayStage } from '../gateway-stage.ts'
import { until } from '../real.ts'
import { upstream } from '../upstream.ts'

// The gateway of a real broker in a process of its own, at its socket and on TCP, before a provider on loopback.

type Stage = Awaited<ReturnType<typeof gatewayStage>>

const AT = '/forward/openai/default'
const cookie = `__Host-valetkey=${canary('cookie')}`
const says = {
  text: '',
  headers: {} as Record<string, string>,
  status: 200,
  bytes: undefined as Buffer | undefined,
}

let stage: Stage

beforeAll(async () => {
  stage = await gatewayStage({
    '/v1/says': (_, response) => {
      response.writeHead(says.status, { 'content-type': 'text/plain', ...says.headers })
      response.end(says.bytes ?? says.text)
    },
    '/v1/in-pieces': async (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const letter of says.text) {
        response.write(letter)
        await new Promise(setImmediate)
      }
      response.end()
    },
  })
}, 60_000)

beforeEach(() => Object.assign(says, { text: '', headers: {}, status: 200, bytes: undefined }))
afterAll(() => stage?.close())

const WAYS = ['its socket', 'tcp'] as const
type Way = (typeof WAYS)[number]

function over(way: Way): RequestOptions {
  if (way === 'its socket') return { socketPath: stage.socket }
  const { hostname, port } = new URL(stage.tcp)
  return { host: hostname, port, headers: { authorization: `Bearer ${stage.key}` } }
}

function ask(way: Way, path: string, { headers = {}, ...options }: RequestOptions = {}, body?: string) {
  const base = over(way)
  const all = { ...base.headers, ...headers } as Record<string, string>
  return asked({ ...base, path: `${AT}${path}`, ...options, headers: all }, body)
}

const last = () => stage.there.got.at(-1)

describe.each(WAYS)('a request at %s', (way) => {
  it('is done with the credential, and with nothing of the caller’s in its place', async () => {
    const headers = { cookie, 'content-type': 'application/json', 'x-mine': 'kept', 'x-api-key': 'theirs' }
    const answer = await ask(way, '/v1/things?a=1', { method: 'POST', headers }, '{"a":1}')
    expect(answer.statusCode).toBe(200)
    expect(last()).toMatchObject({ method: 'POST', path: '/v1/things?a=1' })
    expect(last()?.headers).toMatchObject({ authorization: `Bearer ${stage.secret}`, 'x-mine': 'kept' })
    expect(last()?.headers).toMatchObject({ 'content-length': '7' })
    expect(last()?.body()).toBe('{"a":1}')
    for (const name of ['cookie', 'x-api-key', 'valetkey-as'])
      expect(last()?.headers).not.toHaveProperty(name)
    expect(JSON.stringify(last()?.headers)).not.toContain(stage.key)
  })

  it.each([
    ['GET', '/v1/nothing', 204, ''],
    ['GET', '/v1/unchanged', 304, ''],
    ['HEAD', '/v1/large?bytes=5', 200, ''],
    ['GET', '/v1/trailers', 200, 'body'],
    ['GET', '/v1/hints', 200, 'after hints'],
  ])('%s %s comes back as it is', async (method, path, status, text) => {
    const answer = await ask(way, path, { method })
    expect([answer.statusCode, answer.text, answer.rawTrailers]).toEqual([status, text, []])
    if (method === 'HEAD') expect(answer.headers['content-length']).toBe('5')
  })

  it('[security 1.19] brings no cookie, no page and no permission back', async () => {
    says.headers = {
      'access-control-allow-origin': '*',
      'clear-site-data': '"*"',
      refresh: '0; url=https://evil.test/',
      'set-cookie': cookie,
      'service-worker-allowed': '/',
      'valetkey-error': 'locked',
      'www-authenticate': 'Basic realm="valetkey"',
    }
    const { headers } = await ask(way, '/v1/says')
    for (const name of Object.keys(says.headers)) expect(headers).not.toHaveProperty(name)
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'content-security-policy': 'sandbox',
    })
  })

  it.each(['document', 'iframe', 'script', 'image', 'websocket'])(
    '[security 1.19] is never shown as a page, and so not for a %s',
    async (to) => {
      const before = stage.there.got.length
      const answer = await ask(way, '/v1/says', { headers: { 'sec-fetch-dest': to } })
      expect([answer.statusCode, answer.headers['valetkey-error']]).toEqual([403, 'not-allowed'])
      expect(stage.there.got).toHaveLength(before)
    },
  )

  it('[security 1.18] is not followed elsewhere: the answer is a redirect, and nothing goes to another origin', async () => {
    const elsewhere = await upstream()
    const to = encodeURIComponent(`${elsewhere.origin}/v1/things`)
    const answer = await ask(way, `/v1/elsewhere?to=${to}`, { method: 'POST' }, 'secret body')
    expect([answer.statusCode, answer.headers.location]).toEqual([307, `${elsewhere.origin}/v1/things`])
    expect(elsewhere.got).toHaveLength(0)
    await elsewhere.close()
  })

  it.each([
    '/v1/../../../api/accounts',
    '/%2e%2e/%2E%2E/other/default/v1',
    '/v1/..',
    '/.%2e/x',
    '/v1\\..\\x',
    '/~/evil.test\\x/',
  ])('[security 1.17] does not lead out of its account by %s', async (path) => {
    const before = stage.there.got.length
    expect((await ask(way, path)).statusCode).toBe(400)
    expect(stage.there.got).toHaveLength(before)
  })

  it.each(['/~/evil.test/v1', '/~/api.openai.com.evil.test/', '/~/127.0.0.1:1/x', '/~/[::1]/'])(
    '[security 1.17] [security 20.4] goes to no host of somebody else’s: %s',
    async (path) => {
      const before = stage.there.got.length
      expect((await ask(way, path)).statusCode).toBeGreaterThanOrEqual(400)
      expect(stage.there.got).toHaveLength(before)
    },
  )

  it('breaks off where the provider’s answer does, and says so where it never began', async () => {
    await expect(ask(way, '/v1/breaks')).rejects.toMatchObject({ code: 'ECONNRESET' })
    for (const path of ['hangs-up', 'malformed'])
      expect((await ask(way, `/v1/${path}`)).headers['valetkey-error']).toBe('answer-lost')
  })

  it('carries a WebSocket both ways', async () => {
    const url = way === 'tcp' ? stage.tcp.replace('http', 'ws') : `ws+unix://${stage.socket}:`
    const headers = way === 'tcp' ? { authorization: `Bearer ${stage.key}` } : {}
    const ws = new WebSocket(`${url}${AT}/v1/socket`, { headers })
    const heard: string[] = []
    ws.on('message', (data) => heard.push(String(data)))
    await new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject))
    for (const word of ['one', 'two', 'x'.repeat(200_000)]) ws.send(word)
    await until(() => heard.length === 3)
    expect(heard.map((one) => one.length)).toEqual([3, 3, 200_000])
    expect(last()?.headers).toMatchObject({ authorization: `Bearer ${stage.secret}`, upgrade: 'websocket' })
    ws.close()
    await new Promise((resolve) => ws.on('close', resolve))
  })

  it('hands back why a provider refuses a WebSocket', async () => {
    const url = way === 'tcp' ? stage.tcp.replace('http', 'ws') : `ws+unix://${stage.socket}:`
    const headers = way === 'tcp' ? { authorization: `Bearer ${stage.key}` } : {}
    const ws = new WebSocket(`${url}${AT}/v1/refused`, { headers })
    ws.on('error', () => {})
    const status = await new Promise((resolve) =>
      ws.on('unexpected-response', (_, { statusCode }) => resolve(statusCode)),
    )
    expect(status).toBe(403)
  })
})

describe('a secret in an answer', () => {
  const encoded = () => encodeURIComponent(`+${stage.secret}`)

  it('is not to be found in a text, whichever way it is written', async () => {
    const { secret } = stage
    const bytes = Buffer.from(secret)
    const ways = {
      plain: secret,
      json: JSON.stringify({ Authorization: `Bearer ${secret}` }),
      link: encoded(),
      hex: bytes.toString('hex'),
      base64: bytes.toString('base64'),
      base64url: bytes.toString('base64url'),
      inside: Buffer.from(`user:${secret}:x`).toString('base64'),
      further: Buffer.from(`ab:${secret}`).toString('base64url'),
    }
    for (const [name, text] of Object.entries(ways)) {
      says.text = `before ${text} after`
      const answer = await ask('its socket', '/v1/says')
      expect([name, answer.text.length]).toEqual([name, says.text.length])
      expect(answer.text.startsWith('before ') && answer.text.endsWith(' after')).toBe(true)
      expect(answer.text.slice(10, -10)).toMatch(/\*{20}/)
      expect(answer.text).not.toContain(text.slice(8, -8))
    }
  })

  it('is not to be found where it comes in pieces, nor in an error, nor in a header', async () => {
    says.text = `data: ${stage.secret}\n\ndata: ${stage.secret.slice(0, 12)} is no secret`
    const streamed = await ask('tcp', '/v1/in-pieces')
    expect(streamed.text).toBe(says.text.replace(stage.secret, '*'.repeat(stage.secret.length)))
    says.text = `{"error":"${stage.secret} is wrong"}`
    Object.assign(says, {
      status: 401,
      headers: { 'x-echo': stage.secret, 'content-type': 'application/problem+json' },
    })
    const refused = await ask('tcp', '/v1/says')
    expect([refused.statusCode, refused.headers['x-echo']]).toEqual([401, '*'.repeat(stage.secret.length)])
    expect(refused.text).not.toContain(stage.secret)
  })

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ] as const)('is not to be found although it is packed: %s', async (coding, pack) => {
    says.bytes = pack(Buffer.from(`a ${stage.secret} b`))
    says.headers = { 'content-encoding': coding }
    const answer = await ask('its socket', '/v1/says')
    expect(last()?.headers['accept-encoding']).toBe('identity')
    expect(answer.headers).not.toHaveProperty('content-encoding')
    expect(answer.text).toBe(`a ${'*'.repeat(stage.secret.length)} b`)
  })

  it.each([
    ['application/json ; charset=utf-8'],
    ['application/x-amz-json-1.1'],
    ['application/vnd.github.text'],
    ['image/png, text/plain'],
  ])('[security 20.1] is not to be found in a text of the type %s', async (type) => {
    Object.assign(says, { text: `a ${stage.secret} b`, headers: { 'content-type': type } })
    expect((await ask('its socket', '/v1/says')).text).toBe(`a ${'*'.repeat(stage.secret.length)} b`)
  })

  it('[security 20.1] is not to be found in the name of a header', async () => {
    Object.assign(says, { text: 'x', headers: { [`x-${stage.secret}`]: 'y', 'x-other': 'z' } })
    const { headers } = await ask('its socket', '/v1/says')
    expect(headers['x-other']).toBe('z')
    expect(JSON.stringify(headers)).not.toContain(stage.secret.toLowerCase())
  })

  it('[security 20.1] is not heard over a WebSocket, and no other protocol is spoken to hide it in', async () => {
    const url = `${stage.tcp.replace('http', 'ws')}${AT}/v1/socket`
    const headers = { authorization: `Bearer ${stage.key}` }
    const ws = new WebSocket(url, { headers })
    const heard: string[] = []
    ws.on('message', (data) => heard.push(String(data)))
    await new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject))
    for (const word of [`a ${stage.secret}`, stage.secret.slice(0, 4), 'b']) ws.send(word)
    await until(() => heard.length === 3)
    expect(heard).toEqual([`a ${'*'.repeat(stage.secret.length)}`, stage.secret.slice(0, 4), 'b'])
    expect(last()?.headers).not.toHaveProperty('sec-websocket-extensions')
    ws.terminate()
    const before = stage.there.got.length
    const upgrade = { connection: 'Upgrade', upgrade: 'spdy/3.1' }
    expect((await ask('tcp', '/v1/socket', { headers: upgrade })).statusCode).toBe(403)
    expect(stage.there.got).toHaveLength(before)
  })

  it('is not asked for a few bytes at a time', async () => {
    Object.assign(says, { status: 206, text: stage.secret.slice(0, 5) })
    expect((await ask('its socket', '/v1/says', { headers: { range: 'bytes=0-4' } })).statusCode).toBe(502)
  })

  it('leaves what is no text as it is, to the byte', async () => {
    says.bytes = Buffer.concat([Buffer.from([0, 255, 128]), Buffer.from(stage.secret)])
    says.headers = { 'content-type': 'image/png' }
    expect(Buffer.from((await ask('its socket', '/v1/says')).text, 'latin1')).toEqual(says.bytes)
  })
})

describe('what is under way', () => {
  it('is cut off when the account is bound no more: an answer that streams, and a WebSocket', async () => {
    const key = await stage.cut([{ address: 'openai', may: ['forward'] }])
    const headers = { authorization: `Bearer ${key}` }
    const ws = new WebSocket(`${stage.tcp.replace('http', 'ws')}${AT}/v1/socket`, { headers })
    ws.on('error', () => {})
    await new Promise((resolve) => ws.on('open', resolve))
    const closed = new Promise<number>((resolve) => ws.on('close', () => resolve(performance.now())))
    const large = asked({ ...over('tcp'), path: `${AT}/v1/silent`, headers }).catch(({ code }) => code)
    await until(() => last()?.path === '/v1/silent')
    const keys = (await (await stage.home.ask('/api/keys')).json()) as readonly { id: string }[]
    const id = keys.find((one) => key.startsWith(`vk_${one.id.slice('key:'.length)}`))?.id ?? ''
    const at = performance.now()
    await stage.home.ask(`/api/keys/${encodeURIComponent(id)}`, { method: 'DELETE' })
    expect((await closed) - at).toBeLessThan(2000)
    const cut = await large
    expect(typeof cut === 'string' ? cut : cut.headers['valetkey-error']).toMatch(/ECONNRESET|cancelled/)
    expect((await ask('tcp', '/v1/x', { headers })).statusCode).toBe(401)
  }, 20_000)
})

describe('curl', () => {
  const run = promisify(execFile)

  it('gets there by the socket and by TCP', async () => {
    const bySocket = ['-sS', '--unix-socket', stage.socket, `http://valetkey${AT}/v1/things`]
    expect(JSON.parse((await run('curl', bySocket)).stdout)).toMatchObject({ data: [] })
    const byTcp = ['-sS', '-u', `x:${stage.key}`, '-d', '{"a":1}', `${stage.tcp}${AT}/v1/things`]
    const type = ['-H', 'content-type: application/json']
    expect(JSON.parse((await run('curl', [...type, ...byTcp])).stdout)).toMatchObject({ data: [] })
    expect(last()?.body()).toBe('{"a":1}')
    expect(last()?.headers['authorization']).toBe(`Bearer ${stage.secret}`)
  })

  it('[security 1.17] gets nowhere else with a path as it is', async () => {
    const asItIs = [
      '-sS',
      '--path-as-is',
      '--unix-socket',
      stage.socket,
      `http://valetkey${AT}/v1/../../api/accounts`,
    ]
    expect(JSON.parse((await run('curl', asItIs)).stdout)).toMatchObject({ code: 'invalid-request' })
  })
})
