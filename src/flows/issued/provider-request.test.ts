import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { asking } from '../../model/provider/asking.ts'
import type { Asking } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { oauthStage } from '../../testing/oauth-stage.ts'
import { type StandInAnswer, standIn } from '../../testing/stand-in.ts'
import { liveCheck } from '../filled/live-check.ts'
import { askProvider } from './provider-request.ts'

const closing: (() => Promise<void>)[] = []
const token = canary('token')
const clientSecret = canary('client')

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function at(answer: StandInAnswer = { body: {} }) {
  const there = await standIn({ '*': answer }).listen()
  const stage = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: { authorize: 'https://login.acme.test/a', token: 'https://login.acme.test/t' },
      scopes: [],
      provider: { headers: { 'acme-version': '2' }, revoke: { how: 'console' } },
      origins: { acme: there.origin },
      allow: [there.origin],
      clientSecret,
    },
  )
  const client = { clientId: 'client', clientSecret: new Secret(clientSecret) }
  const context = { ...stage, client }
  closing.push(async () => {
    await context.network.close()
    await there.close()
  })
  const credential = {
    worn: { accessToken: new Secret(token) },
    kept: {},
    standing: false,
    expiresAt: null,
    scopes: [],
    tokenType: 'Bearer',
  }
  const ask = (request: object) =>
    askProvider(context, of(request), { vars: {}, named: { accessToken: token }, credential })
  return { there, context, credential, ask }
}

const of = (request: object): Asking => asking.parse({ url: 'https://api.acme.test/it', ...request })

async function* brokenOff(): AsyncGenerator<string> {
  yield '{'
  throw new Error('the server fell over')
}

describe('a request of a provider’s own', () => {
  it.each([
    ['as nobody', {}, undefined],
    [
      'as our client',
      { auth: 'client' },
      `Basic ${Buffer.from(`client:${clientSecret}`).toString('base64')}`,
    ],
    ['as the token', { auth: 'token' }, `Bearer ${token}`],
    ['in words of its own', { headers: { authorization: 'OAuth {accessToken}' } }, `OAuth ${token}`],
  ])('is made %s', async (_, request, authorization) => {
    const { there, ask } = await at()
    await ask(request)
    expect(there.requests[0]?.headers).toMatchObject({ 'acme-version': '2', 'user-agent': 'valetkey' })
    expect(there.requests[0]?.headers['authorization']).toBe(authorization)
    expect(there.requests[0]?.headers['content-type']).toBeUndefined()
  })

  it('says what it is told as a form or as JSON, and leaves out what was never issued', async () => {
    const { there, ask } = await at()
    const said = { token: '{accessToken}', other: '{refreshToken}', client: '{clientId}' }
    await ask({ form: said })
    await ask({ json: said, method: 'DELETE' })
    const [form, json] = await Promise.all(there.requests.map(({ body }) => body))
    expect(Object.fromEntries(new URLSearchParams(String(form)))).toEqual({ token, client: 'client' })
    expect(JSON.parse(String(json))).toEqual({ token, client: 'client' })
    expect(there.requests.map(({ headers }) => headers['content-type'])).toEqual([
      'application/x-www-form-urlencoded',
      'application/json',
    ])
  })

  it.each<[string, StandInAnswer]>([
    ['no answer', { hangUp: true }],
    ['an answer that breaks off', { body: brokenOff() }],
    ['too large an answer', { body: 'x'.repeat(1_100_000) }],
    ['bytes that are no text', { body: new Uint8Array([0xff, 0xfe]) }],
  ])('[security 1.15] [security 20.1] shows its address in no error where there is %s', async (_, answer) => {
    const { there, context, ask } = await at(answer)
    const secret = { method: 'GET', query: { t: '{accessToken}', s: '{clientSecret}' }, secretsInQuery: true }
    const error = await ask(secret).catch((thrown: unknown) => thrown)
    expect(there.requests[0]?.path).toContain(token)
    expect(error).toBeInstanceOf(ValetkeyError)
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('CANARY')
    expect(inspect(context, { depth: 20 })).not.toContain('CANARYtoken')
  })

  it('[security 1.15] shows its address in no error where nobody could be reached', async () => {
    const { there, ask } = await at()
    await there.close()
    closing.length = 0
    const secret = { method: 'GET', query: { t: '{accessToken}' }, secretsInQuery: true }
    const error = await ask(secret).catch((thrown: unknown) => thrown)
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('CANARY')
  })
})

describe('a harmless request that says whether a credential is alive', () => {
  const verify = {
    method: 'POST' as const,
    url: 'https://api.acme.test/graphql',
    json: { query: '{ viewer { id name } }' },
    ok: [200],
    okAt: '/ok',
    refused: [401],
    subject: '/data/viewer/id',
    displayName: '/data/viewer/name',
  }
  const viewer = { data: { viewer: { id: 'v-1', name: 'Zoë\u001b[2J' } } }

  it('may be a question, whose answer says so', async () => {
    const { there, context, credential } = await at({ body: { ok: true, ...viewer } })
    const destination = context.catalogue.destination(context.provider, {})
    expect(await liveCheck(context, verify, destination, credential)).toEqual({
      alive: true,
      subject: 'v-1',
      displayName: 'Zoë[2J',
    })
    const [asked] = there.requests
    expect(asked?.headers['content-type']).toBe('application/json')
    expect(JSON.parse(String(await asked?.body))).toEqual(verify.json)
  })

  it.each([{ ok: false, ...viewer }, { ok: 'true', ...viewer }, viewer])(
    'is not a yes for %j, whatever its status',
    async (body) => {
      const { context, credential } = await at({ body })
      const destination = context.catalogue.destination(context.provider, {})
      expect(await liveCheck(context, verify, destination, credential)).toMatchObject({
        alive: false,
        why: { code: 'invalid-credentials' },
      })
    },
  )
})
