import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import { type ListeningStandIn, type StandInAnswer, standIn } from '../../testing/stand-in.ts'

let there: ListeningStandIn
let house: TestHouse
let traded: StandInAnswer
const access = canary('access')

beforeEach(async () => {
  traded = { body: { access_token: canary('long'), expires_in: 3600 } }
  there = await standIn({
    'POST /token': { body: { access_token: access, token_type: 'bearer', expires_in: 60 } },
    'GET /trade': () => traded,
  }).listen()
  const allow = [there.origin.slice('http://'.length)]
  house = await openTestHouse({ providers: [acmeAt(there)], config: { allow } })
})
afterEach(async () => {
  await house.close()
  await there.close()
})

/** A provider that takes a token in an address, and in no other way. */
function acmeAt({ origin }: ListeningStandIn): ProviderFile {
  const request = {
    method: 'GET' as const,
    url: `${origin}/trade`,
    query: { access_token: '{accessToken}' },
    secretsInQuery: true as const,
  }
  return {
    id: 'acme',
    name: 'Acme',
    category: 'other',
    hosts: [origin.slice('http://'.length)],
    oauth: { authorize: `${origin}/authorize`, token: `${origin}/token`, clientId: 'valetkey' },
    registration: 'shipped',
    signIns: [
      {
        flow: 'authorization-code',
        present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
        exchange: { request, expiresIn: '/expires_in', renew: 'again' },
      },
    ],
    revoke: { how: 'console' },
  }
}

async function connected() {
  const { id, step } = await house.owner.connect({ provider: 'acme' })
  if (step?.ask !== 'visit') throw new Error('nobody is sent off')
  const back = new URL(step.url.searchParams.get('redirect_uri') ?? '')
  back.searchParams.set('code', canary('code'))
  back.searchParams.set('state', step.url.searchParams.get('state') ?? '')
  return { id, done: house.owner.answer(id, { callback: new Secret(back.href) }) }
}

describe('a request whose address holds a secret', () => {
  it('[security 1.15] is in no record, and in nothing that is told of the sign-in', async () => {
    const { id, done } = await connected()
    expect(await done).toMatchObject({ state: 'done' })
    expect(there.requests.some(({ path }) => path.includes(access))).toBe(true)
    const told = [await house.owner.flow(id), await house.owner.audit({}), await house.owner.accounts()]
    expect(inspect(told, { depth: 20 })).not.toContain('CANARY')
    expect(inspect(told, { depth: 20 })).not.toContain('/trade')
    await house.meanwhile(async (file) => expect(String(await readFile(file))).not.toContain('/trade?'))
  })

  it.each<[string, StandInAnswer]>([
    ['trouble', { status: 500, body: access }],
    ['a refusal', { status: 400, body: { error: access } }],
    ['a redirect', { status: 302, headers: { location: 'https://elsewhere.test/' } }],
    ['no answer', { hangUp: true }],
  ])('[security 1.15] is in no record where it ends in %s', async (_, answer) => {
    traded = answer
    const { id, done } = await connected()
    const error = await refusal(done)
    const told = [error, await house.owner.flow(id), await house.owner.audit({})]
    expect(inspect(told, { depth: 20 })).not.toContain('CANARY')
    expect(inspect(told, { depth: 20 })).not.toContain('/trade')
  })
})
