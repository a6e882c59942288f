import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../test/free-port.ts'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import type { CallerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type ListeningStandIn, type StandInRequest, standIn } from '../testing/stand-in.ts'

const key = `sk-${canary('elsewhere')}`
const another = `sk-${canary('another')}`

let folder: string
let provider: ListeningStandIn
let house: TestHouse
/** The keys that the provider knows. */
let known: readonly string[]
let issued: number

/** A program that prints what lies beside it, and writes down that it was asked. */
async function reference(said: string, name = 'my-key'): Promise<string> {
  const path = join(folder, name)
  await writeFile(`${path}.said`, said)
  await writeFile(path, `#!/bin/sh\necho >> ${path}.times\nexec cat ${path}.said\n`)
  await chmod(path, 0o700)
  return `exec:${path}`
}
const says = (said: string, name = 'my-key') => writeFile(join(folder, `${name}.said`), said)
const fails = (name = 'my-key') => rm(join(folder, `${name}.said`))
const times = async (name = 'my-key') =>
  (await stat(join(folder, `${name}.times`)).catch(() => ({ size: 0 }))).size

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  known = [key]
  issued = 0
  provider = await standIn({
    'POST /token': async (request) => token(request),
    '*': ({ headers }) =>
      known.some((one) => headers['authorization'] === `Bearer ${one}`)
        ? { body: { data: [] } }
        : { status: 401 },
  }).listen()
  const { origin } = provider
  house = await openTestHouse({ origins: { openai: origin, acme: origin }, providers: [ACME] })
})

afterEach(async () => {
  await house.close()
  await provider.close()
  await rm(folder, { recursive: true })
})

async function token({ headers, body }: StandInRequest) {
  issued += 1
  const form = new URLSearchParams((await body).toString())
  const basic = Buffer.from(String(headers['authorization']).slice('Basic '.length), 'base64').toString()
  const shown = form.get('client_secret') ?? basic.split(':')[1]
  if (!known.includes(shown ?? '')) return { status: 401, body: { error: 'invalid_client' } }
  return { body: { access_token: `${canary('token')}${issued}`, token_type: 'Bearer', expires_in: 600 } }
}

/** A provider of the owner's own, at which a program is a client. */
const ACME = {
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.test'],
  oauth: { authorize: 'https://api.acme.test/authorize', token: 'https://api.acme.test/token' },
  registration: 'yours',
  signIns: [
    {
      flow: 'client-credentials',
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
      fields: [
        { name: 'clientId', label: 'Client id', secret: false },
        { name: 'clientSecret', label: 'Client secret', optional: true },
        { name: 'privateKey', label: 'Private key', optional: true },
      ],
    },
  ],
  revoke: { how: 'console' },
}

const secrets = (fields: Record<string, string>) =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, new Secret(value)]))
const connect = (text: string, more = {}) =>
  house.owner.connect({ provider: 'openai', fields: secrets({ key: text }), ...more })
const forwarded = async () =>
  (await house.owner.forward({ address: 'openai', method: 'GET', path: '/v1/models' })).status
const shown = () => provider.requests.map(({ headers }) => headers['authorization'])

/** Every byte that is written of this house. */
async function written(): Promise<string> {
  const names = await readdir(house.home, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n')
}

describe('an account whose key lies elsewhere', () => {
  it('is connected by the reference, whose value is tried at the provider', async () => {
    const text = await reference(key)
    const { account } = await connect(text)
    expect(account).toMatchObject({ status: 'connected', forwardOnly: true, references: { key: text } })
    expect(shown()).toEqual([`Bearer ${key}`])
    expect(await house.owner.accounts()).toMatchObject([{ references: { key: text } }])
  })

  it('is used with the value, which is believed for five minutes and kept nowhere', async () => {
    await connect(await reference(key))
    for (const _ of [1, 2, 3]) expect(await forwarded()).toBe(200)
    expect(await times()).toBe(1)
    house.clock.pass({ minutes: 5, seconds: 1 })
    await says(another)
    known = [another]
    expect(await forwarded()).toBe(200)
    expect(await times()).toBe(2)
    expect(shown().at(-1)).toBe(`Bearer ${another}`)
    expect(await written()).not.toMatch(new RegExp(`${key}|${another}`))
  })

  it('is read anew by the next process, which has nothing but the reference', async () => {
    await connect(await reference(key))
    await house.meanwhile(() => undefined)
    expect(await forwarded()).toBe(200)
    expect(await times()).toBe(2)
  })

  it('is asked for in a form too, again for a value that is refused or misshapen, and told with what is wrong', async () => {
    const text = await reference('not a key')
    const { id } = await house.owner.connect({ provider: 'openai' })
    const answer = (fields: Record<string, string>) => house.owner.answer(id, { fields: secrets(fields) })
    const odd = await answer({ key: text })
    expect(odd.step).toMatchObject({ ask: 'fill', because: 'this does not look like the API key of OpenAI' })
    house.clock.pass({ minutes: 6 })
    await says(another)
    expect((await answer({ key: text })).step).toHaveProperty(
      'because',
      'the provider did not accept this key',
    )
    house.clock.pass({ minutes: 3 })
    const { id: second } = await house.owner.connect({ provider: 'openai', bucket: 'second' })
    const lost = { fields: secrets({ key: await reference(key, 'lost') }) }
    await fails('lost')
    expect((await refusal(house.owner.answer(second, lost))).code).toBe('reference-unreadable')
    await says(key, 'lost')
    house.clock.pass({ seconds: 4 })
    expect(await house.owner.answer(second, lost)).toMatchObject({ state: 'done' })
  })

  it('may be given as a pasted key that names its provider', async () => {
    const { state, account } = await house.owner.connect({ fields: secrets({ key: await reference(key) }) })
    expect(state).toBe('done')
    expect(account).toMatchObject({
      providerId: 'openai',
      references: { key: expect.stringContaining('exec:') },
    })
  })

  it('is read again at once where the provider refuses what it was', async () => {
    await connect(await reference(key))
    known = [another]
    await says(another)
    expect(await forwarded()).toBe(200)
    expect(shown().slice(-2)).toEqual([`Bearer ${key}`, `Bearer ${another}`])
    known = []
    const before = shown().length
    expect(await forwarded()).toBe(401)
    expect(shown()).toHaveLength(before + 1)
    expect(await times()).toBe(3)
    expect(await forwarded()).toBe(401)
    expect(await times()).toBe(3)
  })

  it('is read again when its owner wants it refreshed', async () => {
    await connect(await reference(key))
    known = [another]
    await says(another)
    expect(await house.owner.refresh('openai')).toMatchObject({ status: 'connected' })
    expect(await forwarded()).toBe(200)
    expect(await times()).toBe(2)
  })

  it('is not lent, as any key that never dies', async () => {
    await connect(await reference(key))
    expect((await refusal(house.owner.lend({ address: 'openai' }))).code).toBe('forward-only')
    await house.owner.bind({ caller: 'person:owner', address: 'openai', may: ['reveal'], asks: 'never' })
    const { token } = await house.owner.reveal({ address: 'openai' })
    expect(token.reveal()).toBe(key)
  })

  it('is lent until its end where it says that it has one', async () => {
    const dying = (minutes: number) => JSON.stringify({ value: key, expiresIn: minutes * 60 })
    await connect(await reference(dying(10)))
    expect(await house.owner.accounts()).toMatchObject([{ forwardOnly: false }])
    const { token, expiresAt } = await house.owner.lend({ address: 'openai' })
    expect(token.reveal()).toBe(key)
    expect(expiresAt).toEqual(new Date(house.clock.now().getTime() + 600_000))
    expect(await times()).toBe(1)
    await house.owner.lend({ address: 'openai', minValidity: 1200 }).catch(() => undefined)
    expect(await times()).toBe(2)
    house.clock.pass({ minutes: 10 })
    expect((await house.owner.lend({ address: 'openai' })).expiresAt).toEqual(
      new Date(house.clock.now().getTime() + 600_000),
    )
    await says(key)
    house.clock.pass({ minutes: 10 })
    expect((await refusal(house.owner.lend({ address: 'openai' }))).code).toBe('forward-only')
  })

  it('is forgotten with the lock, and with the account', async () => {
    await connect(await reference(key))
    await house.keeper.lock()
    await house.keeper.unlock()
    expect(await forwarded()).toBe(200)
    expect(await times()).toBe(2)
    await house.owner.revoke('openai')
    await connect(await reference(key))
    expect(await times()).toBe(3)
  })

  it('says which reference fails, of which account, and what to do', async () => {
    const text = await reference(key)
    await connect(text)
    house.clock.pass({ minutes: 6 })
    await fails()
    expect(await refusal(forwarded())).toEqual({
      code: 'reference-unreadable',
      message: `the credential of openai is not to be had: ${text} cannot be read: it ended with code 1`,
      hint: `see what it does: ${text.slice('exec:'.length)}`,
    })
    const before = await times()
    await refusal(forwarded())
    expect(await times()).toBe(before)
    house.clock.pass({ seconds: 4 })
    await says(key)
    expect(await forwarded()).toBe(200)
  })

  it('waits elsewhere for its reference, since that means nothing there', async () => {
    await connect(await reference(key))
    const passphrase = new Secret(canary('export'))
    const document = await house.keeper.export(passphrase)
    await house.owner.revoke('openai')
    await house.keeper.import(document, passphrase)
    const [account] = await house.owner.accounts()
    expect(account).toMatchObject({
      status: 'needs-reauth',
      reason: expect.stringContaining('it was read from exec:'),
    })
  })
})

describe('a client whose secret lies elsewhere', () => {
  const asked = async () => ({
    provider: 'acme',
    fields: secrets({ clientId: 'ours', clientSecret: await reference(key) }),
  })

  it('is renewed with what lies there at the time', async () => {
    const { account } = await house.owner.connect(await asked())
    expect(account).toMatchObject({ forwardOnly: false, references: { clientSecret: expect.any(String) } })
    const first = await house.owner.lend({ address: 'acme' })
    expect(first.token.reveal()).toMatch(/1$/)
    house.clock.pass({ minutes: 11 })
    known = [another]
    await says(another)
    const second = await house.owner.lend({ address: 'acme' })
    expect(second.token.reveal()).toMatch(/2$/)
    expect(await house.owner.accounts()).toMatchObject([{ references: { clientSecret: expect.any(String) } }])
    expect(await written()).not.toMatch(new RegExp(`${key}|${another}`))
    house.clock.pass({ minutes: 11 })
    expect((await house.owner.lend({ address: 'acme' })).token.reveal()).toMatch(/3$/)
  })

  it('is failing, and not over, while that cannot be read', async () => {
    await house.owner.connect(await asked())
    house.clock.pass({ minutes: 11 })
    await fails()
    expect((await refusal(house.owner.lend({ address: 'acme' }))).code).toBe('reference-unreadable')
    expect(await house.owner.accounts()).toMatchObject([
      { status: 'failing', reason: expect.stringContaining('cannot be read') },
    ])
    house.clock.pass({ hours: 2 })
    await says(key)
    expect((await house.owner.lend({ address: 'acme' })).token.reveal()).toMatch(/2$/)
    expect(await house.owner.accounts()).toMatchObject([{ status: 'connected' }])
  })
})

describe('a reference of anybody but the owner', () => {
  it('is not followed, whatever they may connect', async () => {
    await connect(key)
    const grants = [{ address: 'openai', may: ['connect', 'forward'] as const }]
    const { key: narrowed } = await house.owner.narrow({ kind: 'key', grants })
    const agent = house.as(narrowed.id as CallerId)
    const text = await reference(key)
    const begun = agent.reconnect('openai', { fields: secrets({ key: text }) })
    expect(await refusal(begun)).toMatchObject({ code: 'not-allowed', hint: 'ask the owner to connect it' })
    const { id } = await agent.reconnect('openai')
    expect((await refusal(agent.answer(id, { fields: secrets({ key: text }) }))).code).toBe('not-allowed')
    expect(await times()).toBe(0)
  })

  describe('where its words are remembered with the account', () => {
    const planted = () => reference('planted', 'planted')

    beforeEach(async () => {
      await house.close()
      const redirect = { port: await freePort() }
      const fields = [{ name: 'scopes', label: 'Scopes', secret: false, optional: true }]
      const signIns = ACME.signIns.map((one) => ({ ...one, flow: 'authorization-code', fields, redirect }))
      const providers = [{ ...ACME, signIns }]
      house = await openTestHouse({ origins: { acme: provider.origin }, providers })
      const ours = { clientId: 'ours', clientSecret: new Secret(key) }
      await house.owner.register({ provider: 'acme', ...ours, insist: true })
    })

    it('is not taken from whoever may connect, by whatever name', async () => {
      const grants = [{ address: 'acme/evil', may: ['connect'] as const }]
      const { key: narrowed } = await house.owner.narrow({ kind: 'key', grants })
      const wish = { provider: 'acme', bucket: 'evil', vars: { scopes: await planted() } }
      const begun = house.as(narrowed.id as CallerId).connect(wish)
      expect(await refusal(begun)).toMatchObject({ code: 'not-allowed' })
    })

    it('is not followed when the owner connects it again', async () => {
      const scopes = await reference(await planted())
      const { id, step } = await house.owner.connect({ provider: 'acme', vars: { scopes } })
      if (step?.ask !== 'visit') throw new Error('nobody is sent off')
      const back = new URL(step.url.searchParams.get('redirect_uri') ?? '')
      back.searchParams.set('code', canary('code'))
      back.searchParams.set('state', step.url.searchParams.get('state') ?? '')
      await house.owner.answer(id, { callback: new Secret(back.href) })
      await house.owner.reconnect('acme')
      expect([(await times()) > 0, await times('planted')]).toEqual([true, 0])
    })
  })

  it('is words, where a server issues what looks like one', async () => {
    const text = await reference(key)
    known = [key]
    const odd = await standIn({
      '*': { body: { access_token: text, token_type: 'Bearer', expires_in: 600 } },
    }).listen()
    try {
      const other = await openTestHouse({ origins: { acme: odd.origin }, providers: [ACME] })
      try {
        const fields = secrets({ clientId: 'ours', clientSecret: canary('client') })
        const { account } = await other.owner.connect({ provider: 'acme', fields })
        expect(account).not.toHaveProperty('references')
        expect((await other.owner.lend({ address: 'acme' })).token.reveal()).toBe(text)
        expect(await times()).toBe(0)
      } finally {
        await other.close()
      }
    } finally {
      await odd.close()
    }
  })
})
