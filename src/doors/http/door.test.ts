import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { type Caller, THE_PERSON } from '../../model/caller.ts'
import type { Account, ConnectRequest, Desk, KeeperDesk } from '../../model/words.ts'
import { canary } from '../../testing/canary.ts'
import { BODY_LIMIT } from './body.ts'
import { httpDoor } from './door.ts'

const OWNER: Caller = { id: THE_PERSON, owner: THE_PERSON, proof: { door: 'test', uid: 1000 } }
const BASE = 'http://valetkey'
const JSON_BODY = { 'content-type': 'application/json' }

describe('the door as such', () => {
  it('lets nobody in whom it does not know', async () => {
    const { ask } = opened({}, { caller: undefined })
    for (const path of ['/api/accounts', '/api/openapi.json', '/forward/openai/default/x', '/nowhere']) {
      expect(await problemOf(ask(path))).toMatchObject({
        status: 401,
        code: 'unauthenticated',
        hint: 'valetkey open',
      })
    }
  })

  it('says whether it lives to anybody, and nothing else', async () => {
    const { ask } = opened({}, { caller: undefined })
    for (const path of ['/healthz', '/readyz']) expect(await (await ask(path)).json()).toEqual({ ok: true })
  })

  it('tells a wrong address from a wrong method', async () => {
    const { ask } = opened()
    expect(await problemOf(ask('/api/nothing'))).toMatchObject({ status: 404, code: 'not-found' })
    const wrong = await ask('/api/lend', { method: 'PUT', body: '{}', headers: JSON_BODY })
    expect(wrong.status).toBe(405)
    expect(wrong.headers.get('allow')).toBe('POST')
    expect((await ask('/api/accounts', { method: 'OPTIONS' })).status).toBe(405)
  })

  it('answers a refusal as a problem document, marked as its own', async () => {
    const { ask } = opened({
      accounts: () => Promise.reject(new ValetkeyError('locked', 'the vault is locked')),
    })
    const answer = await ask('/api/accounts')
    expect(answer.status).toBe(423)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('valetkey-error')).toBe('locked')
  })

  it('says nothing of an error that is not ours', async () => {
    const secret = canary('bare')
    const { ask } = opened({ accounts: () => Promise.reject(new Error(secret)) })
    const answer = await ask('/api/accounts')
    expect(answer.status).toBe(500)
    expect(await answer.text()).not.toContain(secret)
  })

  it('lets no answer be kept or guessed at', async () => {
    const { ask } = opened({ accounts: async () => [] })
    const { headers } = await ask('/api/accounts')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('describes itself in OpenAPI 3.1', async () => {
    const { ask } = opened()
    const document = (await (await ask('/api/openapi.json')).json()) as OpenApi
    expect(document.openapi).toBe('3.1.0')
    expect(document.info.version).toBe('0.0.1')
    expect(Object.keys(document.paths)).toContain('/api/providers/{providerId}/connect')
    expect(Object.keys(document.paths).filter((path) => !/^\/(api|forward)\//.test(path))).toEqual([])
    expect(Object.keys(document.components.schemas)).toContain('FlowStep')
  })
})

describe('a body', () => {
  const lend = (body: RequestInit['body'], headers: Record<string, string> = JSON_BODY) => {
    const init = { method: 'POST', body, headers, duplex: 'half' } as RequestInit
    return problemOf(opened().ask('/api/lend', init))
  }

  it.each([
    ['malformed JSON', '{"address":', 400],
    ['nothing', '', 400],
    ['an array', '[]', 400],
    ['an unknown field', '{"address":"a","extra":1}', 400],
    ['a field of another kind', '{"address":7}', 400],
    ['a missing field', '{}', 400],
  ])('of %s is refused', async (_, body, status) => {
    expect(await lend(body)).toMatchObject({ status, code: 'invalid-request' })
  })

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/json',
  ])('[security 18.4] of %s is not read as JSON', async (type) => {
    const told = await lend('{"address":"a"}', { 'content-type': type })
    expect(told).toMatchObject({ status: 415, code: 'invalid-request' })
  })

  it('without a type is not read', async () => {
    expect(await lend(new TextEncoder().encode('{"address":"a"}'), {})).toMatchObject({ status: 415 })
  })

  it('larger than 64 KiB is refused, whether it says so or not', async () => {
    const large = JSON.stringify({ address: 'a'.repeat(BODY_LIMIT) })
    expect(await lend(large)).toMatchObject({ status: 413, code: 'too-large' })
    expect(await lend(new Blob([large]).stream())).toMatchObject({ status: 413, code: 'too-large' })
    expect(await lend('{}', { ...JSON_BODY, 'content-length': String(BODY_LIMIT + 1) })).toMatchObject({
      status: 413,
    })
  })

  it.each([
    ['malformed', (secret: string) => `{"fields":{"key":"${secret}"`],
    ['with the secret in the wrong place', (secret: string) => JSON.stringify({ bucket: [secret] })],
    ['with the secret as an unknown field', (secret: string) => JSON.stringify({ [secret]: 1 })],
    [
      'with the secret as the name of a field',
      (secret: string) => JSON.stringify({ fields: { [secret]: 1 } }),
    ],
    ['with the secret in the place of the body', (secret: string) => JSON.stringify(secret)],
  ])('that is %s is not quoted in the refusal', async (_, body) => {
    const secret = canary('body')
    const { ask } = opened()
    const answer = await ask('/api/connect', { method: 'POST', body: body(secret), headers: JSON_BODY })
    expect(answer.status).toBe(400)
    expect(await answer.text()).not.toContain(secret)
  })

  it('may be left out where everything in it may be', async () => {
    const seen: ConnectRequest[] = []
    const { ask } = opened({ connect: noting(seen) })
    await ask('/api/providers/openai/connect', { method: 'POST' })
    expect(seen).toEqual([{ provider: 'openai' }])
  })
})

describe('acting as a program', () => {
  it('is for the owner, who then may no more than it', async () => {
    const { ask, callers } = opened({ accounts: async () => [] })
    await ask('/api/accounts', { headers: { 'valetkey-as': 'app:reports' } })
    expect(callers).toEqual([{ id: 'app:reports', owner: THE_PERSON, proof: { door: 'test as', uid: 1000 } }])
  })

  it.each(['person:owner', 'person:bob'])('is not acting as %s', async (id) => {
    const { ask, callers } = opened()
    expect(await problemOf(ask('/api/accounts', { headers: { 'valetkey-as': id } }))).toMatchObject({
      code: 'not-allowed',
    })
    expect(callers).toEqual([])
  })

  it.each(['reports', 'app:', 'root:x', 'app:a b'])('names a caller, which "%s" does not', async (id) => {
    const { ask } = opened()
    expect(await problemOf(ask('/api/accounts', { headers: { 'valetkey-as': id } }))).toMatchObject({
      code: 'invalid-request',
    })
  })

  it('is refused to everybody else, who would become more than they are', async () => {
    const caller: Caller = { ...OWNER, id: 'app:reports' }
    const { ask } = opened({}, { caller })
    for (const id of ['app:other', 'app:reports', THE_PERSON]) {
      expect(await problemOf(ask('/api/accounts', { headers: { 'valetkey-as': id } }))).toMatchObject({
        code: 'not-allowed',
      })
    }
  })
})

describe('the routes', () => {
  it('answer with and without /api where programs already know them', async () => {
    const { ask, calls } = opened({
      connect: async ({ provider }) => Promise.reject(noted('connect', provider)),
      revoke: async (name) => Promise.reject(noted('revoke', name)),
    })
    for (const prefix of ['/api', '']) {
      await ask(`${prefix}/providers/openai/connect`, { method: 'POST' })
      await ask(`${prefix}/accounts/a1`, { method: 'DELETE' })
    }
    expect(calls).toEqual(['connect', 'revoke', 'connect', 'revoke'])

    function noted(call: string, name: string | undefined): ValetkeyError {
      expect(name).toBe(call === 'connect' ? 'openai' : 'a1')
      calls.push(call)
      return cancelled()
    }
  })

  it('take an account by its address as well as by its id', async () => {
    const names: string[] = []
    const { ask } = opened({ revoke: noting(names) })
    await ask('/api/accounts/github%2Fwork', { method: 'DELETE' })
    expect(names).toEqual(['github/work'])
  })

  it('find one account by either, and say when there is none', async () => {
    const { ask } = opened({ accounts: async () => [ACCOUNT] })
    for (const name of ['a1', 'openai%2Fwork']) {
      expect(await (await ask(`/api/accounts/${name}`)).json()).toMatchObject({ id: 'a1' })
    }
    expect(await problemOf(ask('/api/accounts/openai'))).toMatchObject({ code: 'not-connected', status: 404 })
  })

  it('renew an account with and without the prefix', async () => {
    const { ask } = opened({ refresh: async (id) => ({ ...ACCOUNT, id }) })
    for (const prefix of ['/api', '']) {
      const answer = await ask(`${prefix}/accounts/a1/refresh`, { method: 'POST' })
      expect(await answer.json()).toMatchObject({ id: 'a1', status: 'connected' })
    }
  })

  it('read the question of an audit', async () => {
    const asked: unknown[] = []
    const { ask } = opened({ audit: noting(asked) })
    await ask('/api/audit?verb=lend&since=2026-11-20T00:00:00Z&limit=5')
    expect(asked).toEqual([{ verb: 'lend', since: new Date('2026-11-20T00:00:00Z'), limit: 5 }])
    expect((await ask('/api/audit?verb=steal')).status).toBe(400)
    expect((await ask('/api/audit?unknown=1')).status).toBe(400)
  })

  it('read how much less than all is wished to be lent', async () => {
    const asked: unknown[] = []
    const { ask } = opened({ lend: noting(asked) })
    const wish = { scopes: ['contents:read'], audience: 'ci', repositories: ['acme/web'] }
    const lend = (more: object) =>
      ask('/api/lend', {
        method: 'POST',
        headers: JSON_BODY,
        body: JSON.stringify({ address: 'a', ...more }),
      })
    await lend(wish)
    expect(asked).toEqual([{ address: 'a', ...wish }])
    for (const odd of [{ scopes: [] }, { scopes: ['a b'] }, { audience: '' }, { repositories: 'acme/web' }])
      expect((await lend(odd)).status).toBe(400)
    expect(asked).toHaveLength(1)
  })

  it('answer nothing where there is nothing to say', async () => {
    const { ask } = opened({ unbind: async () => {} })
    expect((await ask('/api/bindings/b1', { method: 'DELETE' })).status).toBe(204)
  })

  it('hand a passphrase on as a secret', async () => {
    const phrase = canary('passphrase')
    const seen: (string | undefined)[] = []
    const unlock: KeeperDesk['unlock'] = async (secret) => {
      seen.push(secret?.reveal())
      throw cancelled()
    }
    const { ask } = opened({}, { keeper: { unlock } })
    await ask('/api/vault/unlock', {
      method: 'POST',
      headers: JSON_BODY,
      body: JSON.stringify({ passphrase: phrase }),
    })
    expect(seen).toEqual([phrase])
  })
})

describe('a link to the page', () => {
  const newLink = async () => new URL('http://127.0.0.1:1/#code=x')

  it('is made for the owner whom the kernel vouches for', async () => {
    const { ask } = opened({}, { newLink })
    const answer = await ask('/api/session/link', { method: 'POST' })
    expect(await answer.json()).toEqual({ url: 'http://127.0.0.1:1/#code=x' })
  })

  it('is not made for a page that came in by one, nor for a program', async () => {
    const page: Caller = { ...OWNER, proof: { door: 'page' } }
    const app: Caller = { ...OWNER, id: 'app:x' }
    for (const caller of [page, app]) {
      const { ask } = opened({}, { newLink, caller })
      expect(await problemOf(ask('/api/session/link', { method: 'POST' }))).toMatchObject({ status: 403 })
    }
  })
})

describe('the page', () => {
  const page = new URL('./page/', import.meta.url)

  it('[security 1.20] is served to anybody, may not be framed, and runs its own scripts alone', async () => {
    const { ask } = opened({}, { caller: undefined, page })
    const { status, headers } = await ask('/')
    expect(status).toBe(200)
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin')
  })

  it('finds every file that the page names', async () => {
    const { ask } = opened({}, { caller: undefined, page })
    const html = await (await ask('/')).text()
    const named = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path)
    expect(named.length).toBeGreaterThan(2)
    for (const path of named) expect((await ask(path)).status, path).toBe(200)
    expect(html).not.toMatch(/<script(?! type="module" src=)|<style|style=|\son\w+=/)
  })

  it('serves nothing beside its files', async () => {
    const { ask } = opened({}, { caller: undefined, page })
    for (const name of ['tsconfig.json', '..%2Fdoor.ts', '%2e%2e%2fdoor.ts', 'nothing.js', 'index.html']) {
      expect((await ask(`/page/${name}`)).status, name).toBe(404)
    }
  })
})

const ACCOUNT: Account = {
  id: 'a1',
  providerId: 'openai',
  userId: THE_PERSON,
  displayName: 'OpenAI',
  bucket: 'work',
  subject: null,
  scopes: [],
  status: 'connected',
  reason: null,
  warnings: [],
  missingScopes: [],
  forwardOnly: true,
  connectedAt: new Date(),
  tokenExpiresAt: null,
  rotateAt: null,
  diesAt: null,
  lastUsedAt: null,
}

interface OpenApi {
  readonly openapi: string
  readonly info: { readonly version: string }
  readonly paths: Readonly<Record<string, unknown>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

interface Opening {
  readonly caller?: Caller | undefined
  readonly keeper?: Partial<KeeperDesk>
  readonly page?: URL
  readonly newLink?: () => Promise<URL>
}

/** A door before a desk that knows only what the test is about. */
function opened(desk: Partial<Desk> = {}, opening: Opening = {}) {
  const { keeper = {}, ...rest } = opening
  const caller = 'caller' in opening ? opening.caller : OWNER
  const callers: Caller[] = []
  const calls: string[] = []
  const door = httpDoor({
    ...rest,
    version: '0.0.1',
    identify: async () => caller,
    desk: (one) => {
      callers.push(one)
      return desk as Desk
    },
    keeper: () => keeper as KeeperDesk,
  })
  const ask = (path: string, init?: RequestInit) => door.fetch(new Request(BASE + path, init))
  return { ask, callers, calls }
}

async function problemOf(answer: Promise<Response>): Promise<unknown> {
  return (await answer).json()
}

/** A verb that only notes what it was asked. */
function noting<T>(seen: T[]) {
  return async (asked?: T): Promise<never> => {
    if (asked !== undefined) seen.push(asked)
    throw cancelled()
  }
}

function cancelled(): ValetkeyError {
  return new ValetkeyError('cancelled', 'cancelled')
}
