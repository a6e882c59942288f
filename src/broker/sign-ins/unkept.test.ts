import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../../test/free-port.ts'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSession } from '../../model/words.ts'
import { canary } from '../../testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../testing/stand-in.ts'

const SITES = [
  { id: 'site-1', name: 'Acme' },
  { id: 'site-2', name: 'Zoë' },
]

let there: ListeningStandIn
let house: TestHouse
let found: { status?: number; body?: unknown }
let port: number
let isActive: boolean
let tokens: { readonly access_token: string; readonly refresh_token: string }
const [access, refresh] = [canary('access'), canary('refresh')]

beforeEach(async () => {
  found = { body: SITES }
  isActive = true
  tokens = { access_token: access, refresh_token: refresh }
  port = await freePort()
  there = await standIn({
    'POST /token': () => ({ body: { ...tokens, token_type: 'bearer', expires_in: 3600 } }),
    'GET /sites': () => found,
    'POST /introspect': () => ({ body: { active: isActive } }),
    'POST /revoke': {},
  }).listen()
  house = await openTestHouse({
    providers: [acmeAt(there), ACROSS(there), PLAIN(there)],
    config: { allow: [there.origin.slice('http://'.length)] },
  })
})
afterEach(async () => {
  await house.close()
  await there.close()
})

function acmeAt({ origin }: ListeningStandIn): ProviderFile {
  return {
    id: 'acme',
    name: 'Acme',
    category: 'other',
    vars: [{ name: 'site', label: 'Site', pattern: '[a-z0-9-]+' }],
    hosts: [origin.slice('http://'.length)],
    oauth: {
      authorize: `${origin}/authorize`,
      token: `${origin}/token`,
      revoke: `${origin}/revoke`,
      introspect: `${origin}/introspect`,
      clientId: 'valetkey',
    },
    registration: 'shipped',
    signIns: [
      {
        flow: 'authorization-code',
        scopes: ['read'],
        redirect: { port },
        present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
        lookups: [
          {
            request: { method: 'GET', url: `${origin}/sites`, auth: 'token' },
            list: '',
            value: '/id',
            label: '/name',
            as: 'site',
          },
        ],
      },
    ],
    revoke: { how: 'rfc7009', alone: true },
  }
}

/** There all ends that one person gave one client. */
const ACROSS = (at: ListeningStandIn): ProviderFile => ({
  ...acmeAt(at),
  id: 'across',
  revoke: { how: 'rfc7009' },
})

/** There nobody is asked what it is for. */
const PLAIN = (at: ListeningStandIn): ProviderFile => {
  const { vars: _, signIns, ...acme } = acmeAt(at)
  return { ...acme, id: 'plain', signIns: signIns.map(({ lookups: __, redirect: ___, ...one }) => one) }
}

async function leave(provider: string, bucket?: string): Promise<FlowSession> {
  return house.owner.connect({ provider, ...(bucket !== undefined && { bucket }) })
}

async function comeBack({ id, step }: FlowSession): Promise<FlowSession> {
  if (step?.ask !== 'visit') throw new Error('nobody is sent off')
  const back = new URL(step.url.searchParams.get('redirect_uri') ?? '')
  back.searchParams.set('code', canary('code'))
  back.searchParams.set('state', step.url.searchParams.get('state') ?? '')
  return house.owner.answer(id, { callback: new Secret(back.href) })
}

/** The browser is back, and the person is asked which site it is for. */
const come = async (provider = 'acme', bucket?: string) => comeBack(await leave(provider, bucket))

async function ended(): Promise<readonly (string | null)[]> {
  await house.tick()
  const asked = there.requests.filter(({ path }) => path === '/revoke')
  const forms = await Promise.all(asked.map(({ body }) => body))
  return forms.map((form) => new URLSearchParams(String(form)).get('token'))
}

describe('what was issued while a person has a choice', () => {
  it('is kept once they chose, also by another broker, and ended by nobody', async () => {
    const { id, step } = await come()
    expect(step).toMatchObject({ ask: 'fill', fields: [{ name: 'site', choices: ['Acme', 'Zoë'] }] })
    expect((await refusal(house.owner.answer(id, { fields: { site: new Secret('Eve') } }))).code).toBe(
      'invalid-request',
    )
    await house.meanwhile(() => {})
    const done = await house.owner.answer(id, { fields: { site: new Secret('Zoë') } })
    expect(done).toMatchObject({ state: 'done', account: { providerId: 'acme' } })
    expect((await house.owner.lend({ address: 'acme' })).token.reveal()).toBe(access)
    expect(await ended()).toEqual([])
  })

  it('leaves the browser with the word that a question is left', async () => {
    const { id, step } = await house.owner.connect({ provider: 'acme' })
    if (step?.ask !== 'visit') throw new Error('nobody is sent off')
    const back = new URL(step.url.searchParams.get('redirect_uri') ?? '')
    back.searchParams.set('code', canary('code'))
    back.searchParams.set('state', step.url.searchParams.get('state') ?? '')
    const page = await (await fetch(back)).text()
    expect(page).toContain('One question about Acme is left')
    expect(await house.owner.flow(id)).toMatchObject({ state: 'asking', step: { ask: 'fill' } })
  })

  it('needs no place to come back to any more: nobody is away', async () => {
    const { id } = await come()
    const other = createServer().listen(port, '127.0.0.1')
    await once(other, 'listening')
    try {
      const done = await house.owner.answer(id, { fields: { site: new Secret('Acme') } })
      expect(done).toMatchObject({ state: 'done' })
    } finally {
      other.close()
    }
  })

  it('is ended at its provider when the sign-in is cancelled', async () => {
    const { id } = await come()
    await house.owner.cancel(id)
    expect(await ended()).toEqual([refresh, access])
  })

  it('is ended when nobody comes back to it', async () => {
    const { id } = await come()
    house.clock.pass({ minutes: 11 })
    expect(await ended()).toEqual([refresh, access])
    expect(await house.owner.flow(id)).toMatchObject({ state: 'failed', failure: { code: 'flow-expired' } })
  })

  it('is ended when there is nothing to choose from', async () => {
    found = { body: [] }
    expect((await refusal(come())).code).toBe('exchange-failed')
    expect(await ended()).toEqual([refresh, access])
  })

  it('is ended where it is not proved whose it is', async () => {
    isActive = false
    expect((await refusal(come())).code).toBe('exchange-failed')
    expect(await ended()).toEqual([refresh, access])
  })

  it.each([
    ['acme', 'has the very same, issued once more'],
    ['across', 'might end along with it, since nobody said whose it is'],
  ])('is left alone where an account at %s %s', async (provider) => {
    const { id } = await come(provider)
    await house.owner.answer(id, { fields: { site: new Secret('Acme') } })
    isActive = false
    expect((await refusal(come(provider, 'other'))).code).toBe('exchange-failed')
    expect(await ended()).toEqual([])
  })

  it('is ended as well where it would never die by itself, and came too late', async () => {
    const [first, second] = [await leave('plain'), await leave('plain')]
    await comeBack(first)
    tokens = { access_token: canary('late'), refresh_token: '' }
    expect((await refusal(comeBack(second))).code).toBe('conflict')
    expect(await ended()).toEqual([tokens.access_token])
  })

  it('is ended once, and no more, when its place was taken meanwhile', async () => {
    const first = await come()
    tokens = { access_token: canary('other-access'), refresh_token: canary('other-refresh') }
    const second = await come()
    await house.owner.answer(first.id, { fields: { site: new Secret('Acme') } })
    const late = house.owner.answer(second.id, { fields: { site: new Secret('Zoë') } })
    expect((await refusal(late)).code).toBe('conflict')
    expect(await ended()).toEqual([tokens.refresh_token, tokens.access_token])
  })
})
