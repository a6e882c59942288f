import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import { authority } from '../../testing/certificates.ts'

const vouching = authority()
const ours = vouching.issue({ hosts: ['our-robot.test'] })
const FIELDS = ['clientId', 'certificate', 'privateKey']

let server: Server
let house: TestHouse
let seen: [path: string, subject: string | undefined][]

/** A server that issues tokens to whoever shows a certificate, and wants to see it again beside them. */
beforeEach(async () => {
  seen = []
  const tls = { ...vouching.issue({ hosts: ['127.0.0.1'] }), ca: vouching.cert }
  server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, (request, answer) => {
    const shown = (request.socket as TLSSocket).getPeerX509Certificate()
    seen.push([request.url ?? '', shown?.subject])
    const body = request.url?.startsWith('/v1')
      ? {}
      : { access_token: canary('access'), token_type: 'bearer' }
    request.resume()
    answer.setHeader('content-type', 'application/json')
    answer.end(JSON.stringify({ ...body, expires_in: 60 }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  house = await openTestHouse({
    start: new Date(),
    config: { allow: [host], origins: { acme: `https://${host}` } },
    limits: { ca: [vouching.cert] },
    providers: [
      {
        id: 'acme',
        name: 'Acme',
        category: 'other',
        hosts: ['api.acme.test'],
        registration: 'none',
        oauth: {
          authorize: 'https://api.acme.test/authorize',
          token: 'https://api.acme.test/token',
          clientAuth: 'tls',
        },
        signIns: [
          {
            flow: 'client-credentials',
            present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
            fields: FIELDS.map((name) => ({ name, label: name, secret: name === 'privateKey' })),
          },
        ],
        revoke: { how: 'console' },
      } as { id: string },
    ],
  })
})

afterEach(async () => {
  await house?.close()
  server.close()
  server.closeAllConnections()
})

describe('a request that wears a token which was issued to a certificate (RFC 8705)', () => {
  it('shows that certificate, the first time and from memory, and after a renewal', async () => {
    const given = { clientId: 'robot', certificate: ours.cert, privateKey: ours.key }
    const fields = Object.fromEntries(Object.entries(given).map(([name, text]) => [name, new Secret(text)]))
    await house.owner.connect({ provider: 'acme', fields })
    const forward = async () => {
      const { status, body } = await house.owner.forward({ address: 'acme', method: 'GET', path: '/v1/me' })
      await new Response(body).text()
      return status
    }
    expect([await forward(), await forward()]).toEqual([200, 200])
    house.clock.pass({ minutes: 2 })
    expect(await forward()).toBe(200)
    expect(seen.map(([path]) => path)).toEqual(['/token', '/v1/me', '/v1/me', '/token', '/v1/me'])
    expect(new Set(seen.map(([, subject]) => subject))).toEqual(new Set(['CN=our-robot.test']))
  })
})
