import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { type HostileServer, hostileServer, type Script } from '../../testing/hostile-server.ts'
import { type ListeningStandIn, type StandInAnswer, standIn } from '../../testing/stand-in.ts'

const METADATA = 'GET /.well-known/oauth-protected-resource/mcp'

let house: TestHouse
let authorization: HostileServer
let server: ListeningStandIn

afterEach(async () => {
  await house?.close()
  await authorization?.close()
  await server?.close()
})

interface World {
  readonly path?: string
  readonly script?: Script
  /** What the server says of itself instead. */
  readonly metadata?: (honest: object) => StandInAnswer
  readonly greeting?: StandInAnswer | (() => StandInAnswer)
  readonly config?: object
  readonly allow?: readonly string[]
}

/** A server that asks for a sign-in, and an authorization server that does what it is told. */
async function opened({ path = '', script = {}, config = {}, ...world }: World = {}): Promise<string> {
  authorization = await hostileServer({ path })
  authorization.play(script)
  const challenge = { status: 401, headers: { 'www-authenticate': 'Bearer scope="notes"' } }
  server = await standIn({
    'POST /mcp': world.greeting ?? challenge,
    [METADATA]: () => {
      const honest = { resource: `${server.origin}/mcp`, authorization_servers: [authorization.issuer] }
      return world.metadata?.(honest) ?? { body: honest }
    },
    'GET /client.json': () => ({
      body: {
        client_id: `${server.origin}/client.json`,
        client_name: 'Valetkey',
        redirect_uris: ['http://127.0.0.1/callback/document'],
      },
    }),
  }).listen()
  const allow = world.allow ?? [server.origin, authorization.issuer].map((link) => new URL(link).host)
  const document = 'clientDocument' in config ? { clientDocument: `${server.origin}/client.json` } : {}
  house = await openTestHouse({ config: { allow, ...config, ...document }, start: new Date() })
  return `${server.origin}/mcp`
}

const connect = (provider: string, more: object = {}) => house.owner.connect({ provider, ...more })

async function visited(provider: string): Promise<URL> {
  const { step } = await connect(provider)
  if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
  return step.url
}

const askedAt = (path: string) => authorization.requests.filter((one) => one.path === path)
const files = () => readdir(join(house.home, 'config', 'providers'))

const withDocuments: Script = {
  metadata: (honest) => ({ body: { ...honest, client_id_metadata_document_supported: true } }),
}

describe('[security 12.2] the metadata of an authorization server', () => {
  it('are looked for in three places where its issuer has a path', async () => {
    const link = await opened({
      path: '/tenant',
      script: {
        metadata: (honest, { path }) =>
          path === '/tenant/.well-known/openid-configuration' ? { body: honest } : { status: 404 },
      },
    })
    await visited(link)
    const places = authorization.requests
      .map(({ path }) => path)
      .filter((path) => path.includes('well-known'))
    expect([...new Set(places)]).toEqual([
      '/.well-known/oauth-authorization-server/tenant',
      '/.well-known/openid-configuration/tenant',
      '/tenant/.well-known/openid-configuration',
    ])
  })

  it('are looked for in two where it has none', async () => {
    const script: Script = {
      metadata: (honest, { path }) => (path.includes('openid') ? { body: honest } : { status: 404 }),
    }
    await visited(await opened({ script }))
    const places = authorization.requests
      .map(({ path }) => path)
      .filter((path) => path.includes('well-known'))
    expect([...new Set(places)]).toEqual([
      '/.well-known/oauth-authorization-server',
      '/.well-known/openid-configuration',
    ])
  })

  it('are refused where they are another issuer’s', async () => {
    const script: Script = { metadata: (honest) => ({ body: { ...honest, issuer: 'https://evil.test' } }) }
    expect(await refusal(visited(await opened({ script })))).toMatchObject({
      code: 'provider-not-configured',
    })
  })

  it.each([
    ['nothing of it', undefined],
    ['plain alone', ['plain']],
  ])(
    '[security 12.3] are refused where they promise no PKCE: %s, before a client is registered',
    async (_, methods) => {
      const script: Script = {
        metadata: (honest) => ({ body: { ...honest, code_challenge_methods_supported: methods } }),
      }
      expect(await refusal(visited(await opened({ script })))).toMatchObject({
        code: 'provider-not-configured',
        message: expect.stringContaining('PKCE'),
      })
      expect(askedAt('/register')).toEqual([])
    },
  )

  it.each([
    'http://as.acme.test/authorize',
    'javascript:alert(1)',
    'file:///bin/sh',
    'http://127.0.0.1.evil.test/',
  ])('[security 12.10] are refused where they would send the person to %s', async (link) => {
    const script: Script = { metadata: (honest) => ({ body: { ...honest, authorization_endpoint: link } }) }
    expect(await refusal(visited(await opened({ script })))).toMatchObject({
      code: 'provider-not-configured',
    })
  })
})

describe('[security 12.6] our client at a server', () => {
  it('is one of the person’s own, before any other', async () => {
    const link = await opened({ script: withDocuments, config: { clientDocument: '' } })
    const { id } = await connect(link)
    await house.owner.cancel(id)
    await house.owner.register({ provider: 'local-mcp', clientId: 'mine', insist: true })
    expect((await visited(link)).searchParams.get('client_id')).toBe('mine')
    expect(askedAt('/register')).toEqual([])
  })

  it('[security 12.8] is the document of the operator, where the server takes one', async () => {
    const link = await opened({ script: withDocuments, config: { clientDocument: '' } })
    const url = await visited(link)
    expect(url.searchParams.get('client_id')).toBe(`${server.origin}/client.json`)
    expect(new URL(url.searchParams.get('redirect_uri') ?? '').pathname).toBe('/callback/document')
    expect(await house.owner.registrations()).toMatchObject([{ how: 'metadata-document' }])
    expect(askedAt('/register')).toEqual([])
  })

  it('is registered on the spot where the server takes no documents', async () => {
    const link = await opened({ config: { clientDocument: '' } })
    await visited(link)
    expect(await house.owner.registrations()).toMatchObject([{ how: 'dynamic' }])
    const [wish] = askedAt('/register')
    expect(JSON.parse(String(await wish?.body))).toMatchObject({ application_type: 'native' })
  })

  it('is asked for where the server registers nobody', async () => {
    const script: Script = {
      metadata: (honest) => ({ body: { ...honest, registration_endpoint: undefined } }),
    }
    expect(await refusal(visited(await opened({ script })))).toMatchObject({
      code: 'provider-not-configured',
      hint: 'valetkey register local-mcp --client-id … --secret-stdin < secret.txt',
    })
  })
})

describe('[security 12.9] offline access', () => {
  it('is not asked for where the server does not list it', async () => {
    const script: Script = { metadata: (honest) => ({ body: { ...honest, scopes_supported: ['notes'] } }) }
    expect((await visited(await opened({ script }))).searchParams.get('scope')).toBe('notes')
  })

  it('is not asked for where the server lists nothing', async () => {
    const script: Script = { metadata: (honest) => ({ body: { ...honest, scopes_supported: undefined } }) }
    expect((await visited(await opened({ script }))).searchParams.get('scope')).toBe('notes')
  })
})

describe('[security 6.2] the answer that a browser brings', () => {
  it.each([
    ['names another issuer', (answer: URLSearchParams) => answer.set('iss', 'https://evil.test')],
    ['names none, though it always does', (answer: URLSearchParams) => answer.delete('iss')],
  ])('is not acted on where it %s', async (_, callback) => {
    const link = await opened({ script: { callback } })
    const { id, step } = await connect(link)
    if (step?.ask !== 'visit') throw new Error('nobody is sent anywhere')
    const { status } = await fetch(await authorization.consent(step.url))
    expect(status).toBe(400)
    expect(authorization.forms).toEqual([])
    expect((await house.owner.flow(id)).account).toBeNull()
  })
})

describe('[security 12.12] an address that a document names', () => {
  it('is not gone to where it is on this computer and nobody opened it', async () => {
    const link = await opened({ allow: [] })
    expect(await refusal(connect(link))).toMatchObject({ code: 'host-not-allowed' })
    expect(server.requests).toEqual([])
  })

  it.each(['https://169.254.169.254/latest', 'https://[::1]:9/x', 'https://10.0.0.1/x', 'https://0/x'])(
    'is not gone to for metadata: %s',
    async (at) => {
      const words = `Bearer resource_metadata="${at}"`
      const link = await opened({ greeting: { status: 401, headers: { 'www-authenticate': words } } })
      expect(await refusal(connect(link))).toMatchObject({ code: 'host-not-allowed' })
    },
  )

  it('is not gone to for an authorization server', async () => {
    const link = await opened({
      metadata: (honest) => ({ body: { ...honest, authorization_servers: ['https://169.254.169.254'] } }),
    })
    expect(await refusal(visited(link))).toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringContaining('oauth.issuer must be a public host name'),
    })
    expect(await files()).toEqual([])
  })

  it('is not followed to another one', async () => {
    const link = await opened({
      metadata: () => ({ status: 302, headers: { location: 'http://169.254.169.254/' } }),
    })
    expect(await refusal(connect(link))).toMatchObject({ code: 'provider-not-configured' })
    expect(await files()).toEqual([])
  })
})

describe('[security 12.5] what is asked for', () => {
  it('is the union of what was ever asked for', async () => {
    let scope = 'notes'
    const greeting = () => ({ status: 401, headers: { 'www-authenticate': `Bearer scope="${scope}"` } })
    const link = await opened({ greeting })
    const asked = async () => (await visited(link)).searchParams.get('scope')
    expect(await asked()).toBe('notes offline_access')
    scope = 'more'
    expect(await asked()).toBe('notes more offline_access')
    scope = 'notes'
    expect(await asked()).toBe('notes more offline_access')
  })
})

const BEARER_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag'
const knowing = (more: object): Script => ({ metadata: (honest) => ({ body: { ...honest, ...more } }) })

describe('the word of an identity provider', () => {
  const flows = async () => (await house.owner.providers()).find(({ id }) => id === 'local-mcp')?.flows

  it.each<[string, object, boolean]>([
    ['by its profile', { authorization_grant_profiles_supported: [PROFILE] }, true],
    ['by its grant alone', { grant_types_supported: ['authorization_code', BEARER_GRANT] }, true],
    [
      'for another profile',
      { grant_types_supported: [BEARER_GRANT], authorization_grant_profiles_supported: [] },
      false,
    ],
    ['not at all', { grant_types_supported: ['authorization_code'] }, false],
  ])('is a way in where the server says that it takes it: %s', async (_, more, isTaken) => {
    await visited(await opened({ script: knowing(more) }))
    expect((await flows())?.includes('id-jag')).toBe(isTaken)
  })

  it('is one as soon as the server takes it and it is asked for', async () => {
    const link = await opened()
    await visited(link)
    expect(await refusal(connect(link, { flow: 'id-jag' }))).toMatchObject({ code: 'unknown-flow' })
    authorization.play(knowing({ grant_types_supported: [BEARER_GRANT] }))
    const { step } = await connect(link, { flow: 'id-jag' })
    expect(step).toMatchObject({ ask: 'fill', fields: [{ name: 'from' }] })
  })
})

describe('a provider by its address', () => {
  it('is called as the person wishes', async () => {
    const { id } = await connect(await opened(), { as: 'notes', bucket: 'work' })
    expect(await house.owner.flow(id)).toMatchObject({ provider: 'notes', bucket: 'work' })
    expect(await files()).toEqual(['notes.json'])
  })

  it.each(['openai', 'github'])('never takes the name %s, which comes with valetkey', async (as) => {
    const link = await opened()
    expect(await refusal(connect(link, { as }))).toMatchObject({ code: 'conflict' })
    expect(await files()).toEqual([])
  })

  it.each(['Not a name', 'a/b', '../up', '', 'ünicode'])('is not called %j', async (as) => {
    const link = await opened()
    expect(await refusal(connect(link, { as }))).toMatchObject({ code: 'invalid-request' })
  })

  it('is not called another name the second time', async () => {
    const link = await opened()
    await connect(link)
    expect(await refusal(connect(link, { as: 'notes' }))).toMatchObject({
      code: 'conflict',
      hint: 'valetkey connect local-mcp/notes connects another account there',
    })
  })

  it('is made once, however many connect it at the same moment', async () => {
    const link = await opened()
    const all = await Promise.allSettled(['a', 'b', 'c'].map((bucket) => connect(link, { bucket })))
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 'fulfilled'))
    expect(await files()).toEqual(['local-mcp.json'])
  })

  it.each([
    'ftp://mcp.acme.test/mcp',
    'http://mcp.acme.test/mcp',
    'http://localhost:4010/mcp',
    'https://user:secret@mcp.acme.test/mcp',
    'https://mcp.acme.test/mcp#part',
    'https://',
  ])('is not made of %s', async (link) => {
    await opened()
    expect(await refusal(connect(link))).toMatchObject({ code: 'invalid-request' })
  })

  it('is not made of what is no MCP server, and says what was found', async () => {
    const page = { headers: { 'content-type': 'text/html' }, body: '<html>' }
    const link = await opened({ greeting: page, metadata: () => ({ status: 404 }) })
    expect(await refusal(connect(link))).toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringContaining('it answers 200 with text/html, which is no MCP server'),
    })
    expect(await files()).toEqual([])
  })
})
