import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import * as v2 from '@modelcontextprotocol/client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FlowSession, type RemoteDesk, ValetkeyError } from '#client'
import { mcpAuth, mcpBearer } from '../../src/doors/mcp/client.ts'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { visitorOf } from '../../src/practice/visitor.ts'
import { deskOver } from '../../src/reach.ts'
import { wherePaths } from '../../src/where.ts'
import { type NotesServer, openNotesServer } from '../mcp/server.ts'
import { type RealHome, realHome, until } from '../real.ts'

let server: NotesServer
let home: RealHome
let remote: RemoteDesk
let desk: RemoteDesk['desk']
let begun: FlowSession[]

beforeAll(async () => {
  server = await openNotesServer({ challenge: 'scope' })
  home = await realHome({ allow: [server.url.host, new URL(server.authorization.issuer).host] })
  home.start(['serve', '--no-page'])
  await until(home.holder)
  remote = deskOver(socketFetch(wherePaths(home).socket))
  desk = remote.desk
})

afterAll(async () => {
  await home?.close()
  await server?.close()
})

beforeEach(() => {
  begun = []
})

const show = (session: FlowSession) => void begun.push(session)

/** A person at a browser, who says yes to everything. */
async function signIn({ id, step }: FlowSession): Promise<string> {
  if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
  const issuer = new URL(server.authorization.issuer)
  await fetch((await visitorOf({ origin: issuer }).open(new URL(step.url))).url)
  const { state, account, failure } = await desk.flow(id)
  if (state !== 'done') throw new Error(`the sign-in is ${state}: ${failure?.detail}`)
  return account?.providerId ?? ''
}

type Options = NonNullable<ConstructorParameters<typeof v2.StreamableHTTPClientTransport>[1]>

async function connected(options: Options): Promise<v2.Client> {
  const client = new v2.Client({ name: 'a program', version: '1.0.0' })
  await client.connect(new v2.StreamableHTTPClientTransport(server.url, options))
  return client
}

async function call(client: v2.Client, name: string, args = {}): Promise<unknown> {
  return (await client.callTool({ name, arguments: args })).content
}

async function refusal(promise: Promise<unknown>): Promise<ValetkeyError> {
  const error = await promise.catch((thrown: unknown) => thrown)
  // A library may wrap what it was told.
  for (let each = error; each instanceof Error; each = each.cause as Error)
    if (each instanceof ValetkeyError) return each
  throw new Error('it was not refused by us', { cause: error })
}

describe('a program that uses an MCP server through Valetkey', () => {
  let address: string

  beforeAll(async () => {
    address = await signIn(await desk.connect({ provider: server.url.href }))
  })

  it('needs an account and its address, and never holds a refresh token', async () => {
    const auth = mcpAuth(desk, address) satisfies v2.OAuthClientProvider
    const client = await connected({ authProvider: auth })
    expect(await call(client, 'whoami')).toMatchObject([{ type: 'text' }])
    await client.close()
    const held = await auth.tokens()
    expect(Object.keys(held ?? {}).sort()).toEqual([
      'access_token',
      'expires_in',
      'issuer',
      'scope',
      'token_type',
    ])
    expect(server.shown.at(-1)).toBe(`Bearer ${held?.access_token}`)
  })

  it('serves the second version of the library in its short form as well', async () => {
    const client = await connected({ authProvider: mcpBearer(desk, address) satisfies v2.AuthProvider })
    expect(await call(client, 'whoami')).toMatchObject([{ type: 'text' }])
    await client.close()
  })

  it('has another token lent when the server refuses the one it had, and sends the request again', async () => {
    const { token, fields } = await desk.lend({ address })
    expect(Object.keys(fields)).toEqual(['accessToken'])
    let refused = 0
    // The server has forgotten what it issued, and says so once.
    const forgetful: v2.FetchLike = async (url, init) => {
      const header = new Headers(init?.headers).get('authorization')
      if (header !== `Bearer ${token}`) return fetch(url, init)
      refused += 1
      return Response.json(
        { error: 'invalid_token' },
        { status: 401, headers: { 'www-authenticate': 'Bearer' } },
      )
    }
    const wary = { ...desk, lend: renewing(desk.lend) }
    const client = await connected({ authProvider: mcpBearer(wary, address), fetch: forgetful })
    expect(await call(client, 'whoami')).toMatchObject([{ type: 'text' }])
    expect(refused).toBe(1)
    await client.close()
  })

  it('says that it was renewed where the library does not send it again by itself', async () => {
    const wary = { ...desk, lend: renewing(desk.lend) }
    const { token } = await desk.lend({ address })
    const forgetful: v2.FetchLike = async (url, init) =>
      new Headers(init?.headers).get('authorization') === `Bearer ${token}`
        ? new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer' } })
        : fetch(url, init)
    const options = { authProvider: mcpAuth(wary, address, { show }), fetch: forgetful }
    expect(await refusal(connected(options))).toMatchObject({
      code: 'invalid-token',
      hint: 'send the request again',
    })
    expect(begun).toEqual([])
    const client = await connected(options)
    expect(await call(client, 'whoami')).toMatchObject([{ type: 'text' }])
    await client.close()
  })

  it('never lets the library go a way of its own', async () => {
    const auth = mcpAuth(desk, address)
    const asked: string[] = []
    const watching: v2.FetchLike = async (url, init) => {
      asked.push(String(url))
      return fetch(url, init)
    }
    const client = await connected({ authProvider: auth, fetch: watching })
    const transport = new v2.StreamableHTTPClientTransport(server.url, {
      authProvider: auth,
      fetch: watching,
    })
    await expect(transport.finishAuth(new URLSearchParams({ code: 'theirs' }))).rejects.toThrow()
    expect(() => auth.codeVerifier()).toThrow('comes back to valetkey')
    await client.close()
    expect(new Set(asked)).toEqual(new Set([server.url.href]))
  })

  it('begins the sign-in again for what is over, and goes on once a person has done it', async () => {
    await desk.revoke(address)
    const options = { authProvider: mcpAuth(desk, address, { show }) }
    const told = await refusal(connected(options))
    expect(told).toMatchObject({
      code: 'needs-reauth',
      message: `${address} has to be signed in to first, for notes:read`,
    })
    expect(told.hint).toMatch(/^open http:\/\/127\.0\.0\.1.* and try again when you are done$/)
    expect(begun).toHaveLength(1)
    const [session] = begun
    if (session) await signIn(session)
    const client = await connected(options)
    expect(await call(client, 'whoami')).toMatchObject([{ type: 'text' }])
    await client.close()
  })

  it('may do what it was let do only', async () => {
    const { desk: other } = deskOver(socketFetch(wherePaths(home).socket), 'app:nobody')
    expect(await refusal(connected({ authProvider: mcpAuth(other, address, { show }) }))).toMatchObject({
      code: 'not-connected',
    })
    expect(begun).toEqual([])
  })

  it('holds no token at all where its requests are forwarded', async () => {
    const said: Headers[] = []
    const forward = remote.fetchAs(address)
    const fetch: v2.FetchLike = (url, init) => {
      said.push(new Headers(init?.headers))
      return forward(url, init)
    }
    const client = await connected({ fetch })
    expect(await call(client, 'whoami')).toMatchObject([{ type: 'text' }])
    expect(said.some((headers) => headers.has('authorization'))).toBe(false)
    expect(server.shown.at(-1)).toMatch(/^Bearer ./)
    await client.close()
  })

  it('gets more scopes, and keeps those it had, by one more sign-in', async () => {
    const fetch = remote.fetchAs(address)
    const client = await connected({ fetch, authProvider: mcpAuth(desk, address, { show }) })
    const told = await refusal(call(client, 'add-note', { note: 'one' }))
    expect(told.message).toContain('notes:write')
    const [session] = begun
    const asked = session?.step?.ask === 'visit' ? new URL(session.step.url).searchParams.get('scope') : ''
    expect(asked?.split(' ')).toEqual(expect.arrayContaining(['notes:read', 'notes:write']))
    if (session) await signIn(session)
    expect(await call(client, 'add-note', { note: 'two' })).toEqual([{ type: 'text', text: 'noted: two' }])
    await client.close()
  })

  it('is served with the first version of the library too', async () => {
    const { Client } = await v1('client/index.js')
    const { StreamableHTTPClientTransport } = await v1('client/streamableHttp.js')
    const begin = async () => {
      const client = new Client({ name: 'an older program', version: '1.0.0' })
      await client.connect(
        new StreamableHTTPClientTransport(server.url, { authProvider: mcpAuth(desk, address, { show }) }),
      )
      return client
    }
    const client = await begin()
    const { content } = await client.callTool({ name: 'whoami', arguments: {} })
    expect(content).toMatchObject([{ type: 'text' }])
    await client.close()
    await desk.revoke(address)
    expect(await refusal(begin())).toMatchObject({ code: 'needs-reauth' })
    expect(begun).toHaveLength(1)
  })
})

/** It came along with the conformance suite, and nobody else has a use for it here. */
// biome-ignore lint/suspicious/noExplicitAny: it is not a dependency of ours, so nobody knows its types
async function v1(path: string): Promise<any> {
  const require = createRequire(
    new URL('../../node_modules/@modelcontextprotocol/conformance/dist/', import.meta.url),
  )
  return import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${path}`)).href)
}

/** As if what was refused had been issued a while ago: only then another one is had for it. */
function renewing(lend: RemoteDesk['desk']['lend']): RemoteDesk['desk']['lend'] {
  return async ({ refused, ...request }) => {
    if (refused !== undefined) await desk.refresh(request.address)
    return lend(request)
  }
}
