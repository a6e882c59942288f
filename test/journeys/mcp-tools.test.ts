import { mkdir, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Ask, Desk, Lent, Narrowed } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { visitorOf } from '../../src/practice/visitor.ts'
import { BASE, deskOver } from '../../src/reach.ts'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { wherePaths } from '../../src/where.ts'
import { type Agent, agentOverHttp, agentOverStdio } from '../mcp/agent.ts'
import { firstLine, type RealHome, realHome } from '../real.ts'

const key = `sk-${canary('openai')}`
const token = canary('token')

/** It issues tokens that die, and shows in its answers what it was sent. */
const MIRROR = {
  id: 'mirror',
  name: 'Mirror',
  category: 'other',
  hosts: ['mirror.test'],
  oauth: { authorize: 'https://mirror.test/authorize', token: 'https://mirror.test/token' },
  registration: 'none',
  signIns: [
    {
      flow: 'client-credentials',
      fields: [
        { name: 'clientId', label: 'Client id', secret: false },
        { name: 'clientSecret', label: 'Client secret' },
      ],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
    },
  ],
  revoke: { how: 'console' },
}

let openai: ListeningStandIn
let home: RealHome
let origin: URL
let owner: Desk
let socket: ReturnType<typeof socketFetch>
const agents: Agent[] = []

beforeAll(async () => {
  openai = await standIn({
    'GET /v1/models': { body: { data: [] } },
    'POST /v1/chat': { echo: true, headers: { 'content-type': 'application/json' } },
    // As careless as a server can be: whatever it is sent it shows.
    '/v1/mirror': ({ headers }) => ({ body: { headers, key }, headers: { 'x-mirror': key, etag: key } }),
    'POST /token': { body: { access_token: token, token_type: 'Bearer', expires_in: 3600 } },
    '/seen': ({ headers }) => ({ body: { seen: [headers['authorization']] } }),
    '/v1/picture': { body: Buffer.from(key), headers: { 'content-type': 'image/png' } },
    '/v1/long': { body: 'x'.repeat(200_000), headers: { 'content-type': 'text/plain' } },
  }).listen()
  home = await realHome({ origins: { openai: openai.origin, mirror: openai.origin } })
  await mkdir(join(home.home, 'config/providers'), { mode: 0o700 })
  await writeFile(join(home.home, 'config/providers/mirror.json'), JSON.stringify(MIRROR), { mode: 0o600 })
  const link = await firstLine(home.start(['serve', '--for', 'one', '--port', '0']))
  origin = new URL(new URL(link).origin)
  socket = socketFetch(wherePaths({ env: home.env }).socket)
  owner = deskOver(socket).desk
  const connected = await home.run(['connect', 'openai', '--key-stdin'], key)
  expect(connected).toMatchObject({ code: 0 })
}, 60_000)

afterAll(async () => {
  for (const agent of agents) await agent.close()
  await home?.close()
  await openai?.close()
})

async function keep(agent: Promise<Agent>): Promise<Agent> {
  agents.push(await agent)
  return agent
}

function asked(path: string): number {
  return openai.requests.filter((request) => request.path === path).length
}

function cutKey(address: string): Promise<Narrowed> {
  return owner.narrow({ kind: 'key', grants: [{ address, may: ['forward'] }] })
}

describe('valetkey mcp, in a process of its own', () => {
  let agent: Agent

  beforeAll(async () => {
    agent = await keep(agentOverStdio(home))
  })

  it('offers its tools, and says what they are for', async () => {
    const { tools } = await agent.client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(['accounts', 'connect', 'status', 'request', 'ask'])
    expect(agent.client.getInstructions()).toContain('never see a token')
  })

  it('is not the owner: what was not let to it is not there', async () => {
    const before = openai.requests.length
    expect(await agent.call('accounts')).toMatchObject({ failed: false, answer: { accounts: [] } })
    for (const [tool, args] of [
      ['request', { account: 'openai', path: '/v1/models' }],
      ['status', { account: 'openai' }],
    ] as const) {
      const { failed, answer } = await agent.call(tool, args)
      expect(failed).toBe(true)
      expect(answer).toMatchObject({ error: 'not-connected', what: expect.any(String) })
      expect(answer.next).toContain('`ask`')
    }
    const { answer } = await agent.call('connect', { account: 'openai' })
    expect(answer).toMatchObject({ error: 'not-allowed', next: expect.stringContaining('`ask`') })
    expect(openai.requests).toHaveLength(before)
  })

  it('asks the owner with a reason, waits, and goes on when it is let', async () => {
    const wish = { account: 'openai', reason: 'to list the models' }
    const { answer } = await agent.call('ask', wish)
    expect(answer).toMatchObject({ account: 'openai', state: 'pending' })
    const waiting = agent.call('ask', { ask: answer.ask, wait: 40 })
    const [pending] = (await owner.asks()).filter(({ state }: Ask) => state === 'pending')
    expect(pending).toMatchObject({ id: answer.ask, caller: 'app:mcp', reason: 'to list the models' })
    await owner.decide(answer.ask, 'always')
    expect((await waiting).answer).toMatchObject({ state: 'allowed' })

    const { failed, answer: models } = await agent.call('request', { account: 'openai', path: '/v1/models' })
    expect(failed).toBe(false)
    expect(models).toMatchObject({ account: 'openai', status: 200, body: '{"data":[]}' })
    expect(openai.requests.at(-1)?.headers['authorization']).toBe(`Bearer ${key}`)
  })

  it('sends json and headers, and shows no more than was asked for', async () => {
    const json = { model: 'x', input: ['é'] }
    const path = '/v1/chat'
    const sent = await agent.call('request', {
      account: 'openai',
      method: 'POST',
      path,
      json,
      headers: { 'x-a': '1' },
    })
    expect(JSON.parse(sent.answer.body)).toEqual(json)
    expect(openai.requests.at(-1)?.headers).toMatchObject({ 'x-a': '1', 'content-type': 'application/json' })
    const { answer } = await agent.call('request', { account: 'openai', path: '/v1/long', maxBytes: 1000 })
    expect(answer.body).toHaveLength(1000)
    expect(answer.notShown).toContain('longer than the 1000 bytes')
  })

  it('[security 20.1] shows no secret, however careless the provider is', async () => {
    const { answer } = await agent.call('request', { account: 'openai', path: '/v1/mirror' })
    expect(answer.status).toBe(200)
    expect(answer.headers).not.toHaveProperty('x-mirror')
    const picture = await agent.call('request', { account: 'openai', path: '/v1/picture' })
    expect(picture.answer).toMatchObject({ body: '', notShown: expect.stringContaining('image/png') })
    expectNothingOf(key, agent)
  })

  it('[security 20.1] shows no token to an agent that could be lent it', async () => {
    const fields = { clientId: 'one', clientSecret: canary('client') }
    expect(await owner.connect({ provider: 'mirror', fields })).toMatchObject({ state: 'done' })
    await owner.bind({ caller: 'app:mcp', address: 'mirror', may: ['forward', 'lend'], asks: 'never' })
    const { answer } = await agent.call('request', { account: 'mirror', path: '/seen' })
    expect(answer).toMatchObject({ status: 200, body: expect.stringMatching(/\*{20,}/) })
    expect((await owner.lend({ address: 'mirror' })).token).toBe(token)
    expectNothingOf(token, agent)
    const before = asked('/token')
    expect(await owner.refresh('mirror')).toMatchObject({ status: 'connected' })
    expect(asked('/token')).toBe(before + 1)
  })

  it.each([
    ['authorization', { authorization: `Bearer ${canary('theirs')}` }],
    ['cookie', { Cookie: canary('theirs') }],
    ['x-api-key', { 'X-Api-Key': canary('theirs') }],
  ])('takes no %s header, and repeats nothing of it', async (name, headers) => {
    const before = openai.requests.length
    const { failed, answer } = await agent.call('request', { account: 'openai', path: '/v1/models', headers })
    expect({ failed, answer }).toMatchObject({ failed: true, answer: { error: 'invalid-request' } })
    expect(answer.what).toContain(name)
    expect(openai.requests).toHaveLength(before)
    expect(agent.seen()).not.toContain(Object.values(headers)[0])
  })

  it('refuses an argument that it does not take, and repeats nothing of it', async () => {
    const secret = canary('argument')
    const { failed, answer } = await agent.call('connect', {
      account: 'openai',
      api_key: secret,
      [secret]: 1,
    })
    expect({ failed, answer }).toMatchObject({ failed: true, answer: { error: 'invalid-request' } })
    expect(agent.seen()).not.toContain(secret)
  })

  it('leaves what has to be typed to the person, at a place of theirs', async () => {
    const { failed, answer } = await agent.call('connect', { account: 'openai' })
    expect(failed).toBe(false)
    expect(answer).toMatchObject({ state: 'left-to-the-person', command: 'valetkey reconnect openai' })
    expect(answer).not.toHaveProperty('session')
    expect((await agent.call('status', { account: 'openai' })).answer).toMatchObject({ status: 'connected' })
  })

  it('ends with its client, and leaves the broker running', async () => {
    const other = await agentOverStdio(home)
    await other.close()
    expect(await home.holder()).toBeDefined()
  })

  it('stands back to the caller that was named', async () => {
    const other = await keep(agentOverStdio(home, ['--as', 'app:other']))
    expect((await other.call('accounts')).answer).toEqual({ accounts: [] })
  })
})

describe('an agent that the owner is asked about at its first use', () => {
  it('hears so, waits for what they say, and goes on', async () => {
    await owner.bind({ caller: 'app:first', address: 'openai', may: ['forward'] })
    const agent = await keep(agentOverHttp(`${BASE}/mcp`, socket, { 'valetkey-as': 'app:first' }))
    const wanted = { account: 'openai', path: '/v1/models', purpose: 'to see what there is' }
    const { failed, answer } = await agent.call('request', wanted)
    expect({ failed, error: answer.error }).toEqual({ failed: true, error: 'ask-needed' })
    expect(answer.next).toContain('`ask`')
    const [pending] = (await owner.asks()).filter(({ caller }) => caller === 'app:first')
    expect(pending).toMatchObject({ state: 'pending', reason: 'to see what there is' })
    expect(answer.forThePerson).toBe(`valetkey asks allow ${pending?.id}`)

    const waiting = agent.call('ask', { account: 'openai', reason: 'to list the models', wait: 40 })
    await owner.decide(pending?.id ?? '', 'always')
    expect((await waiting).answer).toMatchObject({ ask: pending?.id, state: 'allowed' })
    expect((await agent.call('request', wanted)).answer).toMatchObject({ status: 200 })
  })

  it('is told no, and not to ask again', async () => {
    const agent = await keep(agentOverHttp(`${BASE}/mcp`, socket, { 'valetkey-as': 'app:second' }))
    const { answer } = await agent.call('ask', { account: 'openai', reason: 'to list the models' })
    await owner.decide(answer.ask, 'no')
    const told = await agent.call('ask', { ask: answer.ask, wait: 40 })
    expect(told.answer).toMatchObject({ state: 'refused', next: expect.stringContaining('said no') })
    expect((await agent.call('request', { account: 'openai', path: '/v1/models' })).failed).toBe(true)
  })
})

describe.each(['2025-11-25', '2026-07-28'])('an agent that speaks the revision of %s', (revision) => {
  const known = revision === '2025-11-25' ? undefined : revision

  it.each(['over stdio', 'over HTTP'])('is served %s', async (way) => {
    const agent = await keep(
      way === 'over stdio'
        ? agentOverStdio(home, [], known)
        : agentOverHttp(`${BASE}/mcp`, socket, {}, known),
    )
    expect(agent.client.getNegotiatedProtocolVersion()).toBe(revision)
    expect((await agent.client.listTools()).tools).toHaveLength(5)
    expect((await agent.call('accounts')).answer.accounts).toMatchObject([
      { account: 'openai' },
      { account: 'mirror' },
    ])
    const { failed, answer } = await agent.call('request', { account: 'openai', path: '/v1/models' })
    expect({ failed, status: answer.status }).toEqual({ failed: false, status: 200 })
  })
})

describe('a sign-in that an agent begins', () => {
  it('is a link for the person, and tells when it is done', async () => {
    const agent = await keep(agentOverHttp(`${BASE}/mcp`, socket))
    const { answer } = await agent.call('connect', { account: 'practice' })
    expect(answer).toMatchObject({
      account: 'practice',
      state: 'asking',
      open: expect.stringMatching(/^http/),
    })
    const waiting = agent.call('status', { session: answer.session, wait: 40 })
    const back = await visitorOf({ origin: new URL(answer.open) }).consent(new URL(answer.open))
    await fetch(back)
    expect((await waiting).answer).toMatchObject({ state: 'done', account: 'practice', status: 'connected' })

    const { answer: wish } = await agent.call('ask', { account: 'practice', reason: 'to see whose it is' })
    await owner.decide(wish.ask, 'ten-minutes')
    const me = await agent.call('request', { account: 'practice', path: '/me' })
    expect(me.answer).toMatchObject({ status: 200 })
    const { token }: Lent = await owner.lend({ address: 'practice' })
    expectNothingOf(token, agent)
    expect(agent.seen()).not.toMatch(/code_verifier|refresh_token/)
  })

  it('is looked at by nobody else', async () => {
    const agent = await keep(agentOverHttp(`${BASE}/mcp`, socket))
    const other = await keep(agentOverHttp(`${BASE}/mcp`, socket, { 'valetkey-as': 'app:other' }))
    const { answer } = await agent.call('connect', { account: 'practice' })
    const { failed, answer: refusal } = await other.call('status', { session: answer.session })
    expect({ failed, error: refusal.error }).toEqual({ failed: true, error: 'flow-not-found' })
  })
})

describe('/mcp', () => {
  const init = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
  const asMcp = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const post = { method: 'POST', headers: asMcp, body: JSON.stringify(init) }

  it('serves whoever shows a key on loopback, with what was cut for it', async () => {
    const { key, secret } = await cutKey('openai')
    const agent = await keep(
      agentOverHttp(new URL('/mcp', origin), fetch, { authorization: `Bearer ${secret}` }),
    )
    const { answer } = await agent.call('request', { account: 'openai', path: '/v1/models' })
    expect(answer).toMatchObject({ status: 200 })
    expect((await agent.call('connect', { account: 'practice' })).failed).toBe(true)
    await owner.endKey(key.id)
    await expect(agent.call('accounts')).rejects.toThrow()
    expect(agent.seen()).not.toContain(secret)
  })

  it('serves a sandbox at its own socket, as the sandbox', async () => {
    const { key } = await owner.narrow({ kind: 'socket', grants: [{ address: 'openai', may: ['forward'] }] })
    const agent = await keep(agentOverHttp(`${BASE}/mcp`, socketFetch(String(key.socket))))
    expect((await agent.call('accounts')).answer.accounts).toMatchObject([{ account: 'openai' }])
    const overStdio = await keep(
      agentOverStdio({ ...home, env: { ...home.env, VALETKEY_SOCKET: String(key.socket) } }),
    )
    expect((await overStdio.call('accounts')).answer.accounts).toMatchObject([{ account: 'openai' }])
    await owner.endKey(key.id)
  })

  it('[security 9.4] tells a stranger on loopback where to read what it takes to come in', async () => {
    const answer = await fetch(new URL('/mcp', origin), post)
    expect(answer.status).toBe(401)
    const where = new URL('/.well-known/oauth-protected-resource/mcp', origin)
    expect(answer.headers.get('www-authenticate')).toBe(`Bearer resource_metadata="${where}"`)
    expect(await (await fetch(where)).json()).toEqual({
      resource: new URL('/mcp', origin).href,
      resource_name: 'Valetkey',
      bearer_methods_supported: ['header'],
    })
  })

  it.each(['vk_nobody_nothing', canary('guess'), ''])(
    'takes no key that was never cut: "%s"',
    async (shown) => {
      const headers = { ...asMcp, authorization: `Bearer ${shown}` }
      const answer = await fetch(new URL('/mcp', origin), { ...post, headers })
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toContain('resource_metadata="')
      if (shown !== '') expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"')
    },
  )

  it('knows nobody by the cookie of the page', async () => {
    const cookie = await cookieOfPage()
    expect((await fetch(new URL('/api/accounts', origin), { headers: { cookie } })).status).toBe(200)
    expect((await fetch(new URL('/mcp', origin), { ...post, headers: { ...asMcp, cookie } })).status).toBe(
      401,
    )
  })

  it.each([
    ['a rebound name', { host: 'evil.test' }, 421],
    ['a rebound name with our port', { host: 'evil.test:PORT' }, 421],
    ['the page of another site', { origin: 'https://evil.test' }, 403],
    ['a sandboxed page', { origin: 'null' }, 403],
    ['another port of this computer', { origin: 'http://127.0.0.1:1' }, 403],
    ['a page of another site that hides where it is', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a form', { 'content-type': 'text/plain' }, 415],
  ])('[security 18.4] refuses %s, though it showed a good key', async (_, headers, status) => {
    const { key, secret } = await cutKey('openai')
    const shown = { ...asMcp, authorization: `Bearer ${secret}`, ...headers }
    const said = Object.entries(shown).map(
      ([name, value]) => [name, value.replace('PORT', origin.port)] as const,
    )
    expect(await statusOf(Object.fromEntries(said), JSON.stringify(init))).toBe(status)
    await owner.endKey(key.id)
  })

  it('keeps no sessions, so that there is none to be stolen', async () => {
    const answer = await socket(`${BASE}/mcp`, {
      ...post,
      headers: { ...asMcp, 'mcp-session-id': canary('stolen') },
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.has('mcp-session-id')).toBe(false)
    await answer.body?.cancel()
    for (const method of ['GET', 'DELETE'])
      expect((await socket(`${BASE}/mcp`, { method, headers: { accept: 'text/event-stream' } })).status).toBe(
        405,
      )
  })

  it('refuses what is too large before it is read', async () => {
    const body = JSON.stringify({ ...init, params: { _meta: { x: 'x'.repeat(5 * 1024 * 1024) } } })
    expect((await socket(`${BASE}/mcp`, { ...post, body })).status).toBe(413)
  })
})

/** By node's own client, which lets any name be said. */
async function statusOf(
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  const asked = httpRequest(new URL('/mcp', origin), { method: 'POST', headers }, (answer) => {
    answer.resume()
    resolve(answer.statusCode)
  })
  asked.once('error', reject)
  asked.end(body)
  return promise
}

async function cookieOfPage(): Promise<string> {
  const link = new URL((await home.run(['open', '--json'])).stdout.trim().match(/http[^"\s]+/)?.[0] ?? '')
  const code = link.hash.slice('#code='.length)
  const headers = { 'content-type': 'application/json' }
  const entered = await fetch(new URL('/api/session', origin), {
    method: 'POST',
    headers,
    body: JSON.stringify({ code }),
  })
  return entered.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

/** In none of the spellings in which it might have come out. */
function expectNothingOf(secret: string, agent: Agent): void {
  const bytes = Buffer.from(secret)
  const spellings = [secret, bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex')]
  for (const spelling of [...spellings, encodeURIComponent(secret)])
    expect(agent.seen()).not.toContain(spelling)
}
