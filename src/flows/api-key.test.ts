import { afterEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { FlowContext, FlowTurn } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { readBuiltIn } from '../providers/built-in.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { type StandInAnswer, type StandInRoute, standIn } from '../testing/stand-in.ts'
import { apiKeyFlow } from './api-key.ts'

const builtIn = readBuiltIn()
const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

interface Setting extends Partial<Pick<FlowContext, 'insist'>> {
  readonly known?: Readonly<Record<string, string>>
}

async function at(id: string, route: StandInRoute, { known = {}, insist = false }: Setting = {}) {
  const there = await standIn({ '*': route }).listen()
  const network = openNetwork({ allow: [there.origin] })
  closing.push(there.close, network.close)
  const catalogue = openCatalogue({ builtIn, own: [], origins: { [id]: there.origin } })
  const provider = catalogue.find(id)
  const signIn = provider?.signIns.find(({ flow }) => flow === 'api-key')
  if (!provider || !signIn) throw new Error(`there is no ${id}`)
  const context: FlowContext = {
    provider,
    signIn,
    catalogue,
    network,
    now: () => new Date(0),
    newId: () => 'one',
    known: secrets(known),
    insist,
    client: undefined,
    redirectUri: undefined,
    state: 'flow-one.word',
  }
  return { context, there }
}

function secrets(values: Readonly<Record<string, string>>): Readonly<Record<string, Secret>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)]))
}

function stepOf(turn: FlowTurn) {
  if (!('step' in turn) || turn.step.ask !== 'fill') throw new Error('nothing is asked')
  return { ...turn.step, memory: turn.memory, names: turn.step.fields.map(({ name }) => name) }
}

function yieldOf(turn: FlowTurn) {
  if (!('done' in turn) || !('credential' in turn.done)) throw new Error('it asks on')
  return turn.done
}

/** Lets the sign-in begin, and answers its steps one after another. */
async function sign(context: FlowContext, ...answers: readonly Readonly<Record<string, string>>[]) {
  let turn = await apiKeyFlow.begin(context)
  for (const answer of answers)
    turn = await apiKeyFlow.next(context, stepOf(turn).memory, { fields: secrets(answer) })
  return turn
}

const OK: StandInAnswer = { body: {} }
const openaiKey = `sk-${canary('openai')}`
const githubToken = `ghp_${canary('github')}`

const wrongKey = `sk-${canary('wrong')}`

flowContract('api-key', async () => {
  const accepts: StandInRoute = ({ headers }) => ({
    status: headers['authorization'] === `Bearer ${openaiKey}` ? 200 : 401,
  })
  const { context } = await at('openai', accepts)
  return {
    flow: () => ({ ...apiKeyFlow }),
    context,
    answer: () => ({ fields: secrets({ key: openaiKey }) }),
    wrongAnswer: () => ({ fields: secrets({ key: wrongKey }) }),
    secrets: [openaiKey, wrongKey],
    close: async () => {},
  }
})

describe('what is asked', () => {
  it('is in the words of the provider, with the place where it is found', async () => {
    const { context } = await at('github', OK)
    const { fields, at: place, because } = stepOf(await sign(context))
    expect(fields).toEqual([{ name: 'token', label: 'Personal access token', kind: 'secret' }])
    expect(place?.href).toBe('https://github.com/settings/tokens')
    expect(because).toBeUndefined()
  })

  it('holds the variables of the hosts, and only what is not known', async () => {
    const { context } = await at('datadog', OK, { known: { applicationKey: canary('app') } })
    const { fields, names } = stepOf(await sign(context))
    expect(names).toEqual(['site', 'key'])
    expect(fields[0]).toMatchObject({ kind: 'choice', choices: expect.arrayContaining(['datadoghq.eu']) })
  })

  it('is nothing when all that is needed is known', async () => {
    const { context } = await at('openai', OK, { known: { key: `  ${openaiKey}\n` } })
    expect(yieldOf(await sign(context)).credential.worn['key']?.reveal()).toBe(openaiKey)
  })
})

describe('a key that the provider accepts', () => {
  it('becomes a standing credential with the person whom the provider named', async () => {
    const { context, there } = await at('github', { body: { id: 42, login: 'zoë' } })
    const { credential, profile } = yieldOf(await sign(context, { token: githubToken }))
    expect(credential).toMatchObject({
      standing: true,
      expiresAt: null,
      scopes: [],
      kept: {},
      tokenType: 'Bearer',
    })
    expect(profile).toEqual({ subject: '42', displayName: 'zoë', vars: {} })
    expect(there.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /user'])
    expect(there.requests[0]?.headers).toMatchObject({
      authorization: `Bearer ${githubToken}`,
      'user-agent': 'valetkey',
    })
  })

  it('is checked at the host that its variables name, with all of its parts', async () => {
    const { context, there } = await at('datadog', OK)
    const [key, applicationKey] = ['ab'.repeat(16), canary('app').padEnd(40, '0').slice(0, 40)]
    const { profile } = yieldOf(await sign(context, { site: 'datadoghq.eu', key, applicationKey }))
    expect(profile.vars).toEqual({ site: 'datadoghq.eu' })
    expect(there.requests[0]?.headers).toMatchObject({
      'dd-api-key': key,
      'dd-application-key': applicationKey,
    })
  })

  it('needs no optional part', async () => {
    const { context, there } = await at('datadog', OK)
    const { credential } = yieldOf(await sign(context, { site: 'datadoghq.eu', key: 'ab'.repeat(16) }))
    expect(Object.keys(credential.worn)).toEqual(['key'])
    expect(there.requests[0]?.headers).not.toHaveProperty('dd-application-key')
  })

  it('is kept as it is where a provider has no way to check it', async () => {
    const { context, there } = await at('key', OK)
    const { profile } = yieldOf(await sign(context, { host: 'api.acme.test', key: canary('any') }))
    expect(profile).toEqual({ subject: null, displayName: null, vars: { host: 'api.acme.test' } })
    expect(there.requests).toHaveLength(0)
  })
})

describe('a key that is not proved', () => {
  it.each<[string, StandInAnswer, string]>([
    ['refused', { status: 401 }, 'the provider did not accept this key'],
    ['met by trouble', { status: 503 }, 'the provider has trouble of its own'],
    ['one of too many', { status: 429 }, 'the provider had too many requests'],
    [
      'alive perhaps, but restricted',
      { status: 403 },
      'the provider answered 403, which proves nothing about this key',
    ],
    [
      'sent elsewhere',
      { status: 302, headers: { location: 'https://evil.test/' } },
      'the provider answered 302, which proves nothing about this key',
    ],
    ['not answered', { hangUp: true }, 'the answer of the provider was lost on the way'],
  ])('is asked for again with the reason, and may be kept: %s', async (_, answer, because) => {
    const { context, there } = await at('openai', answer)
    const turn = await sign(context, { key: openaiKey })
    expect(stepOf(turn)).toMatchObject({ because, names: ['key', 'keep'] })
    const kept = await apiKeyFlow.next(context, stepOf(turn).memory, { fields: secrets({ keep: 'yes' }) })
    expect(yieldOf(kept).credential.worn['key']?.reveal()).toBe(openaiKey)
    expect(there.requests).toHaveLength(1)
  })

  it('is not taken for somebody when the answer says nobody', async () => {
    for (const body of ['<html>welcome</html>', {}, { id: {} }, '{"id"']) {
      const { context } = await at('github', { body })
      expect(stepOf(await sign(context, { token: githubToken })).because).toContain(
        'without saying whose key it is',
      )
    }
  })

  it('is not taken for alive by an answer without end', async () => {
    async function* endless() {
      for (;;) yield 'x'.repeat(65536)
    }
    const { context } = await at('github', { body: endless() })
    expect(stepOf(await sign(context, { token: githubToken })).because).toContain('makes no sense')
  })

  it.each([
    ['connect-timeout', 'the provider did not pick up in time'],
    ['answer-timeout', 'the provider did not answer in time'],
  ] as const)('is asked for again after %s', async (code, because) => {
    const { context } = await at('openai', OK)
    const network = { fetch: () => Promise.reject(new ValetkeyError(code, 'late')), close: async () => {} }
    expect(stepOf(await sign({ ...context, network }, { key: openaiKey }))).toMatchObject({ because })
  })

  it('is tried again as it was when nothing new is entered', async () => {
    const answers: StandInAnswer[] = [{ status: 500 }, {}]
    const { context, there } = await at('openai', () => answers.shift() ?? {})
    yieldOf(await sign(context, { key: openaiKey }, {}))
    expect(there.requests.map(({ headers }) => headers['authorization'])).toEqual(
      Array(2).fill(`Bearer ${openaiKey}`),
    )
  })

  it('gives way to the one that is entered next', async () => {
    const accepts: StandInRoute = ({ headers }) => ({
      status: headers['authorization'] === `Bearer ${openaiKey}` ? 200 : 401,
    })
    const { context } = await at('openai', accepts)
    const { credential } = yieldOf(await sign(context, { key: wrongKey }, { key: openaiKey, keep: 'no' }))
    expect(credential.worn['key']?.reveal()).toBe(openaiKey)
  })

  it('is kept at once when the caller insists', async () => {
    const { context } = await at('openai', { status: 401 }, { known: { key: openaiKey }, insist: true })
    expect(yieldOf(await sign(context)).profile.subject).toBeNull()
  })
})

describe('a value of the wrong form', () => {
  it('is asked for again before anything is sent', async () => {
    const { context, there } = await at('openai', OK)
    const { because, names } = stepOf(await sign(context, { key: canary('nokey') }))
    expect(because).toBe('this does not look like the API key of OpenAI')
    expect(names).toEqual(['key', 'keep'])
    expect(there.requests).toHaveLength(0)
  })

  it('is kept when the person insists, then or from the start', async () => {
    const key = canary('nokey')
    const { context } = await at('openai', OK)
    expect(yieldOf(await sign(context, { key }, { keep: 'yes' })).credential.worn['key']?.reveal()).toBe(key)
    expect(yieldOf(await sign({ ...context, insist: true }, { key })).credential.worn['key']?.reveal()).toBe(
      key,
    )
  })

  it('is never kept when no request could wear it', async () => {
    const { context, there } = await at('key', OK, { insist: true })
    const { names, because } = stepOf(await sign(context, { host: 'api.acme.test', key: 'a\r\nx: y' }))
    expect(because).toBe('this value cannot be sent in a request')
    expect(names).toEqual(['host', 'key'])
    expect(there.requests).toHaveLength(0)
  })

  it('is asked for again where it is a host, and cannot be kept', async () => {
    const { context } = await at('key', OK, { insist: true })
    const { because, fields, names } = stepOf(await sign(context, { host: '127.0.0.1', key: canary('any') }))
    expect(because).toContain('not a public name')
    expect(names).toEqual(['host', 'key'])
    expect(fields.map(({ optional }) => Boolean(optional))).toEqual([false, true])
  })

  it('is refused where nobody offered to keep it', async () => {
    const { context } = await at('openai', OK)
    await expect(sign(context, { key: openaiKey, keep: 'yes' })).rejects.toMatchObject({
      code: 'invalid-request',
    })
  })

  it.each([
    [{ site: 'evil.test', key: 'ab'.repeat(16) }, 'none of its choices'],
    [{ site: 'datadoghq.eu', key: ' \n ' }, 'missing'],
  ])('is refused where a door should not have let it pass: %j', async (fields, words) => {
    const { context } = await at('datadog', OK)
    await expect(sign(context, fields)).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(words),
    })
  })
})

describe('ending a key', () => {
  it('says of each part that only the person can end it, and where', async () => {
    const { context } = await at('datadog', OK)
    const both = { site: 'datadoghq.eu', key: 'ab'.repeat(16), applicationKey: 'c'.repeat(40) }
    const { credential } = yieldOf(await sign(context, both))
    const how = 'only you can end it, at https://docs.datadoghq.com/account_management/api-app-keys/'
    expect(await apiKeyFlow.revoke(context, credential)).toEqual([
      { what: 'API key', died: false, how },
      { what: 'Application key', died: false, how },
    ])
  })
})

it('[security 20.1] shows a key in no step and in no printed memory', async () => {
  const { context } = await at('openai', { status: 401 })
  const turn = await sign(context, { key: openaiKey })
  expect(JSON.stringify(turn)).not.toContain(openaiKey)
  expect(`${stepOf(turn).memory}`).not.toContain(openaiKey)
})
