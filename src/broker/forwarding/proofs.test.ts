import { createHash, createPublicKey } from 'node:crypto'
import { Readable } from 'node:stream'
import { decodeProtectedHeader } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ForwardAnswer, ForwardRequest } from '../../../client/src/desk.ts'
import { report } from '../../../test/figures.ts'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { Secret } from '../../model/secret.ts'
import { newDpopKey } from '../../protocol/dpop.ts'
import { isProved, prove } from '../../protocol/proving.ts'
import { canary } from '../../testing/canary.ts'
import { type HostileServer, hostileServer } from '../../testing/hostile-server.ts'
import {
  type ListeningStandIn,
  type StandInAnswer,
  type StandInRequest,
  standIn,
} from '../../testing/stand-in.ts'

const PRESENT = [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken', optional: false }]
const CLIENT = { clientId: 'robot', clientSecret: canary('client') }

let authorization: HostileServer
let api: ListeningStandIn
let house: TestHouse
let route: (request: StandInRequest, count: number) => StandInAnswer

/** By whose proof a request came; it has to be good, and this very one's. */
function provenBy({ method, path, headers }: StandInRequest) {
  const proof = String(headers['dpop'])
  const [scheme, token = ''] = String(headers['authorization']).split(' ')
  const { jwk, typ } = decodeProtectedHeader(proof)
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  const said = jsonwebtoken.verify(proof, key, { algorithms: ['ES256'], maxAge: 60 })
  if (typeof said === 'string') throw new Error('no claims')
  expect(said).toMatchObject({
    htm: method,
    htu: new URL(path, api.origin).href.replace(/[?#].*$/, ''),
    ath: createHash('sha256').update(token).digest('base64url'),
    jti: expect.stringMatching(/^[\w-]{16,}$/),
  })
  return { scheme, typ, token, jti: said.jti, nonce: said['nonce'] as string | undefined, x: jwk?.x }
}

beforeEach(async () => {
  route = () => ({ body: { ok: true } })
  authorization = await hostileServer()
  authorization.play({
    token: ({ refresh_token: _, id_token: __, ...honest }) => ({
      headers: { 'dpop-nonce': 'of-the-server' },
      body: { ...honest, token_type: 'DPoP' },
    }),
  })
  api = await standIn({ '*': (request) => route(request, api.requests.length) }).listen()
  const { host } = new URL(api.origin)
  house = await openTestHouse({
    start: new Date(),
    config: { allow: [host, new URL(authorization.issuer).host], origins: { openai: api.origin } },
    providers: [
      {
        id: 'acme',
        name: 'Acme',
        category: 'other',
        hosts: [host],
        registration: 'none',
        oauth: { issuer: authorization.issuer, dpop: true },
        signIns: [
          {
            flow: 'client-credentials',
            present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
            fields: [
              { name: 'clientId', label: 'Id', secret: false },
              { name: 'clientSecret', label: 'Secret' },
            ],
          },
        ],
        revoke: { how: 'console' },
      } as { id: string },
    ],
  })
  const fields = Object.fromEntries(Object.entries(CLIENT).map(([name, value]) => [name, new Secret(value)]))
  await house.owner.connect({ provider: 'acme', fields })
})

afterEach(async () => {
  await house?.close()
  await api.close()
  await authorization.close()
})

const forward = (request: Partial<ForwardRequest> = {}) =>
  house.owner.forward({ address: 'acme', method: 'GET', path: '/v1/things?x=1', ...request })
const textOf = async ({ body }: ForwardAnswer) => new Response(body).text()
const wants = (nonce: string): StandInAnswer => ({
  status: 401,
  headers: { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': nonce },
})
const tokensAsked = () => authorization.forms.length

describe('a request that wears a bound token', () => {
  it('[security 9.2] shows it in its own scheme, with a proof for this request alone', async () => {
    await textOf(await forward())
    await textOf(await forward({ method: 'POST', path: '/v1/things', body: '{}' }))
    const all = api.requests.map(provenBy)
    expect(all.map(({ scheme, typ }) => [scheme, typ])).toEqual([
      ['DPoP', 'dpop+jwt'],
      ['DPoP', 'dpop+jwt'],
    ])
    expect(new Set(all.map(({ jti }) => jti)).size).toBe(2)
    expect(new Set(all.map(({ x }) => x)).size).toBe(1)
  })

  it('[security 9.2] keeps the nonce of the authorization server from everybody else', async () => {
    await textOf(await forward())
    expect(api.requests.map((one) => provenBy(one).nonce)).toEqual([undefined])
  })

  it.each([
    ['text', () => 'all of it'],
    ['a stream', () => Readable.from([Buffer.from('all '), Buffer.from('of it')])],
  ])('[security 9.2] is sent once more with the nonce that is wanted, body and all: %s', async (_, body) => {
    route = (_request, count) => (count === 1 ? wants('first') : { body: { ok: true } })
    const answer = await forward({ method: 'POST', body: body() as string })
    expect([answer.status, await textOf(answer)]).toEqual([200, '{"ok":true}'])
    expect(api.requests.map((one) => provenBy(one).nonce)).toEqual([undefined, 'first'])
    expect(await Promise.all(api.requests.map(async ({ body: sent }) => String(await sent)))).toEqual([
      'all of it',
      'all of it',
    ])
    expect(tokensAsked()).toBe(1)
    const [lease] = await house.owner.leases()
    expect(lease).toMatchObject({ count: 1 })
  })

  it('[security 9.2] takes the nonce for the next one from any answer', async () => {
    route = (_request, count) => ({ body: {}, headers: { 'dpop-nonce': `n${count}` } })
    for (let count = 0; count < 3; count += 1) {
      const { headers } = await forward()
      expect(headers.some(([name]) => name === 'dpop-nonce')).toBe(false)
    }
    expect(api.requests.map((one) => provenBy(one).nonce)).toEqual([undefined, 'n1', 'n2'])
  })

  it('is renewed where it is not the nonce that is missing', async () => {
    route = (request) => {
      const { token } = provenBy(request)
      if (token !== authorization.issued.findLast((one) => one.includes('access'))) return { status: 401 }
      return tokensAsked() < 2 ? { status: 401 } : { body: { ok: true } }
    }
    expect((await forward()).status).toBe(200)
    expect([api.requests.length, tokensAsked()]).toEqual([2, 2])
    const [one, two] = api.requests.map(provenBy)
    expect(one?.token).not.toBe(two?.token)
    expect(one?.x).toBe(two?.x)
  })

  it('is not sent for ever to a server that is never content', async () => {
    route = (_request, count) => wants(`n${count}`)
    expect((await forward()).status).toBe(401)
    expect(api.requests.length).toBeLessThanOrEqual(3)
  })

  it('shows nothing of a proof that the caller brought', async () => {
    const key = new Secret(`sk-${canary('key')}`)
    await house.owner.connect({ provider: 'openai', insist: true, fields: { key } })
    const before = api.requests.length
    await textOf(await forward({ address: 'openai', path: '/v1/models', headers: { DPoP: 'a.b.c' } }))
    expect(api.requests[before]?.headers).not.toHaveProperty('dpop')
    await textOf(await forward({ headers: { DPoP: 'a.b.c', authorization: 'DPoP x' } }))
    expect(provenBy(api.requests[before + 1] as StandInRequest).scheme).toBe('DPoP')
  })

  it('[security 9.2] has its key sealed, and the same one when the house is opened again', async () => {
    await textOf(await forward())
    await house.meanwhile(() => undefined)
    await textOf(await forward())
    const [before, after] = api.requests.map(provenBy)
    expect(after?.x).toBe(before?.x)
    expect(after?.token).not.toBe(before?.token)
    const onDisk = await house.meanwhile(async (file) => (await import('node:fs/promises')).readFile(file))
    expect(onDisk.includes(String(before?.x))).toBe(false)
  })
})

describe('a bound token', () => {
  it('is not lent, in words that say why', async () => {
    expect(await refusal(house.owner.lend({ address: 'acme' }))).toMatchObject({
      code: 'forward-only',
      message: expect.stringContaining('bound to a key'),
      hint: 'valetkey forward acme GET /…',
    })
    expect(await house.owner.accounts()).toMatchObject([{ forwardOnly: true }])
  })
})

describe('what a proof costs', () => {
  it('is little, and nothing where none is wanted', async () => {
    const url = new URL('https://api.acme.test/v1/things')
    const plain = {
      worn: { accessToken: new Secret(canary('access')) },
      kept: {},
      standing: false,
      expiresAt: null,
      scopes: [],
      tokenType: 'Bearer',
    }
    const bound = { ...plain, kept: { dpopKey: await newDpopKey() }, tokenType: 'DPoP' }
    const asked = { method: 'GET', url, headers: {} }
    const more = { now: () => new Date() }
    const times: number[] = []
    for (let count = 0; count < 200; count += 1) {
      const begun = performance.now()
      await prove(PRESENT, bound, asked, more)
      times.push((performance.now() - begun) * 1000)
    }
    const median = times.toSorted((one, other) => one - other)[100] ?? 0
    report('µs for a proof of possession', median.toFixed(0), 200, 'the median')
    expect(isProved(PRESENT, plain)).toBe(false)
    // Nothing is made for it: what is returned is the same each time.
    expect(prove(PRESENT, plain, asked, more)).toBe(prove(PRESENT, plain, asked, more))
    expect(await prove(PRESENT, plain, asked, more)).toEqual([])
  })
})

describe('a request that is signed with its body', () => {
  const [keyId, key] = ['AKIAABCDEFGHIJKLMNOP', canary('key')]
  const pull = { count: 0 }
  /** Far more than anybody would keep for somebody who may not send it. */
  const long = (pieces: number) =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        pull.count += 1
        if (pull.count > pieces) controller.close()
        else controller.enqueue(new Uint8Array(64 * 1024))
      },
    })
  const send = (body: ForwardRequest['body']) =>
    house.as('app:agent').forward({ address: 'queue', method: 'POST', path: '/', body: body ?? null })

  beforeEach(async () => {
    pull.count = 0
    await house.close()
    house = await openTestHouse({
      start: new Date(),
      origins: { queue: api.origin },
      config: { allow: [new URL(api.origin).host] },
      providers: [
        {
          id: 'queue',
          name: 'Queue',
          category: 'other',
          hosts: ['sqs.us-east-1.amazonaws.com'],
          registration: 'none',
          signIns: [
            {
              flow: 'api-key',
              present: [{ sigv4: { id: 'keyId', secret: 'key' } }],
              fields: [
                { name: 'keyId', label: 'Id', secret: false },
                { name: 'key', label: 'Key' },
              ],
            },
          ],
          revoke: { how: 'console' },
        } as { id: string },
      ],
    })
    const fields = { keyId: new Secret(keyId), key: new Secret(key) }
    await house.owner.connect({ provider: 'queue', fields })
    const limits = { rate: { uses: 1, seconds: 3600 } }
    await house.owner.bind({ caller: 'app:agent', address: 'queue', may: ['forward'], asks: 'never', limits })
  })

  it('says what it is signed for, and sends just that', async () => {
    await textOf(await send(long(3)))
    const [asked] = api.requests
    const body = (await asked?.body) ?? Buffer.of()
    expect(body.length).toBe(3 * 64 * 1024)
    expect(asked?.headers['x-amz-content-sha256']).toBe(createHash('sha256').update(body).digest('hex'))
    expect(asked?.headers['authorization']).toContain(`Credential=${keyId}/`)
  })

  it('is judged before anything of it is kept', async () => {
    await textOf(await send('once'))
    expect(await refusal(send(long(200)))).toMatchObject({ code: 'rate-limited' })
    expect(pull.count).toBeLessThan(20)
    expect(api.requests).toHaveLength(1)
  })

  it('is not counted where it is too long to be signed', async () => {
    expect(await refusal(send(long(300)))).toMatchObject({ code: 'invalid-request' })
    expect(api.requests).toHaveLength(0)
    expect(await house.owner.leases()).toEqual([])
  })
})
