import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Account } from '../../src/model/words.ts'
import { visitorOf } from '../../src/practice/visitor.ts'
import { openTestHouse, refusal, type TestHouse } from '../house.ts'
import { type AuthorizationServer, openAuthorizationServer } from '../mcp/authorization-server.ts'
import { type NotesOptions, type NotesServer, openNotesServer } from '../mcp/server.ts'

let server: NotesServer
let other: AuthorizationServer | undefined
let house: TestHouse

afterEach(async () => {
  await house?.close()
  await server?.close()
  await other?.close()
  other = undefined
})

/** A real MCP server with its real authorization server, and a house that may reach both. */
async function opened(
  options: NotesOptions = {},
  more: { readonly withOther?: boolean } = {},
): Promise<void> {
  server = await openNotesServer(options)
  if (more.withOther) other = await openAuthorizationServer()
  const allow = [server.url.host, server.authorization.origin.host, ...(other ? [other.origin.host] : [])]
  house = await openTestHouse({ config: { allow }, start: new Date() })
}

type Begun = Awaited<ReturnType<TestHouse['owner']['connect']>>

/** The person says yes to whatever is asked. */
async function finish({ id, step }: Begun): Promise<Account> {
  if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
  const { url } = await visitorOf({ origin: new URL(step.url.origin) }).open(step.url)
  await fetch(url)
  const { state, failure, account } = await house.owner.flow(id)
  if (state !== 'done' || account === null) throw new Error(`the sign-in is ${state}: ${failure?.detail}`)
  return account
}

const connected = async () => finish(await house.owner.connect({ provider: server.url.href }))

async function call(tool: string, args: object = {}) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const params = { name: tool, arguments: args }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
  const answer = await house.owner.forward({
    address: 'local-mcp',
    method: 'POST',
    path: '/mcp',
    headers,
    body,
  })
  const said = Object.fromEntries(answer.headers.map(([name, value]) => [name.toLowerCase(), value]))
  return {
    status: answer.status,
    retry: said['valetkey-retry'],
    text: await new Response(answer.body).text(),
  }
}

const asked = (at: string) =>
  server.authorization.counts.asked.filter((one) => one.at === at).map(({ params }) => params)

const fileOf = async (id = 'local-mcp') => {
  const path = join(house.home, 'config', 'providers', `${id}.json`)
  return { mode: (await stat(path)).mode & 0o777, file: JSON.parse(await readFile(path, 'utf8')) }
}

describe('an MCP server that is connected by its address', () => {
  it.each(['metadata', 'scope', 'nothing'] as const)(
    'is used where its challenge says %s',
    async (challenge) => {
      await opened({ challenge })
      expect(await connected()).toMatchObject({ providerId: 'local-mcp', status: 'connected' })
      expect(await call('whoami')).toMatchObject({ status: 200, text: expect.stringContaining('ada') })
    },
  )

  it.each(['/', '/api/mcp'])('is reached by /mcp though it is at %s', async (path) => {
    await opened({ path })
    await connected()
    expect(await call('whoami')).toMatchObject({ status: 200 })
  })

  it('is written down for its owner alone, known at once, and still known later', async () => {
    await opened()
    await connected()
    const { mode, file } = await fileOf()
    expect(mode).toBe(0o600)
    expect(file).toMatchObject({
      hosts: [server.url.host],
      mcp: '/mcp',
      oauth: { resource: server.url.href },
    })
    const known = async () => (await house.owner.providers()).find(({ id }) => id === 'local-mcp')
    expect(await known()).toMatchObject({ from: 'yours', needs: 'nothing' })
    await house.meanwhile(() => {})
    expect(await known()).toMatchObject({ hosts: [server.url.host] })
    expect(await call('whoami')).toMatchObject({ status: 200 })
  })

  it('is one provider, however often its address is given', async () => {
    await opened()
    await connected()
    const again = house.owner.connect({ provider: server.url.href })
    expect(await refusal(again)).toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('reconnect'),
    })
    await finish(await house.owner.connect({ provider: server.url.href, bucket: 'work' }))
    const addresses = (await house.owner.accounts()).map(
      ({ providerId, bucket }) => `${providerId}/${bucket}`,
    )
    expect(addresses.sort()).toEqual(['local-mcp/default', 'local-mcp/work'])
  })

  it('is on record as a provider that was added', async () => {
    await opened()
    await connected()
    const [entry] = await house.owner.audit({ verb: 'add-provider' })
    expect(entry).toMatchObject({ target: 'local-mcp', outcome: 'done', caller: 'person:owner' })
  })

  it('is nobody’s but the owner’s to add', async () => {
    await opened()
    const wish = house.as('app:agent').connect({ provider: server.url.href })
    expect(await refusal(wish)).toMatchObject({ code: 'not-allowed' })
    await expect(fileOf()).rejects.toThrow('ENOENT')
  })
})

describe('what is asked of its authorization server', () => {
  it('[security 12.4] names the resource in every request', async () => {
    await opened()
    await connected()
    await house.owner.refresh('local-mcp')
    const all = [...asked('authorization'), ...asked('token')]
    expect(all.map(({ grant_type: type, resource }) => [type, resource])).toEqual([
      [undefined, server.url.href],
      ['authorization_code', server.url.href],
      ['refresh_token', server.url.href],
    ])
  })

  it('[security 12.3] proves itself with S256', async () => {
    await opened()
    await connected()
    expect(asked('authorization')).toMatchObject([{ code_challenge_method: 'S256' }])
  })

  it('[security 12.5] [security 12.9] are the scopes of the challenge, or those it supports, and offline access', async () => {
    await opened({ challenge: 'scope' })
    await connected()
    expect(asked('authorization')).toMatchObject([{ scope: 'notes:read offline_access', prompt: 'consent' }])
  })

  it('[security 12.6] is a native client of ours where there is none yet', async () => {
    await opened()
    await connected()
    await finish(await house.owner.connect({ provider: 'local-mcp', bucket: 'work' }))
    expect(asked('registration')).toMatchObject([{ application_type: 'native' }])
    expect(await house.owner.registrations()).toMatchObject([{ how: 'dynamic' }])
  })
})

describe('[security 12.5] a server that wants more than was granted', () => {
  it('has the account ask for the union, once its owner connects it again', async () => {
    await opened()
    await connected()
    const refused = await call('add-note', { note: 'x' })
    expect(refused).toMatchObject({ status: 403, retry: 'missing-scopes' })
    const [account] = await house.owner.accounts()
    expect(account).toMatchObject({ status: 'connected', warnings: ['missing-scopes'] })

    expect((await house.owner.audit({ verb: 'add-provider' }))[0]).toMatchObject({
      caller: 'person:owner',
      proof: expect.stringContaining('broker'),
      target: 'local-mcp',
      detail: 'it asks for notes:write',
    })

    await finish(await house.owner.reconnect('local-mcp'))
    expect(asked('authorization').at(-1)?.['scope']).toBe('notes:read notes:write offline_access')
    expect(await call('add-note', { note: 'x' })).toMatchObject({ status: 200 })
    expect((await house.owner.accounts())[0]).toMatchObject({ warnings: [] })
  })

  it('is not asked for more than once what it refuses although it was granted', async () => {
    await opened({ neverEnough: true })
    await connected()
    expect(await call('add-note', { note: 'x' })).toMatchObject({ retry: 'missing-scopes' })
    await finish(await house.owner.reconnect('local-mcp'))
    const again = await call('add-note', { note: 'x' })
    expect(again.status).toBe(403)
    expect(again.retry).toBeUndefined()
  })
})

describe('[security 12.7] a server that trusts another issuer from now on', () => {
  it('gets no token of the one before, and a client of its own', async () => {
    await opened({}, { withOther: true })
    await connected()
    if (other === undefined) throw new Error('there is no other')
    const first = server.authorization
    server.moveTo(other)
    expect(await call('whoami')).toMatchObject({ status: 401, retry: 'refused-again' })
    const [noted] = await house.owner.audit({ verb: 'add-provider' })
    expect(noted).toMatchObject({ detail: `it is signed in to at ${other.issuer} now` })
    const before = server.shown.length
    expect(await refusal(call('whoami'))).toMatchObject({
      code: 'host-not-allowed',
      hint: expect.stringContaining('valetkey reconnect local-mcp'),
    })
    expect(server.shown).toHaveLength(before)

    await finish(await house.owner.reconnect('local-mcp'))
    expect(await call('whoami')).toMatchObject({ status: 200 })
    expect(other.counts).toMatchObject({ registrations: 1, codes: 1 })
    expect(first.counts).toMatchObject({ registrations: 1, codes: 1 })
    const clients = await house.owner.registrations()
    expect(clients.map(({ issuer }) => issuer).sort()).toEqual([first.issuer, other.issuer].sort())
  })
})
