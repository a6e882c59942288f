import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asked, gatewayStage } from '../gateway-stage.ts'

// What is the owner's alone, asked for by those that the owner made, at a real broker: by every way in there is.

type Stage = Awaited<ReturnType<typeof gatewayStage>>

/** What anybody may do who is somebody here; what they see by it is their own. */
const ANYBODYS = new Set([
  'get /api/providers',
  'get /api/accounts',
  'get /api/leases',
  'get /api/usage',
  'get /api/bindings',
  'get /api/keys',
  'get /api/asks',
  'get /api/events',
  'get /api/gateway',
  'get /api/vault',
  // Their own.
  'get /api/flows',
  // Empty for anybody else.
  'get /api/outbox',
  'get /api/registrations',
])

/** As far as a request has to be shaped to be judged. */
const BODIES: Readonly<Record<string, object>> = {
  '/api/connect': { provider: 'openai', bucket: 'mine', fields: { key: 'x' }, insist: true },
  '/api/lend': { address: 'openai' },
  '/api/reveal': { address: 'openai' },
  '/api/bindings': { caller: 'app:x', address: 'openai', may: ['reveal'] },
  '/api/keys': { kind: 'key', grants: [{ address: 'openai', may: ['reveal'] }] },
}

let stage: Stage
let sandbox: { id: string; socket: string }

beforeAll(async () => {
  stage = await gatewayStage()
  const made = await stage.home.ask('/api/keys', {
    method: 'POST',
    body: JSON.stringify({ kind: 'socket', grants: [] }),
  })
  const { key } = (await made.json()) as { key: { id: string; socket: string } }
  sandbox = key
}, 60_000)
afterAll(() => stage?.close())

const WAYS = {
  'the socket of a sandbox': () => ({ socketPath: sandbox.socket, headers: {} }),
  'the port, with a key': () => {
    const { hostname: host, port } = new URL(stage.tcp)
    return { host, port, headers: { authorization: `Bearer ${stage.key}` } }
  },
}

describe.each(Object.entries(WAYS))('at %s', (_, way) => {
  const ask = (method: string, path: string, body?: string, headers: Record<string, string> = {}) => {
    const base = way()
    const all = { ...base.headers, 'content-type': 'application/json', 'valetkey-request': '1', ...headers }
    return asked({ ...base, method, path, headers: all }, body)
  }

  it('does nobody but the owner what is the owner’s', async () => {
    const { paths } = (await (await stage.home.ask('/api/openapi.json')).json()) as {
      paths: Record<string, Record<string, unknown>>
    }
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => [method, path] as const),
    )
    expect(routes.length).toBeGreaterThan(40)
    const done: string[] = []
    for (const [method, path] of routes) {
      const route = `${method} ${path}`
      if (ANYBODYS.has(route) || path.startsWith('/forward/')) continue
      const at = path.replaceAll(/\{address\}/g, 'openai').replaceAll(/\{\w+\}/g, 'person:owner')
      const body = method === 'get' ? undefined : JSON.stringify(BODIES[path] ?? {})
      const { statusCode = 0 } = await ask(method.toUpperCase(), at, body)
      if (statusCode < 400 || statusCode >= 500) done.push(`${route} ${statusCode}`)
    }
    expect(done).toEqual([])
    expect((await stage.home.ask('/api/accounts')).status).toBe(200)
  }, 60_000)

  it.each<[string, string, object?]>([
    ['GET', '/api/audit'],
    ['POST', '/api/session/link'],
    ['POST', '/api/vault/lock'],
    ['POST', '/api/vault/export', { passphrase: 'x'.repeat(20) }],
    ['POST', '/api/vault/revoke-everything'],
    ['DELETE', '/api/accounts/openai'],
    ['POST', '/api/session', { code: 'x' }],
  ])('is refused %s %s, under whatever name', async (method, path, body = {}) => {
    for (const headers of [
      {},
      { 'valetkey-as': 'person:owner' },
      { 'valetkey-as': 'app:agent' },
      { cookie: '__Host-valetkey=x' },
      { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' },
    ]) {
      const { statusCode = 0 } = await ask(
        method,
        path,
        method === 'GET' ? undefined : JSON.stringify(body),
        {
          ...headers,
        } as Record<string, string>,
      )
      expect([path, headers, statusCode < 500 && statusCode >= 400]).toEqual([path, headers, true])
    }
  })

  it('decides no ask, and sees none of another’s', async () => {
    const reason = 'to see'
    const own = await ask('POST', '/api/asks', JSON.stringify({ address: 'openai', may: ['lend'], reason }))
    const { id } = JSON.parse(own.text) as { id: string }
    expect(own.statusCode).toBe(200)
    const decided = await ask('POST', `/api/asks/${id}/decide`, JSON.stringify({ decision: 'always' }))
    expect(decided.statusCode).toBe(403)
    const seen = JSON.parse((await ask('GET', '/api/asks')).text) as { caller: string }[]
    expect(new Set(seen.map(({ caller }) => caller)).size).toBe(1)
  })
})

describe('one connection', () => {
  /** All that is answered to these bytes. */
  function said(path: string, bytes: string): Promise<string> {
    const socket = connect(path)
    let text = ''
    socket.on('data', (piece) => {
      text += piece.toString('latin1')
    })
    socket.end(Buffer.from(bytes, 'latin1'))
    return new Promise((resolve) => socket.on('error', () => {}).on('close', () => resolve(text)))
  }
  const shake = '{"v":2,"op":"handshake","payload":{"minVersion":1,"maxVersion":2}}'
  const frame = (text: string) => `\0\0\0${String.fromCharCode(text.length)}${text}`

  it('speaks the language that it began with, and no other after it', async () => {
    const http = `GET /api/accounts HTTP/1.1\r\nHost: valetkey\r\n\r\n`
    const framedFirst = await said(sandbox.socket, frame(shake) + http)
    expect(framedFirst).not.toContain('HTTP/1.1 200')
    expect((await said(sandbox.socket, http + http)).match(/HTTP\/1\.1 200/g)).toHaveLength(2)
    const httpFirst = await said(sandbox.socket, http + frame(shake))
    expect((httpFirst.match(/HTTP\/1\.1 200/g) ?? []).length).toBeLessThanOrEqual(1)
    expect(httpFirst).not.toContain('"op":"handshake"')
  })

  it.each([
    [
      'both lengths',
      'POST /api/asks HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['two lengths', 'POST /api/asks HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n'],
    [
      'a coding that is not the last',
      'POST /api/asks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n',
    ],
    ['a name with a blank', 'POST /api/asks HTTP/1.1\r\nHost: a\r\nContent-Length : 44\r\n\r\n'],
    ['a line that goes on', 'POST /api/asks HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 44\r\n\r\n'],
    ['a tunnel', 'CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ])('smuggles nothing behind a request with %s', async (_, head) => {
    const answers = await said(sandbox.socket, `${head}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n`)
    expect(answers.match(/HTTP\/1\.1 200/g) ?? []).toHaveLength(0)
  })

  it('is the same caller, wherever its target says that it goes', async () => {
    for (const target of [
      'http://127.0.0.1/api/audit',
      'http://evil.test/api/audit',
      '//api/audit',
      '/api/../api/audit',
    ]) {
      const answer = await said(
        sandbox.socket,
        `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      )
      expect([target, answer.slice(9, 10)]).toEqual([target, '4'])
    }
  })
})
