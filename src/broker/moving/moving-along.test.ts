import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse, type TestHouse } from '../../../test/house.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { renewingFlow } from '../../../test/renewing.ts'
import { apiKeyFlow } from '../../flows/api-key.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import { sealExport } from '../../vault/export.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import { openExport } from '../../vault/export-opening.ts'

const passphrase = new Secret(canary('passphrase'))
const clientSecret = canary('clientsecret')
const managementToken = canary('management')
const TOKENS = 'https://login.practice.test/token'
const DAY_MS = 24 * 60 * 60_000

/** Renewed by a client of one's own. */
const OWN: ProviderFile = {
  ...PRACTICE,
  oauth: { authorize: 'https://login.practice.test/authorize', token: TOKENS },
  registration: 'yours',
  signIns: [
    { flow: 'token', present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }] },
  ],
}
/** The same with a client in its own file. */
const BROUGHT = {
  ...OWN,
  registration: 'none',
  oauth: { ...OWN.oauth, clientId: 'brought' },
} as ProviderFile

let upstream: ReturnType<typeof renewingFlow>['upstream']
let flow: ReturnType<typeof renewingFlow>['flow']
let here: TestHouse
let there: TestHouse
const open: TestHouse[] = []

async function house(provider: ProviderFile = OWN): Promise<TestHouse> {
  const made = await openTestHouse({ flows: [apiKeyFlow, flow], providers: [provider] })
  open.push(made)
  return made
}

beforeEach(async () => {
  ;({ flow, upstream } = renewingFlow())
  here = await house()
  there = await house()
})

afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

const connectKey = (at: TestHouse) =>
  at.owner.connect({
    provider: 'openai',
    fields: { key: new Secret(`sk-${canary('openai')}`) },
    insist: true,
  })
const registerAt = (at: TestHouse, clientId = 'mine') =>
  at.owner.register({
    provider: 'practice',
    clientId,
    clientSecret: new Secret(clientSecret),
    insist: true,
  })
const exportOf = (at: TestHouse) => at.keeper.export(passphrase)
const recordsOf = async (at: TestHouse) => (await openExport(await exportOf(at), passphrase)).records
const take = (document: string, replace = false) => there.keeper.import(document, passphrase, { replace })
const move = async (replace = false) => take(await exportOf(here), replace)
const sealed = (records: readonly ExportedRecord[]) =>
  sealExport({ records, passphrase, now: here.clock.now, newId: randomUUID })
const detail = async () => (await there.owner.audit({ verb: 'import', limit: 1 }))[0]?.detail

describe('what was decided about an account', () => {
  it('moves along: who may use it how and until when, and how old its secret may become', async () => {
    await connectKey(here)
    const until = new Date(here.clock.now().getTime() + DAY_MS)
    const soon = new Date(here.clock.now().getTime() + 1000)
    const address = 'openai'
    await here.owner.bind({ caller: 'app:reports', address, may: ['forward'], asks: 'first-use', until })
    await here.owner.bind({ caller: 'person:owner', address, may: ['reveal'] })
    await here.owner.bind({ caller: 'app:over', address, may: ['forward'], asks: 'never', until: soon })
    const { rotateAt } = await here.owner.rotateEvery(address, 90)
    const document = await exportOf(here)
    const stays = await sealed(await recordsOf(here))
    for (const one of [here, there]) one.clock.pass({ seconds: 2 })

    expect(await take(stays)).toEqual([
      { address, outcome: 'imported', why: 'bound to app:reports, person:owner', renews: false },
    ])
    expect(await detail()).toBe('1 imported, 2 bindings')
    const bindings = await there.owner.bindings()
    expect(bindings.map(({ caller, may, asks, until: end }) => [caller, may, asks, end])).toEqual([
      ['app:reports', ['forward'], 'first-use', until],
      ['person:owner', ['reveal'], 'never', null],
    ])
    const ids = (await here.owner.bindings()).map(({ id }) => id)
    expect(bindings.some(({ id }) => ids.includes(id))).toBe(false)
    expect((await there.as('app:reports').accounts()).map(({ providerId }) => providerId)).toEqual([address])
    expect((await there.owner.accounts())[0]?.rotateAt).toEqual(rotateAt)
    there.clock.pass({ hours: 91 * 24 })
    await there.tick()
    expect((await there.owner.accounts())[0]?.warnings).toContain('rotation-due')
    expect(await take(document)).toMatchObject([{ outcome: 'kept' }])
  })

  it('is told by its own schedule, without anybody having used it', async () => {
    await connectKey(here)
    await here.owner.rotateEvery('openai', 1)
    await move()
    const events = there.owner.events({ after: '0-0' })[Symbol.asyncIterator]()
    expect((await events.next()).value).toMatchObject({ name: 'connected' })
    there.clock.pass({ hours: 25 })
    await there.tick()
    expect((await events.next()).value).toMatchObject({ name: 'rotation-due' })
    await events.return?.()
  })

  it('gives way to what was decided here, and is not doubled', async () => {
    for (const one of [here, there]) await connectKey(one)
    const address = 'openai'
    await here.owner.bind({ caller: 'app:reports', address, may: ['forward', 'reveal'], asks: 'never' })
    await here.owner.bind({ caller: 'app:other', address, may: ['forward'], asks: 'never' })
    await here.owner.rotateEvery(address, 90)
    const mine = await there.owner.bind({ caller: 'app:reports', address, may: ['forward'], asks: 'never' })
    const { rotateAt } = await there.owner.rotateEvery(address, 30)
    there.clock.pass({ seconds: 1 })

    expect(await move()).toMatchObject([{ outcome: 'kept' }])
    expect(await there.owner.bindings()).toEqual([mine])
    expect(await move(true)).toMatchObject([{ outcome: 'replaced', why: 'bound to app:other' }])
    expect(await move(true)).toMatchObject([{ outcome: 'replaced', why: null }])
    const bindings = await there.owner.bindings()
    expect(bindings.map(({ caller, may }) => [caller, may])).toEqual([
      ['app:reports', ['forward']],
      ['app:other', ['forward']],
    ])
    expect((await there.owner.accounts())[0]?.rotateAt).toEqual(rotateAt)
  })
})

describe('a client of ours', () => {
  it('moves along with the account that is renewed by it, and nowhere else', async () => {
    await registerAt(here)
    await connectKey(here)
    expect((await recordsOf(here)).map(({ owner }) => owner)).toEqual(['person:owner'])
    await here.owner.connect({ provider: 'practice' })
    const document = await exportOf(here)
    expect(document).not.toContain(clientSecret)

    expect((await take(document)).map(({ address, outcome, why }) => [address, outcome, why])).toEqual([
      ['openai', 'imported', null],
      ['practice', 'imported', 'with its client'],
    ])
    expect(await detail()).toBe('2 imported, 1 client')
    expect(await there.owner.registrations()).toMatchObject([
      { provider: 'practice', issuer: TOKENS, clientId: 'mine', how: 'yours', trouble: null },
    ])
    expect((await there.owner.registrations())[0]?.id).not.toBe((await here.owner.registrations())[0]?.id)
    expect((await there.owner.lend({ address: 'practice' })).token.reveal()).toBe(upstream.token)
    const [, , client] = await recordsOf(there)
    expect(client?.fields['clientSecret']?.reveal()).toBe(clientSecret)
  })

  it('keeps its terms: where to come back to, until when, and by what it is managed', async () => {
    await registerAt(here)
    await here.owner.connect({ provider: 'practice' })
    const terms = {
      redirectUri: 'http://127.0.0.1:4000/callback/practice',
      secretExpiresAt: '2030-01-01T00:00:00.000Z',
      managementUri: 'https://login.practice.test/clients/mine',
      how: 'dynamic',
    }
    await take(await sealed(await changed({ plain: terms, fields: { managementToken } })))
    const [, client] = await recordsOf(there)
    expect(client?.plain).toMatchObject(terms)
    expect(client?.fields['managementToken']?.reveal()).toBe(managementToken)
  })

  it('is left where another one is registered, or is somebody’s who was issued to it', async () => {
    await registerAt(here)
    await here.owner.connect({ provider: 'practice' })
    await registerAt(there, 'another')
    const why = 'it was issued to the client mine, and the one at Practice here is another'
    expect(await move()).toMatchObject([{ outcome: 'refused', why }])
    expect(await move(true)).toMatchObject([{ outcome: 'refused', why }])
    expect((await there.owner.registrations()).map(({ clientId }) => clientId)).toEqual(['another'])

    there = await house(BROUGHT)
    await there.owner.connect({ provider: 'practice', bucket: 'other' })
    expect(await move()).toMatchObject([{ why: why.replace(/another$/, 'brought'), outcome: 'refused' }])
    expect(await there.owner.registrations()).toEqual([])
  })

  it('takes the place of one that came along and that nobody was issued to', async () => {
    await registerAt(here)
    await here.owner.connect({ provider: 'practice' })
    there = await house(BROUGHT)
    expect(await move()).toMatchObject([{ outcome: 'imported', why: 'with its client' }])
    expect(await there.owner.registrations()).toMatchObject([{ clientId: 'mine' }])
  })

  it('is written once, and stays the same where it is here already', async () => {
    await registerAt(here)
    for (const bucket of ['default', 'work']) await here.owner.connect({ provider: 'practice', bucket })
    await registerAt(there)
    const [before] = await there.owner.registrations()
    expect(await move()).toMatchObject([{ why: null }, { why: null }])
    expect(await there.owner.registrations()).toEqual([before])
    there = await house()
    expect(await move()).toMatchObject([{ why: 'with its client' }, { why: null }])
    expect(await there.owner.registrations()).toHaveLength(1)
  })

  it('that cannot be read is none, and nothing is written of it', async () => {
    await registerAt(here)
    await here.owner.connect({ provider: 'practice' })
    const wrong: readonly Change[] = [
      { plain: { how: 'shipped' } },
      { plain: { clientId: '' } },
      { plain: { redirectUri: 'https://elsewhere.test/callback' } },
      { plain: { managementUri: 'https://login.practice.test/clients/mine' } },
      { plain: { managementUri: 'http://login.practice.test/clients/mine' }, fields: { managementToken } },
      { plain: { more: 'x' } },
      { fields: { other: 'x' } },
    ]
    const missing = 'there is no client of ours at Practice to renew it with; it was issued to mine'
    const spoiled = [{ address: TOKENS, outcome: 'refused', why: 'this client of ours cannot be read' }]
    for (const change of wrong)
      expect(await take(await sealed(await changed(change)))).toMatchObject([{ why: missing }, ...spoiled])
    const [account, client] = await changed({})
    if (account === undefined || client === undefined) throw new Error('there are not both')
    const twice = await take(await sealed([account, client, client]))
    expect(twice).toMatchObject([{ why: missing }, ...spoiled, ...spoiled])
    const elsewhere = { ...client, about: 'https://other.test/token' }
    expect(await take(await sealed([account, elsewhere]))).toMatchObject([{ why: missing }])
    expect(await there.owner.registrations()).toEqual([])
    expect(await there.owner.accounts()).toEqual([])
  })

  interface Change {
    readonly plain?: ExportedRecord['plain']
    readonly fields?: Readonly<Record<string, string>>
  }

  /** What is exported here, with something of the client written otherwise. */
  async function changed({ plain = {}, fields = {} }: Change): Promise<readonly ExportedRecord[]> {
    const records = await recordsOf(here)
    const others = Object.entries(fields).map(([name, text]) => [name, new Secret(text)])
    return records.map((record) =>
      record.owner === 'installation'
        ? {
            ...record,
            plain: { ...record.plain, ...plain },
            fields: { ...record.fields, ...Object.fromEntries(others) },
          }
        : record,
    )
  }
})

describe('an account that has to be connected again', () => {
  const reason = 'of the provider'

  async function over(at: TestHouse): Promise<void> {
    upstream.meanwhile = async () => {
      throw new ValetkeyError('access-revoked', reason)
    }
    at.clock.pass({ hours: 2 })
    await at.owner.lend({ address: 'practice' }).catch(() => undefined)
    upstream.meanwhile = async () => {}
  }

  beforeEach(async () => {
    await registerAt(here)
    await here.owner.connect({ provider: 'practice' })
    await here.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
  })

  it('moves as such: no token, its reason and its bindings; connected in place it is used again', async () => {
    await over(here)
    const [record] = await recordsOf(here)
    expect(record?.fields).toEqual({})
    expect(await move()).toMatchObject([
      {
        address: 'practice',
        outcome: 'imported',
        why: 'it has to be connected again; with its client; bound to app:reports',
        renews: false,
      },
    ])
    const [account] = await there.owner.accounts()
    const state = { status: 'needs-reauth', tokenExpiresAt: null, forwardOnly: false }
    expect(account).toMatchObject({ ...state, reason: expect.stringContaining(reason) })
    await there.tick()
    await there.owner.reconnect('practice')
    expect(await there.owner.accounts()).toMatchObject([{ id: account?.id, status: 'connected' }])
    await there.as('app:reports').lend({ address: 'practice' })
  })

  it('takes the place of none that is alive', async () => {
    await move()
    await over(here)
    const why = 'what is connected here is alive, and the imported is not'
    expect(await move(true)).toMatchObject([{ outcome: 'kept', why }])
    await over(there)
    expect(await move(true)).toMatchObject([{ outcome: 'replaced' }])
  })
})

describe('a house with nothing in it', () => {
  it('is exported, and nothing comes of it elsewhere', async () => {
    await registerAt(here)
    expect(await recordsOf(here)).toEqual([])
    expect(await move()).toEqual([])
    expect(await there.owner.registrations()).toEqual([])
  })
})
