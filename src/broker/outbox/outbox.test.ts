import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE } from '../../../test/practice.ts'
import { renewingFlow, type Upstream } from '../../../test/renewing.ts'
import { apiKeyFlow } from '../../flows/api-key.ts'
import type { Flow, RevokedPiece } from '../../model/flow.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { LANES } from './lanes.ts'

const QUEUED = 'it is tried again until it is done, for up to 7 days'
const DAY = { hours: 24 }

/** A provider that ends by a request all that one person gave, unless its file says otherwise. */
const SHARED: ProviderFile = {
  ...PRACTICE,
  id: 'shared',
  oauth: { authorize: 'https://api.practice.test/authorize', token: 'https://api.practice.test/token' },
  revoke: {
    how: 'request',
    method: 'POST',
    url: 'https://api.practice.test/end',
    auth: 'client',
    json: { token: '{refreshToken}' },
  },
}
const ALONE: ProviderFile = { ...SHARED, id: 'alone', revoke: { ...SHARED.revoke, alone: true } as never }

let house: TestHouse
let upstream: Upstream
let flow: Flow
/** What the provider does when it is asked to end something; the tokens that it was shown. */
let answer: () => Promise<readonly RevokedPiece[]>
let shown: (string | undefined)[]

beforeEach(async () => {
  const made = renewingFlow()
  upstream = made.upstream
  shown = []
  answer = async () => [{ what: 'refresh token', died: true, how: 'ended at the provider' }]
  flow = {
    ...made.flow,
    revoke: async (_, { kept, worn }) => {
      shown.push(kept['refreshToken']?.reveal() ?? worn['accessToken']?.reveal())
      return answer()
    },
  }
  house = await openTestHouse({ flows: [apiKeyFlow, flow], providers: [PRACTICE, SHARED, ALONE] })
  await house.owner.connect({ provider: 'practice' })
})

afterEach(() => house.close())

const down = (after?: number) => async (): Promise<readonly RevokedPiece[]> => [
  {
    what: 'refresh token',
    died: false,
    how: 'the provider has trouble of its own',
    again: after === undefined ? {} : { after },
  },
]
const outbox = () => house.owner.outbox()
const revocations = async () =>
  (await house.owner.audit({ verb: 'revoke' })).map(({ outcome, detail, caller, proof, target }) => {
    return { outcome, detail, caller, proof, target }
  })
const sealedOfOutbox = () =>
  house.inFile((file) =>
    file.prepare('select record from sealed where record like ? or field = ?').all('owed-%', 'owed'),
  )

describe('a revocation that the provider does not take', () => {
  it('[security 7.1] stays queued, says so, and is told as soon as the provider listens', async () => {
    answer = down()
    const { lines } = await house.owner.revoke('practice')
    const how = `the provider has trouble of its own; ${QUEUED}`
    expect(lines).toEqual([{ what: 'refresh token', state: 'queued', how }])
    expect(await house.owner.accounts()).toEqual([])
    expect(await outbox()).toMatchObject([
      { address: 'practice', tries: 1, reason: 'the provider has trouble of its own' },
    ])
    answer = async () => [{ what: 'refresh token', died: true, how: 'ended at the provider' }]
    house.clock.pass({ minutes: 1 })
    await house.tick()
    expect(await outbox()).toEqual([])
    expect(shown).toEqual([upstream.kept, upstream.kept])
  })

  it('goes on record when it was queued, and once more when it is done, in the name of its owner', async () => {
    answer = down()
    await house.owner.revoke('practice')
    answer = async () => [{ what: 'refresh token', died: true, how: 'ended at the provider' }]
    house.clock.pass({ minutes: 1 })
    await house.tick()
    const owner = { caller: 'person:owner', target: 'practice' }
    expect(await revocations()).toMatchObject([
      { ...owner, outcome: 'done', detail: '1 of 1 died at the provider', proof: 'broker' },
      { ...owner, outcome: 'done', detail: '0 of 1 died at the provider, 1 queued' },
      { ...owner, outcome: 'opened' },
    ])
  })

  it('[security 7.1] is not tried again before the provider wants it, nor after a restart', async () => {
    answer = down(3600)
    await house.owner.revoke('practice')
    for (const _ of [1, 2, 3]) {
      house.clock.pass({ minutes: 19 })
      await house.meanwhile(() => {})
      await house.tick()
    }
    expect(shown).toHaveLength(1)
    house.clock.pass({ minutes: 4 })
    await house.tick()
    expect(shown).toHaveLength(2)
  })

  it('is tried less and less often', async () => {
    answer = down()
    await house.owner.revoke('practice')
    for (let minutes = 0; minutes < 24 * 60; minutes += 1) {
      house.clock.pass({ minutes: 1 })
      await house.tick()
    }
    expect(shown.length).toBeGreaterThan(24)
    expect(shown.length).toBeLessThan(50)
  }, 60_000)

  it('is given up after a week, with all that was kept for it, and that goes on record', async () => {
    answer = down()
    await house.owner.revoke('practice')
    for (const _ of Array.from({ length: 7 })) {
      house.clock.pass(DAY)
      await house.tick()
    }
    expect(await outbox()).toEqual([])
    expect(await sealedOfOutbox()).toEqual([])
    const [last] = await revocations()
    expect(last).toMatchObject({ outcome: 'failed', target: 'practice' })
    expect(last?.detail).toContain('given up after 7 days')
  })

  it('is tried a last time before it is given up, however long the provider wants to be left alone', async () => {
    answer = down(365 * 24 * 3600)
    await house.owner.revoke('practice')
    house.clock.pass({ hours: 7 * 24 })
    answer = async () => [{ what: 'refresh token', died: true, how: 'ended at the provider' }]
    await house.tick()
    expect((await revocations())[0]).toMatchObject({ outcome: 'done', detail: '1 of 1 died at the provider' })
  })

  it('keeps nobody waiting for a provider that does not answer, and ends by itself when it does', async () => {
    const goOn = Promise.withResolvers<void>()
    answer = async () => {
      await goOn.promise
      return [{ what: 'refresh token', died: true, how: 'ended at the provider' }]
    }
    const { lines } = await house.owner.revoke('practice')
    expect(lines).toMatchObject([{ state: 'queued' }])
    expect(await outbox()).toHaveLength(1)
    goOn.resolve()
    await expect.poll(outbox, { timeout: 20_000 }).toEqual([])
    expect((await revocations())[0]).toMatchObject({ proof: 'broker', detail: '1 of 1 died at the provider' })
  }, 60_000)

  it('leaves no secret behind once it is done', async () => {
    answer = down()
    await house.owner.revoke('practice')
    expect(await sealedOfOutbox()).toHaveLength(1)
    answer = async () => []
    house.clock.pass({ minutes: 1 })
    await house.tick()
    expect(await sealedOfOutbox()).toEqual([])
  })

  it('does not open in the place of another one', async () => {
    answer = down()
    await house.owner.revoke('practice')
    await house.inFile((file) => file.exec("update outbox set accountId = 'acct-other', dueAt = 0"))
    await house.tick()
    expect(shown).toHaveLength(1)
    expect((await revocations())[0]?.detail).toContain('it could not be read any more')
  })

  it('is nobody else’s to see', async () => {
    answer = down()
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    await house.owner.revoke('practice')
    expect(await house.as('app:reports').outbox()).toEqual([])
    expect(JSON.stringify(await outbox())).not.toContain('CANARY')
  })

  it('is told after a broker died over it, before anything else was tried', async () => {
    answer = down()
    await house.owner.revoke('practice')
    await house.inFile((file) => file.exec(`update outbox set tries = 0, dueAt = dueAt + ${30_000}`))
    await house.tick()
    expect(shown).toHaveLength(2)
  })

  it('waits while the vault is locked', async () => {
    answer = down()
    await house.owner.revoke('practice')
    await house.keeper.lock()
    house.clock.pass({ minutes: 1 })
    await house.tick()
    expect(shown).toHaveLength(1)
    await house.keeper.unlock()
    await house.tick()
    expect(shown).toHaveLength(2)
  })
})

describe('a provider that may end more than what it is shown', () => {
  const connect = (provider: string, bucket = 'default') => house.owner.connect({ provider, bucket })

  it('is not asked to end what is connected again by now', async () => {
    answer = down()
    await connect('shared')
    await house.owner.revoke('shared')
    await connect('shared')
    house.clock.pass({ hours: 1 })
    await house.tick()
    expect(shown).toHaveLength(1)
    expect((await revocations())[0]?.detail).toContain('shared might end at the provider along with it')
    await house.owner.lend({ address: 'shared' })
  })

  it('is not asked to end what a rotation has replaced', async () => {
    await connect('shared')
    const { receipt } = await house.owner.rotate('shared', { insist: true })
    expect(receipt?.lines).toMatchObject([{ state: 'alive' }])
    expect(shown).toEqual([])
  })

  it('is asked where its file says that it ends nothing else', async () => {
    await connect('alone')
    const old = upstream.kept
    const { receipt } = await house.owner.rotate('alone', { insist: true })
    expect(receipt?.lines).toMatchObject([{ state: 'died' }])
    expect(shown).toEqual([old])
  })

  it('is asked after a reconnect as well, and only there', async () => {
    await connect('alone')
    await connect('shared')
    const old = upstream.kept
    await house.owner.reconnect('shared')
    await house.tick()
    expect(shown).toEqual([])
    await house.owner.revoke('shared')
    shown.length = 0
    await house.owner.reconnect('alone')
    await house.tick()
    expect(shown).toHaveLength(1)
    expect(shown).not.toContain(old)
    await house.owner.lend({ address: 'alone' })
  })
})

describe('revoking a caller', () => {
  const app = () => house.as('app:reports')

  it('[security 0.12] ends all that it may use at once, and says what it may use until that dies', async () => {
    await house.owner.connect({ provider: 'practice', bucket: 'work' })
    for (const address of ['practice', 'practice/work'])
      await house.owner.bind({ caller: 'app:reports', address, may: ['lend', 'forward'], asks: 'never' })
    await house.owner.bind({ caller: 'app:other', address: 'practice', may: ['lend'], asks: 'never' })
    const { lease } = await app().lend({ address: 'practice/work' })
    expect(await house.owner.revokeCaller('app:reports')).toEqual({
      caller: 'app:reports',
      at: house.clock.now(),
      livesOn: [{ address: 'practice/work', caller: 'app:reports', until: lease.until }],
      leasesEnded: 1,
      bindingsEnded: 2,
    })
    for (const address of ['practice', 'practice/work'])
      expect(await refusal(app().lend({ address }))).toMatchObject({ code: 'not-connected' })
    expect(await house.owner.accounts()).toHaveLength(2)
    await house.as('app:other').lend({ address: 'practice' })
    expect(shown).toEqual([])
    expect((await revocations())[0]).toMatchObject({
      target: 'app:reports',
      detail: '2 bindings and 1 leases ended, 1 lent tokens live on',
    })
  })

  it('is for the owner alone, and says when there is nothing to end', async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    expect(await refusal(app().revokeCaller('app:reports'))).toMatchObject({ code: 'not-allowed' })
    expect(await refusal(house.owner.revokeCaller('app:nobody'))).toMatchObject({ code: 'not-found' })
    expect(await refusal(house.owner.revokeCaller('nobody'))).toMatchObject({ code: 'invalid-request' })
    await app().lend({ address: 'practice' })
  })
})

describe('revoking all', () => {
  async function connectMany(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) await house.owner.connect({ provider: 'practice', bucket: `b${n}` })
  }

  it('[security 0.12] ends every account in one command, each with its receipt and its line on record', async () => {
    await connectMany(3)
    const receipts = await house.owner.revokeAll()
    expect(receipts.map(({ address, lines }) => [address, lines[0]?.state])).toEqual([
      ['practice', 'died'],
      ['practice/b0', 'died'],
      ['practice/b1', 'died'],
      ['practice/b2', 'died'],
    ])
    expect(await house.owner.accounts()).toEqual([])
    const lines = await revocations()
    expect(lines.map(({ target }) => target).toSorted()).toEqual(
      ['all accounts', 'all accounts', 'practice', 'practice/b0', 'practice/b1', 'practice/b2'].toSorted(),
    )
    expect(lines[0]?.detail).toBe('4 accounts: 4 of 4 died at the provider')
    expect(await house.owner.revokeAll()).toEqual([])
  })

  it('cuts all of them off before any provider is asked, and answers in time with the rest queued', async () => {
    await connectMany(60)
    const left: number[] = []
    answer = async () => {
      left.push((await house.owner.accounts()).length)
      return new Promise(() => {})
    }
    const receipts = await house.owner.revokeAll()
    expect(receipts).toHaveLength(61)
    expect(receipts.every(({ lines }) => lines[0]?.state === 'queued')).toBe(true)
    expect(left).toEqual(Array.from({ length: LANES }, () => 0))
    expect(await outbox()).toHaveLength(61)
  }, 60_000)

  it('is for the owner alone; of everybody it is for whom the kernel vouches for', async () => {
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    expect(await refusal(house.as('app:reports').revokeAll())).toMatchObject({ code: 'not-allowed' })
    const keeper = house.keeperFor('app:reports')
    expect(await refusal(keeper.revokeEverything())).toMatchObject({ code: 'not-allowed' })
    expect(await house.keeper.revokeEverything()).toMatchObject([{ address: 'practice' }])
    expect(await house.owner.accounts()).toEqual([])
  })
})

describe('revoking one owner of several', () => {
  const proof = { door: 'test', uid: 1000 }
  const ada = () => house.broker.as({ id: 'person:ada', owner: 'person:ada', proof })

  it("ends that owner's accounts and nobody else's, and puts on record whose", async () => {
    await ada().connect({ provider: 'practice' })
    expect(await house.keeper.revokeEverything('person:ada')).toMatchObject([
      { address: 'practice', lines: [{ state: 'died' }] },
    ])
    expect(await ada().accounts()).toEqual([])
    expect(await house.owner.accounts()).toHaveLength(1)
    expect((await house.owner.audit({ verb: 'revoke-everything' }))[0]).toMatchObject({
      target: 'all accounts of person:ada',
      outcome: 'done',
      detail: '1 accounts: 1 of 1 died at the provider',
    })
    expect(await ada().audit({ verb: 'revoke' })).toMatchObject([{ proof: 'broker', target: 'practice' }])
    expect(await house.keeper.revokeEverything('person:nobody')).toEqual([])
  })

  it.each(['', 'ada', 'app:reports', 'person:'])('ends nothing for %j, which is no owner', async (owner) => {
    expect(await refusal(house.keeper.revokeEverything(owner))).toMatchObject({ code: 'invalid-request' })
    expect(await house.owner.accounts()).toHaveLength(1)
  })

  it('[security 0.12] is for whom the kernel vouches for', async () => {
    const app = house.keeperFor('app:reports')
    const page = house.broker.keeper({ id: 'person:owner', owner: 'person:owner', proof: { door: 'page' } })
    for (const keeper of [app, page])
      expect(await refusal(keeper.revokeEverything('person:owner'))).toMatchObject({ code: 'not-allowed' })
    expect(await house.owner.accounts()).toHaveLength(1)
  })
})

describe('a broker with nothing else to do', () => {
  it('owes for as long as a provider is still to be told, and it can tell', async () => {
    const { broker } = house
    expect(await broker.owes()).toBe(false)
    answer = down()
    await house.owner.revoke('practice')
    expect(await broker.owes()).toBe(true)
    await house.keeper.lock()
    expect(await broker.owes()).toBe(false)
    await house.keeper.unlock()
    answer = async () => [{ what: 'refresh token', died: true, how: 'ended at the provider' }]
    house.clock.pass({ minutes: 1 })
    await house.tick()
    expect(await broker.owes()).toBe(false)
  })
})

describe('erasing an owner', () => {
  it('tells the providers first, as long as there is something to tell them with', async () => {
    const { kept } = upstream
    expect(await house.keeper.eraseOwner('person:owner')).toMatchObject([
      { address: 'practice', lines: [{ state: 'died' }] },
    ])
    expect(shown).toEqual([kept])
  })

  it('says what lives on for ever where a provider did not listen', async () => {
    answer = down()
    const [receipt] = await house.keeper.eraseOwner('person:owner')
    const how = 'the provider could not be told in time, and nothing is left to tell it with'
    expect(receipt?.lines).toEqual([{ what: 'refresh token', state: 'alive', how }])
    house.clock.pass(DAY)
    await house.tick()
    expect(shown).toHaveLength(1)
  })
})
