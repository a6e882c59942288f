import { generateKeyPairSync } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { afterEach, describe, expect, it } from 'vitest'
import { Secret } from '../../src/model/secret.ts'
import type { FlowSession } from '../../src/model/words.ts'
import { canary } from '../../src/testing/canary.ts'
import { type StandInAnswer, type StandInRequest, standIn } from '../../src/testing/stand-in.ts'
import { openTestHouse, refusal } from '../house.ts'
import { realHome } from '../real.ts'

// Accounts whose tokens come in other ways than by a client's refresh token, from connecting them on.

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function provider(routes: Parameters<typeof standIn>[0]) {
  const there = await standIn(routes).listen()
  closing.push(() => there.close())
  return there
}

const formOf = async ({ body }: StandInRequest) => new URLSearchParams(String(await body))

function visitOf({ step }: FlowSession): URL {
  if (step?.ask !== 'visit') throw new Error('nobody is sent off')
  return step.url
}

describe('a service account', () => {
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const publicKey = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const file = {
    type: 'service_account',
    private_key_id: 'a1',
    private_key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    client_email: 'reports@acme.iam.gserviceaccount.com',
    token_uri: 'https://oauth2.googleapis.com/token',
  }

  it('is connected by its key file on standard input, and lends tokens that it signs for', async () => {
    const issued: string[] = []
    const there = await provider({
      'POST /token': async (request): Promise<StandInAnswer> => {
        const audience = file.token_uri
        jwt.verify((await formOf(request)).get('assertion') ?? '', publicKey, {
          algorithms: ['RS256'],
          audience,
        })
        issued.push(canary('token'))
        return { body: { access_token: issued.at(-1), token_type: 'Bearer', expires_in: 3599 } }
      },
    })
    const home = await realHome({ origins: { 'google-service-account': there.origin } })
    closing.push(() => home.close())
    const words = ['connect', 'google-service-account', '--key-stdin']
    const wrong = await home.run(
      words,
      JSON.stringify({ ...file, token_uri: 'https://evil.test/' }, undefined, 2),
    )
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('! key-format: ') })
    expect(wrong.stderr).not.toContain('PRIVATE')
    const connected = await home.run(words, JSON.stringify(file, undefined, 2))
    expect(connected).toMatchObject({ code: 0, stdout: expect.stringContaining(file.client_email) })
    const lent = await home.run(['lend', 'google-service-account', '--json'])
    expect(issued).toContain(JSON.parse(lent.stdout).token)
    const again = await home.run(['refresh', 'google-service-account'])
    expect([again.code, issued.length]).toEqual([0, 2])
  }, 60_000)
})

describe('a key that a provider makes', () => {
  it('needs no client, and is only forwarded', async () => {
    const key = canary('minted')
    const seen: unknown[] = []
    const there = await provider({
      'POST /api/v1/auth/keys': { body: { key, user_id: 'user_1' } },
      'GET /api/v1/models': ({ headers }) => {
        seen.push(headers['authorization'])
        return { body: [] }
      },
    })
    const house = await openTestHouse({ origins: { openrouter: there.origin }, start: new Date() })
    closing.push(() => house.close())
    const session = await house.owner.connect({ provider: 'openrouter' })
    const back = new URL(visitOf(session).searchParams.get('callback_url') ?? '')
    back.searchParams.set('code', canary('code'))
    expect((await fetch(back)).status).toBe(200)
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'done' })
    expect(await refusal(house.owner.lend({ address: 'openrouter' }))).toMatchObject({ code: 'forward-only' })
    await house.owner.forward({ address: 'openrouter', path: '/api/v1/models', method: 'GET', headers: {} })
    expect(seen).toEqual([`Bearer ${key}`])
  })
})

describe('a token that is renewed by showing it', () => {
  const DAYS = 24
  const acme = (origin: string) => {
    const trade = { url: `${origin}/long`, form: { shown: '{accessToken}' } }
    const exchange = { request: trade, expiresIn: '/expires_in', renew: trade, seconds: 5_184_000 }
    return {
      id: 'acme',
      name: 'Acme',
      category: 'other',
      hosts: ['api.acme.test'],
      registration: 'yours',
      oauth: { authorize: `${origin}/authorize`, token: `${origin}/token` },
      signIns: [
        {
          flow: 'authorization-code',
          exchange: { ...exchange, renewableAfterSeconds: 86_400, over: [{ status: 400 }] },
          present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
        },
      ],
      revoke: { how: 'console' },
    }
  }

  it('is not asked for before its time, and in good time before its end, whether or not anybody uses it', async () => {
    let trades = 0
    const there = await provider({
      'POST /token': { body: { access_token: canary('short'), token_type: 'bearer', expires_in: 3600 } },
      'POST /long': () => {
        trades += 1
        return { body: { access_token: canary('long'), expires_in: 5_184_000 } }
      },
    })
    const house = await openTestHouse({
      providers: [acme(there.origin)],
      config: { allow: [new URL(there.origin).host] },
      start: new Date(),
    })
    closing.push(() => house.close())
    await house.owner.register({ provider: 'acme', clientId: 'ours', insist: true })
    const session = await house.owner.connect({ provider: 'acme' })
    const visit = visitOf(session).searchParams
    const back = new URL(visit.get('redirect_uri') ?? '')
    back.search = String(new URLSearchParams({ code: canary('code'), state: visit.get('state') ?? '' }))
    await house.owner.answer(session.id, { callback: new Secret(back.href) })
    const token = async () => (await house.owner.lend({ address: 'acme' })).token.reveal()
    const first = await token()
    await house.owner.refresh('acme')
    expect([await token(), trades]).toEqual([first, 1])
    house.clock.pass({ hours: 15 * DAYS })
    await house.tick()
    expect([await token(), trades]).toEqual([first, 1])
    house.clock.pass({ hours: 16 * DAYS })
    await house.tick()
    expect(trades).toBe(2)
    expect(await token()).not.toBe(first)
  })
})
