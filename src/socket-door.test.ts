import { mkdtemp, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../test/leave.ts'
import { type OAuthFlowInterface, type OAuthToken, type SocketDoor, socketDoor } from './index.ts'
import type { SocketDoorOptions } from './socket-door.ts'
import { canary } from './testing/canary.ts'
import { type Answer, type FramedClient, framedClient } from './testing/framed-client.ts'

let folder: string
let door: SocketDoor | undefined
const clients: FramedClient[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await door?.close()
  door = undefined
  await leave(folder)
})

async function opened(options: Omit<SocketDoorOptions, 'home'>): Promise<FramedClient> {
  door = await socketDoor({ home: join(folder, 'h'), socketDir: join(folder, 's'), ...options })
  return joined()
}

async function joined(options?: Parameters<typeof framedClient>[1]): Promise<FramedClient> {
  const client = await framedClient(door?.path ?? '', options)
  clients.push(client)
  return client
}

/** A program's own sign-in, which keeps what it must not tell in its very fields. */
function flow(more: Partial<OAuthFlowInterface> = {}) {
  const secrets = {
    device_code: canary('device'),
    code_verifier: canary('verifier'),
    state: canary('state'),
    refresh: canary('refresh'),
  }
  const seen = { redirects: [] as (string | undefined)[], exchanged: [] as unknown[], polled: 0, renewed: 0 }
  const token = (): OAuthToken & Record<string, unknown> => ({
    access_token: canary('token'),
    refresh_token: secrets.refresh,
    expiry: Math.floor(Date.now() / 1000) + 3600,
    token_type: 'Bearer',
    scope: 'a b',
    account_id: 'acct-42',
    resource_url: 'https://api.example.test',
    code_verifier: secrets.code_verifier,
  })
  const instance: OAuthFlowInterface & Record<string, unknown> = {
    code_verifier: secrets.code_verifier,
    pkceState: secrets.state,
    async initiateDeviceFlow(redirectUri) {
      seen.redirects.push(redirectUri)
      return {
        device_code: secrets.device_code,
        user_code: 'ABCD-EFGH',
        verification_uri: 'https://sign.example.test/device',
        verification_uri_complete: 'https://sign.example.test/device?user_code=ABCD-EFGH',
        expires_in: 600,
        interval: 0.05,
      }
    },
    async exchangeCodeForToken(code, state) {
      seen.exchanged.push([code, state])
      return token()
    },
    async refreshToken() {
      seen.renewed += 1
      return token()
    },
    ...more,
  }
  return { secrets, seen, token, factory: () => instance }
}

function pending(word: string, more: object = {}): Error {
  return Object.assign(new Error(`it is ${word}`), { code: word, ...more })
}

describe('a door over sign-ins that a program brings along', () => {
  it('asks the real flow, and tells a device sign-in as such', async () => {
    const { factory, seen } = flow({ pollForToken: () => new Promise(() => {}) })
    const client = await opened({ flowFactories: new Map([['qwen', factory]]) })
    const { data } = await client.ask('oauth_initiate', {
      provider: 'qwen',
      redirect_uri: 'http://127.0.0.1:1/cb',
    })
    expect(data).toEqual({
      session_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      flow_type: 'device_code',
      auth_url: 'https://sign.example.test/device',
      user_code: 'ABCD-EFGH',
      verification_uri: 'https://sign.example.test/device',
      verification_uri_complete: 'https://sign.example.test/device?user_code=ABCD-EFGH',
      pollIntervalMs: 50,
    })
    expect(seen.redirects).toEqual(['http://127.0.0.1:1/cb'])
  })

  it.each([
    ['anthropic', 'pkce_redirect', true],
    ['gemini', 'pkce_redirect', true],
    ['codex', 'browser_redirect', true],
    ['qwen', 'device_code', false],
    ['unheard-of', 'device_code', true],
    ['unheard-of', 'pkce_redirect', false],
  ] as const)('tells the sign-in of %s as %s (polls: %s)', async (provider, type, polls) => {
    const { factory } = flow(polls ? { pollForToken: () => new Promise(() => {}) } : {})
    const client = await opened({ flowFactories: new Map([[provider, factory]]) })
    const { data } = await client.ask('oauth_initiate', { provider })
    expect(data).toMatchObject({ flow_type: type, pollIntervalMs: 50 })
    const whole = 'https://sign.example.test/device?user_code=ABCD-EFGH'
    expect(data?.['auth_url']).toBe(type === 'device_code' ? 'https://sign.example.test/device' : whole)
    expect('user_code' in (data ?? {})).toBe(type === 'device_code')
  })

  it('waits five seconds between polls where the flow does not say how long, whatever its type', async () => {
    const plain = { device_code: canary('device'), verification_uri: 'https://sign.example.test/' }
    const { factory } = flow({ initiateDeviceFlow: async () => plain })
    const client = await opened({ flowFactories: new Map([['anthropic', factory]]) })
    const { data } = await client.ask('oauth_initiate', { provider: 'anthropic' })
    expect(data).toMatchObject({ pollIntervalMs: 5000, auth_url: 'https://sign.example.test/' })
  })

  it.each([
    ['the code alone', (code: string, _: string) => code],
    ['the code with its state', (code: string, state: string) => `${code}#${state}`],
    [
      'the address it came back to',
      (code: string, state: string) => `http://127.0.0.1/cb?code=${code}&state=${state}`,
    ],
  ])('exchanges %s, and serves what came of it from then on', async (_, pasted) => {
    const { factory, seen, secrets } = flow()
    const client = await opened({ flowFactories: new Map([['anthropic', factory]]) })
    const begun = await client.ask('oauth_initiate', { provider: 'anthropic' })
    const session = { session_id: begun.data?.['session_id'] }
    const code = canary('code')
    const done = await client.ask('oauth_exchange', { ...session, code: pasted(code, 'x') })
    expect(done.data).toMatchObject({ token_type: 'Bearer', scope: 'a b', account_id: 'acct-42' })
    expect(done.data).not.toHaveProperty('refresh_token')
    expect(seen.exchanged).toEqual([[code, secrets.device_code]])
    expect(await client.ask('get_token', { provider: 'anthropic' })).toMatchObject({ data: done.data })
    expect(await client.ask('oauth_exchange', { ...session, code })).toMatchObject({
      code: 'SESSION_ALREADY_USED',
    })
  })

  it('polls by itself until the person is done, and slower where it was told to', async () => {
    const answers = [pending('authorization_pending'), pending('slow_down', { newInterval: 0.2 })]
    const { factory, token } = flow({
      async pollForToken() {
        const next = answers.shift()
        if (next !== undefined) throw next
        return token()
      },
    })
    const client = await opened({ flowFactories: new Map([['codex', factory]]) })
    const { data } = await client.ask('oauth_initiate', { provider: 'codex' })
    const polls: Answer[] = []
    do {
      await pause(100)
      polls.push(await client.ask('oauth_poll', { session_id: data?.['session_id'] }))
    } while (polls.at(-1)?.data?.['status'] === 'pending' && polls.length < 90)
    const told = polls.map((poll) => poll.data?.['pollIntervalMs'])
    expect(told).toContain(5050)
    expect(polls.at(-1)?.data).toMatchObject({
      status: 'complete',
      token: { account_id: 'acct-42', token_type: 'Bearer' },
    })
    expect(JSON.stringify(polls)).not.toContain('refresh_token')
    expect(await client.ask('oauth_poll', { session_id: data?.['session_id'] })).toMatchObject({
      code: 'SESSION_ALREADY_USED',
    })
  })

  it.each([
    ['access_denied', 'ACCESS_DENIED'],
    ['expired_token', 'SESSION_EXPIRED'],
    ['a secret of its own', 'POLL_FAILED'],
  ])('tells a sign-in that ended with %s as %s, in fixed words', async (word, code) => {
    const said = canary('said')
    const { factory } = flow({
      pollForToken: () => Promise.reject(pending(word, { message: `${word} ${said}` })),
    })
    const client = await opened({ flowFactories: new Map([['qwen', factory]]) })
    const { data } = await client.ask('oauth_initiate', { provider: 'qwen' })
    await pause(400)
    const polled = await client.ask('oauth_poll', { session_id: data?.['session_id'] })
    expect(polled.data).toEqual({ status: 'error', code, error: expect.any(String) })
    expect(JSON.stringify(polled)).not.toContain(said)
  })

  it.each([
    ['begins', { initiateDeviceFlow: () => Promise.reject(new Error(canary('said'))) }],
    [
      'sends people nowhere safe',
      { initiateDeviceFlow: async () => ({ device_code: 'x', verification_uri: 'javascript:alert(1)' }) },
    ],
  ])('says no more than that it failed where a flow throws as it %s', async (_, more) => {
    const { factory } = flow(more as Partial<OAuthFlowInterface>)
    const client = await opened({ flowFactories: new Map([['qwen', factory]]) })
    expect(await client.ask('oauth_initiate', { provider: 'qwen' })).toMatchObject({
      ok: false,
      code: 'FLOW_INITIATION_FAILED',
      error: 'The sign-in could not be started.',
    })
  })

  it('refuses in its order: nothing named, not for this caller, no such flow', async () => {
    const { factory } = flow()
    const flowFactories = new Map([
      ['anthropic', factory],
      ['qwen', factory],
    ])
    const limits = { allowedProviders: ['anthropic', 'other'], allowedBuckets: ['default'] }
    const second = await opened({ flowFactories, ...limits })
    const first = await joined({ maxVersion: 1 })
    const code = async (client: FramedClient, payload: Record<string, unknown>) =>
      (await client.ask('oauth_initiate', payload)).code
    expect(await code(second, {})).toBe('INVALID_REQUEST')
    expect(await code(second, { provider: 'qwen' })).toBe('FORBIDDEN')
    expect(await code(first, { provider: 'qwen' })).toBe('UNAUTHORIZED')
    expect(await code(second, { provider: 'anthropic', bucket: 'work' })).toBe('FORBIDDEN')
    expect(await code(second, { provider: 'other' })).toBe('PROVIDER_NOT_CONFIGURED')
    expect(await code(second, { provider: 'anthropic' })).toBeUndefined()
    expect((await second.ask('get_token', { provider: 'qwen' })).code).toBe('FORBIDDEN')
  })

  it('keeps two sign-ins of one provider apart', async () => {
    let count = 0
    const flowFactories = new Map([
      [
        'anthropic',
        () => {
          count += 1
          const mine = `account-${count}`
          const { factory, token } = flow()
          return { ...factory(), exchangeCodeForToken: async () => ({ ...token(), account_id: mine }) }
        },
      ],
    ])
    const client = await opened({ flowFactories })
    const one = await client.ask('oauth_initiate', { provider: 'anthropic', bucket: 'one' })
    const two = await client.ask('oauth_initiate', { provider: 'anthropic', bucket: 'two' })
    const finish = (begun: Answer) =>
      client.ask('oauth_exchange', { session_id: begun.data?.['session_id'], code: canary('code') })
    expect((await finish(two)).data?.['account_id']).toBe('account-2')
    expect((await finish(one)).data?.['account_id']).toBe('account-1')
    expect((await client.ask('list_buckets', { provider: 'anthropic' })).data).toEqual({
      buckets: ['two', 'one'],
    })
  })

  it('counts what was asked of each bucket, and what part of its provider that was', async () => {
    const { factory } = flow()
    const client = await opened({ flowFactories: new Map([['anthropic', factory]]) })
    for (const bucket of ['one', 'two']) {
      const begun = await client.ask('oauth_initiate', { provider: 'anthropic', bucket })
      await client.ask('oauth_exchange', { session_id: begun.data?.['session_id'], code: canary('code') })
    }
    const stats = async (bucket: string) =>
      (await client.ask('get_bucket_stats', { provider: 'anthropic', bucket })).data ?? {}
    const counted = async () => [(await stats('one'))['requestCount'], (await stats('two'))['requestCount']]
    const [before = 0, other = 0] = (await counted()) as number[]
    for (let i = 0; i < 3; i += 1) await client.ask('get_token', { provider: 'anthropic', bucket: 'one' })
    expect(await counted()).toEqual([before + 3, other])
    const all = before + 3 + other
    const { percentage, lastUsed } = await stats('one')
    expect(percentage).toBeCloseTo((100 * (before + 3)) / all)
    expect((await stats('two'))['percentage']).toBeCloseTo((100 * other) / all)
    expect(Math.abs(Date.now() - Number(lastUsed))).toBeLessThan(60_000)
  })

  it('renews by the flow, and the sandbox sees none of it', async () => {
    const { factory, seen } = flow()
    const client = await opened({ flowFactories: new Map([['anthropic', factory]]) })
    await door?.desk.connect({
      provider: 'anthropic',
      insist: true,
      fields: {
        issued: JSON.stringify({
          access_token: canary('old'),
          refresh_token: canary('refresh'),
          expiry: Math.floor(Date.now() / 1000) - 10,
        }),
      },
    })
    const { data } = await client.ask('get_token', { provider: 'anthropic' })
    expect(seen.renewed).toBe(1)
    expect(data).toMatchObject({ account_id: 'acct-42' })
    expect(data).not.toHaveProperty('refresh_token')
  })

  it('shows nothing of the inside in any answer, record or log', async () => {
    const { factory, secrets } = flow({
      pollForToken: () => Promise.reject(pending('authorization_pending')),
    })
    const client = await opened({
      flowFactories: new Map([
        ['qwen', factory],
        ['anthropic', factory],
      ]),
    })
    const answers: Answer[] = []
    const ask = async (op: string, payload: Record<string, unknown>) => {
      const answer = await client.ask(op, payload)
      answers.push(answer)
      return answer
    }
    const device = await ask('oauth_initiate', { provider: 'qwen' })
    await ask('oauth_poll', { session_id: device.data?.['session_id'] })
    await ask('oauth_cancel', { session_id: device.data?.['session_id'] })
    const pasted = await ask('oauth_initiate', { provider: 'anthropic' })
    await ask('oauth_exchange', { session_id: pasted.data?.['session_id'], code: canary('code') })
    await ask('get_token', { provider: 'anthropic' })
    await ask('refresh_token', { provider: 'anthropic' })
    const told = JSON.stringify([answers, await door?.desk.audit({ limit: 200 }), await door?.desk.leases()])
    for (const word of ['code_verifier', 'device_code', 'flowInstance', 'pkceState', 'refresh_token'])
      expect(told.replaceAll('"flow_type":"device_code"', '')).not.toContain(word)
    for (const secret of Object.values(secrets)) expect(told).not.toContain(secret)
  })

  it('takes nobody in without the token that was handed out for that', async () => {
    const token = canary('capability')
    door = await socketDoor({ home: join(folder, 'h'), socketDir: join(folder, 's'), capabilityToken: token })
    await expect(joined()).rejects.toThrow('UNAUTHORIZED')
    await expect(joined({ capabilityToken: canary('other') })).rejects.toThrow('UNAUTHORIZED')
    expect((await joined({ capabilityToken: token })).version).toBe(2)
  })

  it('takes no vault that another door has, and says what to do', async () => {
    const client = await opened({})
    const second = socketDoor({ home: join(folder, 'h'), socketDir: join(folder, 's') })
    await expect(second).rejects.toMatchObject({ code: 'held', hint: expect.stringContaining('"app"') })
    expect((await client.ask('list_providers')).ok).toBe(true)
    const other = await socketDoor({ home: join(folder, 'h'), socketDir: join(folder, 's'), app: 'other' })
    expect(other.path).not.toBe(door?.path)
    await other.close()
  })

  it('removes the socket of a program that crashed, and leaves one that is in use', async () => {
    await opened({})
    const path = door?.path ?? ''
    const used = createServer().listen(join(folder, 's', '1-0123456789abcdef.sock'))
    await door?.close()
    const { spawnSync } = await import('node:child_process')
    const stale = join(folder, 's', '2-0123456789abcdef.sock')
    spawnSync(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`,
    ])
    expect(await readdir(join(folder, 's'))).toContain('2-0123456789abcdef.sock')
    await opened({})
    const left = await readdir(join(folder, 's'))
    expect(left).not.toContain('2-0123456789abcdef.sock')
    expect(left).toContain('1-0123456789abcdef.sock')
    expect(door?.path).not.toBe(path)
    used.close()
  })
})
