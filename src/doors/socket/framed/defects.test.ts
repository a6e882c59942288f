import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { openTestHouse } from '../../../../test/house.ts'
import { leave } from '../../../../test/leave.ts'
import { PRACTICE } from '../../../../test/practice.ts'
import { renewingHouse } from '../../../../test/renewing.ts'
import type { OAuthFlowInterface } from '../../../flows/factory/shapes.ts'
import { factoryFlow } from '../../../flows/factory.ts'
import { type Caller, THE_PERSON } from '../../../model/caller.ts'
import { openHouse } from '../../../open.ts'
import { canary } from '../../../testing/canary.ts'
import { type FramedClient, framedClient, lengthBytes, rawClient } from '../../../testing/framed-client.ts'
import { listenSocket } from '../listen.ts'
import { openPlaces } from '../places.ts'
import { type FramedOptions, framedDoor } from './door.ts'

// What was wrong with the first server of this protocol, as it was found there. One test each.

type House = Awaited<ReturnType<typeof renewingHouse>>['house']

let folder: string
const closing: (() => unknown)[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  await leave(folder)
})

const SANDBOX: Caller = { id: 'app:sandbox', owner: THE_PERSON, proof: { door: 'socket', pid: 1 } }

async function renewing() {
  const { house, upstream } = await renewingHouse()
  closing.push(house.close)
  await house.owner.bind({ caller: SANDBOX.id, address: 'practice', may: ['lend'], asks: 'never' })
  return { house, upstream }
}

/** A socket over this house, at which everybody is taken for the caller. */
async function socketOf(house: House, caller: Caller | undefined, options: Partial<FramedOptions> = {}) {
  const frames = framedDoor({ desk: house.broker.as, now: house.clock.now, ...options })
  const path = join(folder, `r${closing.length}`, 's')
  const listening = await listenSocket({ path, frames, identifyPeer: () => caller })
  closing.push(frames.close, listening.close)
  return path
}

async function client(house: House, caller: Caller, options?: Partial<FramedOptions>): Promise<FramedClient> {
  const joined = await framedClient(await socketOf(house, caller, options))
  closing.push(joined.close)
  return joined
}

const OWNER: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'socket', pid: 1 } }

describe('what was wrong with the original, and is not here', () => {
  it('1: no peer check', async () => {
    const { house } = await renewing()
    const path = await socketOf(house, undefined)
    await expect(framedClient(path)).rejects.toThrow('the connection was closed')
  })

  it('2: no rate limit', async () => {
    const { house } = await renewing()
    const sandbox = await client(house, SANDBOX, { limits: { rate: 5 } })
    const codes = []
    for (let i = 0; i < 8; i += 1) codes.push((await sandbox.ask('list_providers')).code)
    expect(codes).toEqual([...Array(5).fill(undefined), ...Array(3).fill('RATE_LIMITED')])
  })

  it('3: no provider and bucket scoping', async () => {
    const { house } = await renewing()
    await house.owner.connect({ provider: 'practice', bucket: 'personal' })
    const sandbox = await client(house, SANDBOX)
    expect(await sandbox.ask('get_token', { provider: 'practice', bucket: 'personal' })).toMatchObject({
      code: 'NOT_FOUND',
    })
    expect((await sandbox.ask('list_buckets', { provider: 'practice' })).data).toEqual({
      buckets: ['default'],
    })
    const narrow = await client(house, OWNER, { allowed: { providers: ['practice'], buckets: ['personal'] } })
    expect((await narrow.ask('get_token', { provider: 'practice' })).code).toBe('FORBIDDEN')
    expect((await narrow.ask('get_token', { provider: 'other', bucket: 'personal' })).code).toBe('FORBIDDEN')
    expect((await narrow.ask('list_buckets', { provider: 'practice' })).data).toEqual({
      buckets: ['personal'],
    })
  })

  it('4: flow sessions neither bound to a peer nor swept', async () => {
    const { house } = await signing({ initiateDeviceFlow: async () => device() })
    const frames = framedDoor({ desk: house.broker.as, now: house.clock.now })
    const as = async (pid: number) => {
      const path = join(folder, `p${pid}`, 's')
      const caller = { ...OWNER, proof: { door: 'socket', uid: 0, pid } }
      const listening = await listenSocket({ path, frames, identifyPeer: () => caller })
      closing.push(listening.close)
      const joined = await framedClient(path)
      closing.push(joined.close)
      return joined
    }
    closing.push(frames.close)
    const [mine, theirs] = [await as(1), await as(2)]
    const { data } = await mine.ask('oauth_initiate', { provider: 'codex' })
    const session = { session_id: data?.['session_id'] }
    expect((await theirs.ask('oauth_poll', session)).code).toBe('SESSION_NOT_FOUND')
    expect((await theirs.ask('oauth_exchange', { ...session, code: 'x' })).code).toBe('SESSION_NOT_FOUND')
    expect((await mine.ask('oauth_poll', session)).data).toMatchObject({ status: 'pending' })
    house.clock.pass({ minutes: 10 })
    expect((await mine.ask('oauth_poll', session)).code).toBe('SESSION_EXPIRED')
    house.clock.pass({ minutes: 2 })
    frames.sweep()
    expect((await mine.ask('oauth_poll', session)).code).toBe('SESSION_NOT_FOUND')
  })

  it('5: no proactive renewal', async () => {
    const { house, upstream } = await renewing()
    const sandbox = await client(house, SANDBOX)
    const { data: before } = await sandbox.ask('get_token', { provider: 'practice' })
    house.clock.pass({ minutes: 58 })
    await house.tick()
    expect(upstream.asked).toBe(1)
    const { data: after } = await sandbox.ask('get_token', { provider: 'practice' })
    expect(upstream.asked).toBe(1)
    expect(after?.['access_token']).not.toBe(before?.['access_token'])
  })

  it('6: two processes can refresh at once', async () => {
    const { house, upstream } = await renewing()
    upstream.meanwhile = () => pause(100)
    const [one, two] = [await client(house, SANDBOX), await client(house, OWNER)]
    house.clock.pass({ minutes: 59 })
    const asked = [one, two, one, two].map((each) => each.ask('get_token', { provider: 'practice' }))
    const tokens = (await Promise.all(asked)).map(({ data }) => data?.['access_token'])
    expect(upstream.asked).toBe(1)
    expect(new Set(tokens).size).toBe(1)
    await expect(openHouse({ home: house.home, env: {} })).rejects.toMatchObject({ code: 'held' })
  })

  it('7: a cooldown answers RATE_LIMITED although a live token is there', async () => {
    const { house, upstream } = await renewing()
    const sandbox = await client(house, SANDBOX)
    for (let i = 0; i < 10; i += 1) {
      house.clock.pass({ seconds: 20 })
      const { ok, data } = await sandbox.ask('refresh_token', { provider: 'practice' })
      expect({ ok, expiry: typeof data?.['expiry'] }).toEqual({ ok: true, expiry: 'number' })
    }
    expect(upstream.asked).toBeLessThanOrEqual(1)
    upstream.meanwhile = () => Promise.reject(new ValetkeyError('network-error', 'it is down'))
    house.clock.pass({ minutes: 56 })
    expect(await sandbox.ask('get_token', { provider: 'practice' })).toMatchObject({ ok: true })
  })

  it('8: get_token serves an expired token', async () => {
    const { house, upstream } = await renewing()
    const sandbox = await client(house, SANDBOX)
    house.clock.pass({ hours: 2 })
    const { data } = await sandbox.ask('get_token', { provider: 'practice' })
    expect(Number(data?.['expiry']) * 1000).toBeGreaterThan(house.clock.now().getTime())
    house.clock.pass({ hours: 2 })
    upstream.meanwhile = () => Promise.reject(new Error(canary('said')))
    const refused = await sandbox.ask('get_token', { provider: 'practice' })
    expect(refused).toMatchObject({ ok: false, error: expect.not.stringContaining('CANARY') })
    expect(refused).not.toHaveProperty('data')
  })

  it('9: a sandbox may not refresh at all', async () => {
    const { house, upstream } = await renewing()
    const sandbox = await client(house, SANDBOX)
    const { data: before } = await sandbox.ask('get_token', { provider: 'practice' })
    house.clock.pass({ minutes: 10 })
    const { data: after } = await sandbox.ask('refresh_token', { provider: 'practice' })
    expect(upstream.asked).toBe(1)
    expect(after?.['access_token']).not.toBe(before?.['access_token'])
    expect(after).not.toHaveProperty('refresh_token')
  })

  it('10: a Codex login can never complete by polling', async () => {
    let ready = false
    const { house } = await signing({
      initiateDeviceFlow: async () => device(),
      async pollForToken() {
        if (ready) return { access_token: canary('token'), expiry: house.clock.now().getTime() / 1000 + 600 }
        throw Object.assign(new Error('wait'), { code: 'authorization_pending' })
      },
    })
    const owner = await client(house, OWNER)
    const { data } = await owner.ask('oauth_initiate', { provider: 'codex' })
    expect(data).toMatchObject({ flow_type: 'browser_redirect' })
    const poll = () => owner.ask('oauth_poll', { session_id: data?.['session_id'] })
    expect((await poll()).data).toEqual({ status: 'pending', pollIntervalMs: 5000 })
    ready = true
    house.clock.pass({ seconds: 6 })
    await house.tick()
    expect((await poll()).data).toMatchObject({ status: 'complete', token: { token_type: 'Bearer' } })
  })

  it('11: slow_down is answered in another field and unit than the client reads', async () => {
    const { house } = await signing({
      initiateDeviceFlow: async () => device(),
      pollForToken: () => Promise.reject(Object.assign(new Error('slow_down'), { code: 'slow_down' })),
    })
    const owner = await client(house, OWNER)
    const { data } = await owner.ask('oauth_initiate', { provider: 'codex' })
    house.clock.pass({ seconds: 6 })
    await house.tick()
    const polled = await owner.ask('oauth_poll', { session_id: data?.['session_id'] })
    expect(polled.data).toEqual({ status: 'pending', pollIntervalMs: 10_000 })
  })

  it('12: frames of 4 MiB before the handshake, and silent connections for ever', async () => {
    const { house } = await renewing()
    const path = await socketOf(house, SANDBOX)
    const [silent, large] = [await rawClient(path), await rawClient(path)]
    large.write(lengthBytes(4 * 1024 * 1024), Buffer.alloc(1024))
    expect(await large.next()).toMatchObject({ ok: false, code: 'INVALID_REQUEST' })
    expect(await silent.closed()).toBeLessThan(4900)
  })

  it('13: a partial header never times out', async () => {
    const { house } = await renewing()
    const path = await socketOf(house, SANDBOX, { limits: { frameMs: 200 } })
    const joined = await framedClient(path)
    closing.push(joined.close)
    const raw = await rawClient(path)
    raw.write(Buffer.of(0))
    expect(await raw.closed()).toBeLessThan(4900)
    expect((await joined.ask('list_providers')).ok).toBe(true)
  })

  it('14: no host-side operation timeout', async () => {
    const { house, upstream } = await renewing()
    const { promise, resolve } = Promise.withResolvers<void>()
    closing.push(resolve)
    upstream.meanwhile = () => promise
    const sandbox = await client(house, SANDBOX, { limits: { operationMs: 200 } })
    house.clock.pass({ hours: 2 })
    expect(await sandbox.ask('get_token', { provider: 'practice' })).toMatchObject({
      ok: false,
      code: 'INTERNAL_ERROR',
      retryAfter: 1,
    })
    expect((await sandbox.ask('list_providers')).ok).toBe(true)
  })

  it('15: a stale socket file survives a crash', async () => {
    const { house } = await renewing()
    const place = join(folder, 'run', 's', 'abcdef012345')
    await mkdir(place, { recursive: true, mode: 0o700 })
    const listen = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', listen, join(place, 's')])
    expect(existsSync(join(place, 's'))).toBe(true)
    const frames = framedDoor({ desk: house.broker.as })
    const places = await openPlaces({ run: join(folder, 'run'), frames })
    closing.push(frames.close, places.leave)
    expect(existsSync(place)).toBe(false)
  })
})

function device() {
  return {
    device_code: canary('device'),
    user_code: 'ABCD',
    verification_uri: 'https://sign.example.test/',
    expires_in: 600,
  }
}

/** A house in which a program's own sign-in for Codex is to be had. */
async function signing(instance: OAuthFlowInterface): Promise<{ house: House }> {
  const [signIn] = PRACTICE.signIns
  const codex = { ...PRACTICE, id: 'codex', name: 'Codex', signIns: [{ ...signIn, flow: 'factory' }] }
  const flow = factoryFlow(new Map([['codex', () => instance]]), () => 'browser')
  const house = await openTestHouse({ flows: [flow], providers: [codex] })
  closing.push(house.close)
  return { house }
}
