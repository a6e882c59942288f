import { readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import { type Issue, PRACTICE, tokenFlow } from '../../test/practice.ts'
import { apiKeyFlow } from '../flows/api-key.ts'
import type { Flow } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'

const key = canary('standing')

let house: TestHouse
let issue: Issue
let flow: Flow

beforeEach(async () => {
  const made = tokenFlow()
  issue = made.issue
  flow = { ...made.flow }
  house = await openTestHouse({ flows: [apiKeyFlow, flow], providers: [PRACTICE] })
  await house.owner.connect({ provider: 'practice' })
})

afterEach(() => house.close())

const account = async () => (await house.owner.accounts())[0]
/** Every byte that lies in the vault's folder. */
async function onDisk(): Promise<Buffer> {
  const folder = dirname(house.vaultFile)
  return house.meanwhile(async () => {
    const files = (await readdir(folder)).map((name) => readFile(join(folder, name)))
    return Buffer.concat(await Promise.all(files))
  })
}
const sealedOf = (record: string) =>
  house.inFile((file) =>
    file
      .prepare('select field, bytes from sealed where record = ?')
      .all(record)
      .map(({ field, bytes }) => ({ field: String(field), bytes: Buffer.from(bytes as Uint8Array) })),
  )

describe('revoking', () => {
  it('ends the credential at its provider, then here, and says which pieces died', async () => {
    const { id } = (await account()) ?? {}
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    await house.owner.bind({ caller: 'app:other', address: 'practice', may: ['lend'], asks: 'never' })
    await house.as('app:reports').lend({ address: 'practice' })
    await house.owner.lend({ address: 'practice' })
    expect(await house.owner.revoke('practice')).toEqual({
      accountId: id,
      address: 'practice',
      at: house.clock.now(),
      lines: [{ what: 'access token', state: 'died', how: 'ended at the provider' }],
      livesOn: [],
      leasesEnded: 2,
      bindingsEnded: 2,
    })
    expect(issue.ended).toEqual([issue.token])
    expect(await house.owner.accounts()).toEqual([])
    expect(await house.owner.bindings()).toEqual([])
    expect(await house.owner.leases()).toEqual([])
    for (const desk of [house.owner, house.as('app:reports')])
      expect(await refusal(desk.lend({ address: 'practice' }))).toMatchObject({ code: 'not-connected' })
    const [entry] = await house.owner.audit({ verb: 'revoke' })
    expect(entry).toMatchObject({ outcome: 'done', detail: '1 of 1 died at the provider' })
  })

  it('counts the leases that it ended, not those that were over', async () => {
    await house.owner.lend({ address: 'practice' })
    house.clock.pass({ hours: 2 })
    await house.owner.reconnect('practice')
    await house.owner.lend({ address: 'practice' })
    expect(await house.owner.revoke('practice')).toMatchObject({ leasesEnded: 1 })
  })

  it('says where a person ends what nobody else can', async () => {
    const fields = { key: new Secret(key) }
    await house.owner.connect({ provider: 'key', vars: { host: 'api.example.com' }, fields })
    const { lines } = await house.owner.revoke('key')
    expect(lines).toEqual([{ what: 'API key', state: 'alive', how: 'only you can end it, at Any API key' }])
  })

  it('leaves nothing of it in the vault, sealed or not', async () => {
    const { id = '' } = (await account()) ?? {}
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    const sealed = await sealedOf(id)
    expect(sealed.map(({ field }) => field).toSorted()).toEqual([
      'kept:refreshToken',
      'outline',
      'worn:accessToken',
    ])
    const before = await onDisk()
    for (const { bytes } of sealed) expect(before.includes(bytes)).toBe(true)
    await house.owner.revoke('practice')
    expect(await sealedOf(id)).toEqual([])
    const after = await onDisk()
    for (const { bytes } of sealed) expect(after.includes(bytes)).toBe(false)
  })

  it('leaves nothing in the file even before the house is closed', async () => {
    const { id = '' } = (await account()) ?? {}
    const sealed = await sealedOf(id)
    await house.owner.revoke('practice')
    const folder = dirname(house.vaultFile)
    for (const name of await readdir(folder)) {
      const bytes = await readFile(join(folder, name))
      for (const { bytes: secret } of sealed) expect(bytes.includes(secret)).toBe(false)
    }
  })

  it('[security 7.2] is done here even when the provider cannot be asked, and says which of the two it was', async () => {
    const trouble = canary('trouble')
    flow.revoke = () => Promise.reject(new Error(trouble))
    const { lines } = await house.owner.revoke('practice')
    const how = 'the provider could not be asked; it is tried again until it is done, for up to 7 days'
    expect(lines).toEqual([{ what: 'credential', state: 'queued', how }])
    expect(await house.owner.accounts()).toEqual([])
  })

  it('is done even when the credential does not open any more', async () => {
    await house.inFile((file) => file.exec('update sealed set bytes = zeroblob(60)'))
    const { lines } = await house.owner.revoke('practice')
    expect(lines).toEqual([{ what: 'credential', state: 'alive', how: 'it could not be read any more' }])
    expect(await house.owner.accounts()).toEqual([])
  })

  it('is done even when the provider is no longer known here', async () => {
    await house.meanwhile(() => rm(join(house.home, 'config', 'providers', 'practice.json')))
    const { lines } = await house.owner.revoke('practice')
    expect(lines).toEqual([{ what: 'credential', state: 'alive', how: 'this build knows no way to end it' }])
  })

  it('is done once', async () => {
    const ends = await Promise.allSettled([house.owner.revoke('practice'), house.owner.revoke('practice')])
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(await refusal(house.owner.revoke('practice'))).toMatchObject({ code: 'not-connected' })
  })

  it('is heard as what it is by whoever uses the account at that moment', async () => {
    const lend = () => house.owner.lend({ address: 'practice' })
    const uses = [house.owner.revoke('practice'), ...Array.from({ length: 40 }, lend)]
    for (const end of await Promise.allSettled(uses))
      if (end.status === 'rejected') expect(end.reason.code).toBe('not-connected')
  })

  it('is over here before the provider is asked, and what is connected after it is another account', async () => {
    const asked = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const usual = flow.revoke
    const old = issue.token
    flow.revoke = async (...all) => {
      asked.resolve()
      await goOn.promise
      return usual(...all)
    }
    const revoked = house.owner.revoke('practice')
    await asked.promise
    expect(await refusal(house.owner.reconnect('practice'))).toMatchObject({ code: 'not-connected' })
    await house.owner.connect({ provider: 'practice' })
    goOn.resolve()
    expect((await revoked).lines).toMatchObject([{ state: 'died' }])
    expect(issue.ended).toEqual([old])
    expect((await house.owner.lend({ address: 'practice' })).token.reveal()).toBe(issue.token)
  })

  it('is for the owner alone', async () => {
    await house.owner.bind({
      caller: 'app:reports',
      address: 'practice',
      may: ['lend', 'forward', 'reveal'],
      asks: 'never',
    })
    expect(await refusal(house.as('app:reports').revoke('practice'))).toMatchObject({ code: 'not-allowed' })
    expect(await house.owner.accounts()).toHaveLength(1)
  })
})
