import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { report } from '../../test/figures.ts'
import { canary } from '../testing/canary.ts'
import { type NetworkOptions, openNetwork } from './network.ts'
import { readJson, readLimited } from './read.ts'

const ends: Array<() => unknown> = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

function network(options: NetworkOptions) {
  const made = openNetwork(options)
  ends.push(() => made.close())
  return made
}

async function listening<S extends Server>(server: S, host: string): Promise<{ server: S; port: number }> {
  server.listen(0, host)
  await once(server, 'listening')
  ends.push(() => server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

/** A listener on every address of this machine that only counts who comes. */
async function counter() {
  let connections = 0
  const server = createTcp((socket) => {
    connections += 1
    socket.on('error', () => {})
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok')
  })
  const { port } = await listening(server, '::').catch(() => listening(server, '0.0.0.0'))
  return { port, connections: () => connections }
}

async function web(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const { port, server } = await listening(createServer(answer), '127.0.0.1')
  ends.push(() => server.closeAllConnections())
  return { origin: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}` }
}

/** Names and where they lead, in place of a name server. */
const NAMES: Record<string, readonly string[]> = {
  'to-loopback.example': ['127.0.0.1'],
  'to-loopback6.example': ['::1'],
  'to-mapped.example': ['::ffff:127.0.0.1'],
  'to-any.example': ['0.0.0.0'],
  'to-private.example': ['10.0.0.7'],
  'to-metadata.example': ['169.254.169.254'],
  'to-nat64.example': ['64:ff9b::7f00:1'],
  'to-both.example': ['1.1.1.1', '127.0.0.1'],
  'to-both6.example': ['2606:4700::1111', '::1'],
  'to-scoped.example': ['fe80::1%lo'],
}

const lookup = ((name: string, _options: unknown, done: (...args: unknown[]) => void) => {
  const found = NAMES[name]
  if (!found) return done(Object.assign(new Error('unknown name'), { code: 'ENOTFOUND' }))
  done(
    null,
    found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  )
}) as unknown as NonNullable<NetworkOptions['lookup']>

const VECTORS = [
  // loopback, written in every way that a URL folds into it
  '127.0.0.1',
  '127.0.0.2',
  '127.255.255.254',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '0177.0.0.1',
  '017700000001',
  '0x7f.0.0.0x1',
  '１２７.０.０.１',
  '127。0。0。1',
  '①②⑦.0.0.1',
  '127.0.0.1.',
  '%31%32%37.0.0.1',
  '0',
  '0.0.0.0',
  '0x0',
  '0.0.0.1',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::]',
  '[0000::0001]',
  '0x7f.0x0.0x0.0x1',
  '0177.1',
  '127.0x1',
  '[0:0:0:0:0:0:0.0.0.1]',
  // IPv4 inside IPv6
  '[::ffff:0a00:1]',
  '[::ffff:c0a8:101]',
  '[::ffff:0:7f00:1]',
  '[64:ff9b::a9fe:a9fe]',
  '[64:ff9b::10.0.0.1]',
  '[2002:0a00:1::]',
  '[2002:c0a8:101::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::ffff:0:127.0.0.1]',
  '[::127.0.0.1]',
  '[::ffff:10.0.0.1]',
  '[::ffff:169.254.169.254]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2002:a9fe:a9fe::]',
  '[2001:0:7f00:1::]',
  // private, local and special
  '0300.0250.0.1',
  '3232235521',
  '167772161',
  '0xa.0.0.1',
  '172.16.1',
  '192.168.257',
  '１９２.１６８.0.1',
  '192.88.99.1',
  '[fd12:3456:789a::1]',
  '[febf::1]',
  '[feff::1]',
  '[ff05::2]',
  '[3fff::1]',
  '[2001:2::1]',
  '[2001:20::1]',
  '10.0.0.1',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '169.254.0.1',
  '100.64.0.1',
  '100.127.255.254',
  '192.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '255.255.255.255',
  '[fc00::1]',
  '[fd00::1]',
  '[fe80::1]',
  '[fec0::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[100::1]',
  // metadata
  '192.0.0.192',
  '169。254。169。254',
  'metadata.goog',
  'metadata.azure.internal',
  '169.254.169.254',
  '2852039166',
  '0xa9fea9fe',
  '0251.0376.0251.0376',
  '[fd00:ec2::254]',
  '100.100.100.200',
  '168.63.129.16',
  'metadata.google.internal',
  'METADATA.google.internal.',
  'metadata',
  'instance-data',
  // names
  'localhost',
  'LocalHost',
  'localhost.',
  'a.b.localhost',
  'router.local',
  'db.internal',
  'ⓛocalhost',
  'localhost.localdomain',
  'nas.home.arpa',
  ...Object.keys(NAMES),
]

describe('the way out', () => {
  it(`[security 20.4] makes no connection for ${VECTORS.length} ways of naming a closed place`, async () => {
    const { port, connections } = await counter()
    const { fetch } = network({ allow: [], lookup, connectSeconds: 2 })
    for (const vector of VECTORS) {
      for (const scheme of ['https', 'http']) {
        const url = new URL(`${scheme}://${vector}:${port}/`)
        await expect(fetch(url), url.href).rejects.toMatchObject({ code: 'host-not-allowed' })
      }
    }
    expect([new Set(VECTORS).size, connections()]).toEqual([120, 0])
    report('forbidden addresses that were connected to', connections(), VECTORS.length, 'a counting listener')
  })

  it('[security 20.4] dials the address that was judged, though the name leads elsewhere a moment later', async () => {
    const { port, connections } = await counter()
    // Nobody's place on the public internet, so that nothing is disturbed; then this very machine.
    const answers = ['3ffe:ffff::1', '127.0.0.1', '127.0.0.1']
    const asked: string[] = []
    const turning = ((name: string, _options: unknown, done: (...args: unknown[]) => void) => {
      asked.push(name)
      const address = answers.shift() ?? '127.0.0.1'
      done(null, [{ address, family: address.includes(':') ? 6 : 4 }])
    }) as unknown as NonNullable<NetworkOptions['lookup']>
    const { fetch } = network({ allow: [], lookup: turning, connectSeconds: 1 })
    const url = new URL(`https://turning.example:${port}/`)
    await expect(fetch(url)).rejects.toMatchObject({
      code: expect.stringMatching(/^(network-error|connect-timeout)$/),
    })
    expect(asked).toHaveLength(1)
    await expect(fetch(url)).rejects.toMatchObject({ code: 'host-not-allowed' })
    expect([asked.length, connections()]).toEqual([2, 0])
  })

  it('reaches the same listener once the operator has opened it by name', async () => {
    const { port, connections } = await counter()
    const { fetch } = network({ allow: [`127.0.0.1:${port}`, `http://to-loopback.example:${port}`], lookup })
    expect(await (await fetch(new URL(`http://127.0.0.1:${port}/`))).text()).toBe('ok')
    expect(await (await fetch(new URL(`http://to-loopback.example:${port}/`))).text()).toBe('ok')
    expect(connections()).toBe(2)
  })

  it('opens nothing beside what was named: no other port, name or scheme', async () => {
    const { port, connections } = await counter()
    const { fetch } = network({
      allow: ['127.0.0.1', `127.0.0.1:${port + 1}`, `https://[::1]:${port}`],
      lookup,
    })
    for (const link of [
      `http://127.0.0.1:${port}/`,
      `http://[::1]:${port}/`,
      `https://to-loopback.example:${port}/`,
    ]) {
      await expect(fetch(new URL(link))).rejects.toMatchObject({ code: 'host-not-allowed' })
    }
    expect(connections()).toBe(0)
  })

  it('takes a bare host as open for https at every port', async () => {
    const { port, connections } = await counter()
    const { fetch } = network({ allow: ['to-loopback.example'], lookup })
    await expect(fetch(new URL(`https://to-loopback.example:${port}/`))).rejects.toMatchObject({
      code: 'network-error',
    })
    expect(connections()).toBe(1)
  })

  it.each(['http://', 'a b', '127.0.0.1:80/path', 'user@host:80', '::1'])('refuses to open "%s"', (entry) => {
    expect(() => openNetwork({ allow: [entry] })).toThrow(expect.objectContaining({ code: 'config-invalid' }))
  })

  it('[security 20.4] refuses a name or a password in the address, even of an opened one', async () => {
    const { port, connections } = await counter()
    const { fetch } = network({ allow: [`127.0.0.1:${port}`] })
    const secret = canary('userinfo')
    const refused = fetch(new URL(`http://me:${secret}@127.0.0.1:${port}/`))
    await expect(refused).rejects.toMatchObject({ code: 'host-not-allowed' })
    expect(String(await refused.catch((error) => error.message + error.hint))).not.toContain(secret)
    expect(connections()).toBe(0)
  })

  it('refuses a header that names another host', async () => {
    const { origin, host } = await web((_, response) => response.end())
    const { fetch } = network({ allow: [host] })
    await expect(fetch(new URL(origin), { headers: { Host: 'api.openai.com' } })).rejects.toMatchObject({
      code: 'invalid-request',
    })
  })

  it('[security 20.4] hands a redirect over and does not follow it', async () => {
    const seen: string[] = []
    const { origin, host } = await web((request, response) => {
      seen.push(request.url ?? '')
      response.writeHead(302, { location: '/elsewhere' }).end('moved')
    })
    const answer = await network({ allow: [host] }).fetch(new URL('/first', origin))
    expect([answer.status, answer.headers.get('location'), await answer.text()]).toEqual([
      302,
      '/elsewhere',
      'moved',
    ])
    expect(seen).toEqual(['/first'])
  })

  it('[security 20.4] asks no proxy that the environment names', async () => {
    const proxy = await counter()
    const before = { ...process.env }
    ends.push(() => Object.assign(process.env, before))
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY']) {
      process.env[name] = `http://127.0.0.1:${proxy.port}`
      ends.push(() => delete process.env[name])
    }
    process.env.NODE_USE_ENV_PROXY = '1'
    ends.push(() => delete process.env.NODE_USE_ENV_PROXY)
    const { origin, host } = await web((_, response) => response.end('direct'))
    expect(await (await network({ allow: [host] }).fetch(new URL(origin))).text()).toBe('direct')
    expect(proxy.connections()).toBe(0)
  })

  it('keeps no cookies, and hands every one of them over', async () => {
    const cookies: unknown[] = []
    const { origin, host } = await web((request, response) => {
      cookies.push(request.headers.cookie)
      response
        .writeHead(
          200,
          [
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ].flat(),
        )
        .end()
    })
    const { fetch } = network({ allow: [host] })
    const answer = await fetch(new URL(origin))
    await (await fetch(new URL(origin))).text()
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect(cookies).toEqual([undefined, undefined])
  })

  it('sends method, headers and body as they are given', async () => {
    let seen: unknown
    const { origin, host } = await web(async (request, response) => {
      const pieces = await request.toArray()
      seen = [
        request.method,
        request.headers['x-one'],
        request.headers['x-two'],
        String(Buffer.concat(pieces)),
      ]
      response.writeHead(201).end()
    })
    const { fetch } = network({ allow: [host] })
    const headers = [
      ['x-one', '1'],
      ['x-two', '2'],
    ] as const
    expect((await fetch(new URL(origin), { method: 'PATCH', headers, body: 'text' })).status).toBe(201)
    expect(seen).toEqual(['PATCH', '1', '2', 'text'])
  })

  it('unpacks a packed body and no longer calls it packed', async () => {
    const { origin, host } = await web((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('plain'))
    })
    const answer = await network({ allow: [host] }).fetch(new URL(origin))
    expect([answer.headers.has('content-encoding'), await answer.text()]).toEqual([false, 'plain'])
  })
})

describe('a stream', () => {
  const PIECE = new Uint8Array(256 * 1024).fill(7)
  const PIECES = 32 // 8 MB

  it('goes up piece by piece: the next is asked for only after the last has arrived', async () => {
    let arrived = 0
    let given = 0
    const { origin, host } = await web(async (request, response) => {
      for await (const piece of request) arrived += piece.length
      response.end(String(arrived))
    })
    const body = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          while (arrived < given * PIECE.length) await turn()
          given += 1
          if (given > PIECES) controller.close()
          else controller.enqueue(PIECE)
        },
      },
      { highWaterMark: 0 },
    )
    const answer = await network({ allow: [host] }).fetch(new URL(origin), { method: 'POST', body })
    expect(Number(await answer.text())).toBe(PIECES * PIECE.length)
  })

  it('comes down piece by piece: the next is sent only after the last was read', async () => {
    let read = 0
    const { origin, host } = await web(async (_, response) => {
      for (let sent = 0; sent < PIECES; sent += 1) {
        while (read < sent * PIECE.length) await turn()
        response.write(PIECE)
      }
      response.end()
    })
    const answer = await network({ allow: [host] }).fetch(new URL(origin))
    for await (const piece of answer.body ?? []) read += piece.byteLength
    expect(read).toBe(PIECES * PIECE.length)
  })

  it('is not drawn ahead of its reader', async () => {
    let sent = 0
    const { origin, host } = await web(async (_, response) => {
      for (; sent < 256 && !response.destroyed; sent += 1) {
        if (!response.write(PIECE)) await new Promise((go) => response.once('drain', go))
      }
      response.end()
    })
    const answer = await network({ allow: [host] }).fetch(new URL(origin))
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(sent).toBeLessThan(128)
    await answer.body?.cancel()
  })

  it('lives on when only its body is still held', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { origin, host } = await web((_, response) => {
      response.write('first')
      setTimeout(() => response.end('last'), 300)
    })
    const { fetch } = network({ allow: [host] })
    const body = await fetch(new URL(origin)).then((answer) => answer.body)
    for (let round = 0; round < 10; round += 1) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(await new Response(body).text()).toBe('firstlast')
  })

  it('is cut at the limit, for a declared length and for an undeclared one', async () => {
    const { origin, host } = await web((request, response) => {
      if (request.url === '/declared') response.writeHead(200, { 'content-length': 4 }).end('1234')
      else response.write('12', () => response.end('34'))
    })
    const { fetch } = network({ allow: [host] })
    for (const path of ['/declared', '/undeclared']) {
      const answer = () => fetch(new URL(path, origin))
      await expect(readLimited(await answer(), 3)).rejects.toMatchObject({ code: 'response-too-large' })
      expect(String(await readLimited(await answer(), 4))).toBe('1234')
    }
    const small = network({ allow: [host], maxBytes: 3 })
    await expect((await small.fetch(new URL(origin))).text()).rejects.toMatchObject({
      code: 'response-too-large',
    })
  })

  it('[security 20.4] is cut at the limit when a small packed body unpacks to a huge one', async () => {
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024))
    const { origin, host } = await web((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
    })
    const answer = await network({ allow: [host] }).fetch(new URL(origin))
    await expect(readLimited(answer, 1024 * 1024)).rejects.toMatchObject({ code: 'response-too-large' })
  })

  it('is read as JSON, and anything else is a bad answer that is not quoted', async () => {
    const secret = canary('answer')
    const { origin, host } = await web((request, response) => {
      response.end(request.url === '/json' ? '{"a":1}' : secret)
    })
    const { fetch } = network({ allow: [host] })
    expect(await readJson(await fetch(new URL('/json', origin)), 100)).toEqual({ a: 1 })
    const bad = readJson(await fetch(new URL('/text', origin)), 100)
    await expect(bad).rejects.toMatchObject({ code: 'bad-answer', message: 'the answer is not JSON' })
    await expect(bad).rejects.not.toHaveProperty('cause')
  })
})

describe('trouble on the way', () => {
  it('is a connect-timeout when nobody picks up', async () => {
    const silent = createTcp((socket) => ends.push(() => socket.destroy()))
    const { port } = await listening(silent, '127.0.0.1')
    const { fetch } = network({ allow: [`127.0.0.1:${port}`], connectSeconds: 1 })
    await expect(fetch(new URL(`https://127.0.0.1:${port}/`))).rejects.toMatchObject({
      code: 'connect-timeout',
    })
  })

  it('is an answer-timeout when no headers come, but a slow body has its time', async () => {
    const { origin, host } = await web((request, response) => {
      if (request.url !== '/slow') return
      response.write('a')
      setTimeout(() => response.end('b'), 5000)
    })
    const { fetch } = network({ allow: [host], answerSeconds: 3 })
    const slow = fetch(new URL('/slow', origin)).then((answer) => answer.text())
    await expect(fetch(new URL('/never', origin))).rejects.toMatchObject({ code: 'answer-timeout' })
    expect(await slow).toBe('ab')
  })

  it('is an answer-timeout when a body falls silent for too long', async () => {
    const { origin, host } = await web((_, response) => void response.write('a'))
    const { fetch } = network({ allow: [host], silenceSeconds: 1 })
    const answer = await fetch(new URL(origin))
    await expect(answer.text()).rejects.toMatchObject({ code: 'answer-timeout' })
  })

  it('is over at once when it is called off, before the answer or in the middle of it', async () => {
    const { origin, host } = await web((request, response) => {
      if (request.url === '/half') response.write('a')
    })
    const { fetch } = network({ allow: [host] })
    const off = new AbortController()
    const waiting = fetch(new URL(origin), { signal: off.signal })
    const half = await fetch(new URL('/half', origin), { signal: off.signal })
    const text = half.text()
    off.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    await expect(text).rejects.toMatchObject({ code: 'cancelled' })
    await expect(fetch(new URL(origin), { signal: off.signal })).rejects.toMatchObject({ code: 'cancelled' })
    await expect(fetch(new URL(origin), { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      code: 'answer-timeout',
    })
  })

  it('ends the connection upstream when the reader turns away', async () => {
    let closed = (_: unknown) => {}
    const gone = new Promise((resolve) => (closed = resolve))
    const { origin, host } = await web((_, response) => {
      response.write('a')
      response.on('close', closed)
    })
    const answer = await network({ allow: [host] }).fetch(new URL(origin))
    await answer.body?.cancel()
    await gone
  })

  it('names the host, and never a header, a body or a query', async () => {
    const { port, server } = await listening(createTcp(), '127.0.0.1')
    server.close()
    const { fetch } = network({ allow: [`127.0.0.1:${port}`, 'http://nowhere.example:80'], lookup })
    const secret = canary('request')
    const headers = { authorization: `Bearer ${secret}` }
    const broken = { authorization: `Bearer ${secret}\nx` }
    const failures = [
      [`http://127.0.0.1:${port}/?key=${secret}`, { method: 'POST', headers, body: secret }, 'network-error'],
      [`http://nowhere.example/?key=${secret}`, { headers }, 'network-error'],
      [`http://127.0.0.1:${port}/`, { headers: broken }, 'invalid-request'],
      [`http://127.0.0.1:${port}/`, { headers, method: 'GET', body: secret }, 'invalid-request'],
      [`http://127.0.0.1:${port}/`, { headers, method: 'TRACE' }, 'invalid-request'],
      [
        `http://127.0.0.1:${port}/`,
        { headers: { ...headers, 'transfer-encoding': secret } },
        'invalid-request',
      ],
    ] as const
    for (const [link, request, code] of failures) {
      const error = await fetch(new URL(link), request).catch((failure) => failure)
      expect([error.code, error.message, error.cause]).toEqual([
        code,
        expect.stringContaining(new URL(link).host),
        undefined,
      ])
      expect(`${error.message} ${error.hint} ${error.stack}`).not.toContain(secret)
    }
  })

  it('is a bad answer when the status is none', async () => {
    const { port } = await listening(
      createTcp((socket) => socket.end('HTTP/1.1 999 Denied\r\ncontent-length: 0\r\n\r\n')),
      '127.0.0.1',
    )
    const { fetch } = network({ allow: [`127.0.0.1:${port}`] })
    await expect(fetch(new URL(`http://127.0.0.1:${port}/`))).rejects.toMatchObject({ code: 'bad-answer' })
  })
})
