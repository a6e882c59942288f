import { chmod, lstat, mkdir, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { ended, firstLine, type RealHome, realHome, until } from '../real.ts'
import { type Asked, askAsMyself, askAsStranger, askRaw, type Heard, noStranger } from './stranger.ts'

const LATE_CLOCK = new URL('./children/late-clock.ts', import.meta.url).href
const JSON_BODY = { 'content-type': 'application/json', 'valetkey-request': '1' }

const key = `sk-proj-${canary('openai')}`
let provider: ListeningStandIn
let home: RealHome
let port: number
let cookie: string
let routes: readonly Asked[]

beforeAll(async () => {
  provider = await standIn({ 'GET /v1/models': { body: { data: [] } } }).listen()
  home = await realHome({ origins: { openai: provider.origin } })
  const link = new URL(await firstLine(home.start(['serve', '--port', '0'])))
  port = Number(link.port)
  const entered = await enter(link)
  cookie = entered.headers?.['set-cookie']?.[0]?.split(';')[0] ?? ''
  expect(await home.run(['connect', 'openai', '--key-stdin'], key)).toMatchObject({ code: 0 })
  expect(
    await home.run(['bind', 'app:reports', 'openai', '--may', 'forward', '--asks', 'never']),
  ).toMatchObject({ code: 0 })
  routes = await everyRoute()
})

afterAll(async () => {
  await home?.close()
  await provider?.close()
})

const socketPath = () => join(home.home, 'run', 'valetkey.sock')

async function enter(link: URL): Promise<Heard> {
  const body = JSON.stringify({ code: link.hash.replace('#code=', '') })
  return await askRaw(Number(link.port), { method: 'POST', path: '/api/session', headers: JSON_BODY, body })
}

async function newLink(): Promise<URL> {
  const made = await home.ask('/api/session/link', { method: 'POST' })
  return new URL(((await made.json()) as { url: string }).url)
}

/** What would do harm, were it heard. */
const HARM: Readonly<Record<string, object>> = {
  '/api/lend': { address: 'openai' },
  '/api/reveal': { address: 'openai' },
  '/api/bindings': { caller: 'app:thief', address: 'openai', may: ['reveal'] },
  '/api/audit/prune': { before: '2999-01-01T00:00:00Z' },
  '/api/vault/rekey': { source: 'file' },
  '/api/vault/export': { passphrase: 'a passphrase of the stranger' },
  '/api/vault/erase-owner': { owner: 'person:owner' },
}

/** Every route that is written down, and those under which programs already know them. */
async function everyRoute(): Promise<readonly Asked[]> {
  const { paths } = (await (await home.ask('/api/openapi.json')).json()) as {
    paths: Record<string, Record<string, unknown>>
  }
  const [account] = (await (await home.ask('/api/accounts')).json()) as { id: string }[]
  const [binding] = (await (await home.ask('/api/bindings')).json()) as { id: string }[]
  const written = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
  )
  const short = written
    .filter(({ path }) => /^\/api\/(accounts|providers)\/\{/.test(path))
    .map((route) => ({ ...route, path: route.path.replace('/api', '') }))
  expect(written.length).toBeGreaterThan(25)
  return [...written, ...short, { method: 'GET', path: '/api/openapi.json' }].map(({ method, path }) => ({
    method,
    path: path
      .replace('/api/bindings/{id}', `/api/bindings/${binding?.id}`)
      .replace('{provider}/{bucket}/{path}', 'openai/default/v1/models')
      .replace('{providerId}', 'openai')
      .replace('{id}', account?.id ?? ''),
    headers: JSON_BODY,
    ...(method === 'POST' ? { body: JSON.stringify(HARM[path] ?? {}) } : {}),
  }))
}

/** All that a stranger could have changed. */
async function standing(): Promise<unknown> {
  const lists = ['accounts', 'bindings', 'leases', 'vault', 'audit?limit=1000'].map(async (list) =>
    (await home.ask(`/api/${list}`)).json(),
  )
  const [accounts, bindings, leases, vault, audit] = await Promise.all(lists)
  const own = ({ verb }: { verb: string }) => verb === 'read-audit'
  return {
    accounts,
    bindings,
    leases,
    vault,
    audit: (audit as { verb: string }[]).filter((one) => !own(one)),
  }
}

describe('another user of this computer', () => {
  beforeEach(({ skip }) => skip(noStranger !== undefined, noStranger))

  it('[security 18.1] does not get near the socket', async () => {
    const heard = await askAsStranger({ socketPath: socketPath() }, routes)
    expect(heard).toEqual(routes.map(() => ({ error: 'EACCES' })))
  })

  it('[security 18.2] is turned away by the kernel’s word, even where every folder and the socket are open', async () => {
    const before = await standing()
    const opened = [home.home, join(home.home, 'run'), socketPath()]
    for (const path of opened) await chmod(path, 0o777)
    const heard = await askAsStranger({ socketPath: socketPath() }, routes)
    for (const path of opened) await chmod(path, path === socketPath() ? 0o600 : 0o700)
    expect(heard).toEqual(routes.map(() => ({ error: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) })))
    expect(await standing()).toEqual(before)
    const [mine] = await askAsMyself({ socketPath: socketPath() }, [{ method: 'GET', path: '/api/accounts' }])
    expect(mine?.status).toBe(200)
  })

  it.each([
    ['nothing', () => undefined],
    ['a session that was made up', () => `__Host-valetkey=${'A'.repeat(43)}`],
    ['the owner’s own cookie', () => cookie],
  ])('[security 18.3] reads and changes nothing over TCP, on any route, with %s', async (_, shown) => {
    const before = await standing()
    const show = shown()
    const asked = routes.map(({ headers, ...route }) => ({
      ...route,
      headers: { ...headers, ...(show && { cookie: show }) },
    }))
    const heard = await askAsStranger({ port }, asked)
    for (const [at, { status, text = '' }] of heard.entries()) {
      expect([401, 403], `${routes[at]?.method} ${routes[at]?.path}: ${text}`).toContain(status)
      expect(JSON.parse(text)).toMatchObject({
        code: expect.stringMatching(/^(unauthenticated|not-allowed)$/),
      })
    }
    expect(await standing()).toEqual(before)
  })
})

describe('the owner’s socket', () => {
  it('[security 18.1] lies in a folder that is closed, and is closed itself', async () => {
    const mode = async (path: string) => ((await lstat(path)).mode & 0o777).toString(8)
    expect(await mode(join(home.home, 'run'))).toBe('700')
    expect(await mode(socketPath())).toBe('600')
  })

  it('[security 18.1] is not made where somebody put a link in the folder’s place', async () => {
    const other = await realHome()
    await mkdir(join(other.home, 'elsewhere'), { mode: 0o700 })
    await symlink(join(other.home, 'elsewhere'), join(other.home, 'run'))
    const refused = await other.run(['serve', '--no-page'])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/^! unsafe-folder: .* is a symbolic link\n {2}hint: .*\n$/)
    await rm(join(other.home, 'run'))
    await other.close()
  })

  it('makes the links, and nothing else does', async () => {
    const link = { method: 'POST', path: '/api/session/link', headers: JSON_BODY }
    const [atSocket] = await askAsMyself({ socketPath: socketPath() }, [link])
    expect(atSocket?.status).toBe(200)
    expect(await askRaw(port, link)).toMatchObject({ status: 401 })
    expect(await askRaw(port, { ...link, headers: { ...JSON_BODY, cookie } })).toMatchObject({ status: 403 })
    const asProgram = { ...link, headers: { ...JSON_BODY, 'valetkey-as': 'app:reports' } }
    const [byProgram] = await askAsMyself({ socketPath: socketPath() }, [asProgram])
    expect(byProgram?.status).toBe(403)
  })
})

describe('a page that got in by a link', () => {
  it('may not take the vault away, and is told what to type in the terminal', async () => {
    const headers = { ...JSON_BODY, cookie }
    const post = (path: string, body: object) =>
      askRaw(port, { method: 'POST', path, headers, body: JSON.stringify(body) })
    for (const [path, body, command] of [
      ['vault/export', { passphrase: 'a passphrase of the page' }, 'valetkey vault export'],
      ['vault/rekey', { source: 'command', command: '/usr/bin/touch' }, 'valetkey vault rekey'],
      ['vault/erase-owner', { owner: 'person:owner' }, 'valetkey vault erase me'],
      ['vault/accept-restore', {}, 'valetkey vault accept-restore'],
      ['audit/prune', { before: '2020-01-01T00:00:00.000Z' }, 'valetkey audit prune'],
    ] as const) {
      const { status, text = '' } = await post(`/api/${path}`, body)
      expect([path, status]).toEqual([path, 403])
      expect(JSON.parse(text).hint).toContain(command)
    }
    expect(await post('/api/vault/unlock', {})).toMatchObject({ status: 200 })
  })
})

describe('the code of a link', () => {
  it('is good for one of twenty that try it at the same time', async () => {
    const link = await newLink()
    const entered = await Promise.all(Array.from({ length: 20 }, () => enter(link)))
    expect(entered.map(({ status }) => status).toSorted()).toEqual([204, ...Array(19).fill(401)])
    expect(entered.filter(({ headers }) => headers?.['set-cookie'])).toHaveLength(1)
    expect(await enter(link)).toMatchObject({ status: 401 })
  })

  it('is good for two minutes', async () => {
    const other = await realHome()
    const broker = other.start(['serve', '--port', '0'], { nodeOptions: ['--import', LATE_CLOCK] })
    let told = ''
    broker.stderr?.on('data', (chunk) => {
      told += chunk
    })
    const first = new URL(await firstLine(broker))
    const second = new URL((await other.run(['open', '--no-browser'])).stdout.trim())
    const aMinuteLater = async (times: number) => {
      broker.kill('SIGUSR2')
      await until(() => told.split('later').length > times)
    }
    await aMinuteLater(1)
    expect(await enter(first)).toMatchObject({ status: 204 })
    await aMinuteLater(2)
    expect(await enter(second)).toMatchObject({ status: 401 })
    await other.close()
  })
})

describe('what a page elsewhere can make a browser send, with the owner’s cookie', () => {
  const read: Asked = { method: 'GET', path: '/api/accounts' }
  const lock: Asked = { method: 'POST', path: '/api/vault/lock' }
  const asked = (request: Asked, headers: Record<string, string>) =>
    askRaw(port, { ...request, headers: { cookie, ...headers } })

  it('is heard when the page is ours', async () => {
    const origin = `http://127.0.0.1:${port}`
    expect(await asked(read, { origin, 'sec-fetch-site': 'same-origin' })).toMatchObject({ status: 200 })
    expect(await asked(read, {})).toMatchObject({ status: 200 })
  })

  it('[security 18.4] is misdirected under any other name', async () => {
    const names = [
      ...['evil.test', `evil.test:${port}`, `127.0.0.1.evil.test:${port}`, `localhost.:${port}`],
      ...['127.0.0.1', 'localhost', `0.0.0.0:${port}`, `127.1:${port}`, `127.0.0.1:${port + 1}`],
    ]
    for (const host of names) {
      const { status, text } = await asked(read, { host })
      expect({ host, status }).toEqual({ host, status: 421 })
      expect(text).not.toContain('openai')
    }
  })

  it('[security 18.4] is refused from any other origin, and from any other site', async () => {
    const foreign = [
      ...['https://evil.test', 'null', `http://localhost:${port}`, `http://127.0.0.1:${port + 1}`],
      ...[`https://127.0.0.1:${port}`, `http://127.0.0.1.evil.test:${port}`],
    ].map((origin) => ({ origin }))
    const sites = [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }]
    for (const headers of [...foreign, ...sites]) {
      expect(await asked(read, headers), JSON.stringify(headers)).toMatchObject({ status: 403 })
      expect(await asked(lock, { ...JSON_BODY, ...headers })).toMatchObject({ status: 403 })
    }
    expect(await home.ask('/api/vault').then((answer) => answer.json())).toMatchObject({ locked: false })
  })

  it('[security 18.4] changes nothing as a simple request, and is never consented to', async () => {
    const simple = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']
    const body = JSON.stringify({ owner: 'person:owner' })
    for (const type of simple) {
      for (const path of ['/api/vault/lock', '/api/vault/erase-owner', '/api/session/link']) {
        const heard = await askRaw(port, {
          ...{ method: 'POST', path, body },
          headers: { cookie, 'content-type': type },
        })
        expect(heard).toMatchObject({ status: 403 })
      }
    }
    const preflight = { origin: 'https://evil.test', 'access-control-request-method': 'POST' }
    const consent = await asked({ method: 'OPTIONS', path: '/api/vault/lock' }, preflight)
    expect(consent.status).toBe(403)
    const headers = Object.keys({ ...consent.headers, ...(await asked(read, {})).headers })
    expect(headers.filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(await home.ask('/api/accounts').then((answer) => answer.json())).toHaveLength(1)
  })

  it('[security 18.4] is nobody’s without the cookie', async () => {
    const heard = await Promise.all(routes.map((route) => askRaw(port, route)))
    expect(heard.map(({ status }) => status)).toEqual(routes.map(() => 401))
  })
})

describe('the page', () => {
  it('may not be framed, guessed at, told of, or made to run what is not its own', async () => {
    const { headers = {} } = await askRaw(port, { method: 'GET', path: '/' })
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toMatch(/script-src 'self'(;|$)/)
    expect(policy).not.toContain('unsafe')
    expect(headers).toMatchObject({
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    })
  })

  it('[security 18.6] has its port before there is a link, and another port each time', async () => {
    const [one, other] = await Promise.all([realHome(), realHome()])
    const links = await Promise.all(
      [one, other].map((place) => firstLine(place.start(['serve', '--port', '0']))),
    )
    const ports = links.map((link) => Number(new URL(link).port))
    expect(new Set([...ports, port]).size).toBe(3)
    expect(links.map((link) => new URL(link).hostname)).toEqual(['127.0.0.1', '127.0.0.1'])
    await Promise.all([one.close(), other.close()])
  })

  it('[security 18.6] tells no link at all when somebody else has won the port', async () => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await until(() => squatter.listening)
    const { port: taken } = squatter.address() as { port: number }
    const other = await realHome()
    const broker = other.start(['serve', '--port', String(taken)])
    expect(await firstLine(broker)).toBe('')
    expect(await ended(broker)).toBe(1)
    await other.close()
    squatter.close()
  })
})
