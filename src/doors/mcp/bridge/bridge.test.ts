import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bridge } from './bridge.ts'

const MODERN = '2026-07-28'
const LEGACY = '2025-11-25'

interface Heard {
  readonly method: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Answering = (request: Heard, response: ServerResponse) => void | Promise<void>

let server: Server
let heard: Heard[]
let answering: Answering

beforeEach(async () => {
  heard = []
  answering = (_, response) => void response.writeHead(500).end()
  server = createServer(async (request, response) => {
    const { method = '', headers } = request
    const one = { method, headers, body: await text(request) }
    heard.push(one)
    await answering(one, response)
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
})

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

/** A client with nothing but lines, and the bridge before it. */
function client(address = 'notes-mcp') {
  const [input, output] = [new PassThrough(), new PassThrough()]
  const over = new AbortController()
  const { port } = server.address() as AddressInfo
  const there: typeof fetch = (path, init) => fetch(`http://127.0.0.1:${port}${String(path)}`, init)
  const done = bridge({ address, fetch: there, input, output, signal: over.signal })
  const lines: unknown[] = []
  let rest = ''
  output.on('data', (chunk) => {
    const all = (rest + String(chunk)).split('\n')
    rest = all.pop() ?? ''
    lines.push(...all.map((line) => JSON.parse(line)))
  })
  return {
    say: (message: unknown) => void input.write(`${JSON.stringify(message)}\n`),
    sayRaw: (line: string) => void input.write(`${line}\n`),
    lines,
    over: () => over.abort(),
    async end() {
      input.end()
      await done
      return lines
    },
    async until(count: number) {
      for (let tries = 0; lines.length < count && tries < 500; tries += 1) await pause(10)
      return lines
    },
    output,
    done,
  }
}

const call = (id: unknown, name = 'echo', more: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {}, ...more },
})
const modern = { _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN } }
const result = (id: unknown, value: object = {}) => ({ jsonrpc: '2.0', id, result: value })
const hello = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: LEGACY, capabilities: {}, clientInfo: { name: 'x', version: '1' } },
}
const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' }

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}, status = 200) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
}

function stream(response: ServerResponse, ...events: string[]): ServerResponse {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(events.map((event) => `${event}\n\n`).join(''))
  return response
}

const message = (value: unknown) => `data: ${JSON.stringify(value)}`

/** A server of the older kind, which keeps sessions. */
function sessions(calls: Answering): Answering {
  let count = 0
  return (request, response) => {
    const { method } = request.method === 'POST' ? JSON.parse(request.body) : { method: request.method }
    if (method === 'initialize') {
      count += 1
      return json(response, result(0, { protocolVersion: LEGACY }), { 'mcp-session-id': `session-${count}` })
    }
    if (method === 'notifications/initialized') return void response.writeHead(202).end()
    return calls(request, response)
  }
}

describe('a bridge', () => {
  it('passes every message as it is, and its answer', async () => {
    answering = ({ body }, response) => json(response, result(JSON.parse(body).id, { big: 1, ü: ['x'] }))
    const { say, end } = client()
    say({ ...call('a'), unknown: { kept: true } })
    expect(await end()).toEqual([result('a', { big: 1, ü: ['x'] })])
    expect(JSON.parse(heard[0]?.body ?? '')).toEqual({ ...call('a'), unknown: { kept: true } })
  })

  it('keeps numbers that are larger than a program of this kind can count', async () => {
    answering = (_, response) =>
      void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"jsonrpc":"2.0",\n"id":1,"result":{"n":12345678901234567890}}')
    const { say, end, output } = client()
    const raw: string[] = []
    output.on('data', (chunk) => raw.push(String(chunk)))
    say(call(1))
    await end()
    expect(raw.join('')).toContain('"n":12345678901234567890')
    expect(raw.join('').trim().split('\n')).toHaveLength(1)
  })

  it('says in headers what a request of the present revision says of itself', async () => {
    answering = ({ body }, response) => {
      const { id, method } = JSON.parse(body)
      const tool = {
        name: 'weather',
        inputSchema: { properties: { place: { type: 'string', 'x-mcp-header': 'Place' } } },
      }
      json(response, result(id, method === 'tools/list' ? { tools: [tool] } : {}))
    }
    const { say, end, until } = client()
    say({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: modern })
    await until(1)
    say(call(2, 'weather', { ...modern, arguments: { place: 'Zürich' } }))
    await end()
    expect(heard[1]?.headers).toMatchObject({
      'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call',
      'mcp-name': 'weather',
      'mcp-param-place': `=?base64?${Buffer.from('Zürich').toString('base64')}?=`,
    })
  })

  it('hands on what a stream says before the answer, and the client’s answers to it', async () => {
    answering = ({ body }, response) => {
      const { id, method } = JSON.parse(body)
      if (method === undefined) return void response.writeHead(202).end()
      const asked = { jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params: {} }
      stream(response, ': hello', message(asked), message(result(id))).end()
    }
    const { say, until, end } = client()
    say(call(1))
    await until(2)
    say(result('q', { action: 'accept' }))
    expect(await end()).toEqual([
      { jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params: {} },
      result(1),
    ])
    expect(JSON.parse(heard[1]?.body ?? '')).toEqual(result('q', { action: 'accept' }))
  })

  it('asks for what follows where a stream broke off', async () => {
    answering = ({ method, body, headers }, response) => {
      if (method === 'GET') {
        expect(headers['last-event-id']).toBe('7')
        return void stream(response, message(result(1, { whole: true }))).end()
      }
      expect(JSON.parse(body).id).toBe(1)
      stream(response, 'id: 7\nretry: 10\ndata:').end()
    }
    const { say, end } = client()
    say(call(1))
    expect(await end()).toEqual([result(1, { whole: true })])
  })

  it('passes over events that are no messages', async () => {
    answering = (_, response) =>
      void stream(response, `event: ping\n${message({ no: 'message' })}`, message(result(1))).end()
    const { say, end } = client()
    say(call(1))
    expect(await end()).toEqual([result(1)])
  })

  it('reads a stream in whatever pieces and with whatever line ends it comes', async () => {
    answering = async (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const whole = `id: 1\r\ndata: {"jsonrpc":"2.0",\r\ndata: "id":1,"result":{"ü":"é"}}\r\n\r\n`
      for (const byte of Buffer.from(whole)) {
        response.write(Buffer.from([byte]))
        await pause(1)
      }
      response.end()
    }
    const { say, end } = client()
    say(call(1))
    expect(await end()).toEqual([result(1, { ü: 'é' })])
  })

  it('says so where an answer was lost for good', async () => {
    answering = (_, response) => void stream(response, message({ jsonrpc: '2.0', method: 'x' })).end()
    const { say, end } = client()
    say(call(1))
    const [, last] = await end()
    expect(last).toMatchObject({ id: 1, error: { data: { code: 'answer-lost' } } })
  })

  it('keeps the session and its revision, and says goodbye', async () => {
    answering = sessions(({ method, body }, response) => {
      if (method !== 'POST') return void response.writeHead(method === 'GET' ? 405 : 200).end()
      json(response, result(JSON.parse(body).id))
    })
    const { say, until, end } = client()
    say(hello)
    say(initialized)
    say(call(1))
    await until(2)
    await end()
    const later = heard.slice(1)
    expect(later.map(({ headers }) => headers['mcp-session-id'])).toEqual(later.map(() => 'session-1'))
    expect(later.map(({ headers }) => headers['mcp-protocol-version'])).toEqual(later.map(() => LEGACY))
    expect(heard.at(-1)?.method).toBe('DELETE')
  })

  it('hands on what a server with sessions says unasked', async () => {
    const news = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' }
    answering = sessions(({ method, body }, response) => {
      if (method === 'GET') return void stream(response, message(news))
      json(response, result(JSON.parse(body || '{}').id))
    })
    const { say, until, over, done } = client()
    say(hello)
    say(initialized)
    expect(await until(2)).toEqual([result(0, { protocolVersion: LEGACY }), news])
    over()
    await done
  })

  it('listens no more while the account cannot be used, and again once it can', async () => {
    let locked = true
    answering = sessions(({ method, body }, response) => {
      if (method === 'DELETE') return void response.writeHead(200).end()
      if (method === 'GET' && !locked) return void stream(response, ': listening')
      if (!locked) return json(response, result(JSON.parse(body).id))
      json(response, { code: 'locked', detail: 'the vault is locked' }, { 'valetkey-error': 'locked' }, 403)
    })
    const { say, until, over, done } = client()
    const listens = () => heard.filter(({ method }) => method === 'GET').length
    say(hello)
    say(initialized)
    say(call(1))
    expect((await until(2)).at(-1)).toMatchObject({ error: { data: { code: 'locked' } } })
    await pause(50)
    expect(listens()).toBe(1)
    locked = false
    say(call(2))
    await until(3)
    for (let tries = 0; listens() < 2 && tries < 100; tries += 1) await pause(10)
    expect(listens()).toBe(2)
    over()
    await done
  })

  it('greets a server again that has forgotten the session', async () => {
    let forgotten = true
    answering = sessions(({ method, headers, body }, response) => {
      if (method === 'GET') return void response.writeHead(405).end()
      if (headers['mcp-session-id'] === 'session-1' && forgotten) return void response.writeHead(404).end()
      json(response, result(JSON.parse(body || '{}').id, { at: headers['mcp-session-id'] }))
    })
    const { say, until, end } = client()
    say(hello)
    say(initialized)
    say(call(1))
    say(call(2))
    await until(3)
    forgotten = false
    const lines = await end()
    expect(lines.slice(1)).toEqual(
      expect.arrayContaining([result(1, { at: 'session-2' }), result(2, { at: 'session-2' })]),
    )
    expect(lines).toHaveLength(3)
  })

  it('takes a request of the present revision back by letting go of its answer', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>()
    answering = (_, response) => {
      response.once('close', resolve)
      stream(response, ': working')
    }
    const { say, end } = client()
    say(call(1, 'slow', modern))
    while (heard.length === 0) await pause(5)
    say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } })
    await gone
    expect(await end()).toEqual([])
    expect(heard).toHaveLength(1)
  })

  it('passes on that a request of an older revision is taken back', async () => {
    answering = ({ body }, response) => {
      const { id } = JSON.parse(body)
      if (id === undefined) return void response.writeHead(202).end()
      setTimeout(() => json(response, result(id)), 100)
    }
    const { say, end } = client()
    say(call(1))
    say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } })
    await end()
    expect(JSON.parse(heard[1]?.body ?? '').method).toBe('notifications/cancelled')
  })

  it('tells in a JSON-RPC error what to do, and answers every request', async () => {
    const problem = {
      code: 'needs-reauth',
      detail: 'the account at notes-mcp has to be connected again',
      hint: 'valetkey reconnect notes-mcp',
    }
    answering = (_, response) => json(response, problem, { 'valetkey-error': 'needs-reauth' }, 403)
    const { say, end } = client()
    say(call(1))
    say(call('two'))
    say(initialized)
    const lines = await end()
    const expected = {
      error: {
        code: -32_000,
        message:
          'needs-reauth: the account at notes-mcp has to be connected again; run: valetkey reconnect notes-mcp',
        data: { code: 'needs-reauth', hint: 'valetkey reconnect notes-mcp' },
      },
    }
    expect(lines).toHaveLength(2)
    expect(lines).toEqual(
      expect.arrayContaining([expect.objectContaining(expected), expect.objectContaining(expected)]),
    )
  })

  it.each([
    [401, {}, 'needs-reauth'],
    [403, { 'valetkey-retry': 'missing-scopes' }, 'needs-reauth'],
    [403, {}, 'access-denied'],
    [429, {}, 'rate-limited'],
    [503, {}, 'server-error'],
    [418, {}, 'bad-answer'],
  ])('tells an answer of %i that is no message (%o) as %s', async (status, headers, code) => {
    answering = (_, response) => void response.writeHead(status, headers).end('<html>no</html>')
    const { say, end } = client()
    say(call(1))
    expect(await end()).toMatchObject([{ id: 1, error: { data: { code } } }])
  })

  it('says that no MCP server is there, and how one is connected', async () => {
    answering = (_, response) => void response.writeHead(404).end('Not Found')
    const { say, end } = client()
    say(call(1))
    const [{ error }] = (await end()) as [{ error: { message: string } }]
    expect(error.message).toMatch(/^bad-answer: there is no MCP server at .*valetkey connect https:/)
  })

  it('passes on what a server refuses in JSON-RPC, whatever the status', async () => {
    const refused = { jsonrpc: '2.0', id: 1, error: { code: -32_020, message: 'header mismatch' } }
    answering = (_, response) => json(response, refused, {}, 400)
    const { say, end } = client()
    say(call(1))
    expect(await end()).toEqual([refused])
  })

  it('says that nobody could be reached, and goes on', async () => {
    answering = (_, response) => void response.destroy()
    const { say, until, end } = client()
    say(call(1))
    await until(1)
    answering = ({ body }, response) => json(response, result(JSON.parse(body).id))
    say(call(2))
    expect(await end()).toMatchObject([{ id: 1, error: { data: { code: 'network-error' } } }, result(2)])
  })

  it('answers a line that is no message, and goes on', async () => {
    answering = ({ body }, response) => json(response, result(JSON.parse(body).id))
    const { sayRaw, say, end } = client()
    sayRaw('{"jsonrpc":')
    sayRaw('')
    say(call(2))
    expect(await end()).toMatchObject([{ id: null, error: { code: -32_700 } }, result(2)])
  })

  it('reads no further from a server than its client does', async () => {
    const piece = message({ jsonrpc: '2.0', method: 'x', params: { text: 'x'.repeat(64 * 1024) } })
    let written = 0
    answering = async (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.on('error', () => {})
      while (!response.destroyed && written < 2000) {
        written += 1
        if (!response.write(`${piece}\n\n`))
          await Promise.race([pause(1000), new Promise((r) => response.once('drain', r))])
      }
    }
    const { say, output, over, done } = client()
    output.removeAllListeners('data')
    output.pause()
    say(call(1))
    await pause(600)
    expect(written).toBeLessThan(500)
    over()
    await done
  })

  it('ends when its client has gone', async () => {
    answering = (_, response) => void stream(response, ': working')
    const { say, output, done } = client()
    say(call(1))
    while (heard.length === 0) await pause(5)
    output.destroy()
    await done
  })
})
