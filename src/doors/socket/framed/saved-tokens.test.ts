import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, type TestHouse } from '../../../../test/house.ts'
import { leave } from '../../../../test/leave.ts'
import { apiKeyFlow } from '../../../flows/api-key.ts'
import { authorizationCodeFlow } from '../../../flows/authorization-code.ts'
import { type Caller, type CallerId, THE_PERSON } from '../../../model/caller.ts'
import type { ProviderFile } from '../../../model/provider.ts'
import { canary } from '../../../testing/canary.ts'
import { type FramedClient, framedClient } from '../../../testing/framed-client.ts'
import { listenSocket } from '../listen.ts'
import { type FramedDoor, framedDoor } from './door.ts'

const OAUTH: ProviderFile = {
  id: 'signed',
  name: 'Signed',
  category: 'other',
  hosts: ['api.signed.test'],
  oauth: {
    authorize: 'https://signed.test/authorize',
    token: 'https://signed.test/token',
    clientId: 'valetkey',
  },
  registration: 'none',
  signIns: [
    {
      flow: 'api-key',
      fields: [{ name: 'key', label: 'Key' }],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'key' }],
    },
    {
      flow: 'authorization-code',
      scopes: ['read'],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
    },
  ],
  revoke: { how: 'console' },
}

let house: TestHouse
let folder: string
let frames: FramedDoor
const closing: (() => unknown)[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  house = await openTestHouse({ flows: [apiKeyFlow, authorizationCodeFlow()], providers: [OAUTH] })
  frames = framedDoor({ desk: house.broker.as, now: house.clock.now })
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  frames.close()
  await house.close()
  await leave(folder)
})

async function client(id: CallerId): Promise<FramedClient> {
  const caller: Caller = { id, owner: THE_PERSON, proof: { door: 'socket', pid: 1 } }
  const path = join(folder, `${closing.length}`, 's')
  const listening = await listenSocket({ path, frames, identifyPeer: () => caller })
  const joined = await framedClient(path)
  closing.push(listening.close, joined.close)
  return joined
}

function issued(name: string) {
  const expiry = Math.floor(house.clock.now().getTime() / 1000) + 3600
  return {
    access_token: canary(name),
    refresh_token: canary('refresh'),
    expiry,
    token_type: 'Bearer',
    scope: 'read',
  }
}

const ADDRESS = { provider: 'signed' }

describe('a token that a program saves', () => {
  it('is stored where the owner saves it, and takes the place of what was there', async () => {
    const owner = await client(THE_PERSON)
    const [one, two] = [issued('one'), issued('two')]
    expect(await owner.ask('save_token', { ...ADDRESS, token: one })).toMatchObject({ ok: true, data: {} })
    const { refresh_token: _, ...shown } = one
    expect((await owner.ask('get_token', ADDRESS)).data).toEqual(shown)
    const [account] = await house.owner.accounts()
    expect(await owner.ask('save_token', { ...ADDRESS, token: two })).toMatchObject({ ok: true })
    expect((await owner.ask('get_token', ADDRESS)).data?.['access_token']).toBe(two.access_token)
    expect((await house.owner.accounts()).map(({ id }) => id)).toEqual([account?.id])
  })

  it('ends with its account where the owner removes it', async () => {
    const owner = await client(THE_PERSON)
    await owner.ask('save_token', { ...ADDRESS, token: issued('one') })
    expect(await owner.ask('remove_token', ADDRESS)).toMatchObject({ ok: true, data: {} })
    expect((await owner.ask('get_token', ADDRESS)).code).toBe('NOT_FOUND')
    expect(await house.owner.accounts()).toEqual([])
  })

  it('is served to the sandbox that saved it and to nobody else, until it expires', async () => {
    const [owner, one, two] = [await client(THE_PERSON), await client('app:one'), await client('app:two')]
    const stored = issued('stored')
    await owner.ask('save_token', { ...ADDRESS, token: stored })
    for (const caller of ['app:one', 'app:two'])
      await house.owner.bind({ caller, address: 'signed', may: ['lend'], asks: 'never' })
    const now = Math.floor(house.clock.now().getTime() / 1000)
    const own = { ...issued('own'), expiry: now + 600 }
    expect((await one.ask('save_token', { ...ADDRESS, token: own })).ok).toBe(true)
    const served = async (each: FramedClient) => (await each.ask('get_token', ADDRESS)).data?.['access_token']
    expect(await served(one)).toBe(own.access_token)
    expect(await served(two)).toBe(stored.access_token)
    expect(await served(owner)).toBe(stored.access_token)
    house.clock.pass({ minutes: 11 })
    expect(await served(one)).toBe(stored.access_token)
  })

  it('is served no longer than its account is lent', async () => {
    const [owner, sandbox] = [await client(THE_PERSON), await client('app:one')]
    await owner.ask('save_token', { ...ADDRESS, token: issued('stored') })
    const binding = await house.owner.bind({
      caller: 'app:one',
      address: 'signed',
      may: ['lend'],
      asks: 'never',
    })
    await sandbox.ask('save_token', { ...ADDRESS, token: issued('own') })
    await house.owner.unbind(binding.id)
    expect((await sandbox.ask('get_token', ADDRESS)).code).toBe('NOT_FOUND')
    expect((await sandbox.ask('save_token', { ...ADDRESS, token: issued('own') })).code).toBe('NOT_FOUND')
    frames.forget('app:one')
  })

  it('is nothing that a sandbox could connect an account by', async () => {
    const sandbox = await client('app:one')
    expect((await sandbox.ask('save_token', { ...ADDRESS, token: issued('own') })).code).toBe('NOT_FOUND')
    expect(await house.owner.accounts()).toEqual([])
  })

  it('is refused for a provider that is not connected by tokens', async () => {
    const owner = await client(THE_PERSON)
    const answer = await owner.ask('save_token', { provider: 'azure-openai', token: issued('one') })
    expect(answer.code).toBe('PROVIDER_NOT_CONFIGURED')
    expect(await house.owner.accounts()).toEqual([])
  })
})
