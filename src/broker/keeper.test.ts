import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../test/practice.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { openExport } from '../vault/export-opening.ts'

const passphrase = canary('passphrase')
const key = canary('standing')

let house: TestHouse
let issue: Issue

beforeEach(async () => {
  const made = tokenFlow()
  issue = made.issue
  house = await openTestHouse({ flows: [apiKeyFlow, made.flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
})

afterEach(() => house.close())

const lend = () => house.owner.lend({ address: 'practice' })
const app = () => house.keeperFor('app:reports')

describe('a locked vault', () => {
  it('refuses every verb, and says how it is opened', async () => {
    const { id } = await house.owner.connect({ provider: 'openai' })
    expect(await house.keeper.lock()).toMatchObject({ locked: true, accounts: null })
    const { owner } = house
    const address = 'practice'
    const tried = [
      owner.connect({ provider: 'openai' }),
      owner.reconnect(address),
      owner.rotate(address),
      owner.flow(id),
      owner.answer(id, { fields: {} }),
      owner.cancel(id),
      owner.accounts(),
      lend(),
      owner.reveal({ address }),
      owner.forward({ address, method: 'GET', path: '/' }),
      owner.revoke(address),
      owner.bind({ caller: 'app:reports', address, may: ['lend'], asks: 'never' }),
      owner.unbind('bind-1'),
      owner.bindings(),
      owner.leases(),
      owner.endLease('lease-1'),
      owner.audit(),
      owner.events({ after: '0-0' })[Symbol.asyncIterator]().next(),
      house.keeper.rekey({ source: 'file' }),
      house.keeper.eraseOwner('person:owner'),
      house.keeper.export(new Secret(passphrase)),
      house.keeper.import('{}', new Secret(passphrase)),
      house.keeper.acceptRestore(),
    ]
    for (const promise of tried)
      expect(await refusal(promise)).toMatchObject({ code: 'locked', hint: 'valetkey vault unlock' })
    await house.keeper.unlock()
    expect((await lend()).token.reveal()).toBe(issue.token)
  })

  it('has both on record', async () => {
    await house.keeper.lock()
    expect(await house.keeper.lock()).toMatchObject({ locked: true })
    expect(await house.keeper.unlock()).toMatchObject({ locked: false, accounts: 1 })
    expect(await house.keeper.unlock()).toMatchObject({ locked: false })
    const verbs = (await house.owner.audit()).map(({ verb, outcome }) => `${verb} ${outcome}`)
    expect(verbs.slice(1, 5)).toEqual(['unlock done', 'unlock opened', 'lock done', 'lock opened'])
    expect(await house.keeper.verifyAudit()).toMatchObject({ ok: true })
  })

  it('lets a sign-in under way go on once it is open again', async () => {
    const { id } = await house.owner.connect({ provider: 'key', vars: { host: 'api.example.com' } })
    await house.keeper.lock()
    await house.keeper.unlock()
    const fields = { key: new Secret(key) }
    expect(await house.owner.answer(id, { fields })).toMatchObject({ state: 'done' })
  })

  it('is locked and opened by its owner alone', async () => {
    expect(await refusal(app().lock())).toMatchObject({ code: 'not-allowed' })
    await house.keeper.lock()
    expect(await refusal(app().unlock())).toMatchObject({ code: 'not-allowed' })
    expect(await house.keeper.status()).toMatchObject({ locked: true })
  })
})

describe('another master key', () => {
  it('takes over while lendings run, and is the one that opens from then on', async () => {
    const lendings = Array.from({ length: 50 }, () => lend())
    const rekeyed = house.keeper.rekey({ source: 'passphrase', passphrase: new Secret(passphrase) })
    const after = rekeyed.then(() => Promise.all(Array.from({ length: 50 }, () => lend())))
    for (const { token } of [...(await Promise.all(lendings)), ...(await after)])
      expect(token.reveal()).toBe(issue.token)
    expect(await rekeyed).toMatchObject({ keySource: 'passphrase' })

    await house.meanwhile(() => undefined, {})
    expect(await house.keeper.status()).toMatchObject({ locked: true })
    expect(await refusal(house.keeper.unlock(new Secret('wrong')))).toMatchObject({ code: 'wrong-key' })
    await house.keeper.unlock(new Secret(passphrase))
    expect((await lend()).token.reveal()).toBe(issue.token)
    expect(await house.keeper.verifyAudit()).toMatchObject({ ok: true })
  })
})

describe('erasing the owner', () => {
  it('leaves nothing of theirs, and a record that is whole', async () => {
    const { id } = await house.owner.connect({ provider: 'openai' })
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    await lend()
    await house.keeper.eraseOwner('person:owner')
    const tables = ['accounts', 'bindings', 'leases', 'flowSessions'] as const
    const left = await house.inFile((file) => ({
      rows: tables.flatMap((table) => file.prepare(`select * from ${table}`).all()),
      sealed: file.prepare("select * from sealed where owner = 'person:owner'").all(),
    }))
    expect(left).toEqual({ rows: [], sealed: [] })
    expect(await refusal(house.owner.flow(id))).toMatchObject({ code: 'flow-not-found' })
    expect(await house.keeper.verifyAudit()).toMatchObject({ ok: true })
  })

  it('is forgotten by those who listen, too', async () => {
    await house.keeper.eraseOwner('person:owner')
    const nothing = house.owner.events({ after: '0-0', signal: AbortSignal.timeout(50) })
    for await (const event of nothing) expect(event).toBeUndefined()
  })

  it('does not let a sign-in under way bring something back', async () => {
    const begun = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const usual = issue.begin
    issue.begin = async (context) => {
      begun.resolve()
      await goOn.promise
      return usual(context)
    }
    const connecting = refusal(house.owner.connect({ provider: 'practice', bucket: 'late' }))
    await begun.promise
    await house.keeper.eraseOwner('person:owner')
    goOn.resolve()
    await connecting
    expect(await house.owner.accounts()).toEqual([])
  })

  it('is done by themselves, and to themselves', async () => {
    expect(await refusal(app().eraseOwner('person:owner'))).toMatchObject({ code: 'not-allowed' })
    for (const other of ['person:other', 'installation'])
      expect(await refusal(house.keeper.eraseOwner(other))).toMatchObject({ code: 'not-allowed' })
    await lend()
  })
})

describe('an export', () => {
  it('opens with its passphrase, and holds all that is needed to go on elsewhere', async () => {
    const fields = { key: new Secret(key) }
    await house.owner.connect({ provider: 'key', bucket: 'work', vars: { host: 'api.example.com' }, fields })
    await house.owner.connect({ provider: 'practice', bucket: 'gone' })
    await house.owner.revoke('practice/gone')
    issue.token = (await lend()).token.reveal()
    const document = await house.keeper.export(new Secret(passphrase))
    for (const secret of [key, issue.token, issue.kept, passphrase]) expect(document).not.toContain(secret)
    const { records } = await openExport(document, new Secret(passphrase))
    const said = records.map(({ about, plain, fields: sealed }) => ({
      about,
      address: plain['address'],
      fields: Object.fromEntries(Object.entries(sealed).map(([name, one]) => [name, one.reveal()])),
    }))
    expect(said).toEqual([
      {
        about: 'practice',
        address: 'practice',
        fields: { 'worn:accessToken': issue.token, 'kept:refreshToken': issue.kept },
      },
      { about: 'key', address: 'key/work', fields: { 'worn:key': key } },
    ])
    expect(JSON.parse(String(records[1]?.plain['profile']))).toMatchObject({
      vars: { host: 'api.example.com' },
    })
  })

  it('is made for the owner alone', async () => {
    expect(await refusal(app().export(new Secret(passphrase)))).toMatchObject({ code: 'not-allowed' })
  })

  it('says which account cannot be exported', async () => {
    await house.inFile((file) =>
      file.exec("update sealed set bytes = zeroblob(60) where field like 'worn:%'"),
    )
    expect(await refusal(house.keeper.export(new Secret(passphrase)))).toMatchObject({
      code: 'tampered',
      message: 'the credential of practice was changed outside Valetkey',
    })
  })
})

describe('an older copy that was put back', () => {
  const copy = () => join(house.home, 'copy.db')

  beforeEach(async () => {
    await house.meanwhile((file) => copyFile(file, copy()))
    await house.owner.revoke('practice')
    await house.meanwhile((file) => copyFile(copy(), file))
  })

  it('is noticed, and used for nothing until its owner takes it', async () => {
    expect(await house.keeper.status()).toMatchObject({ restored: true })
    const hint = 'valetkey vault accept-restore'
    for (const use of [lend(), house.owner.connect({ provider: 'openai' }), house.owner.revoke('practice')])
      expect(await refusal(use)).toMatchObject({ code: 'vault-restored', hint })
    expect(await refusal(house.keeper.export(new Secret(passphrase)))).toMatchObject({
      code: 'vault-restored',
    })
    expect(await refusal(app().acceptRestore())).toMatchObject({ code: 'not-allowed' })
    expect(await house.keeper.acceptRestore()).toMatchObject({ restored: false })
    await lend()
    expect(await house.keeper.verifyAudit()).toMatchObject({ ok: true })
  })

  it('is left as it is until then: nothing in it is even put away', async () => {
    const sessions = () => house.inFile((file) => file.prepare('select id from flowSessions').all().length)
    house.clock.pass({ hours: 48 })
    expect(await sessions()).toBe(1)
    await house.owner.accounts()
    expect(await sessions()).toBe(1)
    await house.keeper.acceptRestore()
    await house.owner.accounts()
    expect(await sessions()).toBe(0)
  })

  it('is locked and unlocked all the same, and still not used', async () => {
    expect(await refusal(app().lock())).toMatchObject({ code: 'not-allowed' })
    expect(await house.keeper.lock()).toMatchObject({ locked: true })
    expect(await house.keeper.unlock()).toMatchObject({ locked: false, restored: true })
    expect(await refusal(lend())).toMatchObject({ code: 'vault-restored' })
  })
})

describe('the record', () => {
  it('is pruned by its owner, and what remains still verifies', async () => {
    house.clock.pass({ minutes: 30 })
    await lend()
    expect(await house.keeper.pruneAudit(house.clock.now())).toMatchObject({ ok: true })
    expect((await house.owner.audit()).at(-1)).toMatchObject({ verb: 'lend' })
    expect(await refusal(app().pruneAudit(house.clock.now()))).toMatchObject({ code: 'not-allowed' })
    expect(await refusal(app().verifyAudit())).toMatchObject({ code: 'not-allowed' })
  })
})
