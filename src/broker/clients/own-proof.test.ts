import { readFile } from 'node:fs/promises'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import { authority } from '../../testing/certificates.ts'
import { person, realServer, signingPair } from '../../testing/real-server.ts'

const passphrase = new Secret(canary('passphrase'))
const ours = authority().issue({ hosts: ['our-robot.test'] })

let server: Awaited<ReturnType<typeof realServer>>
let keyed: Awaited<ReturnType<typeof signingPair>>
const open: TestHouse[] = []

beforeAll(async () => {
  keyed = await signingPair('ours')
  server = await realServer({
    clients: [
      {
        client_id: 'keyed',
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback/acme'],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [keyed.shown] },
      },
    ],
    clientAuthMethods: ['private_key_jwt'],
    scopes: ['read', 'offline_access'],
    features: {
      devInteractions: { enabled: true },
      dPoP: { enabled: true },
      pushedAuthorizationRequests: { enabled: false },
    },
  })
})

afterAll(() => server.close())
afterEach(async () => {
  for (const house of open.splice(0)) await house.close()
})

async function opened(): Promise<TestHouse> {
  const house = await openTestHouse({
    start: new Date(),
    config: { allow: [new URL(server.issuer).host] },
    providers: [
      {
        id: 'acme',
        name: 'Acme',
        category: 'other',
        hosts: ['api.acme.test'],
        registration: 'yours',
        oauth: {
          issuer: server.issuer,
          clientAuth: 'private_key_jwt',
          dpop: true,
          authorizeParams: { prompt: 'consent' },
        },
        signIns: [
          {
            flow: 'authorization-code',
            scopes: ['read', 'offline_access'],
            redirect: { path: '/callback/acme' },
            present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
          },
        ],
        revoke: { how: 'console' },
      } as { id: string },
    ],
  })
  open.push(house)
  return house
}

const registerAt = ({ owner }: TestHouse, more: object = {}) =>
  owner.register({ provider: 'acme', clientId: 'keyed', privateKey: new Secret(keyed.pem), ...more })

async function connected({ owner }: TestHouse): Promise<void> {
  const { id, step } = await owner.connect({ provider: 'acme' })
  if (step?.ask !== 'visit') throw new Error('nobody is sent off')
  const home = new URL(step.url.searchParams.get('redirect_uri') ?? '').origin
  await fetch(await person(undefined, home)(step.url))
  expect(await owner.flow(id)).toMatchObject({ state: 'done' })
}

const asked = () => server.reached.findLast(({ path }) => path === '/token')

describe('a client of one’s own that has a key in the place of a secret', () => {
  it('is proved at once, signed in with, and renewed', async () => {
    const house = await opened()
    expect(await registerAt(house)).toMatchObject({ checked: true, clientId: 'keyed' })
    await connected(house)
    expect(decodeJwt(asked()?.form.get('client_assertion') ?? '')).toMatchObject({ sub: 'keyed' })
    await house.owner.refresh('acme')
    expect(asked()?.form.get('grant_type')).toBe('refresh_token')
  })

  it('is refused where its key is not the one that the provider knows', async () => {
    const house = await opened()
    const another = new Secret((await signingPair()).pem)
    expect(await refusal(registerAt(house, { privateKey: another }))).toMatchObject({
      code: 'invalid-credentials',
    })
    expect(await house.owner.registrations()).toEqual([])
  })

  it.each([
    ['what is no key', () => ({ privateKey: new Secret(canary('text')) }), 'key-format'],
    [
      'a certificate without its key',
      () => ({ privateKey: undefined, certificate: ours.cert }),
      'key-format',
    ],
    ['a certificate of another key', () => ({ certificate: ours.cert }), 'key-format'],
    ['a secret as well', () => ({ clientSecret: new Secret(canary('secret')) }), 'invalid-request'],
  ])('is not taken with %s', async (_, more, code) => {
    expect(await refusal(registerAt(await opened(), more()))).toMatchObject({ code })
  })

  it('lies sealed, and is the same after a restart', async () => {
    const house = await opened()
    await registerAt(house)
    const [line = ''] = keyed.pem.split('\n').slice(1)
    const onDisk = await house.meanwhile((file) => readFile(file))
    expect(onDisk.includes(line)).toBe(false)
    await connected(house)
  })

  it('[security 9.2] moves along with its account, and so does the key that its tokens are bound to', async () => {
    const [here, there] = [await opened(), await opened()]
    await registerAt(here)
    await connected(here)
    const shown = () => decodeProtectedHeader(String(asked()?.headers['dpop'])).jwk?.x
    const before = shown()
    const document = await here.keeper.export(passphrase)
    await there.keeper.import(document, passphrase, {})
    await there.owner.refresh('acme')
    expect(asked()?.form.get('grant_type')).toBe('refresh_token')
    expect(shown()).toBe(before)
    expect(await refusal(there.owner.lend({ address: 'acme' }))).toMatchObject({ code: 'forward-only' })
  })
})
