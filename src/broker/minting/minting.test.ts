import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { PRACTICE, tokenFlow } from '../../../test/practice.ts'
import { apiKeyFlow } from '../../flows/api-key.ts'
import type { Credential } from '../../model/credential.ts'
import type { Mint, Wish } from '../../model/mint.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { canary } from '../../testing/canary.ts'

const secret = canary('standing')

/** A provider whose keys never die, and of whose keys some that do are had. */
const STANDING: ProviderFile = {
  id: 'standing',
  name: 'Standing',
  category: 'other',
  hosts: ['api.standing.test'],
  registration: 'none',
  signIns: [
    {
      flow: 'api-key',
      fields: [{ name: 'accessToken', label: 'Key' }],
      present: [{ header: 'authorization', field: 'accessToken' }],
      mint: { how: 'github-app' },
    },
  ],
  revoke: { how: 'console' },
}

const [one] = PRACTICE.signIns
const DYING: ProviderFile = {
  ...PRACTICE,
  signIns: one ? [{ ...one, mint: { how: 'github-app' } }] : [],
}

let house: TestHouse
let asked: { wish: Wish; credential: Credential }[]
let lifeSeconds: number | null
let trouble: ValetkeyError | undefined
let ends: boolean
let issue: ReturnType<typeof tokenFlow>['issue']
let hold: Promise<void> | undefined
let renew: (() => void) | undefined
let beyond: string | undefined

const mint: Mint = {
  how: 'github-app',
  get ends() {
    return ends as true
  },
  isBeyond: (_, { audience }) => beyond !== undefined && audience === beyond,
  async mint({ now }, credential, wish) {
    asked.push({ wish, credential })
    await hold
    if (trouble !== undefined) throw trouble
    return {
      worn: { accessToken: new Secret(canary(`minted-${asked.length}`)) },
      kept: { refreshToken: new Secret('never') },
      standing: false,
      expiresAt: lifeSeconds === null ? null : new Date(now().getTime() + lifeSeconds * 1000),
      scopes: wish.scopes ?? ['all'],
      tokenType: 'Bearer',
    }
  },
}

beforeEach(async () => {
  asked = []
  lifeSeconds = 3600
  trouble = undefined
  ends = true
  hold = undefined
  renew = undefined
  beyond = undefined
  const made = tokenFlow()
  issue = made.issue
  house = await openTestHouse({
    flows: [
      apiKeyFlow,
      {
        ...made.flow,
        renews: () => renew !== undefined,
        async refresh({ now }, credential) {
          renew?.()
          const worn = { accessToken: new Secret(canary('renewed')) }
          return { ...credential, worn, expiresAt: new Date(now().getTime() + 3_600_000) }
        },
      },
    ],
    mints: [mint],
    providers: [DYING, STANDING, { ...PRACTICE, id: 'plain' } as ProviderFile],
  })
  await house.owner.connect({ provider: 'plain' })
  await house.owner.connect({ provider: 'practice' })
  await house.owner.connect({ provider: 'standing', fields: { accessToken: new Secret(secret) } })
})
afterEach(() => house.close())

const lend = (more: object = {}) => house.owner.lend({ address: 'practice', ...more })
const narrow = { scopes: ['read'], audience: 'reports', repositories: ['acme/web', 'acme/api'] }

describe('a lend with a wish', () => {
  it('hands out what was minted for it, with its end, and says on the lease what that is', async () => {
    const lent = await lend(narrow)
    expect(asked).toMatchObject([{ wish: { ...narrow, repositories: ['acme/api', 'acme/web'] } }])
    expect(lent.token.reveal()).not.toBe(issue.token)
    expect(lent.fields).toEqual({ accessToken: lent.token })
    expect(lent.lease).toMatchObject({
      until: lent.expiresAt,
      endsBy: 'expiry',
      scopes: ['read'],
      audience: 'reports',
      repositories: ['acme/api', 'acme/web'],
    })
    expect(await house.owner.leases()).toEqual([lent.lease])
    const [entry] = await house.owner.audit({ verb: 'lend' })
    const detail = `for reports, repositories acme/api acme/web, scopes read, ${lent.lease.id}`
    expect(entry).toMatchObject({ outcome: 'done', detail })
  })

  it('has the mint see what is kept, and hands nothing of that on', async () => {
    const lent = await lend(narrow)
    expect(asked[0]?.credential.kept['refreshToken']?.reveal()).toBe(issue.kept)
    expect(JSON.stringify(Object.values(lent.fields).map((field) => field.reveal()))).not.toContain('never')
  })

  it('mints once for the same wish, in whatever order it is said, until shortly before its end', async () => {
    const first = await lend(narrow)
    house.clock.pass({ minutes: 54 })
    const again = await lend({ ...narrow, repositories: ['acme/api', 'acme/web', 'acme/api'] })
    expect([asked.length, again.token.reveal()]).toEqual([1, first.token.reveal()])
    expect(again.lease).toMatchObject({ id: first.lease.id, count: 2 })
  })

  it('mints another one for whoever needs more life than is left, and shortly before the end', async () => {
    lifeSeconds = 1200
    await lend(narrow)
    house.clock.pass({ minutes: 10 })
    await lend({ ...narrow, minValidity: 601 })
    expect(asked).toHaveLength(2)
    house.clock.pass({ minutes: 19 })
    await lend(narrow)
    expect(asked).toHaveLength(3)
  })

  it('mints another one for another wish, and for another generation of the account', async () => {
    await lend(narrow)
    await lend({ ...narrow, audience: 'others' })
    expect(asked).toHaveLength(2)
    await house.owner.reconnect('practice')
    await lend(narrow)
    expect(asked).toHaveLength(3)
  })

  it('mints once for all who wish the same at the same moment', async () => {
    const lents = await Promise.all(Array.from({ length: 20 }, () => lend(narrow)))
    expect(asked).toHaveLength(1)
    expect(new Set(lents.map(({ token }) => token.reveal())).size).toBe(1)
  })

  it('is refused where the provider gives no less than all, and never lends all instead', async () => {
    for (const wish of [{ scopes: ['read'] }, { audience: 'x' }, { repositories: ['a/b'] }])
      expect(await refusal(house.owner.lend({ address: 'plain', ...wish }))).toEqual({
        code: 'invalid-request',
        message: 'nothing less than all of plain can be lent',
        hint: 'leave out the scopes, the audience and the repositories',
      })
  })

  it('is refused in the words of whoever mints, and is nothing that is tried again', async () => {
    trouble = new ValetkeyError('invalid-request', 'no such repository', { hint: 'another' })
    expect(await refusal(lend(narrow))).toMatchObject({
      code: 'invalid-request',
      message: 'no such repository',
    })
    expect([asked.length, (await house.owner.leases()).length]).toEqual([1, 0])
    expect((await house.owner.audit({ verb: 'lend' }))[0]).toMatchObject({
      outcome: 'failed',
      code: 'invalid-request',
    })
  })

  it('is no way to something that has no end', async () => {
    lifeSeconds = null
    expect(await refusal(lend(narrow))).toMatchObject({ code: 'bad-answer' })
  })

  it('mints anew for whoever was refused with it, but for one that was minted a moment ago', async () => {
    const { token: refused } = await lend(narrow)
    expect(await refusal(lend({ ...narrow, refused }))).toMatchObject({ code: 'invalid-token' })
    house.clock.pass({ minutes: 2 })
    const other = await lend({ ...narrow, refused })
    expect([asked.length, other.token.reveal() === refused.reveal()]).toEqual([2, false])
  })

  it('has what is worn renewed where that was refused, and is then asked for once more', async () => {
    let renewals = 0
    renew = () => {
      renewals += 1
      trouble = undefined
    }
    trouble = new ValetkeyError('invalid-token', 'refused')
    const { token } = await lend(narrow)
    expect([renewals, asked.length, token.reveal()]).toEqual([1, 2, expect.stringContaining('minted')])
    expect(asked[1]?.credential.worn['accessToken']?.reveal()).not.toBe(issue.token)
  })

  it('has nothing renewed for it again and again', async () => {
    let renewals = 0
    renew = () => {
      renewals += 1
    }
    trouble = new ValetkeyError('invalid-token', 'refused')
    for (const audience of ['a', 'b', 'c'])
      expect(await refusal(lend({ audience }))).toMatchObject({ code: 'invalid-token' })
    expect([renewals, asked.length]).toEqual([1, 4])
    house.clock.pass({ minutes: 6 })
    await refusal(lend({ audience: 'd' }))
    expect(renewals).toBe(2)
  })

  it('is not remembered over a lock', async () => {
    await lend(narrow)
    await house.keeper.lock()
    await house.keeper.unlock()
    await house.owner.reconnect('practice')
    await lend(narrow)
    expect(asked).toHaveLength(2)
  })

  it('asks nobody for what the caller would not be lent, and counts no more than was lent', async () => {
    const limits = { only: ['GET /a'], budget: 1 }
    const agent = { caller: 'app:agent', address: 'practice', may: ['lend'], asks: 'never' } as const
    await house.owner.bind({ ...agent, limits: { only: limits.only } })
    expect(await refusal(house.as('app:agent').lend({ address: 'practice', ...narrow }))).toMatchObject({
      code: 'not-allowed',
    })
    expect(asked).toHaveLength(0)
    await house.owner.bind({ ...agent, limits: { budget: 1 } })
    trouble = new ValetkeyError('server-error', 'down')
    await refusal(house.as('app:agent').lend({ address: 'practice', ...narrow }))
    trouble = undefined
    await house.as('app:agent').lend({ address: 'practice', ...narrow })
    await refusal(house.as('app:agent').lend({ address: 'practice', ...narrow, audience: 'another' }))
    expect(asked).toHaveLength(2)
  })

  it('is the owner’s alone where it is beyond the account, also once that was minted', async () => {
    beyond = narrow.audience
    const agent = { caller: 'app:agent', address: 'practice', may: ['lend'], asks: 'never' } as const
    await house.owner.bind(agent)
    await lend(narrow)
    const wished = house.as('app:agent').lend({ address: 'practice', ...narrow })
    expect(await refusal(wished)).toMatchObject({ code: 'not-allowed' })
    await house.as('app:agent').lend({ address: 'practice', ...narrow, audience: 'less' })
    expect(asked.map(({ wish }) => wish.audience)).toEqual([narrow.audience, 'less'])
  })

  it('leaves a lend without a wish as it was', async () => {
    expect((await lend()).token.reveal()).toBe(issue.token)
    expect(asked).toHaveLength(0)
    expect((await lend({ scopes: [], repositories: [] })).token.reveal()).toBe(issue.token)
  })

  it('is not for whoever reveals', async () => {
    await house.owner.bind({ caller: 'person:owner', address: 'practice', may: ['reveal'], asks: 'never' })
    const wished = house.owner.reveal({ address: 'practice', scopes: ['read'] })
    expect(await refusal(wished)).toMatchObject({ code: 'invalid-request' })
  })
})

describe('an account that stands, of which something that dies is had', () => {
  const given = (may: readonly ('lend' | 'reveal')[]) =>
    house.owner.bind({ caller: 'app:reports', address: 'standing', may, asks: 'never' })

  it('is lent, though never itself', async () => {
    const [account] = (await house.owner.accounts()).filter(({ providerId }) => providerId === 'standing')
    expect(account?.forwardOnly).toBe(false)
    await given(['lend'])
    const lent = await house.as('app:reports').lend({ address: 'standing' })
    expect(lent.token.reveal()).not.toBe(secret)
    expect(lent.lease.until).toEqual(lent.expiresAt)
    expect(lent.expiresAt).not.toBeNull()
  })

  it('is revealed to whoever may reveal it, and to nobody else', async () => {
    await given(['lend'])
    const app = house.as('app:reports')
    expect(await refusal(app.reveal({ address: 'standing' }))).toMatchObject({ code: 'not-allowed' })
    await given(['lend', 'reveal'])
    expect((await app.reveal({ address: 'standing' })).token.reveal()).toBe(secret)
  })

  it('is not lent where what was written says that it may be, and nothing is minted', async () => {
    trouble = new ValetkeyError('server-error', 'down')
    expect(await refusal(house.owner.lend({ address: 'standing' }))).toMatchObject({ code: 'server-error' })
  })
})

describe('what was minted, when its account is revoked', () => {
  it('is ended with it, where its provider ends it', async () => {
    house.clock.pass({ seconds: 1 })
    const { token } = await lend(narrow)
    const receipt = await house.owner.revoke('practice')
    expect(receipt.livesOn).toEqual([])
    expect(issue.ended).toEqual([issue.token, token.reveal()])
    expect(receipt.lines.map(({ state }) => state)).toEqual(['died', 'died'])
  })

  it('is told with until when it lives, where nobody ends it', async () => {
    ends = false
    const { expiresAt } = await lend(narrow)
    const { livesOn } = await house.owner.revoke('practice')
    expect(livesOn).toEqual([{ address: 'practice', caller: 'person:owner', until: expiresAt }])
    expect(issue.ended).toEqual([issue.token])
  })

  it('is told with until when it lives, where this process did not mint it', async () => {
    house.clock.pass({ seconds: 1 })
    const { expiresAt } = await lend(narrow)
    house.clock.pass({ seconds: 1 })
    await house.meanwhile(() => {})
    await house.owner.reconnect('practice')
    const { livesOn } = await house.owner.revoke('practice')
    expect(livesOn).toEqual([{ address: 'practice', caller: 'person:owner', until: expiresAt }])
  })

  it('does not come into being behind its back', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    hold = promise
    const lending = refusal(lend(narrow))
    while (asked.length === 0) await new Promise((tick) => setImmediate(tick))
    await house.owner.revoke('practice')
    resolve()
    expect(await lending).toMatchObject({ code: 'not-connected' })
    expect(issue.ended).toHaveLength(2)
  })
})
