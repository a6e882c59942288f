import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../test/practice.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type ListeningStandIn, standIn } from '../testing/stand-in.ts'

const token = (name: string) => `ghp_${canary(name).padEnd(36, 'x')}`
const ada = token('ada')
const adaToo = token('adatoo')
const bob = token('bob')
const USERS: Record<string, object> = {
  [`Bearer ${ada}`]: { id: 1, login: 'ada' },
  [`Bearer ${adaToo}`]: { id: 1, login: 'ada' },
  [`Bearer ${bob}`]: { id: 2, login: 'bob' },
}

let provider: ListeningStandIn
let house: TestHouse
let issue: Issue

beforeEach(async () => {
  const made = tokenFlow()
  issue = made.issue
  provider = await standIn({
    '*': ({ headers }) => {
      const user = USERS[String(headers['authorization'])]
      return user === undefined ? { status: 401 } : { body: user }
    },
  }).listen()
  house = await openTestHouse({
    origins: { github: provider.origin, practice: provider.origin },
    flows: [apiKeyFlow, made.flow],
    providers: [PRACTICE],
  })
  await house.owner.connect({ provider: 'github', fields: fields(ada) })
  await house.owner.bind({ caller: 'app:reports', address: 'github', may: ['forward'], asks: 'never' })
})

afterEach(async () => {
  await house.close()
  await provider.close()
})

const fields = (given: string) => ({ token: new Secret(given) })
const account = async () => (await house.owner.accounts())[0]
const worn = async () => {
  const answer = await house.owner.forward({ address: 'github', method: 'GET', path: '/user' })
  await answer.body?.cancel()
  return provider.requests.at(-1)?.headers['authorization']
}

describe('reconnecting', () => {
  it('keeps the id, the bindings and the day it began; only the credential is another', async () => {
    const before = await account()
    house.clock.pass({ hours: 5 })
    const session = await house.owner.reconnect('github', { fields: fields(adaToo) })
    expect(session).toMatchObject({ state: 'done', receipt: null })
    expect(session.account).toEqual(before)
    expect((await house.owner.bindings()).map(({ accountId }) => accountId)).toEqual([before?.id])
    expect(await worn()).toBe(`Bearer ${adaToo}`)
  })

  it('asks for what it needs, as connecting does', async () => {
    const { id, step } = await house.owner.reconnect(String((await account())?.id))
    expect(step).toMatchObject({ ask: 'fill', fields: [{ name: 'token' }] })
    expect(await house.owner.answer(id, { fields: fields(adaToo) })).toMatchObject({ state: 'done' })
  })

  it("does not let somebody else's account slip into the place of this one", async () => {
    const { id } = await house.owner.reconnect('github')
    expect(await refusal(house.owner.answer(id, { fields: fields(bob) }))).toEqual({
      code: 'conflict',
      message: 'this is another account at github than the one connected here',
      hint: 'valetkey connect github/another-name, or valetkey reconnect github --insist',
    })
    expect(await account()).toMatchObject({ displayName: 'ada', subject: '1' })
    expect(await worn()).toBe(`Bearer ${ada}`)
  })

  it('takes another account when the person insists', async () => {
    await house.owner.reconnect('github', { fields: fields(bob), insist: true })
    expect(await account()).toMatchObject({ displayName: 'bob', subject: '2' })
  })

  it('heals an account whose credential was changed outside Valetkey', async () => {
    await house.inFile((file) =>
      file.exec(`update sealed set bytes = zeroblob(60) where field like 'worn:%'`),
    )
    expect(await refusal(worn())).toEqual({
      code: 'tampered',
      message: 'the credential of github was changed outside Valetkey',
      hint: 'valetkey reconnect github',
    })
    await house.owner.reconnect('github', { fields: fields(adaToo) })
    expect(await worn()).toBe(`Bearer ${adaToo}`)
  })

  it('finds nothing where there is no account', async () => {
    expect(await refusal(house.owner.reconnect('openai'))).toMatchObject({ code: 'not-connected' })
    expect(await refusal(house.as('app:reports').reconnect('github'))).toMatchObject({ code: 'not-allowed' })
    expect(await refusal(house.as('app:other').reconnect('github'))).toMatchObject({ code: 'not-connected' })
  })

  it('does not bring back an account that was revoked meanwhile', async () => {
    const { id } = await house.owner.reconnect('github')
    await house.owner.revoke('github')
    const failure = { code: 'not-connected', detail: 'github was revoked meanwhile' }
    expect(await house.owner.flow(id)).toMatchObject({ state: 'failed', failure })
    expect(await refusal(house.owner.answer(id, { fields: fields(ada) }))).toMatchObject({
      code: 'flow-used',
    })
    expect(await house.owner.accounts()).toEqual([])
  })
})

describe('rotating', () => {
  it('puts the new one in the place of the old, and tells what became of that', async () => {
    const before = await account()
    const session = await house.owner.rotate('github', { fields: fields(adaToo) })
    expect(session).toMatchObject({ state: 'done', account: before })
    expect(session.receipt).toEqual({
      accountId: before?.id,
      address: 'github',
      at: house.clock.now(),
      lines: [
        {
          what: 'Personal access token',
          state: 'alive',
          how: 'only you can end it, at https://github.com/settings/tokens',
        },
      ],
      livesOn: [],
      leasesEnded: 0,
      bindingsEnded: 0,
    })
    expect(await house.owner.flow(session.id)).toEqual(session)
    expect(await worn()).toBe(`Bearer ${adaToo}`)
  })

  it('leaves the old one at work until the new one has proved itself', async () => {
    const { id } = await house.owner.rotate('github')
    const refused = await house.owner.answer(id, { fields: fields(token('wrong')) })
    expect(refused.step).toHaveProperty('because', 'the provider did not accept this key')
    expect(await worn()).toBe(`Bearer ${ada}`)
    await house.owner.cancel(id)
    expect(await worn()).toBe(`Bearer ${ada}`)
  })

  it('replaces nothing by itself', async () => {
    const { id } = await house.owner.rotate('github')
    expect(await refusal(house.owner.answer(id, { fields: fields(ada) }))).toMatchObject({
      code: 'invalid-request',
      message: 'this is the very credential that is to be replaced',
    })
    expect(await house.owner.answer(id, { fields: fields(adaToo) })).toMatchObject({ state: 'done' })
  })

  it('ends the old one where the provider can', async () => {
    await house.owner.connect({ provider: 'practice' })
    const old = issue.token
    const { receipt } = await house.owner.rotate('practice')
    expect(issue.ended).toEqual([old])
    expect(receipt?.lines).toEqual([{ what: 'access token', state: 'died', how: 'ended at the provider' }])
  })

  it('stands on record as a rotation from its beginning to its end', async () => {
    const { id } = await house.owner.rotate('github')
    await house.owner.answer(id, { fields: fields(adaToo) })
    const entries = await house.owner.audit({ verb: 'rotate' })
    expect(entries.map(({ outcome, detail, target }) => [target, outcome, detail])).toEqual([
      ['github', 'done', 'done'],
      ['github', 'opened', undefined],
      ['github', 'done', 'asks: fill'],
      ['github', 'opened', undefined],
    ])
  })

  it('disturbs nobody who forwards meanwhile', async () => {
    const uses = Array.from({ length: 40 }, () => worn())
    const [session] = await Promise.all([house.owner.rotate('github', { fields: fields(adaToo) }), ...uses])
    expect(session.state).toBe('done')
    expect(await worn()).toBe(`Bearer ${adaToo}`)
  })

  it('keeps the later one of two that come at once, and ends what each of them replaced', async () => {
    await house.owner.connect({ provider: 'practice' })
    const usual = issue.begin
    const goOn = Promise.withResolvers<void>()
    let begun = 0
    issue.begin = async (context) => {
      begun += 1
      if (begun === 2) goOn.resolve()
      await goOn.promise
      return usual(context)
    }
    const ends = await Promise.allSettled([house.owner.rotate('practice'), house.owner.rotate('practice')])
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
    expect(issue.ended).toHaveLength(2)
    const { token } = await house.owner.lend({ address: 'practice' })
    expect(issue.ended).not.toContain(token.reveal())
  })
})
