import { describe, expect, it } from 'vitest'
import type { Network } from '../model/network.ts'
import { askResource } from './protected-resource.ts'

const SERVER = 'https://mcp.acme.test/v1/mcp'
const EXACT = 'https://mcp.acme.test/.well-known/oauth-protected-resource/v1/mcp'
const ROOT = 'https://mcp.acme.test/.well-known/oauth-protected-resource'
const ISSUER = 'https://as.acme.test'

type Answers = Readonly<Record<string, (() => Response) | undefined>>

function world(answers: Answers) {
  const asked: string[] = []
  const network: Network = {
    fetch: async (url) => {
      asked.push(url.href)
      return answers[url.href]?.() ?? new Response('nothing', { status: 404 })
    },
    close: async () => {},
  }
  const ask = (known?: string, server = SERVER) =>
    askResource(network, new URL(server), { now: () => new Date(0), known })
  return { asked, ask }
}

const challenged =
  (words = 'Bearer') =>
  () =>
    new Response('', { status: 401, headers: { 'www-authenticate': words } })
const document =
  (resource: string, more: object = {}) =>
  () =>
    Response.json({ resource, authorization_servers: [ISSUER], ...more })

describe('[security 12.1] the metadata of a resource', () => {
  it('are those that its challenge names, and no others', async () => {
    const at = 'https://elsewhere.acme.test/meta.json'
    const { asked, ask } = world({
      [SERVER]: challenged(`Bearer resource_metadata="${at}"`),
      [at]: document(SERVER),
      [EXACT]: document(SERVER, { authorization_servers: ['https://other.test'] }),
    })
    expect(await ask()).toMatchObject({ resource: SERVER, issuer: ISSUER })
    expect(asked).toEqual([SERVER, at])
  })

  it('are looked for at the path first, then at the root', async () => {
    const first = world({ [SERVER]: challenged(), [EXACT]: document(SERVER) })
    await first.ask()
    expect(first.asked).toEqual([SERVER, EXACT])
    const second = world({ [SERVER]: challenged(), [ROOT]: document('https://mcp.acme.test') })
    expect(await second.ask()).toMatchObject({ resource: 'https://mcp.acme.test' })
    expect(second.asked).toEqual([SERVER, EXACT, ROOT])
  })

  it('are not replaced by others where the named ones are missing', async () => {
    const { ask } = world({
      [SERVER]: challenged('Bearer resource_metadata="https://mcp.acme.test/gone"'),
      [EXACT]: document(SERVER),
    })
    await expect(ask()).rejects.toMatchObject({ code: 'provider-not-configured' })
  })

  it('[security 9.4] must be those of this very resource', async () => {
    for (const other of [
      'https://mcp.acme.test/v1',
      'https://mcp.acme.test/v1/mcp2',
      'https://mcp.acme.test/V1/mcp',
      'https://evil.test/v1/mcp',
      'https://mcp.acme.test:8443/v1/mcp',
      'https://user@mcp.acme.test/v1/mcp',
      `${SERVER}#x`,
      'not an address',
    ])
      await expect(world({ [SERVER]: challenged(), [EXACT]: document(other) }).ask(), other).rejects.toThrow(
        'another resource',
      )
    await expect(world({ [SERVER]: challenged(), [ROOT]: document(SERVER) }).ask()).rejects.toThrow(
      'another resource',
    )
  })

  it('may be named with a slash at the end or without', async () => {
    const { ask } = world({ [SERVER]: challenged(), [EXACT]: document(`${SERVER}/`) })
    expect((await ask()).resource).toBe(`${SERVER}/`)
  })

  it.each([
    ['http://mcp.acme.test/meta', 'over https'],
    ['file:///etc/passwd', 'over https'],
  ])('are not fetched from %s', async (at, words) => {
    const { asked, ask } = world({ [SERVER]: challenged(`Bearer resource_metadata="${at}"`) })
    await expect(ask()).rejects.toThrow(words)
    expect(asked).toEqual([SERVER])
  })

  it.each([
    [{ authorization_servers: [] }, 'no authorization server'],
    [{ authorization_servers: ['http://as.acme.test'] }, 'over https'],
    [{ authorization_servers: ['javascript:alert(1)'] }, 'over https'],
    [{ authorization_servers: 'x' }, 'no usable authorization_servers'],
  ])('are refused with %o', async (more, words) => {
    await expect(world({ [SERVER]: challenged(), [EXACT]: document(SERVER, more) }).ask()).rejects.toThrow(
      words,
    )
  })
})

describe('the authorization server of a resource', () => {
  it('is the one that is known already, where the resource still names it', async () => {
    const authorization_servers = ['https://first.test', 'https://second.test']
    const answers = { [SERVER]: challenged(), [EXACT]: document(SERVER, { authorization_servers }) }
    expect((await world(answers).ask('https://second.test')).issuer).toBe('https://second.test')
    expect((await world(answers).ask('https://third.test')).issuer).toBe('https://first.test')
  })
})

describe('[security 12.5] what is asked for', () => {
  const scopes_supported = ['a', 'b', 'bad"scope']

  it('is what the challenge says', async () => {
    const { ask } = world({
      [SERVER]: challenged('Bearer scope="c d c"'),
      [EXACT]: document(SERVER, { scopes_supported }),
    })
    expect((await ask()).scopes).toEqual(['c', 'd'])
  })

  it('else all that is supported, else nothing', async () => {
    const all = world({ [SERVER]: challenged(), [EXACT]: document(SERVER, { scopes_supported }) })
    expect((await all.ask()).scopes).toEqual(['a', 'b'])
    const none = world({ [SERVER]: challenged(), [EXACT]: document(SERVER) })
    expect((await none.ask()).scopes).toEqual([])
  })
})

describe('what is no MCP server that is signed in to', () => {
  const rpc = JSON.stringify({ jsonrpc: '2.0', id: 'hello', result: {} })

  it.each([
    [
      () => new Response('<html>', { headers: { 'content-type': 'text/html' } }),
      'it answers 200 with text/html',
    ],
    [() => new Response('', { status: 404 }), 'it answers 404 with text/plain, which is no MCP server'],
    [() => new Response('', { status: 401 }), 'it answers 401 and does not say where one signs in'],
    [() => new Response(rpc), 'an MCP server that asks for no sign-in'],
    [() => new Response(`event: message\ndata: ${rpc}\n\n`), 'an MCP server that asks for no sign-in'],
    [() => new Response('', { status: 302, headers: { location: 'https://x.test' } }), 'it answers 302'],
  ])('is told by what was found (%#)', async (answer, words) => {
    await expect(world({ [SERVER]: answer }).ask()).rejects.toThrow(words)
  })

  it('may be one that passes by itself', async () => {
    const down = () => new Response('', { status: 503 })
    await expect(world({ [SERVER]: down }).ask()).rejects.toMatchObject({ code: 'server-error' })
  })

  it('is not taken for one because it lets everybody greet it', async () => {
    const { ask } = world({ [SERVER]: () => new Response(rpc), [EXACT]: document(SERVER) })
    expect((await ask()).issuer).toBe(ISSUER)
  })
})
