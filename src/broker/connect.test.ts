import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import type { CallerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type ListeningStandIn, type StandInRequest, standIn } from '../testing/stand-in.ts'

const key = `sk-${canary('openai')}`
const another = `sk-${canary('another')}`
const githubToken = `ghp_${canary('github')}${'x'.repeat(12)}`

let provider: ListeningStandIn
let house: TestHouse
/** What the provider says to a key, while it is as a provider should be. */
let answer: (request: StandInRequest) => { status?: number; body?: unknown; hangUp?: boolean }

beforeEach(async () => {
  const right = [`Bearer ${key}`, `Bearer ${another}`, `Bearer ${githubToken}`]
  answer = ({ headers }) =>
    right.includes(String(headers['authorization'])) ? { body: ME } : { status: 401 }
  provider = await standIn({ '*': (request) => answer(request) }).listen()
  const { origin } = provider
  house = await openTestHouse({ origins: { openai: origin, github: origin, datadog: origin } })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const ME = { id: 4711, login: 'ada' }
const connect = (fields?: Record<string, string>, more = {}) =>
  house.owner.connect({ provider: 'openai', ...(fields && { fields: secret(fields) }), ...more })
const answerWith = (id: string, fields: Record<string, string>) =>
  house.owner.answer(id, { fields: secret(fields) })
const secret = (fields: Record<string, string>) =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, new Secret(value)]))
const addresses = async () =>
  (await house.owner.accounts()).map(({ providerId, bucket }) => `${providerId}/${bucket}`)

describe('connecting by a key', () => {
  it('asks for the key first, and says where it is found', async () => {
    const session = await connect()
    expect(session).toMatchObject({ state: 'asking', provider: 'openai', bucket: 'default', flow: 'api-key' })
    expect(session.step).toMatchObject({ ask: 'fill', fields: [{ name: 'key', kind: 'secret' }] })
    expect(session.step).toHaveProperty('at', new URL('https://platform.openai.com/api-keys'))
    expect(provider.requests).toHaveLength(0)
  })

  it('is done once the provider knows the key, and keeps it', async () => {
    const { id } = await connect()
    const session = await answerWith(id, { key })
    expect(session).toMatchObject({ state: 'done', step: null, failure: null })
    expect(session.account).toMatchObject({
      providerId: 'openai',
      displayName: 'OpenAI',
      status: 'connected',
      forwardOnly: true,
      connectedAt: house.clock.now(),
      tokenExpiresAt: null,
    })
    expect(await house.owner.accounts()).toEqual([session.account])
  })

  it('is done in one go with a key that is known beforehand', async () => {
    expect(await connect({ key })).toMatchObject({ state: 'done' })
    expect(await addresses()).toEqual(['openai/default'])
  })

  it('asks again for what does not look like a key, without showing it to the provider', async () => {
    const { id } = await connect()
    const session = await answerWith(id, { key: canary('misshapen') })
    expect(session).toMatchObject({ state: 'asking', step: { ask: 'fill' } })
    expect(session.step).toHaveProperty('because', 'this does not look like the API key of OpenAI')
    expect(provider.requests).toHaveLength(0)
  })

  it('asks again for a key that the provider refuses, and stores nothing', async () => {
    const { id } = await connect()
    const session = await answerWith(id, { key: `sk-${canary('wrong')}` })
    expect(session.step).toHaveProperty('because', 'the provider did not accept this key')
    expect(await house.owner.accounts()).toEqual([])
    expect(await answerWith(id, { key })).toMatchObject({ state: 'done' })
  })

  it('keeps an unproved key when the person says so', async () => {
    answer = () => ({ status: 503 })
    const { id } = await connect()
    const unproved = await answerWith(id, { key })
    expect(unproved.step).toHaveProperty('because', 'the provider has trouble of its own')
    expect(await answerWith(id, { keep: 'yes' })).toMatchObject({ state: 'done' })
    expect(await connect({ key }, { bucket: 'work', insist: true })).toMatchObject({ state: 'done' })
    expect(await addresses()).toEqual(['openai/default', 'openai/work'])
  })

  it('says so when the answer of the provider is lost', async () => {
    answer = () => ({ hangUp: true })
    const because = 'the answer of the provider was lost on the way'
    expect((await connect({ key })).step).toHaveProperty('because', because)
  })

  it('asks once more for an answer that it cannot understand', async () => {
    const { id } = await connect()
    expect(await refusal(answerWith(id, { keys: key }))).toMatchObject({ code: 'invalid-request' })
    expect(await refusal(answerWith(id, { key: '' }))).toMatchObject({ code: 'invalid-request' })
    expect(await house.owner.flow(id)).toMatchObject({ state: 'asking', step: { ask: 'fill' } })
    expect(await answerWith(id, { key })).toMatchObject({ state: 'done' })
  })

  it('refuses a field and a variable that the provider does not ask for', async () => {
    expect(await refusal(connect({ tenant: 'acme' }))).toMatchObject({
      code: 'invalid-request',
      message: 'OpenAI asks for nothing called tenant',
    })
    expect(await refusal(connect({}, { vars: { site: 'eu' } }))).toMatchObject({ code: 'invalid-request' })
  })

  it('takes the variables that the provider does ask for', async () => {
    answer = () => ({ body: {} })
    const request = { provider: 'datadog', vars: { site: 'datadoghq.eu' }, fields: secret({ key: ddKey }) }
    expect(await house.owner.connect(request)).toMatchObject({ state: 'done' })
    expect(provider.requests[0]).toMatchObject({ path: '/api/v1/validate', headers: { 'dd-api-key': ddKey } })
  })

  it.each([
    ['a provider that nobody knows', { provider: 'nosuch' }, 'unknown-provider'],
    ['a flow that the provider has not', { flow: 'client-credentials' }, 'unknown-flow'],
    ['a provider that is no name', { provider: '../x' }, 'invalid-request'],
    ['a bucket that is no name', { bucket: 'a b' }, 'invalid-request'],
    ['a bucket in a bucket', { provider: 'openai/work', bucket: 'x' }, 'invalid-request'],
  ])('refuses %s', async (_, request, code) => {
    expect(await refusal(connect(undefined, request))).toMatchObject({ code })
  })

  it('reads a provider and a bucket as they are found again, however they are typed', async () => {
    expect(await connect({ key }, { provider: 'OpenAI', bucket: 'Work' })).toMatchObject({ state: 'done' })
    expect(await connect({ key: another }, { provider: 'openai/Home' })).toMatchObject({ state: 'done' })
    expect(await addresses()).toEqual(['openai/work', 'openai/home'])
    expect(await house.owner.revoke('openai/work')).toMatchObject({ address: 'openai/work' })
  })

  it('is for the owner alone', async () => {
    const app = house.as('app:reports')
    expect(await refusal(app.connect({ provider: 'openai' }))).toMatchObject({ code: 'not-connected' })
    expect(await refusal(app.connect({}))).toMatchObject({ code: 'not-allowed' })
  })

  it('stands on record with what came of it, and without the key', async () => {
    const { id } = await connect()
    await answerWith(id, { key })
    await refusal(connect())
    const entries = await house.owner.audit({ verb: 'connect' })
    expect(entries.map(({ outcome, code, detail }) => [outcome, code ?? detail])).toEqual([
      ['failed', 'conflict'],
      ['opened', undefined],
      ['done', 'done'],
      ['opened', undefined],
      ['done', 'asks: fill'],
      ['opened', undefined],
    ])
    expect(entries.every(({ target }) => target === 'openai')).toBe(true)
    expect(JSON.stringify(entries)).not.toContain(key)
  })
})

const ddKey = canary('dd')
  .replaceAll(/[^a-f0-9]/g, '')
  .slice(-24)
  .padStart(32, '0')

describe('an address that is taken', () => {
  it('is refused from the start, with the way on', async () => {
    await connect({ key })
    expect(await refusal(connect({ key: another }))).toEqual({
      code: 'conflict',
      message: 'openai is already connected',
      hint: 'valetkey reconnect openai, or valetkey connect openai/another-name beside it',
    })
  })

  it('says how to have both where the name means another way in', async () => {
    await connect({ key })
    expect(await refusal(connect(undefined, { provider: 'codex' }))).toEqual({
      code: 'conflict',
      message: 'openai is connected another way, and stays as it is',
      hint: 'to have both: valetkey connect codex/another-name',
    })
  })

  it('is not given a login of another kind by anybody but its owner', async () => {
    await connect({ key })
    const grants = [{ address: 'openai', may: ['connect'] }] as const
    const { key: app } = await house.owner.narrow({ kind: 'key', grants })
    const desk = house.as(app.id as CallerId)
    const flow = 'device-code'
    expect(await refusal(desk.reconnect('openai', { flow }))).toMatchObject({ code: 'conflict' })
    expect(await desk.reconnect('openai')).toMatchObject({ flow: 'api-key', state: 'asking', instead: null })
    expect(await house.owner.reconnect('openai', { flow: 'api-key' })).toMatchObject({ state: 'asking' })
  })

  it('leaves room for a bucket beside it', async () => {
    await connect({ key })
    await connect({ key: another }, { bucket: 'work' })
    expect(await addresses()).toEqual(['openai/default', 'openai/work'])
  })

  it('goes to one of two who connect it at the same time', async () => {
    const sessions = await Promise.all([connect(), connect()])
    const ends = await Promise.allSettled(sessions.map(({ id }) => answerWith(id, { key })))
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const [lost] = ends.filter(({ status }) => status === 'rejected')
    expect(lost).toMatchObject({ reason: { code: 'conflict', message: 'openai is already connected' } })
    expect(await addresses()).toEqual(['openai/default'])
    const states = await Promise.all(sessions.map(async ({ id }) => (await house.owner.flow(id)).state))
    expect(states.toSorted()).toEqual(['done', 'failed'])
  })

  it('is free again after a revocation', async () => {
    const first = await connect({ key })
    await house.owner.revoke('openai')
    const second = await connect({ key: another })
    expect(second.account?.id).not.toBe(first.account?.id)
  })
})

describe('a pasted key', () => {
  it('names its provider', async () => {
    const { id, step } = await house.owner.connect({})
    expect(step).toMatchObject({ ask: 'fill', fields: [{ name: 'key', kind: 'secret' }] })
    const session = await answerWith(id, { key: githubToken })
    expect(session).toMatchObject({ state: 'done', provider: 'github' })
    expect(session.account).toMatchObject({ displayName: 'ada', subject: '4711' })
  })

  it('is known by its shape with the line end that came along', async () => {
    const session = await house.owner.connect({ fields: secret({ key: ` ${githubToken}\n` }) })
    expect(session).toMatchObject({ state: 'done', provider: 'github', account: { providerId: 'github' } })
  })

  it('is asked for again when nobody knows its shape, and it is said why', async () => {
    const because = 'no provider is known by keys of this shape'
    const session = await house.owner.connect({ fields: secret({ key: canary('nobodys') }) })
    expect(session).toMatchObject({ state: 'asking', provider: null, step: { because } })
    const again = await answerWith(session.id, { key: canary('nobodys') })
    expect(again).toMatchObject({ state: 'asking', step: { because } })
    expect(await answerWith(session.id, { key })).toMatchObject({ state: 'done', provider: 'openai' })
  })

  it('goes into the bucket that was asked for', async () => {
    await house.owner.connect({ bucket: 'Work', fields: secret({ key }) })
    expect(await addresses()).toEqual(['openai/work'])
    expect(await refusal(house.owner.connect({ bucket: 'a/b' }))).toMatchObject({ code: 'invalid-request' })
  })

  it('does not take the place of an account that is there', async () => {
    await connect({ key })
    const session = await house.owner.connect({})
    expect(await refusal(answerWith(session.id, { key: another }))).toMatchObject({ code: 'conflict' })
    expect(await house.owner.flow(session.id)).toMatchObject({ state: 'failed' })
  })

  it('brings along nothing that its provider does not ask for', async () => {
    const request = { fields: secret({ key, tenant: 'acme' }) }
    expect(await refusal(house.owner.connect(request))).toMatchObject({ code: 'invalid-request' })
  })
})
