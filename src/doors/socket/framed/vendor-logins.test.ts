import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ERRORS } from '#client'
import { openTestHouse, type TestHouse } from '../../../../test/house.ts'
import { leave } from '../../../../test/leave.ts'
import { type VendorLogins, vendorLogins } from '../../../../test/vendor-logins.ts'
import { type Caller, THE_PERSON } from '../../../model/caller.ts'
import { Secret } from '../../../model/secret.ts'
import { canary } from '../../../testing/canary.ts'
import { type FramedClient, framedClient } from '../../../testing/framed-client.ts'
import { listenSocket } from '../listen.ts'
import { type FramedDoor, framedDoor } from './door.ts'

// The logins of vendors as programs that know them by name begin them: switched on by the operator, at loopback.

let there: VendorLogins
let house: TestHouse
let folder: string
let frames: FramedDoor
const closing: (() => unknown)[] = []

const SWITCHED_ON = ['anthropic', 'gemini', 'qwen']

async function opened(vendorLogins: readonly string[] = SWITCHED_ON): Promise<FramedClient> {
  const { origin } = there
  const origins = { anthropic: origin, gemini: origin, openai: origin, qwen: origin }
  house = await openTestHouse({ origins, config: { vendorLogins } })
  frames = framedDoor({ desk: house.broker.as, now: house.clock.now })
  const caller: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'socket', pid: 1 } }
  const path = join(folder, 's')
  const listening = await listenSocket({ path, frames, identifyPeer: () => caller })
  const client = await framedClient(path)
  closing.push(listening.close, client.close)
  return client
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  there = await vendorLogins()
})

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  frames.close()
  await house.close()
  await there.close()
  await leave(folder)
})

const dataOf = ({ data }: Awaited<ReturnType<FramedClient['ask']>>) => data as Record<string, string>

describe('a login that its vendor keeps to its own programs', () => {
  it.each(['anthropic', 'claude', 'gemini', 'qwen'])(
    'is not begun for %s unless it was switched on',
    async (provider) => {
      const client = await opened([])
      expect(await client.ask('oauth_initiate', { provider })).toMatchObject({
        ok: false,
        code: 'PROVIDER_NOT_CONFIGURED',
        instead: { flow: 'api-key', label: 'a key' },
      })
      expect(there.asked).toEqual([])
    },
  )

  it.each([
    ['anthropic', 'authorization-code'],
    ['qwen', 'device-code'],
  ])(
    'says the same where %s is asked for by %s, in its own words and with the next way',
    async (provider, flow) => {
      const client = await opened([])
      const { id: _, ...refused } = await client.ask('oauth_initiate', { provider, flow })
      expect(refused).toEqual({
        ok: false,
        code: 'PROVIDER_NOT_CONFIGURED',
        error: ERRORS['vendor-policy'].says,
        instead: { flow: 'api-key', label: 'a key' },
      })
      expect(there.asked).toEqual([])
    },
  )

  it.each([
    [
      'the code and the state that the vendor’s page shows',
      (code: string, state: string) => `${code}#${state}`,
    ],
    ['the code alone', (code: string) => code],
  ])('is done at anthropic with %s, by JSON, with the state sent along', async (_, pasted) => {
    const client = await opened()
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'anthropic' }))
    expect(begun['flow_type']).toBe('pkce_redirect')
    const url = new URL(begun['auth_url'] ?? '')
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      code: 'true',
      code_challenge_method: 'S256',
      scope: 'user:profile user:inference',
    })
    const state = url.searchParams.get('state') ?? ''
    const code = pasted(there.consent(url), state)
    const done = await client.ask('oauth_exchange', { session_id: begun['session_id'], code })
    expect(dataOf(done)['access_token']).toBe(there.issued[0])
    expect(there.asked).toMatchObject([
      { path: '/v1/oauth/token', type: 'json', said: { grant_type: 'authorization_code', state } },
    ])
    expect(JSON.stringify(done)).not.toContain(there.issued[1])
  })

  it('is done at gemini by PKCE with a client secret, which is the owner’s to register', async () => {
    const client = await opened()
    expect(await client.ask('oauth_initiate', { provider: 'gemini' })).toMatchObject({
      code: 'PROVIDER_NOT_CONFIGURED',
    })
    const secret = canary('client')
    await house.owner.register({
      provider: 'gemini',
      clientId: 'a-client',
      clientSecret: new Secret(secret),
      insist: true,
    })
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'gemini' }))
    expect(begun['flow_type']).toBe('pkce_redirect')
    const code = there.consent(new URL(begun['auth_url'] ?? ''))
    const done = await client.ask('oauth_exchange', { session_id: begun['session_id'], code })
    expect(dataOf(done)['access_token']).toBe(there.issued[0])
    expect(there.asked.at(-1)).toMatchObject({
      type: 'form',
      said: {
        client_id: 'a-client',
        client_secret: secret,
        code_verifier: expect.stringMatching(/^.{43,}$/),
      },
    })
  })

  it('is done at qwen by a code, with the challenge on the first call and the verifier on those that follow', async () => {
    const client = await opened()
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'qwen' }))
    expect(begun).toMatchObject({
      flow_type: 'device_code',
      user_code: 'QWEN-CODE',
      verification_uri: 'https://chat.qwen.ai/authorize',
    })
    expect(there.asked[0]).toMatchObject({
      path: '/api/v1/oauth2/device/code',
      said: { code_challenge_method: 'S256', scope: 'openid profile email model.completion' },
    })
    there.enter()
    expect(await polled(client, begun['session_id'])).toMatchObject({
      status: 'complete',
      token: { access_token: there.issued[0] },
    })
    expect(there.asked.at(-1)?.said).toMatchObject({ code_verifier: expect.stringMatching(/^.{43,}$/) })
  })
})

describe('a login that its vendor tolerates', () => {
  it('is done by its name in the browser: codex', async () => {
    const client = await opened([])
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'codex' }))
    expect(begun['flow_type']).toBe('browser_redirect')
    const url = new URL(begun['auth_url'] ?? '')
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      client_id: 'app_EMoamEEZ73f0CkXaXp7hrann',
      redirect_uri: 'http://localhost:1455/auth/callback',
      codex_cli_simplified_flow: 'true',
      id_token_add_organizations: 'true',
      code_challenge_method: 'S256',
    })
    const code = there.consent(url)
    const done = await client.ask('oauth_exchange', { session_id: begun['session_id'], code })
    expect(dataOf(done)['access_token']).toBe(there.issued[0])
    expect(there.asked.at(-1)?.said).not.toHaveProperty('client_secret')
    const token = dataOf(await client.ask('get_token', { provider: 'codex' }))
    expect(token['access_token']).toBe(there.issued[0])
    expect(dataOf(await client.ask('get_token', { provider: 'openai' }))).toEqual(token)
  })

  it('is done by a code where that is asked for, in the dialect of its vendor', async () => {
    const client = await opened([])
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'codex', flow: 'device-code' }))
    expect(await client.ask('oauth_poll', { session_id: begun['session_id'] })).toMatchObject({
      data: { status: 'pending' },
    })
    there.enter()
    expect(await polled(client, begun['session_id'])).toMatchObject({ status: 'complete' })
    expect(there.asked[0]).toMatchObject({ path: '/api/accounts/deviceauth/usercode', type: 'json' })
    expect(there.asked.at(-1)).toMatchObject({
      path: '/oauth/token',
      said: { code: 'from-the-device', redirect_uri: expect.stringMatching(/\/deviceauth\/callback$/) },
    })
    expect(await house.owner.accounts()).toMatchObject([{ providerId: 'openai', forwardOnly: false }])
  })

  it('tells whoever asks how it goes that it failed, and which way is next', async () => {
    const client = await opened([])
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'codex', flow: 'device-code' }))
    there.refuse()
    expect(await polled(client, begun['session_id'])).toEqual({
      status: 'error',
      code: 'POLL_FAILED',
      error: expect.stringMatching(/^[A-Z][^{}]+\.$/),
      instead: { flow: 'api-key', label: 'a key' },
    })
  })

  it('does not take the place of a key, and says how to have both', async () => {
    const client = await opened([])
    const key = `sk-${canary('openai')}`
    await house.owner.connect({ provider: 'openai', fields: { key: new Secret(key) }, insist: true })
    for (const asked of [
      { provider: 'codex' },
      { provider: 'openai' },
      { provider: 'codex', flow: 'device-code' },
    ])
      expect(await client.ask('oauth_initiate', asked)).toMatchObject({
        ok: false,
        code: 'FLOW_INITIATION_FAILED',
        error: 'What is connected there came another way, and stays: name another bucket to have both.',
      })
    expect(await house.owner.flows()).toEqual([])
    expect(await house.owner.accounts()).toMatchObject([{ bucket: 'default', forwardOnly: true }])
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'codex', bucket: 'chatgpt' }))
    const code = there.consent(new URL(begun['auth_url'] ?? ''))
    await client.ask('oauth_exchange', { session_id: begun['session_id'], code })
    expect((await house.owner.accounts()).map(({ bucket }) => bucket)).toEqual(['default', 'chatgpt'])
  })

  it('is signed in to again by the way that it came', async () => {
    const client = await opened([])
    for (const again of [false, true]) {
      const begun = dataOf(await client.ask('oauth_initiate', { provider: 'codex' }))
      const code = there.consent(new URL(begun['auth_url'] ?? ''))
      const done = await client.ask('oauth_exchange', { session_id: begun['session_id'], code })
      expect(dataOf(done)['access_token']).toBe(there.issued[again ? 2 : 0])
    }
    const { code } = await client.ask('oauth_initiate', { provider: 'codex', flow: 'device-code' })
    expect(code).toBe('FLOW_INITIATION_FAILED')
  })

  it('goes to its own hosts, and a key of the same provider to none of them', async () => {
    const client = await opened([])
    const { broker } = house
    const hostsOf = async () => (await broker.as(OWNER).providers()).find(({ id }) => id === 'openai')?.hosts
    expect(await hostsOf()).toEqual(['api.openai.com'])
    const begun = dataOf(await client.ask('oauth_initiate', { provider: 'codex' }))
    const code = there.consent(new URL(begun['auth_url'] ?? ''))
    await client.ask('oauth_exchange', { session_id: begun['session_id'], code })
    const to = (host: string) =>
      house.owner.forward({ address: 'codex', method: 'GET', path: `https://${host}/v1/models` })
    await expect(to('chatgpt.com')).resolves.toMatchObject({ status: 200 })
    await expect(to('api.openai.com')).rejects.toMatchObject({ code: 'host-not-allowed' })
  })
})

const OWNER: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test' } }

/** The broker asks the vendor in its own time. */
async function polled(client: FramedClient, session: string | undefined): Promise<unknown> {
  for (let times = 0; times < 10; times += 1) {
    house.clock.pass({ seconds: 6 })
    await house.tick()
    const now = dataOf(await client.ask('oauth_poll', { session_id: session }))
    if (now['status'] !== 'pending') return now
  }
  throw new Error('it is still pending')
}
