import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FlowSession, RemoteDesk } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { visitorOf } from '../../src/practice/visitor.ts'
import { deskOver } from '../../src/reach.ts'
import { wherePaths } from '../../src/where.ts'
import { report } from '../figures.ts'
import type { Counts } from '../mcp/authorization-server.ts'
import { BIN, kill, type RealHome, realHome, until } from '../real.ts'

const CLIENTS = 20
const TOOL = 'SDK 2.x clients over stdio, real processes, oidc-provider'
const SERVER = fileURLToPath(new URL('../mcp/server-child.ts', import.meta.url))

let server: ChildProcess
let told: { readonly url: string; readonly issuer: string }
let home: RealHome
let desk: RemoteDesk['desk']

beforeAll(async () => {
  server = fork(SERVER, [], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  ;[told] = (await once(server, 'message')) as [typeof told]
  home = await realHome({ allow: [new URL(told.url).host, new URL(told.issuer).host] })
  home.start(['serve', '--no-page'])
  await until(home.holder)
  desk = deskOver(socketFetch(wherePaths(home).socket)).desk
})

afterAll(async () => {
  await home?.close()
  server?.kill('SIGKILL')
})

/** Tokens live so long from now on, or everything granted ends; says what was done at the server so far. */
async function letTokensLive(seconds: number | 'end'): Promise<{ counts: Counts; shown: readonly string[] }> {
  server.send(seconds)
  const [answer] = await once(server, 'message')
  return answer
}

const connectByLink = async () => signIn(await desk.connect({ provider: told.url }))

/** A person signs in, who says yes to everything. */
async function signIn({ id, step }: FlowSession): Promise<string> {
  if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
  const { url } = await visitorOf({ origin: new URL(told.issuer) }).open(new URL(step.url))
  await fetch(url)
  const { state, failure, account } = await desk.flow(id)
  if (state !== 'done') throw new Error(`the sign-in is ${state}: ${failure?.detail}`)
  return account?.providerId ?? ''
}

/** What the server says to this token. */
async function statusWith(token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return (await fetch(told.url, { method: 'POST', headers, body: '{}' })).status
}

function withOurs(headers: ConstructorParameters<typeof Headers>[0]): Headers {
  const all = new Headers(headers)
  all.set('valetkey-request', '1')
  return all
}

interface Bridged {
  readonly client: Client
  readonly pid: number
  /** All that came through the bridge. */
  readonly heard: string[]
}

async function bridged(address: string): Promise<Bridged> {
  const env = Object.fromEntries(Object.entries(home.env).map(([name, value]) => [name, value ?? '']))
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [BIN, 'mcp', address],
    env,
    stderr: 'pipe',
  })
  const heard: string[] = []
  transport.stderr?.on('data', (chunk: Buffer) => heard.push(chunk.toString()))
  const client = new Client({ name: 'agent', version: '1' })
  await client.connect(transport)
  const hear = transport.onmessage
  transport.onmessage = (message, ...more) => {
    heard.push(JSON.stringify(message))
    hear?.(message, ...more)
  }
  return { client, pid: transport.pid ?? 0, heard }
}

async function whoami({ client }: Bridged): Promise<unknown> {
  const { content } = await client.callTool({ name: 'whoami', arguments: {} })
  return content
}

async function seenOf({ pid, heard }: Bridged): Promise<string> {
  const [environ, argv] = await Promise.all(
    ['environ', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
  )
  return [environ, argv, ...heard].join('\n')
}

describe('an MCP server that is connected by its address', () => {
  it('is there for twenty clients at once when its token has expired, with one refresh and no token in any', async () => {
    await letTokensLive(3)
    const address = await connectByLink()
    expect(address).toBe('local-mcp')
    const { token } = await desk.lend({ address })
    // Nobody renews it ahead of time: whoever comes finds it expired, and no broker either.
    await kill((await home.holder()) ?? 0)
    await pause(3500)
    expect(await statusWith(token)).toBe(401)
    const before = await letTokensLive(3600)

    const all = await Promise.all(Array.from({ length: CLIENTS }, () => bridged(address)))
    const answers = await Promise.all(all.map(whoami))
    const seen = (await Promise.all(all.map(seenOf))).join('\n')
    const { counts, shown } = await letTokensLive(3600)
    await Promise.all(all.map(({ client }) => client.close()))

    const worn = shown.slice(before.shown.length)
    const tokens = [...new Set(worn.map((header) => header.replace('Bearer ', '')).filter(Boolean))]
    const refreshes = counts.refreshes - before.counts.refreshes
    const holding = tokens.filter(
      (token) => seen.includes(token) || seen.includes(token.split('.')[2] ?? token),
    )
    report('refreshes for an expired token, 20 MCP clients at once', refreshes, CLIENTS, TOOL)
    report('clients that were answered', answers.length, CLIENTS, TOOL)
    report('access tokens seen by a client', holding.length, CLIENTS, TOOL)
    expect(answers).toEqual(Array.from({ length: CLIENTS }, () => [{ type: 'text', text: 'ada' }]))
    expect({ refreshes, tokens: tokens.length, holding }).toEqual({ refreshes: 1, tokens: 1, holding: [] })
    expect(seen).toContain('ada')
  })

  it('[security 12.12] never sees a token that its client brings', async () => {
    const headers = { 'content-type': 'application/json', authorization: 'Bearer of-the-client' }
    await desk.forward({ address: 'local-mcp', method: 'POST', path: '/mcp', headers, body: '{}' })
    const { shown } = await letTokensLive(3600)
    expect(shown.at(-1)).toMatch(/^Bearer ey/)
    expect(shown).not.toContain('Bearer of-the-client')
  })

  it('is a server over HTTP as well, for whoever goes through the gateway', async () => {
    const there = new URL('http://valetkey/forward/local-mcp/default/mcp')
    const fetch = socketFetch(wherePaths(home).socket)
    const client = new Client({ name: 'agent', version: '1' })
    await client.connect(
      new StreamableHTTPClientTransport(there, {
        fetch: (url, init) => fetch(url, { ...init, headers: withOurs(init?.headers) }),
      }),
    )
    const { content } = await client.callTool({ name: 'whoami', arguments: {} })
    expect(content).toEqual([{ type: 'text', text: 'ada' }])
    await client.close()
  })

  it('tells its agent to have it connected again, and goes on once that is done', async () => {
    const agent = await bridged('local-mcp')
    await letTokensLive(1)
    await desk.refresh('local-mcp')
    await letTokensLive('end')
    await letTokensLive(3600)
    await pause(1200)
    await expect(whoami(agent)).rejects.toThrow(/needs-reauth: .*; run: valetkey reconnect local-mcp/)
    await signIn(await desk.reconnect('local-mcp'))
    expect(await whoami(agent)).toEqual([{ type: 'text', text: 'ada' }])

    await desk.revoke('local-mcp')
    await expect(whoami(agent)).rejects.toThrow(/not-connected: .*; run: valetkey connect local-mcp/)
    await agent.client.close()
  })
})
