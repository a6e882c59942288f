import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ERRORS, ValetkeyError } from '#client'
import { leave } from '../../../../test/leave.ts'
import { type Caller, THE_PERSON } from '../../../model/caller.ts'
import type { Desk } from '../../../model/words.ts'
import { canary } from '../../../testing/canary.ts'
import { frameBytes, framedClient, rawClient } from '../../../testing/framed-client.ts'
import { listenSocket, type SocketOptions } from '../listen.ts'
import { type FramedOptions, framedDoor } from './door.ts'
import { USUAL_LIMITS } from './limits.ts'

let folder: string
const closing: (() => unknown)[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  await leave(folder)
})

/** A door whose desk does only what is handed in. */
async function open(
  desk: Partial<Desk>,
  framed: Partial<FramedOptions> = {},
  more: Partial<SocketOptions> = {},
) {
  const frames = framedDoor({ desk: () => desk as Desk, ...framed })
  const caller: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'socket' } }
  const path = join(folder, 'r', 's')
  const listening = await listenSocket({ path, frames, identifyPeer: () => caller, ...more })
  closing.push(frames.close, listening.close)
  return { path, listening }
}

async function joined(path: string, maxVersion = 2) {
  const client = await framedClient(path, { maxVersion })
  closing.push(client.close)
  return client
}

const NONE = { accounts: async () => [] }

describe('what a connection may cost', () => {
  it('is what the protocol says, where nothing else was said', () => {
    expect(USUAL_LIMITS).toEqual({
      handshakeMs: 3000,
      frameMs: 5000,
      idleMs: 300_000,
      operationMs: 60_000,
      inFlight: 16,
      rate: 60,
      ownerRate: undefined,
      handshakeBytes: 4096,
      frameBytes: { 1: 65_536, 2: 4_194_304 },
    })
  })
})

describe('what is remembered of sign-ins', () => {
  it('is swept every minute by itself', async () => {
    vi.useFakeTimers()
    try {
      const frames = framedDoor({ desk: () => NONE as Partial<Desk> as Desk })
      expect(vi.getTimerCount()).toBe(1)
      const before = Date.now()
      await vi.advanceTimersToNextTimerAsync()
      expect(Date.now() - before).toBe(60_000)
      frames.close()
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('one connection', () => {
  it('is closed when nothing was asked for a while, and not while something is under way', async () => {
    const { promise, resolve } = Promise.withResolvers<never[]>()
    const { path } = await open({ accounts: () => promise }, { limits: { idleMs: 300 } })
    const [idle, busy] = [await rawClient(path), await joined(path)]
    idle.write(frameBytes({ v: 2, op: 'handshake', payload: { minVersion: 1, maxVersion: 2 } }))
    const asked = busy.ask('list_providers')
    expect(await idle.closed()).toBeLessThan(2500)
    await pause(300)
    resolve([])
    expect((await asked).ok).toBe(true)
  })

  it('is one of so many, and the next is turned away', async () => {
    const { path } = await open(NONE, {}, { mostConnections: 2 })
    const [one] = [await joined(path), await joined(path)]
    await expect(framedClient(path)).rejects.toThrow('the connection was closed')
    one.close()
    await pause(50)
    expect((await joined(path)).version).toBe(2)
  })

  it.each([1, 2] as const)('is told where an answer would be too large, in version %s', async (version) => {
    const accounts = async () =>
      Array.from({ length: 200 }, (_, i) => ({ providerId: `provider-${i}`, bucket: 'default' })) as never
    const { path } = await open({ accounts }, { limits: { frameBytes: { 1: 1000, 2: 1000 } } })
    const client = await joined(path, version)
    expect(await client.ask('list_providers')).toMatchObject({ ok: false, code: 'RESPONSE_TOO_LARGE' })
    expect(await client.ask('list_buckets', { provider: 'none' })).toMatchObject({ ok: true })
  })

  it('is not read while its answers are not', async () => {
    const { path } = await open(NONE)
    const socket = connect(path)
    closing.push(() => socket.destroy())
    await once(socket, 'connect')
    socket.write(frameBytes({ v: 2, op: 'handshake', payload: { minVersion: 1, maxVersion: 2 } }))
    const request = frameBytes({ v: 2, id: 'x'.repeat(100), op: 'no_such_operation', payload: {} })
    const many = Buffer.concat(Array.from({ length: 500 }, () => request))
    for (let sent = 0; sent < 400 && !socket.writableNeedDrain; sent += 1) {
      socket.write(many)
      await pause(1)
    }
    expect(socket.writableNeedDrain).toBe(true)
    let heard = 0
    socket.on('data', (chunk) => {
      heard += chunk.length
    })
    await once(socket, 'drain')
    expect(heard).toBeGreaterThan(0)
  })

  it('is answered what was under way when the door closes, and hears no more', async () => {
    const { promise, resolve } = Promise.withResolvers<never[]>()
    const { path, listening } = await open({ accounts: () => promise })
    const client = await joined(path)
    const asked = client.ask('list_providers')
    await pause(50)
    const closed = listening.close()
    resolve([])
    expect((await asked).ok).toBe(true)
    await closed
    expect((await client.ask('list_providers')).code).toBe('CLOSED')
  })

  it('counts what is under way, so that a broker knows when nobody asks', async () => {
    let underWay = 0
    const begun = () => {
      underWay += 1
      return () => {
        underWay -= 1
      }
    }
    const { promise, resolve } = Promise.withResolvers<never[]>()
    const { path } = await open({ accounts: () => promise }, { begun })
    const client = await joined(path)
    const asked = client.ask('list_providers')
    await pause(50)
    expect(underWay).toBe(1)
    resolve([])
    await asked
    expect(underWay).toBe(0)
  })
})

describe('a refusal', () => {
  const codes = Object.keys(ERRORS) as (keyof typeof ERRORS)[]

  it.each(codes)('tells %s in fixed words, and nothing of what was said', async (code) => {
    const said = canary('said')
    const accounts = () =>
      Promise.reject(new ValetkeyError(code, said, { hint: said, cause: new Error(said) }))
    const { path } = await open({ accounts })
    for (const version of [1, 2]) {
      const answer = await (await joined(path, version)).ask('list_providers')
      expect(answer).toMatchObject({ ok: false, code: expect.stringMatching(/^[A-Z_]+$/) })
      expect(JSON.stringify(answer)).not.toContain(said)
      if (version === 1) expect(answer.code).not.toBe('FORBIDDEN')
    }
  })

  it('tells a mistake of ours as such', async () => {
    const said = canary('said')
    const { path } = await open({ accounts: () => Promise.reject(new TypeError(said)) })
    const answer = await (await joined(path)).ask('list_providers')
    expect(answer).toMatchObject({ code: 'INTERNAL_ERROR', error: ERRORS['internal-error'].says })
  })
})
