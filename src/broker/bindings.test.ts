import type { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../test/practice.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import type { BindRequest } from '../model/words.ts'

let house: TestHouse
let issue: Issue

beforeEach(async () => {
  const made = tokenFlow()
  issue = made.issue
  house = await openTestHouse({ flows: [apiKeyFlow, made.flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
})

afterEach(() => house.close())

const app = () => house.as('app:reports')
const lend = (address = 'practice') => app().lend({ address })
const bind = (more: Partial<BindRequest> = {}) =>
  house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never', ...more })
const later = (minutes: number) => new Date(house.clock.now().getTime() + minutes * 60_000)

describe('a binding', () => {
  it('lets its caller use the account, in the ways that it says', async () => {
    const binding = await bind()
    expect(binding).toMatchObject({
      caller: 'app:reports',
      address: 'practice',
      may: ['lend'],
      asks: 'never',
      createdAt: house.clock.now(),
      until: null,
    })
    expect((await lend()).token.reveal()).toBe(issue.token)
    expect(await refusal(app().forward({ address: 'practice', method: 'GET', path: '/' }))).toEqual({
      code: 'not-allowed',
      message: 'app:reports may not forward practice',
      hint: 'valetkey bind app:reports practice --may lend,forward',
    })
    expect(await refusal(app().reveal({ address: 'practice' }))).toMatchObject({ code: 'not-allowed' })
  })

  it('is for this caller and this account', async () => {
    await house.owner.connect({ provider: 'practice', bucket: 'work' })
    await bind()
    expect(await refusal(lend('practice/work'))).toMatchObject({ code: 'not-connected' })
    expect(await refusal(house.as('app:report').lend({ address: 'practice' }))).toMatchObject({
      code: 'not-connected',
    })
    expect((await app().accounts()).map(({ bucket }) => bucket)).toEqual(['default'])
    expect(await house.as('app:report').accounts()).toEqual([])
  })

  it('is over when it says so', async () => {
    await bind({ until: later(10) })
    await lend()
    house.clock.pass({ minutes: 10 })
    expect(await refusal(lend())).toMatchObject({ code: 'not-connected' })
    expect(await app().accounts()).toEqual([])
    expect(await app().bindings()).toEqual([])
    expect(await house.owner.bindings()).toHaveLength(1)
  })

  it('takes the place of the one before', async () => {
    const first = await bind({ may: ['lend', 'forward', 'lend'], asks: 'never', until: later(10) })
    expect(first.may).toEqual(['lend', 'forward'])
    const second = await bind({ may: ['forward'], asks: 'never' })
    expect(second).toMatchObject({ id: first.id, may: ['forward'], until: null })
    expect(await house.owner.bindings()).toEqual([second])
    expect(await refusal(lend())).toMatchObject({ code: 'not-allowed' })
  })

  it('is one, even when it is bound many times at once', async () => {
    await Promise.all([bind(), bind({ may: ['forward'], asks: 'never' }), bind(), lend().catch(() => {})])
    expect(await house.owner.bindings()).toHaveLength(1)
  })

  it('is gone when it is taken away', async () => {
    const { id } = await bind()
    await house.owner.unbind(id)
    expect(await refusal(lend())).toMatchObject({ code: 'not-connected' })
    expect(await house.owner.bindings()).toEqual([])
    expect(await refusal(house.owner.unbind(id))).toMatchObject({ code: 'not-found' })
    const left = await house.inFile((file) =>
      file.prepare('select record from sealed where record = ?').all(id),
    )
    expect(left).toEqual([])
  })

  it('that wants to be asked about allows nothing as long as nobody can be asked', async () => {
    for (const asks of ['first-use', 'always'] as const) {
      await bind({ asks })
      expect(await refusal(lend())).toMatchObject({ code: 'ask-needed' })
    }
  })

  it.each([
    ['a caller that is none', { caller: 'reports' }],
    ['a use that there is not', { may: ['revoke'] as never }],
    ['no use at all', { may: [] }],
    ['an end that has passed', { until: new Date(0) }],
    ['an end that is no time', { until: new Date('never') }],
  ])('is refused with %s', async (_, wrong) => {
    expect(await refusal(bind(wrong))).toMatchObject({ code: 'invalid-request' })
    expect(await house.owner.bindings()).toEqual([])
  })

  it('is made by the owner alone', async () => {
    await bind()
    const wider = { caller: 'app:reports', address: 'practice', may: ['reveal'] as const }
    expect(await refusal(app().bind(wider))).toMatchObject({ code: 'not-allowed' })
    const [{ id = '' } = {}] = await app().bindings()
    expect(await refusal(app().unbind(id))).toMatchObject({ code: 'not-allowed' })
    expect(await refusal(house.as('app:other').bind(wider))).toMatchObject({ code: 'not-connected' })
  })

  it('is made to an account that is there', async () => {
    expect(await refusal(bind({ address: 'openai' }))).toMatchObject({ code: 'not-connected' })
  })
})

describe('a caller who is not bound', () => {
  it('cannot tell what is connected from what is not', async () => {
    const heard = async (address: string) => [
      await refusal(lend(address)),
      await refusal(app().reveal({ address })),
      await refusal(app().forward({ address, method: 'GET', path: '/' })),
      await refusal(app().revoke(address)),
      await refusal(app().reconnect(address)),
      await refusal(app().rotate(address)),
      await refusal(app().connect({ provider: 'practice', bucket: address.split('/')[1] ?? 'default' })),
    ]
    await house.owner.connect({ provider: 'practice', bucket: 'revoked' })
    await house.owner.revoke('practice/revoked')
    await house.owner.connect({ provider: 'practice', bucket: 'expired' })
    await house.owner.bind({
      caller: 'app:reports',
      address: 'practice/expired',
      may: ['lend'],
      until: later(1),
    })
    house.clock.pass({ minutes: 1 })
    await house.owner.connect({ provider: 'practice', bucket: 'present' })

    const nameless = async (bucket: string) =>
      JSON.parse(JSON.stringify(await heard(`practice/${bucket}`)).replaceAll(bucket, '…'))
    const absent = await nameless('absent')
    expect(absent).toHaveLength(7)
    const words = { code: 'not-connected', message: 'no account at practice/… for you' }
    for (const one of absent) {
      expect(one).toMatchObject(words)
      expect(one).toEqual(absent[0])
    }
    for (const bucket of ['present', 'revoked', 'expired']) expect(await nameless(bucket)).toEqual(absent)
  })

  it('learns nothing by an id either', async () => {
    const [{ id = '' } = {}] = await house.owner.accounts()
    expect(await refusal(lend(id))).toMatchObject({ code: 'not-connected' })
    expect(await refusal(lend('acct-0'))).toMatchObject({ code: 'not-connected' })
  })

  it('sees no account, no binding, no lease, no record and no count', async () => {
    await house.owner.lend({ address: 'practice' })
    expect(await app().accounts()).toEqual([])
    expect(await app().bindings()).toEqual([])
    expect(await app().leases()).toEqual([])
    expect(await refusal(app().audit())).toMatchObject({ code: 'not-allowed' })
    expect(await house.keeperFor('app:reports').status()).toMatchObject({ accounts: null })
    expect(await house.keeper.status()).toMatchObject({ accounts: 1 })
  })
})

describe('a binding that was changed in the file', () => {
  const tampered = async (change: (file: DatabaseSync) => unknown) => {
    await house.inFile(change)
    return refusal(lend())
  }

  it.each([
    ['made to last longer', "update bindings set until = null where caller = 'app:reports'"],
    ['given to another caller', "update bindings set caller = 'app:reports'"],
    ['moved to a newer generation', 'update bindings set generation = generation + 1'],
    ['given other terms', "update sealed set bytes = zeroblob(80) where field = 'terms'"],
    ['left without its terms', "delete from sealed where field = 'terms'"],
  ])('is refused: %s', async (_, change) => {
    const caller = change.includes('set caller') ? 'app:other' : 'app:reports'
    const { id } = await bind({ caller, until: later(10) })
    expect(await tampered((file) => file.exec(change))).toEqual({
      code: 'tampered',
      message: 'a binding of app:reports was changed outside Valetkey',
      hint: `valetkey unbind ${id}`,
    })
  })

  it('is refused: moved to another account', async () => {
    await house.owner.connect({ provider: 'practice', bucket: 'private' })
    await bind({ address: 'practice/private' })
    const moved = "update bindings set accountId = (select id from accounts where bucket = 'default')"
    expect(await tampered((file) => file.exec(moved))).toMatchObject({ code: 'tampered' })
  })

  it('is refused: added by somebody else', async () => {
    const added = `insert into bindings (id, owner, caller, accountId, generation, createdAt)
      select 'bind-x', owner, 'app:reports', id, 1, 0 from accounts`
    expect(await tampered((file) => file.exec(added))).toMatchObject({ code: 'tampered' })
  })

  it('is listed as what it is worth, beside those that are whole, and can be taken away', async () => {
    const { id } = await bind({ until: later(10) })
    const whole = await bind({ caller: 'node:n1' })
    await house.inFile((file) => file.exec("update bindings set until = null where caller = 'app:reports'"))
    expect(await house.owner.bindings()).toEqual([
      expect.objectContaining({ id, caller: 'app:reports', may: [] }),
      whole,
    ])
    expect(await app().bindings()).toEqual([])
    expect(await app().accounts()).toEqual([])
    await house.owner.unbind(id)
    expect(await refusal(lend())).toMatchObject({ code: 'not-connected' })
  })
})

describe('an account that was changed in the file', () => {
  it('does not hide the others, and says what is wrong with it', async () => {
    await house.owner.connect({ provider: 'practice', bucket: 'whole' })
    await house.inFile((file) =>
      file.exec(`update sealed set bytes = zeroblob(90) where field = 'outline'
        and record = (select id from accounts where bucket = 'default')`),
    )
    const reason = 'its credential was changed outside Valetkey'
    expect(await house.owner.accounts()).toMatchObject([
      { bucket: 'default', displayName: 'Practice', status: 'needs-reauth', reason },
      { bucket: 'whole', status: 'connected', reason: null },
    ])
    expect(await refusal(house.owner.lend({ address: 'practice' }))).toMatchObject({ code: 'tampered' })
    await house.owner.lend({ address: 'practice/whole' })
  })

  it("does not take another account's credential, nor another provider's", async () => {
    await house.owner.connect({ provider: 'practice', bucket: 'private' })
    await house.inFile((file) => {
      file.exec('create temp table other as select s.* from sealed s join accounts a on a.id = s.record')
      file.exec(`update sealed set (bytes, keyId) = (select o.bytes, o.keyId from other o
        where o.field = sealed.field and o.record <> sealed.record)
        where record in (select id from accounts)`)
    })
    expect(await refusal(house.owner.lend({ address: 'practice' }))).toMatchObject({ code: 'tampered' })
    await house.owner.connect({ provider: 'practice', bucket: 'third' })
    await house.inFile((file) => file.exec("update accounts set provider = 'key' where bucket = 'third'"))
    expect(await refusal(house.owner.lend({ address: 'key/third' }))).toMatchObject({ code: 'tampered' })
  })
})
