import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, getCACertificates, type TLSSocket } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { canary } from '../testing/canary.ts'
import { type Authority, authority, type Certificate, newKey } from '../testing/certificates.ts'
import { type NetworkOptions, openNetwork } from './network.ts'
import { pinOf } from './pins.ts'

let trusted: Authority
let stranger: Authority
const ROOTS = getCACertificates('bundled').map((one) => new X509Certificate(one))
const ends: Array<() => unknown> = []

beforeAll(() => {
  trusted = authority()
  stranger = authority('CN=Somebody else')
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A server that speaks TLS, and counts the connections it got and the bytes it was sent through them. */
async function server({ cert, key }: Certificate) {
  const seen = { connections: 0, open: 0, resumed: 0, bytes: 0 }
  const there = createServer({ cert, key }, (socket: TLSSocket) => {
    seen.resumed += socket.isSessionReused() ? 1 : 0
    socket.on('error', () => {})
    socket.on('data', (piece) => {
      seen.bytes += piece.length
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok')
    })
  })
  there.on('connection', (socket) => {
    seen.connections += 1
    seen.open += 1
    socket.once('close', () => {
      seen.open -= 1
    })
  })
  there.on('tlsClientError', () => {})
  there.listen(0, '127.0.0.1')
  await once(there, 'listening')
  ends.push(() => there.close())
  const { port } = there.address() as AddressInfo
  return { seen, host: `127.0.0.1:${port}`, url: new URL(`https://127.0.0.1:${port}/`), port }
}

function network(options: Partial<NetworkOptions> & { readonly allow: readonly string[] }) {
  const made = openNetwork({ ca: [trusted.cert], ...options })
  ends.push(() => made.close())
  return made
}

const pin = ({ cert }: Certificate) => pinOf(new X509Certificate(cert))
const here = { hosts: ['127.0.0.1'] }
const other = `sha256/${'A'.repeat(43)}=`

/** A request with a secret in it, and how it was refused. */
async function refusal({ fetch }: ReturnType<typeof network>, url: URL) {
  const headers = { authorization: `Bearer ${canary('pinned')}` }
  return await fetch(url, { method: 'POST', headers, body: canary('pinned') }).then(
    () => 'it was sent',
    (error: unknown) => error,
  )
}

describe('a certificate', () => {
  it('that is trusted is enough where nothing is pinned', async () => {
    const { url, host, seen } = await server(trusted.issue(here))
    const answer = await network({ allow: [host] }).fetch(url)
    expect([answer.status, await answer.text()]).toEqual([200, 'ok'])
    expect(seen.bytes).toBeGreaterThan(0)
  })

  it.each<[string, () => Certificate, string]>([
    ['from an authority that nobody knows', () => stranger.issue(here), 'is signed by nobody that'],
    ['of another host', () => trusted.issue({ hosts: ['api.acme.test'] }), 'belongs to another host'],
    ['that is over', () => trusted.issue({ ...here, until: new Date(Date.now() - 60_000) }), 'has expired'],
  ])('[security 2.1] is refused in words of its own, and gets no byte: one %s', async (_, issue, words) => {
    const { url, host, seen } = await server(issue())
    expect(await refusal(network({ allow: [host] }), url)).toMatchObject({
      code: 'network-error',
      message: expect.stringContaining(`${host} showed a certificate that ${words}`),
      hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    })
    expect(seen).toMatchObject({ connections: 1, bytes: 0 })
  })

  it('[security 2.1] is looked at even where the environment says that it need not be', async () => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    ends.push(() => {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
    })
    const { url, host, seen } = await server(stranger.issue(here))
    expect(await refusal(network({ allow: [host] }), url)).toMatchObject({ code: 'network-error' })
    expect(seen.bytes).toBe(0)
  })
})

describe('a pin', () => {
  it('lets through the key that it names, and looks at every connection', async () => {
    const certificate = trusted.issue(here)
    const { url, host, seen } = await server(certificate)
    const { fetch } = network({ allow: [host], pins: { '127.0.0.1': [pin(certificate)] } })
    for (const _ of ['once', 'again', 'and again']) expect(await (await fetch(url)).text()).toBe('ok')
    expect(seen).toMatchObject({ connections: 3, resumed: 0 })
  })

  it('stops everything before the first byte where the key is another one, each time anew', async () => {
    const { url, host, seen } = await server(trusted.issue(here))
    const way = network({ allow: [host], pins: { '127.0.0.1': [other] } })
    for (const _ of ['once', 'again']) {
      expect(await refusal(way, url)).toMatchObject({
        code: 'certificate-pin',
        message: `${host} showed a certificate that is not among its pins, so nothing was sent there`,
        hint: expect.stringContaining('change its pins'),
      })
    }
    await vi.waitFor(() => expect(seen).toEqual({ connections: 2, open: 0, resumed: 0, bytes: 0 }))
  })

  it('is one of several, so that a key can be changed', async () => {
    const next = trusted.issue(here)
    const { url, host } = await server(next)
    const { fetch } = network({ allow: [host], pins: { '127.0.0.1': [other, pin(next)] } })
    expect((await fetch(url)).status).toBe(200)
  })

  it('outlives the certificate that is renewed with its key', async () => {
    const key = newKey()
    const [first, renewed] = [trusted.issue({ ...here, key }), trusted.issue({ ...here, key })]
    expect(first.cert).not.toBe(renewed.cert)
    const { url, host } = await server(renewed)
    const { fetch } = network({ allow: [host], pins: { '127.0.0.1': [pin(first)] } })
    expect((await fetch(url)).status).toBe(200)
  })

  it('does not make a certificate good that nobody vouches for', async () => {
    const certificate = stranger.issue(here)
    const { url, host, seen } = await server(certificate)
    const way = network({ allow: [host], pins: { '127.0.0.1': [pin(certificate)] } })
    expect(await refusal(way, url)).toMatchObject({ code: 'network-error' })
    expect(seen.bytes).toBe(0)
  })

  it('is not met by another certificate that the server sends along', async () => {
    const [shown, wanted] = [trusted.issue(here), trusted.issue(here)]
    const { url, host, seen } = await server({
      cert: shown.cert + wanted.cert + trusted.cert,
      key: shown.key,
    })
    const root = pinOf(new X509Certificate(trusted.cert))
    const way = network({ allow: [host], pins: { '127.0.0.1': [pin(wanted), root] } })
    expect(await refusal(way, url)).toMatchObject({ code: 'certificate-pin' })
    expect(seen.bytes).toBe(0)
  })

  it('is for its own host and for no other', async () => {
    const { url, host } = await server(trusted.issue(here))
    const { fetch } = network({ allow: [host], pins: { 'api.openai.com': [other] } })
    expect((await fetch(url)).status).toBe(200)
  })

  it('holds for a host however it is written', async () => {
    const { port, seen } = await server(trusted.issue({ hosts: ['pinned.example', 'pinned.example.'] }))
    const lookup = ((_: string, options: { all?: boolean }, done: (...args: unknown[]) => void) =>
      options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)) as never
    const names = ['pinned.example', 'PINNED.example', 'pinned.example.']
    const allow = names.map((name) => `${name}:${port}`)
    const way = network({ allow, lookup, pins: { 'Pinned.Example': [other] } })
    for (const name of names)
      expect(await refusal(way, new URL(`https://${name}:${port}/`))).toMatchObject({
        code: 'certificate-pin',
      })
    expect(seen.bytes).toBe(0)
  })

  it('is not passed by without TLS', async () => {
    const { host, seen } = await server(trusted.issue(here))
    const way = network({ allow: [host], pins: { '127.0.0.1': [other] } })
    expect(await refusal(way, new URL(`http://${host}/`))).toMatchObject({
      code: 'certificate-pin',
      message: expect.stringContaining('showed no certificate'),
    })
    expect(seen.bytes).toBe(0)
  })

  it.each([[], ['sha256/short='], [other, 'sha1/x'], [other.toUpperCase()]])(
    'is refused before anything is dialled when it cannot be one: %j',
    (...pins) => {
      expect(() => openNetwork({ allow: [], pins: { 'api.acme.test': pins } })).toThrow(
        expect.objectContaining({ code: 'config-invalid' }),
      )
    },
  )

  it('is the digest of the key that openssl prints as well', () => {
    const isrgRootX1 = 'sha256/C5+lpZ7tcVwmwQIMcRtPbsQtWLABXhQzejna0wHFr8M='
    const root = ROOTS.find((one) => one.subject.includes('ISRG Root X1'))
    expect(root && pinOf(root)).toBe(isrgRootX1)
  })
})
