import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type HouseOptions, openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { renewingFlow } from '../../../test/renewing.ts'
import { apiKeyFlow } from '../../flows/api-key.ts'
import { authorizationCodeFlow } from '../../flows/authorization-code.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'
import { sealExport } from '../../vault/export.ts'
import type { ExportedRecord } from '../../vault/export-document.ts'
import { openExport } from '../../vault/export-opening.ts'

const passphrase = canary('passphrase')
const openaiKey = `sk-${canary('openai')}`
const DAY_MS = 24 * 60 * 60_000

/** Its tokens are issued: no person fills them in. */
const ISSUING: ProviderFile = {
  ...PRACTICE,
  oauth: {
    authorize: 'https://login.practice.test/authorize',
    token: 'https://login.practice.test/token',
    clientId: 'one',
  },
  signIns: [
    { flow: 'token', present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }] },
  ],
}

const GADGET: ProviderFile = {
  id: 'gadget',
  name: 'Gadget',
  category: 'other',
  vars: [{ name: 'site', label: 'Site' }],
  hosts: ['{site}.gadget.test'],
  registration: 'none',
  signIns: [
    {
      flow: 'api-key',
      fields: [
        { name: 'id', label: 'Key id', secret: false },
        { name: 'key', label: 'Key', pattern: 'gk-[a-zA-Z0-9]+' },
        { name: 'pin', label: 'PIN', optional: true },
      ],
      present: [
        { header: 'x-gadget-key', field: 'key' },
        { header: 'x-gadget-id', field: 'id' },
      ],
    },
  ],
  revoke: { how: 'console' },
}

/** A file of the owner's own in the place of ours. */
const MY_OPENAI: ProviderFile = {
  ...GADGET,
  id: 'openai',
  name: 'My OpenAI',
  vars: [],
  hosts: ['openai.gadget.test'],
  signIns: [
    {
      flow: 'api-key',
      fields: [{ name: 'key', label: 'Key' }],
      present: [{ header: 'x-key', field: 'key' }],
    },
  ],
}

const open: TestHouse[] = []
const { flow, upstream } = renewingFlow()

async function house(options: HouseOptions = {}): Promise<TestHouse> {
  const flows = [apiKeyFlow, authorizationCodeFlow(), { ...flow, renews: hasRefreshToken }]
  const made = await openTestHouse({ flows, providers: [ISSUING, GADGET], ...options })
  open.push(made)
  return made
}

function hasRefreshToken({ kept }: { readonly kept: object }): boolean {
  return 'refreshToken' in kept
}

afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

const secret = (text: string) => new Secret(text)
const connectKey = (at: TestHouse, bucket = 'default') =>
  at.owner.connect({ provider: 'openai', bucket, fields: { key: secret(openaiKey) }, insist: true })
const exportOf = (at: TestHouse) => at.keeper.export(secret(passphrase))
const importTo = (at: TestHouse, document: string, replace = false) =>
  at.keeper.import(document, secret(passphrase), { replace })

type Plain = ExportedRecord['plain']

interface Written {
  readonly owner?: ExportedRecord['owner']
  readonly about?: string
  readonly plain?: Plain
  readonly without?: string
  readonly fields?: Readonly<Record<string, string>>
}

/** A good key of the gadget, but for what is said otherwise. */
function gadget(
  bucket: string,
  { owner = 'person:owner', about = 'gadget', ...said }: Written = {},
): ExportedRecord {
  const { fields = { 'worn:id': 'one', 'worn:key': 'gk-1' }, plain = {}, without } = said
  const usual: Plain = {
    address: `${about}/${bucket}`,
    bucket,
    flow: 'api-key',
    status: 'connected',
    reason: null,
    connectedAt: Date.parse('2027-02-01T12:00:00Z'),
    issuedAt: '2027-02-01T12:00:00.000Z',
    standing: 1,
    tokenType: 'key',
    scopes: '',
    expiresAt: null,
    grantEndsAt: null,
    idleEndsAt: null,
    profile: profileWith({ site: 'one' }),
    origins: 'https://one.gadget.test',
    issuer: null,
    client: null,
    rotateDays: null,
    bindings: '[]',
    ...plain,
  }
  const kept = Object.entries(usual).filter(([name]) => name !== without)
  return {
    ...{ owner, about },
    record: randomUUID(),
    fields: Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, secret(text)])),
    plain: Object.fromEntries(kept),
  }
}

function profileWith(vars: object, subject: string | null = null): string {
  return JSON.stringify({ subject, displayName: null, vars })
}

/** What the practice provider issued. */
function issued(bucket: string, { plain = {}, fields = {} }: Written = {}): ExportedRecord {
  return gadget(bucket, {
    about: 'practice',
    fields: { 'kept:refreshToken': 'r', ...fields },
    plain: {
      ...{ flow: 'token', standing: 0, tokenType: 'Bearer', scopes: 'read', profile: profileWith({}) },
      ...{ origins: 'https://api.practice.test', issuer: 'https://login.practice.test/token' },
      ...{ client: 'one', ...plain },
    },
  })
}

const sealed = (...records: readonly ExportedRecord[]) =>
  sealExport({
    records,
    passphrase: secret(passphrase),
    now: () => new Date('2027-03-01T11:00:00Z'),
    newId: randomUUID,
  })

const LATER = '2027-03-01T13:00:00.000Z'
const EARLIER = '2027-03-01T11:30:00.000Z'

const BINDING = { caller: 'app:reports', may: ['forward'], asks: 'never', until: null }

/** Every combination that is not taken in, and why. */
const REFUSED: readonly (readonly [ExportedRecord, string])[] = [
  [gadget('a', { owner: 'person:bob' }), 'it belongs to person:bob, who is not you'],
  [gadget('b', { owner: 'installation' }), 'this client of ours cannot be read'],
  [gadget('c', { about: 'nobody' }), 'no provider is called nobody here'],
  [gadget('d', { plain: { flow: 'saml' } }), 'Gadget is not connected by saml here'],
  [gadget('e', { plain: { flow: 'token' } }), 'Gadget is not connected by token here'],
  [gadget('f', { plain: { expiresAt: LATER } }), 'it says that it never dies, and when it does'],
  [gadget('g', { plain: { standing: 0 } }), 'it says that its access dies, and not when'],
  [gadget('h', { plain: { standing: 0, expiresAt: EARLIER } }), 'its access is over, and nothing renews it'],
  [gadget('i', { fields: { 'worn:id': 'one' } }), 'its Key is missing'],
  [gadget('j', { fields: { 'worn:key': 'gk-1' } }), 'its Key id is missing'],
  [
    gadget('k', { fields: { 'worn:id': 'one', 'worn:key': 'gk-1', 'worn:other': 'x' } }),
    'Gadget asks for nothing called other',
  ],
  [gadget('l', { fields: { 'worn:id': 'one', 'kept:key': 'gk-1' } }), 'its Key is missing'],
  [gadget('m', { fields: { 'worn:id': 'one', 'worn:key': 'gk-1', 'worn:pin': '1' } }), 'Gadget wears no pin'],
  [
    gadget('n', { fields: { 'worn:id': 'one', 'worn:key': 'not of that form' } }),
    'its Key does not look like one of Gadget',
  ],
  [
    gadget('o', { fields: { 'worn:id': 'one\r\nx-other: two', 'worn:key': 'gk-1' } }),
    'this value cannot be sent in a request',
  ],
  [gadget('p', { fields: { 'worn:id': 'one', 'worn:key': '' } }), 'its key is empty'],
  [gadget('q', { fields: { other: 'x' } }), 'it has a field that is neither worn nor kept'],
  [gadget('r', { fields: {} }), 'it has nothing that it could be used with'],
  [gadget('s', { plain: { scopes: 7 } }), 'its scopes are no scopes'],
  [gadget('t', { plain: { scopes: 'read  write' } }), 'its scopes are no scopes'],
  [gadget('u', { plain: { standing: 2 } }), 'its standing is neither 0 nor 1'],
  [gadget('v', { plain: { expiresAt: 'tomorrow' } }), 'its expiresAt is no date'],
  [gadget('w', { plain: { connectedAt: 'long ago' } }), 'its connectedAt is no date'],
  [gadget('x', { plain: { connectedAt: Date.parse('2027-04-01') } }), 'its connectedAt lies in the future'],
  [gadget('y', { plain: { connectedAt: 2 ** 53 - 1 } }), 'its connectedAt lies in the future'],
  [gadget('z', { plain: { issuedAt: '2027-04-01T00:00:00Z' } }), 'its issuedAt lies in the future'],
  [
    gadget('aa', { plain: { standing: 0, expiresAt: '2199-01-01T00:00:00Z' } }),
    'its expiresAt lies too far in the future',
  ],
  [gadget('ab', { plain: { grantEndsAt: EARLIER } }), 'its grant is over'],
  [gadget('ac', { plain: { profile: profileWith({}) } }), 'gadget needs its site'],
  [gadget('ad', { plain: { profile: profileWith({ site: 'a.b' }) } }), 'this cannot be the site of gadget'],
  [gadget('ae', { plain: { profile: profileWith({ site: 7 }) } }), 'its profile cannot be read'],
  [gadget('af', { plain: { profile: '{' } }), 'its profile cannot be read'],
  [
    gadget('ag', { plain: { profile: profileWith({ site: 'two' }) } }),
    'it went to https://one.gadget.test, and would go to https://two.gadget.test here',
  ],
  [
    gadget('ah', { plain: { origins: '' } }),
    'it went to nowhere, and would go to https://one.gadget.test here',
  ],
  [
    gadget('ai', { plain: { issuer: 'https://login.test' } }),
    'it was issued by https://login.test, and would be renewed at nobody here',
  ],
  [gadget('aj', { plain: { bucket: 'other' } }), 'this is no address'],
  [gadget('AK'), 'this is no address'],
  [gadget('al', { plain: { address: 'gadget/al/more', bucket: 'al/more' } }), 'this is no address'],
  [gadget('am', { plain: { more: 'x' } }), 'it says something that is not known here: more'],
  [gadget('an', { without: 'origins' }), 'its origins is no text'],
  [gadget('ao', { plain: { status: 'failing' } }), 'its status is neither connected nor needs-reauth'],
  [gadget('ap', { plain: { status: 'needs-reauth' } }), 'it is over, and has something to be used with'],
  [
    gadget('aq', { fields: {}, plain: { status: 'needs-reauth', expiresAt: LATER } }),
    'it is over, and says when it ends',
  ],
  [gadget('ar', { plain: { reason: 'one\ntwo' } }), 'its reason is not printable'],
  [gadget('as', { plain: { rotateDays: 0 } }), 'its rotateDays is no number of days'],
  [gadget('at', { plain: { bindings: '{' } }), 'its bindings cannot be read'],
  ...[
    { caller: 'somebody' },
    { may: ['everything'] },
    { may: [] },
    { asks: 'sometimes' },
    { until: 'tomorrow' },
    { more: true },
  ].map((wrong, at) => {
    const bindings = JSON.stringify([{ ...BINDING, ...wrong }])
    return [gadget(`au${at}`, { plain: { bindings } }), 'its bindings cannot be read'] as const
  }),
  [gadget('av', { plain: { bindings: JSON.stringify([BINDING, BINDING]) } }), 'its bindings cannot be read'],
  [issued('ba', { plain: { standing: 1 } }), 'it has nothing that it could be used with'],
  [issued('bb', { fields: { 'worn:accessToken': 'a' } }), 'it says that its access dies, and not when'],
  [
    issued('bc', { fields: { 'worn:accessToken': 'a', 'worn:other': 'b' }, plain: { expiresAt: LATER } }),
    'Practice wears no other',
  ],
]

describe('what is exported in one place', () => {
  it('is used in another, and is renewed there at its first use', async () => {
    const [here, there] = [await house(), await house()]
    await connectKey(here, 'work')
    await here.owner.connect({ provider: 'practice' })
    const lent = (await here.owner.lend({ address: 'practice' })).token.reveal()
    const asked = upstream.asked
    const document = await exportOf(here)
    expect(await importTo(there, document)).toEqual([
      { address: 'openai/work', outcome: 'imported', why: null, renews: false },
      { address: 'practice', outcome: 'imported', why: null, renews: true },
    ])
    expect(upstream.asked).toBe(asked)
    const accounts = await there.owner.accounts()
    expect(accounts.map(({ status, forwardOnly, scopes }) => [status, forwardOnly, scopes])).toEqual([
      ['connected', true, []],
      ['connected', false, ['read']],
    ])
    const ids = (await here.owner.accounts()).map(({ id }) => id)
    expect(accounts.some(({ id }) => ids.includes(id))).toBe(false)
    const renewed = (await there.owner.lend({ address: 'practice' })).token.reveal()
    expect([renewed, upstream.asked]).toEqual([upstream.token, asked + 1])
    expect(renewed).not.toBe(lent)
    await there.owner.bind({ caller: 'person:owner', address: 'openai/work', may: ['reveal'] })
    expect((await there.owner.reveal({ address: 'openai/work' })).token.reveal()).toBe(openaiKey)
  })

  it('holds nothing that can be had again', async () => {
    const here = await house()
    await here.owner.connect({ provider: 'practice' })
    const { records } = await openExport(await exportOf(here), secret(passphrase))
    expect(records.map(({ fields }) => Object.keys(fields))).toEqual([['kept:refreshToken']])
    expect(records[0]?.plain).toMatchObject({ expiresAt: null, origins: 'https://api.practice.test' })
  })

  it('stays what it is in the other place after a restart, before it was ever used', async () => {
    const [here, there] = [await house(), await house()]
    await here.owner.connect({ provider: 'practice' })
    await importTo(there, await exportOf(here))
    await there.meanwhile(() => undefined)
    expect((await there.owner.lend({ address: 'practice' })).token.reveal()).toBe(upstream.token)
  })

  it('is announced', async () => {
    const [here, there] = [await house(), await house()]
    await connectKey(here)
    const events = there.owner.events({ after: '0-0' })[Symbol.asyncIterator]()
    await importTo(there, await exportOf(here))
    expect((await events.next()).value).toMatchObject({
      name: 'connected',
      account: { providerId: 'openai' },
    })
    await events.return?.()
  })
})

describe('an account that is connected here already', () => {
  it('is kept, and taken in place where that was wished: id, bindings and history stay', async () => {
    const [here, there] = [await house(), await house()]
    await connectKey(here)
    const other = `sk-${canary('other')}`
    await there.owner.connect({ provider: 'openai', fields: { key: secret(other) }, insist: true })
    await there.owner.bind({ caller: 'person:owner', address: 'openai', may: ['reveal'] })
    const before = await there.owner.accounts()
    const revealed = async () => (await there.owner.reveal({ address: 'openai' })).token.reveal()
    const document = await exportOf(here)
    const why = 'it is connected here already'
    expect(await importTo(there, document)).toMatchObject([{ address: 'openai', outcome: 'kept', why }])
    expect(await revealed()).toBe(other)
    expect(await importTo(there, document, true)).toMatchObject([{ outcome: 'replaced', why: null }])
    expect(await revealed()).toBe(openaiKey)
    const [after] = await there.owner.accounts()
    expect([after?.id, after?.connectedAt]).toEqual([before[0]?.id, before[0]?.connectedAt])
    expect(await there.owner.bindings()).toMatchObject([{ accountId: after?.id, may: ['reveal'] }])
  })

  it('is kept all the same where it was renewed since: the imported one may have died of that', async () => {
    const [here, there] = [await house(), await house()]
    await here.owner.connect({ provider: 'practice' })
    const document = await exportOf(here)
    await importTo(there, document)
    expect(await importTo(there, document, true)).toMatchObject([{ outcome: 'replaced' }])
    there.clock.pass({ minutes: 1 })
    await there.owner.lend({ address: 'practice' })
    const why = 'what is connected here is newer'
    expect(await importTo(there, document, true)).toMatchObject([{ outcome: 'kept', why }])
    there.clock.pass({ hours: 2 })
    expect((await there.owner.lend({ address: 'practice' })).token.reveal()).toBe(upstream.token)
  })

  it('gives way to nobody else’s', async () => {
    const there = await house()
    const one = gadget('one', { plain: { profile: profileWith({ site: 'one' }, 'ada') } })
    const other = gadget('one', { plain: { profile: profileWith({ site: 'one' }, 'bob') } })
    await importTo(there, await sealed(one))
    const lines = await importTo(there, await sealed(other), true)
    expect(lines).toMatchObject([{ outcome: 'refused', why: 'another account at gadget is connected here' }])
    expect(await there.owner.accounts()).toMatchObject([{ subject: 'ada' }])
  })

  it('was revoked: then it is none', async () => {
    const there = await house()
    const document = await sealed(gadget('one'))
    await importTo(there, document)
    await there.owner.revoke('gadget/one')
    expect(await importTo(there, document)).toMatchObject([{ outcome: 'imported' }])
    expect(await there.owner.accounts()).toHaveLength(1)
  })

  it('and is the same person’s, at another address: told, and not refused', async () => {
    const there = await house()
    const profile = profileWith({ site: 'one' }, 'ada')
    const document = await sealed(
      gadget('one', { plain: { profile } }),
      gadget('two', { plain: { profile } }),
    )
    expect(await importTo(there, document)).toMatchObject([
      { outcome: 'imported', why: null },
      { outcome: 'imported', why: 'the same person at gadget as gadget/one' },
    ])
  })
})

describe('a combination that cannot be', () => {
  it('is refused with its reason, and keeps none of the others out', async () => {
    const there = await house()
    const good = gadget('good')
    const lines = await importTo(there, await sealed(...REFUSED.map(([record]) => record), good))
    const sayings = lines.map(({ address, outcome, why }) => [address, outcome, why])
    expect(sayings.filter(([, outcome]) => outcome !== 'imported')).toEqual(
      expect.arrayContaining(REFUSED.map(([{ plain }, why]) => [plain['address'], 'refused', why])),
    )
    expect(lines.filter(({ outcome }) => outcome === 'imported')).toMatchObject([{ address: 'gadget/good' }])
    expect(lines).toHaveLength(REFUSED.length + 1)
    const left = await there.inFile((file) => ({
      accounts: file.prepare('select id from accounts').all().length,
      sealed: file.prepare("select distinct record from sealed where record like 'acct-%'").all().length,
    }))
    expect(left).toEqual({ accounts: 1, sealed: 1 })
  })

  it('is that of one address twice: nobody knows which of them is meant', async () => {
    const there = await house()
    const why = 'it stands in the export more than once'
    const bobs = gadget('one', { owner: 'person:bob' })
    const lines = await importTo(there, await sealed(gadget('one'), gadget('two'), gadget('two'), bobs))
    expect(lines.map((line) => [line.address, line.outcome, line.why])).toEqual([
      ['gadget/one', 'imported', null],
      ['gadget/two', 'refused', why],
      ['gadget/two', 'refused', why],
      ['gadget/one', 'refused', 'it belongs to person:bob, who is not you'],
    ])
  })

  it('is what can be renewed, where the way of signing in renews nothing', async () => {
    const { refresh: _, ...unrenewing } = flow
    const there = await house({ flows: [apiKeyFlow, unrenewing] })
    const fields = { 'worn:accessToken': 'a' }
    const lines = await importTo(there, await sealed(issued('one', { fields, plain: { expiresAt: LATER } })))
    const why = 'it has something to be renewed with, and token renews nothing'
    expect(lines).toMatchObject([{ outcome: 'refused', why }])
  })

  it('is not what only the clocks of two computers make of it', async () => {
    const there = await house()
    const soon = there.clock.now().getTime() + DAY_MS / 2
    const plain = { connectedAt: soon, issuedAt: new Date(soon).toISOString() }
    expect(await importTo(there, await sealed(gadget('one', { plain })))).toMatchObject([
      { outcome: 'imported' },
    ])
    expect((await there.owner.accounts())[0]?.connectedAt).toEqual(there.clock.now())
  })
})

describe('where it would go', () => {
  it('is where it went: a file of one’s own under a name of ours gets nothing of ours, nor the other way round', async () => {
    const [ours, theirs] = [await house(), await house({ providers: [MY_OPENAI] })]
    await connectKey(ours)
    await theirs.owner.connect({ provider: 'openai', fields: { key: secret(openaiKey) } })
    const [fromOurs, fromTheirs] = [await exportOf(ours), await exportOf(theirs)]
    await ours.owner.revoke('openai')
    await theirs.owner.revoke('openai')
    expect(await importTo(theirs, fromOurs)).toMatchObject([
      {
        outcome: 'refused',
        why: 'it went to https://api.openai.com, and would go to https://openai.gadget.test here',
      },
    ])
    expect(await importTo(ours, fromTheirs)).toMatchObject([
      {
        outcome: 'refused',
        why: 'it went to https://openai.gadget.test, and would go to https://api.openai.com here',
      },
    ])
    expect([...(await ours.owner.accounts()), ...(await theirs.owner.accounts())]).toEqual([])
  })
})

describe('an export of the first version', () => {
  const document = readFile(new URL('../../../test/fixtures/export-version-1.json', import.meta.url), 'utf8')
  const take = async (at: TestHouse) =>
    at.keeper.import(await document, secret('the passphrase of version one'))

  it('still opens, and what it does not say is asked of the providers we know', async () => {
    const there = await house()
    const lines = await take(there)
    expect(lines.map(({ address, outcome, why }) => [address, outcome, why])).toEqual([
      ['datadog/eu', 'imported', null],
      ['openai', 'imported', null],
      ['google/work', 'refused', 'there is no client of ours at Google to renew it with'],
    ])
    await there.owner.bind({ caller: 'person:owner', address: 'datadog/eu', may: ['reveal'] })
    const { fields } = await there.owner.reveal({ address: 'datadog/eu' })
    expect(fields['applicationKey']?.reveal()).toBe('abcdefghijklmnopqrstuvwxyz0123456789ABCD')
  })

  it('is renewed by the client that is here', async () => {
    const there = await house({ origins: { google: 'http://127.0.0.1:9' } })
    await there.owner.register({ provider: 'google', clientId: 'one', insist: true })
    expect((await take(there)).at(-1)).toMatchObject({ outcome: 'imported', renews: true })
  })

  it('goes to no provider of one’s own', async () => {
    const there = await house({ providers: [MY_OPENAI] })
    expect((await take(there))[1]?.why).toBe(
      'this export does not say where it went, and openai is a provider of your own here',
    )
    expect((await there.owner.accounts()).map(({ providerId }) => providerId)).toEqual(['datadog'])
  })
})

describe('the client that something is renewed by', () => {
  it('has to be the same', async () => {
    const other = { ...ISSUING, oauth: { ...ISSUING.oauth, clientId: 'two' } } as ProviderFile
    const [there, elsewhere] = [await house(), await house({ providers: [other] })]
    const document = await sealed(issued('one'))
    expect(await importTo(there, document)).toMatchObject([{ outcome: 'imported', renews: true }])
    const why = 'it was issued to the client one, and the one at Practice here is two'
    expect(await importTo(elsewhere, document)).toMatchObject([{ outcome: 'refused', why }])
  })

  it('and that there has to be, at the same server', async () => {
    const { clientId: _, ...oauth } = ISSUING.oauth ?? { authorize: '', token: '' }
    const none = { ...ISSUING, oauth, registration: 'yours' } as ProviderFile
    const moved = {
      ...ISSUING,
      oauth: { ...ISSUING.oauth, token: 'https://other.test/token' },
    } as ProviderFile
    const [unregistered, elsewhere] = [
      await house({ providers: [none] }),
      await house({ providers: [moved] }),
    ]
    const document = await sealed(issued('one'))
    expect((await importTo(unregistered, document))[0]?.why).toBe(
      'there is no client of ours at Practice to renew it with; it was issued to one',
    )
    expect((await importTo(elsewhere, document))[0]?.why).toBe(
      'it was issued by https://login.practice.test/token, and would be renewed at https://other.test/token here',
    )
  })
})

describe('the import itself', () => {
  it('is on record, with how many came of it, and why it failed', async () => {
    const there = await house()
    await importTo(there, await sealed(gadget('one'), gadget('two'), gadget('TWO')))
    expect(await refusal(importTo(there, 'something else'))).toMatchObject({ code: 'invalid-request' })
    const closed = (await there.owner.audit({ verb: 'import' })).filter(({ outcome }) => outcome !== 'opened')
    expect(closed.map(({ outcome, code, detail }) => [outcome, code, detail])).toEqual([
      ['failed', 'invalid-request', undefined],
      ['done', undefined, '2 imported, 1 refused'],
    ])
  })

  it('is the owner’s alone', async () => {
    const there = await house()
    const app = there.keeperFor('app:reports')
    const document = await sealed(gadget('one'))
    expect(await refusal(app.import(document, secret(passphrase)))).toMatchObject({ code: 'not-allowed' })
    await there.keeper.lock()
    expect(await refusal(importTo(there, document))).toMatchObject({ code: 'locked' })
  })

  it('of many is whole, and of them all', async () => {
    const there = await house()
    const many = Array.from({ length: 1_100 }, (_, at) => gadget(`b${at}`))
    const lines = await importTo(there, await sealed(...many))
    expect(lines.every(({ outcome }) => outcome === 'imported')).toBe(true)
    const { records } = await openExport(await exportOf(there), secret(passphrase))
    expect(records).toHaveLength(1_100)
    expect((await importTo(there, await sealed(...many))).every(({ outcome }) => outcome === 'kept')).toBe(
      true,
    )
  })
})
