import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ProviderFile } from '../../src/model/provider.ts'
import { canary } from '../../src/testing/canary.ts'
import { report, size } from '../figures.ts'
import { leave } from '../leave.ts'
import { configure, until } from '../real.ts'

const CHILD = fileURLToPath(new URL('./children/outbox.ts', import.meta.url))
const ACCOUNTS = size(8, 1000)
/** So many are revoked in one life of the broker, if it lives long enough. */
const IN_ONE_LIFE = size(4, 25)
const LONGEST_LIFE_MS = 250

interface Tokens {
  readonly refresh: string
  readonly access: string
}

/** What ends tokens, as real ones do: slowly now and then, or not at this moment, or without a word. */
interface Endpoint {
  readonly origin: string
  /** How often each token was ended. */
  readonly ended: ReadonlyMap<string, number>
  /** Called whenever one was, before that is answered. */
  onEnded: () => void
  close(): Promise<void>
}

interface Life {
  tell(verb: string, ...words: readonly string[]): Promise<unknown>
  kill(): Promise<void>
}

let home: string
let endpoint: Endpoint
let life: Life | undefined

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'valetkey-'))
  endpoint = await listen()
  await configure(home, { allow: [new URL(endpoint.origin).host] })
  await mkdir(join(home, 'config', 'providers'), { mode: 0o700 })
  const file = join(home, 'config', 'providers', 'lossy.json')
  await writeFile(file, JSON.stringify(providerAt(endpoint.origin)), { mode: 0o600 })
})

afterEach(async () => {
  await life?.kill()
  await endpoint.close()
  await leave(home)
})

function providerAt(origin: string): ProviderFile {
  return {
    id: 'lossy',
    name: 'Lossy',
    category: 'other',
    hosts: [new URL(origin).host],
    registration: 'none',
    oauth: {
      authorize: `${origin}/authorize`,
      token: `${origin}/token`,
      revoke: `${origin}/revoke`,
      clientId: 'valetkey-test',
    },
    signIns: [
      {
        flow: 'authorization-code',
        fields: [
          { name: 'refreshToken', label: 'Refresh token' },
          { name: 'accessToken', label: 'Access token' },
        ],
        present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
      },
    ],
    revoke: { how: 'rfc7009', alone: true },
  }
}

async function listen(): Promise<Endpoint> {
  const ended = new Map<string, number>()
  const server = createServer((request, response) => void answer(request, response).catch(() => {}))
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const token = new URLSearchParams(await text(request)).get('token') ?? ''
    const chance = Math.random()
    await pause(Math.random() * 20)
    if (chance < 0.2) return void response.writeHead(503, { 'retry-after': '1' }).end()
    ended.set(token, (ended.get(token) ?? 0) + 1)
    endpoint.onEnded()
    if (chance < 0.3) return void request.socket.resetAndDestroy()
    response.writeHead(200).end()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ended,
    onEnded: () => {},
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function live(): Promise<Life> {
  const child = fork(CHILD, [home], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const gone = once(child, 'exit')
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  child.on('message', ({ id = -1, value, error }: { id?: number; value?: unknown; error?: string }) => {
    if (error === undefined) waiting.get(id)?.resolve(value)
    else waiting.get(id)?.reject(new Error(error))
  })
  void gone.then(() => {
    for (const one of waiting.values()) one.reject(new Error('it was killed'))
  })
  await Promise.race([once(child, 'message'), gone.then(() => Promise.reject(new Error('it did not open')))])
  return {
    tell: (verb, ...words) => told(child, waiting, verb, words),
    kill: async () => {
      child.kill('SIGKILL')
      await gone
    },
  }
}

function told(
  child: ChildProcess,
  waiting: Map<number, PromiseWithResolvers<unknown>>,
  verb: string,
  words: readonly string[],
): Promise<unknown> {
  const id = waiting.size
  const answer = Promise.withResolvers<unknown>()
  // Whoever is killed over it answers nobody, and that is not a mistake of whoever had asked.
  answer.promise.catch(() => {})
  waiting.set(id, answer)
  child.send({ id, verb, words }, (error) => error && answer.reject(error))
  return answer.promise
}

const connected = async () => (await life?.tell('connected')) as readonly string[]
const isEnded = ({ refresh }: Tokens) => endpoint.ended.has(refresh)
const isShown = ({ refresh, access }: Tokens) => endpoint.ended.has(refresh) || endpoint.ended.has(access)

/** Somewhere on the way: a moment after it was told to begin, or the very moment that something was ended. */
async function whenever(): Promise<void> {
  const atAnEnd = Promise.withResolvers<void>()
  let left = Math.ceil(Math.random() * IN_ONE_LIFE)
  endpoint.onEnded = () => {
    left -= 1
    if (left === 0) atAnEnd.resolve()
  }
  const usual = pause(Math.random() * LONGEST_LIFE_MS)
  await (Math.random() < 0.5 ? usual : Promise.race([atAnEnd.promise, pause(4 * LONGEST_LIFE_MS)]))
}

describe('a broker that is killed over revocations', () => {
  it(
    '[security 7.1] loses none of them, and ends nothing that is still connected',
    async () => {
      const all = new Map<string, Tokens>()
      for (let n = 0; n < ACCOUNTS; n += 1)
        all.set(`b${n}`, { refresh: canary('refresh'), access: canary('access') })
      life = await live()
      for (const [bucket, { refresh, access }] of all) await life.tell('connect', bucket, refresh, access)
      let kills = 0
      const acknowledged = new Set<string>()
      for (let left = await connected(); left.length > 0; left = await connected()) {
        for (const bucket of left) expect(isShown(all.get(bucket) as Tokens)).toBe(false)
        expect(left.filter((bucket) => acknowledged.has(bucket))).toEqual([])
        const now = life
        const some = left.slice(0, IN_ONE_LIFE)
        for (const bucket of some)
          void now.tell('revoke', bucket).then(
            () => acknowledged.add(bucket),
            () => {},
          )
        await whenever()
        await life.kill()
        kills += 1
        life = await live()
      }
      await until(async () => (await life?.tell('waiting')) === 0, 300)
      const lost = [...all.values()].filter((tokens) => !isEnded(tokens)).length
      expect(await life.tell('verify')).toBe(true)
      report('outbox under SIGKILL: revocations lost', lost, ACCOUNTS, `${kills} × SIGKILL`)
      expect(lost).toBe(0)
      expect(kills).toBeGreaterThan(ACCOUNTS / IN_ONE_LIFE / 2)
    },
    size(300_000, 3_600_000),
  )

  it('ends what a rotation replaced, and never what took its place', async () => {
    const old = { refresh: canary('refresh'), access: canary('access') }
    const fresh = { refresh: canary('refresh'), access: canary('access') }
    life = await live()
    await life.tell('connect', 'one', old.refresh, old.access)
    const killed = Promise.withResolvers<void>()
    endpoint.onEnded = () => killed.resolve()
    void life.tell('rotate', 'one', fresh.refresh, fresh.access)
    await killed.promise
    await life.kill()
    life = await live()
    await until(async () => (await life?.tell('waiting')) === 0, 120)
    expect(isEnded(old)).toBe(true)
    expect(isShown(fresh)).toBe(false)
    expect(await connected()).toEqual(['one'])
  }, 180_000)
})
