import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../../src/model/secret.ts'
import type { ConnectRequest } from '../../src/model/words.ts'
import { canary } from '../../src/testing/canary.ts'
import { type DeviceServer, deviceServer } from '../../src/testing/device-server.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { openTestHouse, type TestHouse } from '../house.ts'

// A server that no file knows: its endpoints are told one by one, and each way in asks for those it uses.

const clientSecret = canary('client')
const issued: string[] = []
const HOST = 'api.acme.test'

let byCode: DeviceServer
let byItself: ListeningStandIn
let house: TestHouse

beforeAll(async () => {
  byItself = await standIn({
    'POST /token': async ({ body }) => {
      const form = new URLSearchParams((await body).toString())
      if (form.get('client_secret') !== clientSecret)
        return { status: 401, body: { error: 'invalid_client' } }
      issued.push(canary(`token-${issued.length}`))
      const scope = form.get('scope') ?? ''
      return { body: { access_token: issued.at(-1), token_type: 'Bearer', expires_in: 60, scope } }
    },
  }).listen()
})

beforeEach(async () => {
  byCode = await deviceServer({ now: () => house.clock.now() })
  const allow = [byCode, byItself].map(({ origin }) => new URL(origin).host)
  house = await openTestHouse({ config: { allow } })
})

afterEach(async () => {
  await house.close()
  await byCode.close()
})

afterAll(() => byItself.close())

const connect = (flow: string, more: ConnectRequest = {}) =>
  house.owner.connect({ provider: 'oauth', flow, ...more })

const asked = async (flow: string) => {
  const { step } = await connect(flow)
  return step?.ask === 'fill' ? step.fields.map(({ name }) => name) : []
}

async function lent(): Promise<string> {
  return (await house.owner.lend({ address: 'oauth' })).token.reveal()
}

describe('a server whose endpoints are told', () => {
  const at = ({ origin }: { readonly origin: string }, path: string) => `${origin}${path}`
  const register = (token: string) =>
    house.owner.register({ provider: 'oauth', clientId: 'mine', vars: { token }, insist: true })

  it('is asked for by each way in as far as that goes there', async () => {
    await register(at(byCode, '/token'))
    expect(await asked('authorization-code')).toEqual(['authorize', 'token', 'host', 'scopes'])
    expect(await asked('device-code')).toEqual(['token', 'device', 'host', 'scopes'])
    const client = ['clientId', 'clientSecret', 'privateKey', 'certificate']
    expect(await asked('client-credentials')).toEqual(['token', 'host', ...client, 'scopes'])
  })

  it('is connected by a code that is entered elsewhere', async () => {
    const token = at(byCode, '/token')
    await register(token)
    const vars = { token, device: at(byCode, '/device'), host: HOST }
    const fields = { scopes: new Secret('read write') }
    const session = await connect('device-code', { vars, fields })
    expect(session.step).toMatchObject({ ask: 'enter-code', code: 'WDJB-MJHT' })
    expect(byCode.begun).toEqual([{ client_id: 'mine', scope: 'read write' }])
    byCode.enter()
    house.clock.pass({ seconds: 10 })
    await house.tick()
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'done', failure: null })
    expect(await lent()).toBe(byCode.secrets.access)
    house.clock.pass({ minutes: 2 })
    expect(await lent()).toBe(byCode.secrets.access)
    expect(byCode.grants).toMatchObject([{ grant_type: 'refresh_token', client_id: 'mine' }])
  })

  it('is connected by a program’s own client, for the same scopes each time', async () => {
    const vars = { token: at(byItself, '/token'), host: HOST }
    const fields = {
      clientId: new Secret('program'),
      clientSecret: new Secret(clientSecret),
      scopes: new Secret('read,write'),
    }
    const { account } = await connect('client-credentials', { vars, fields })
    expect(account).toMatchObject({ subject: 'program', scopes: ['read', 'write'] })
    expect(await lent()).toBe(issued.at(-1))
    house.clock.pass({ minutes: 2 })
    expect(await lent()).toBe(issued.at(-1))
    const forms = await Promise.all(byItself.requests.map(async ({ body }) => String(await body)))
    expect(forms.map((form) => new URLSearchParams(form).get('scope'))).toEqual(['read write', 'read write'])
    expect(issued).toHaveLength(2)
  })
})
