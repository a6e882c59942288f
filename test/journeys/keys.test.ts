import { execFile, fork } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Narrowed, NarrowRequest } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { report } from '../figures.ts'
import { ended, kill, type RealHome, realHome, until } from '../real.ts'

const CHILD = fileURLToPath(new URL('./children/narrowing.ts', import.meta.url))
const run = promisify(execFile)
const secret = `sk-proj-${canary('openai')}`

let provider: ListeningStandIn
let home: RealHome
let gateway: string
beforeAll(async () => {
  provider = await standIn({ 'GET /v1/models': { body: { data: [] } }, '*': { echo: true } }).listen()
  const ports = { 'azure-openai': provider.origin, openai: provider.origin }
  home = await realHome({ origins: ports })
  await home.run(['connect', 'openai', '--key-stdin'], `${secret}\n`)
  gateway = ((await (await home.ask('/api/gateway')).json()) as { url: string }).url
})
afterAll(async () => {
  await home.close()
  await provider.close()
})

const FORWARD = [{ address: 'openai', may: ['forward'] }] as const
async function cut(more: Partial<NarrowRequest> = {}): Promise<Narrowed & { secret: string }> {
  const body = JSON.stringify({ kind: 'key', grants: FORWARD, ...more })
  return (await (await home.ask('/api/keys', { method: 'POST', body })).json()) as never
}
const models = (headers: Record<string, string>, more: RequestInit = {}) =>
  fetch(`${gateway}/forward/openai/default/v1/models`, { headers, ...more })
const keysAlive = async () => (await (await home.ask('/api/keys')).json()) as { id: string }[]

describe('a program with a key, at the port', () => {
  it.each([
    ['a bearer', (key: string) => ({ authorization: `Bearer ${key}` })],
    ['a bearer in small letters', (key: string) => ({ authorization: `bearer ${key}` })],
    ['a token', (key: string) => ({ authorization: `token ${key}` })],
    ['the key alone', (key: string) => ({ authorization: key })],
    ['x-api-key', (key: string) => ({ 'x-api-key': key })],
    ['api-key', (key: string) => ({ 'api-key': key })],
    ['the header of some provider', (key: string) => ({ 'dd-api-key': key })],
    ['a password', (key: string) => ({ authorization: `Basic ${btoa(`anybody:${key}`)}` })],
    ['a user', (key: string) => ({ authorization: `Basic ${btoa(`${key}:`)}` })],
    ['two of them alike', (key: string) => ({ authorization: `Bearer ${key}`, 'x-api-key': key })],
  ])('comes in by %s, and the provider sees nothing of that', async (_, headers) => {
    const { secret: key } = await cut()
    const shown: Record<string, string> = headers(key)
    const before = provider.requests.length
    expect((await models({ ...shown, 'x-other': `my ${key}`, dpop: 'a.b.c' })).status).toBe(200)
    const [sent] = provider.requests.slice(before)
    expect(sent?.headers['authorization']).toBe(`Bearer ${secret}`)
    expect(JSON.stringify(sent?.headers)).not.toContain('vk_')
    expect(sent?.headers).not.toHaveProperty('dpop')
  })

  it('is another process, such as curl, and may what its key may', async () => {
    const { secret: key } = await cut()
    const curl = (path: string, ...more: string[]) =>
      run('curl', ['-s', '-w', ' %{http_code}', '-H', '@-', `${gateway}${path}`, ...more], {})
    const asking = (path: string, ...more: string[]) => {
      const child = curl(path, ...more)
      child.child.stdin?.end(`x-api-key: ${key}\n`)
      return child.then(({ stdout }) => stdout)
    }
    expect(await asking('/forward/openai/default/v1/models')).toBe('{"data":[]} 200')
    expect(await asking('/forward/openai/default/v1/echo', '-d', 'hello')).toBe('hello 200')
    expect(await asking('/api/keys')).toBe('[] 200')
    expect(await asking('/api/audit')).toMatch(/"code":"not-allowed".* 403$/)
    expect(await asking('/api/lend', '--json', '{"address":"openai"}')).toMatch(
      /"code":"forward-only".* 403$/,
    )
    expect(await asking('/forward/github/default/user')).toMatch(/"code":"not-connected".* 404$/)
  })

  it('does not make it the owner that its browser is signed in as: the key wins', async () => {
    const { secret: key } = await cut()
    const link = new URL(
      ((await (await home.ask('/api/session/link', { method: 'POST' })).json()) as { url: string }).url,
    )
    const entered = await fetch(new URL('/api/session', link), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code: link.hash.replace('#code=', '') }),
    })
    const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? ''
    const audit = (headers: Record<string, string>) =>
      fetch(`${gateway}/api/audit`, { headers: { cookie, ...headers } })
    expect((await audit({})).status).toBe(200)
    expect((await audit({ authorization: `Bearer ${key}` })).status).toBe(403)
    expect((await audit({ authorization: `Bearer ${key.slice(0, -1)}x` })).status).toBe(401)
    expect((await models({ cookie, 'x-api-key': 'vk_nonsense' })).status).toBe(401)
  })

  it('[security 18.4] is judged like everybody by name and origin, and needs no other mark', async () => {
    const { secret: key } = await cut()
    const headers = { authorization: `Bearer ${key}` }
    const codes = {
      rebound: await status({ ...headers, host: 'evil.test' }),
      foreign: await status({ ...headers, origin: 'https://evil.test' }),
      crossSite: await status({ ...headers, 'sec-fetch-site': 'cross-site' }),
      post: await status(headers, 'POST'),
      unmarked: await status({}, 'POST'),
    }
    expect(codes).toEqual({ rebound: 421, foreign: 403, crossSite: 403, post: 200, unmarked: 403 })
  })

  it('writes it in no address', async () => {
    const { secret: key } = await cut()
    for (const written of [key, encodeURIComponent(key).replace('vk_', 'vk%5F')]) {
      const answer = await fetch(`${gateway}/forward/openai/default/v1/models?key=${written}`)
      expect([answer.status, await answer.text()]).toEqual([
        400,
        expect.stringContaining('never written in an address'),
      ])
    }
    expect((await fetch(`${gateway}/api/accounts?key=${key}`)).status).toBe(400)
  })

  it('shows one key at a time', async () => {
    const [one, other] = [await cut(), await cut()]
    const both = { authorization: `Bearer ${one.secret}`, 'x-api-key': other.secret }
    expect((await models(both)).status).toBe(401)
  })

  it('is turned away for a while when it shows wrong keys, on its own connection alone', async () => {
    const { secret: key } = await cut()
    const wrong = `${key.slice(0, -4)}AAAA`
    const socket = oneConnection()
    const codes: number[] = []
    for (let tries = 0; tries < 8; tries += 1) codes.push(await status({ 'x-api-key': wrong }, 'GET', socket))
    expect(codes).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
    expect(await status({ 'x-api-key': key }, 'GET', socket)).toBe(429)
    expect((await models({ 'x-api-key': key })).status).toBe(200)
    socket.destroy()
  })

  it('[security 18.3] has nothing lent by the port without one', async () => {
    const body = JSON.stringify({ address: 'openai' })
    const headers = { 'content-type': 'application/json' }
    for (const path of ['/api/lend', '/api/reveal', '/api/keys', '/api/asks'])
      expect((await fetch(`${gateway}${path}`, { method: 'POST', headers, body })).status).toBe(401)
    expect((await models({})).status).toBe(401)
  })

  it('is over the moment that its key is killed, from wherever', async () => {
    const {
      secret: key,
      key: { id },
    } = await cut()
    expect((await models({ 'x-api-key': key })).status).toBe(200)
    const killed = await home.run(['keys', 'kill', id])
    expect(killed.code).toBe(0)
    expect((await models({ 'x-api-key': key })).status).toBe(401)
  })

  it('is written down nowhere [security 20.1]', async () => {
    const { secret: key } = await cut()
    await models({ 'x-api-key': key })
    const random = key.slice(-43)
    const spelled = [random, Buffer.from(random, 'base64url'), sha256(random)]
    const found: string[] = []
    let read = 0
    for (const entry of await readdir(home.home, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const file = join(entry.parentPath, entry.name)
      const bytes = await readFile(file)
      read += bytes.length
      if (spelled.some((one) => bytes.includes(one))) found.push(file)
    }
    expect(found).toEqual([])
    expect(read).toBeGreaterThan(10_000)
  })
})

describe('a key that is bound to another', () => {
  it('[security 9.2] is of use only with a fresh proof of that one, for this very request', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const jwk = await exportJWK(publicKey)
    const { secret: key } = await cut({ thumbprint: await calculateJwkThumbprint(jwk) })
    const url = `${gateway}/forward/openai/default/v1/models`
    const proof = (more: object = {}, by = privateKey, header: object = {}) =>
      new SignJWT({ htm: 'GET', htu: url, jti: randomUUID(), ath: sha256(key), iat: seconds(), ...more })
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header })
        .sign(by)
    const shown = async (dpop: string | undefined, scheme = 'DPoP') =>
      (await models({ authorization: `${scheme} ${key}`, ...(dpop !== undefined && { dpop }) })).status
    const good = await proof()
    expect(await shown(good)).toBe(200)
    const stranger = await generateKeyPair('ES256')
    const theirs = await exportJWK(stranger.publicKey)
    const refused = {
      replayed: await shown(good),
      bearer: await shown(await proof(), 'Bearer'),
      missing: await shown(undefined),
      method: await shown(await proof({ htm: 'POST' })),
      place: await shown(await proof({ htu: `${gateway}/forward/openai/default/v1/other` })),
      host: await shown(await proof({ htu: url.replace('127.0.0.1', 'localhost') })),
      token: await shown(await proof({ ath: sha256('another') })),
      tokenless: await shown(await proof({ ath: undefined })),
      old: await shown(await proof({ iat: seconds() - 120 })),
      early: await shown(await proof({ iat: seconds() + 120 })),
      timeless: await shown(await proof({ iat: undefined })),
      nameless: await shown(await proof({ jti: undefined })),
      type: await shown(await proof({}, privateKey, { typ: 'JWT' })),
      forged: await shown(await proof({}, stranger.privateKey)),
      otherKey: await shown(await proof({}, stranger.privateKey, { jwk: theirs })),
      nonsense: await shown('a.b.c'),
    }
    expect(new Set(Object.values(refused))).toEqual(new Set([401]))
    expect(await shown(await proof())).toBe(200)
  })
})

describe('a socket of its own', () => {
  it('ends with the process that asked for it, however suddenly, and with what that made', async () => {
    const child = fork(CHILD, {
      env: home.env,
      execPath: process.execPath,
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    home.own(child)
    const [made] = (await once(child, 'message')) as [{ id: string; socket: string; child: string }]
    const { id, socket } = made
    const ask = socketFetch(socket)
    expect(await (await ask('http://valetkey/api/bindings')).json()).toMatchObject([
      { caller: id, address: 'openai' },
    ])
    expect((await keysAlive()).map((key) => key.id)).toEqual(expect.arrayContaining([id, made.child]))
    await kill(child.pid ?? 0)
    const gone = Date.now()
    await until(async () => !(await keysAlive()).some((key) => key.id === id || key.id === made.child), 5)
    const took = Date.now() - gone
    report('ms from kill -9 of a process to the end of its socket', took, 2000, 'the list of keys')
    expect(took).toBeLessThan(2_000)
    await expect(ask('http://valetkey/api/bindings')).rejects.toThrow()
  })

  it('ends itself, and is told so', async () => {
    const { key } = await cut({ kind: 'socket' })
    const ask = socketFetch(key.socket ?? '')
    const headers = { 'valetkey-request': '1' }
    const ended = await ask(`http://valetkey/api/keys/${key.id}`, { method: 'DELETE', headers })
    expect(ended.status).toBe(204)
    await until(
      async () => (await ask('http://valetkey/api/accounts').catch(() => undefined)) === undefined,
      2,
    )
  })

  it('keeps its broker there for as long as it lives, and no longer', async () => {
    const idle = await realHome()
    try {
      const serving = idle.start(['serve', '--no-page', '--leave-after', '1s'])
      await until(() => idle.holder())
      const body = JSON.stringify({ kind: 'socket', grants: FORWARD })
      const made = (await (await idle.ask('/api/keys', { method: 'POST', body })).json()) as Narrowed
      expect(await Promise.race([ended(serving), pause(4_000, 'there')])).toBe('there')
      expect((await socketFetch(made.key.socket ?? '')('http://valetkey/api/accounts')).status).toBe(200)
      await idle.ask(`/api/keys/${made.key.id}`, { method: 'DELETE' })
      expect(await Promise.race([ended(serving), pause(10_000, 'there')])).toBe(0)
    } finally {
      await idle.close()
    }
  })

  it('is there again, at the same place, when its broker was killed', async () => {
    const { key } = await cut({ kind: 'socket', name: 'lasting' })
    const before = await home.holder()
    await kill(before ?? 0)
    await expect(socketFetch(key.socket ?? '')('http://valetkey/api/accounts')).rejects.toThrow()
    await home.run(['accounts'])
    expect(await home.holder()).not.toBe(before)
    const answer = await socketFetch(key.socket ?? '')('http://valetkey/api/accounts')
    expect(await answer.json()).toMatchObject([{ providerId: 'openai' }])
    await home.run(['keys', 'kill', key.id])
    await expect(socketFetch(key.socket ?? '')('http://valetkey/api/accounts')).rejects.toThrow()
  })
})

const seconds = () => Math.floor(Date.now() / 1000)
const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

/** By Node's own client, which sends what it is told. */
function status(
  headers: Record<string, string>,
  method = 'GET',
  agent?: ReturnType<typeof oneConnection>,
): Promise<number> {
  const { port } = new URL(gateway)
  const path = method === 'GET' ? '/forward/openai/default/v1/models' : '/forward/openai/default/v1/echo'
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const asking = httpRequest(
    { host: '127.0.0.1', port, path, method, headers, ...(agent && { agent }) },
    (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0))
    },
  )
  asking.once('error', reject).end()
  return promise
}

function oneConnection() {
  return new Agent({ keepAlive: true, maxSockets: 1 })
}
