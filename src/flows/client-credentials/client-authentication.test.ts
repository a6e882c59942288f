import { X509Certificate } from 'node:crypto'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FlowContext } from '../../model/flow.ts'
import type { StreamingNetwork } from '../../model/network.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { authority } from '../../testing/certificates.ts'
import { flowContract } from '../../testing/flow-contract.ts'
import { hostileStage, issuedBy, oauthStage, REDIRECT_URI, signInBy } from '../../testing/oauth-stage.ts'
import { person, realServer, signingPair } from '../../testing/real-server.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'
import { clientCredentialsFlow } from '../client-credentials.ts'

// A certified authorization server over TLS, which is asked by every client in its own way.

const FIELDS = [
  { name: 'clientId', label: 'Client id', secret: false },
  { name: 'clientSecret', label: 'Client secret', secret: true, optional: true },
  { name: 'privateKey', label: 'Private key', secret: true, optional: true },
  { name: 'certificate', label: 'Certificate', secret: false, optional: true },
]
const vouching = authority()
const ours = vouching.issue({ hosts: ['our-robot.test'] })
const anothers = vouching.issue({ hosts: ['another.test'] })
const ofTheServer = vouching.issue({ hosts: ['127.0.0.1'] })
const clientSecret = canary('client')

let server: Awaited<ReturnType<typeof realServer>>
let certified: Server
let keyed: Awaited<ReturnType<typeof signingPair>>

beforeAll(async () => {
  keyed = await signingPair('robot')
  const machine = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] } as const
  const native = {
    application_type: 'native',
    redirect_uris: [REDIRECT_URI],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
  } as const
  const shown = (ctx: { req: { socket: unknown } }) =>
    (ctx.req.socket as TLSSocket).getPeerX509Certificate?.()
  certified = createServer({
    ...ofTheServer,
    ca: vouching.cert,
    requestCert: true,
    rejectUnauthorized: false,
  })
  await new Promise<void>((listening) => certified.listen(0, '127.0.0.1', listening))
  const aliases = `https://127.0.0.1:${(certified.address() as AddressInfo).port}`
  const tls = {
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_dns: 'our-robot.test',
  } as const
  server = await realServer(
    {
      clients: [
        {
          ...machine,
          client_id: 'by basic',
          client_secret: clientSecret,
          token_endpoint_auth_method: 'client_secret_basic',
        },
        {
          ...machine,
          client_id: 'by post',
          client_secret: clientSecret,
          token_endpoint_auth_method: 'client_secret_post',
        },
        {
          ...machine,
          client_id: 'by key',
          token_endpoint_auth_method: 'private_key_jwt',
          jwks: { keys: [keyed.shown] },
        },
        { ...machine, ...tls, client_id: 'by certificate' },
        { ...native, ...tls, client_id: 'a person by certificate' },
      ],
      clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth'],
      scopes: ['read', 'offline_access'],
      discovery: {
        mtls_endpoint_aliases: {
          token_endpoint: `${aliases}/token`,
          revocation_endpoint: `${aliases}/token/revocation`,
          pushed_authorization_request_endpoint: `${aliases}/request`,
        },
      },
      features: {
        devInteractions: { enabled: true },
        clientCredentials: { enabled: true },
        revocation: { enabled: true, allowedPolicy: () => true },
        mTLS: {
          enabled: true,
          tlsClientAuth: true,
          getCertificate: (ctx) => shown(ctx)?.toString(),
          certificateAuthorized: (ctx) => (ctx.req.socket as TLSSocket).authorized,
          certificateSubjectMatches: (ctx, _, expected) => shown(ctx)?.checkHost(expected) === expected,
        },
      },
    },
    { tls: ofTheServer },
  )
  certified.on('request', server.provider.callback())
})

afterAll(async () => {
  certified.close()
  certified.closeAllConnections()
  await server.close()
})

const opened: StreamingNetwork[] = []
afterEach(async () => {
  for (const network of opened.splice(0)) await network.close()
})

const trusting = (options: { readonly allow: readonly string[] }) => {
  const network = openNetwork({ ...options, ca: [vouching.cert] })
  opened.push(network)
  return network
}

function contextAt(
  known: Readonly<Record<string, string>>,
  oauth: object = {},
  scene: object = {},
): FlowContext {
  server.reached.length = 0
  const { port } = certified.address() as AddressInfo
  const context = oauthStage(
    { openCatalogue, openNetwork: trusting },
    {
      oauth: { issuer: server.issuer, ...oauth },
      scopes: ['read'],
      signIn: { flow: 'client-credentials', fields: FIELDS },
      known,
      allow: [server.issuer, `https://127.0.0.1:${port}`],
      ...scene,
    },
  )
  return { ...context, client: undefined }
}

const ways = {
  basic: { oauth: { clientAuth: 'basic' }, known: { clientId: 'by basic', clientSecret } },
  post: { oauth: { clientAuth: 'post' }, known: { clientId: 'by post', clientSecret } },
  private_key_jwt: {
    oauth: { clientAuth: 'private_key_jwt' },
    known: () => ({ clientId: 'by key', privateKey: keyed.pem }),
  },
  tls: {
    oauth: { clientAuth: 'tls' },
    known: { clientId: 'by certificate', certificate: ours.cert, privateKey: ours.key },
  },
} as const
const knownIn = (way: keyof typeof ways): Readonly<Record<string, string>> => {
  const { known } = ways[way]
  return typeof known === 'function' ? known() : known
}
const wrong: Readonly<Record<keyof typeof ways, () => Readonly<Record<string, string>>>> = {
  basic: () => ({ ...knownIn('basic'), clientSecret: canary('wrong') }),
  post: () => ({ ...knownIn('post'), clientSecret: canary('wrong') }),
  private_key_jwt: () => ({ ...knownIn('private_key_jwt'), privateKey: anothers.key }),
  tls: () => ({ ...knownIn('tls'), certificate: anothers.cert, privateKey: anothers.key }),
}
const filled = (values: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)])),
})

for (const way of Object.keys(ways) as (keyof typeof ways)[])
  flowContract(`client-credentials, by ${way}`, async () => ({
    flow: () => clientCredentialsFlow(),
    context: contextAt({}, ways[way].oauth),
    answer: () => filled(knownIn(way)),
    wrongAnswer: () => filled(wrong[way]()),
    secrets: [clientSecret, keyed.pem, ours.key],
    close: async () => {},
  }))

const asked = () => server.reached.findLast(({ path }) => path === '/token')

describe('a client that shows a certificate (RFC 8705)', () => {
  const connect = async () => {
    const context = contextAt(knownIn('tls'), ways.tls.oauth)
    return { context, done: issuedBy(await clientCredentialsFlow().begin(context)) }
  }

  it('[security 1.12] says nothing else of itself, at the place that its server has for that', async () => {
    const { done } = await connect()
    expect(Object.fromEntries(asked()?.form ?? [])).toEqual({
      client_id: 'by certificate',
      grant_type: 'client_credentials',
      scope: 'read',
    })
    expect(asked()?.headers['authorization']).toBeUndefined()
    expect(asked()?.headers['host']).toContain(String((certified.address() as AddressInfo).port))
    expect(Object.keys(done.credential.kept).toSorted()).toEqual(['certificate', 'clientId', 'privateKey'])
    expect(Object.keys(done.credential.worn)).toEqual(['accessToken'])
  })

  it('renews and ends by it too', async () => {
    const { context, done } = await connect()
    const flow = clientCredentialsFlow()
    const next = await flow.refresh?.(context, done.credential)
    expect(next?.worn['accessToken']?.reveal()).not.toBe(done.credential.worn['accessToken']?.reveal())
    expect(
      (await flow.revoke(context, next ?? done.credential)).map(({ what, died }) => [what, died]),
    ).toEqual([
      ['access token', true],
      ['private key', false],
    ])
  })

  it.each([
    ['its key is another’s', { certificate: ours.cert, privateKey: anothers.key }, 'key-format'],
    ['it is no certificate', { certificate: canary('text'), privateKey: ours.key }, 'key-format'],
    ['its key is not there', { certificate: ours.cert }, 'invalid-credentials'],
  ])('is asked again where %s', async (_, values, code) => {
    const turn = await clientCredentialsFlow().begin(
      contextAt({ clientId: 'by certificate', ...values }, ways.tls.oauth),
    )
    expect(turn).toMatchObject({ step: { ask: 'fill', ...(code === 'key-format' && { code }) } })
    expect(asked()).toBeUndefined()
  })

  it('shows it on no connection that is another’s, one after another and back', async () => {
    const network = trusting({
      allow: [server.issuer, `127.0.0.1:${(certified.address() as AddressInfo).port}`],
    })
    const seen: (string | undefined)[] = []
    certified.prependListener('request', ({ socket }) => {
      const shown = (socket as TLSSocket).getPeerX509Certificate()
      seen.push(shown instanceof X509Certificate ? shown.subject : undefined)
    })
    const url = new URL(`https://127.0.0.1:${(certified.address() as AddressInfo).port}/nothing`)
    const shows = ({ cert, key }: typeof ours) => ({ chain: new Secret(cert), key: new Secret(key) })
    for (const certificate of [shows(ours), undefined, shows(anothers), undefined, shows(ours)])
      await (await network.fetch(url, { certificate })).body?.cancel()
    expect(seen).toEqual(['CN=our-robot.test', undefined, 'CN=another.test', undefined, 'CN=our-robot.test'])
  })

  it('is a person’s way in as well: the code and each renewal are had by it', async () => {
    const signIn = { flow: 'authorization-code', fields: [] }
    const oauth = { ...ways.tls.oauth, authorizeParams: { prompt: 'consent' } }
    const context = {
      ...contextAt({}, oauth, { signIn, scopes: ['read', 'offline_access'] }),
      client: {
        clientId: 'a person by certificate',
        clientSecret: undefined,
        certificate: new Secret(ours.cert),
        privateKey: new Secret(ours.key),
      },
    }
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, context, person(vouching.cert))
    expect(asked()?.form.get('client_assertion')).toBeNull()
    expect(await flow.refresh?.(context, credential)).toHaveProperty('worn.accessToken')
  })
})

describe('a client that signs (RFC 7523)', () => {
  it('[security 10.2] states who it is to one server, once, for a minute, in what others can verify', async () => {
    const context = contextAt(knownIn('private_key_jwt'), ways.private_key_jwt.oauth)
    const { credential } = issuedBy(await clientCredentialsFlow().begin(context))
    const first = asked()?.form.get('client_assertion') ?? ''
    await clientCredentialsFlow().refresh?.(context, credential)
    const second = asked()?.form.get('client_assertion') ?? ''
    const claims = jsonwebtoken.verify(first, keyed.publicPem, {
      algorithms: ['ES256'],
      audience: server.issuer,
    })
    if (typeof claims === 'string') throw new Error('no claims')
    expect(claims).toMatchObject({ iss: 'by key', sub: 'by key', aud: server.issuer })
    expect(typeof claims.aud).toBe('string')
    expect(Number(claims.exp) - Number(claims.iat)).toBeLessThanOrEqual(60)
    expect(decodeJwt(second).jti).not.toBe(claims.jti)
  })

  it('[security 10.2] says by what name its key is known, where that was given along with it', async () => {
    const privateKey = JSON.stringify(keyed.whole)
    await clientCredentialsFlow().begin(
      contextAt({ clientId: 'by key', privateKey }, ways.private_key_jwt.oauth),
    )
    const { kid } = decodeProtectedHeader(asked()?.form.get('client_assertion') ?? '')
    expect(kid).toBe('robot')
  })

  it('[security 10.2] is believed once: the same statement is refused', async () => {
    await clientCredentialsFlow().begin(contextAt(knownIn('private_key_jwt'), ways.private_key_jwt.oauth))
    const again = await fetchTrusting(`${server.issuer}/token`, asked()?.form ?? new URLSearchParams())
    expect(again.status).toBe(401)
  })
})

async function fetchTrusting(link: string, form: URLSearchParams): Promise<Response> {
  const network = trusting({ allow: [server.issuer] })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return network.fetch(new URL(link), { method: 'POST', headers, body: form.toString() })
}

describe('a server with habits of its own', () => {
  const program = { flow: 'client-credentials', fields: FIELDS }
  const playing = async (oauth: object, known: Readonly<Record<string, string>>) => {
    const stage = await hostileStage(
      { openCatalogue, openNetwork },
      { signIn: program, scopes: ['read'], known },
    )
    stage.there.play({
      metadata: (honest) => ({ body: { ...honest, token_endpoint_auth_methods_supported: undefined } }),
      token: ({ id_token: _, refresh_token: __, ...honest }) => ({ body: honest }),
    })
    const { provider } = stage.context
    const whole = { ...provider.oauth, ...oauth } as NonNullable<typeof provider.oauth>
    const context = { ...stage.context, client: undefined, provider: { ...provider, oauth: whole } }
    const turn = await clientCredentialsFlow().begin(context)
    const asking = stage.there.requests.find(({ path }) => path === '/token')
    const body = String(await asking?.body)
    await stage.close()
    return { turn, body, headers: asking?.headers ?? {} }
  }

  it('is asked in JSON where it takes nothing else, by the same proof', async () => {
    const { body, headers } = await playing(
      { requests: 'json', clientAuth: 'basic' },
      { clientId: 'a', clientSecret },
    )
    expect(JSON.parse(body)).toEqual({ grant_type: 'client_credentials', scope: 'read' })
    expect(headers['content-type']).toBe('application/json')
    const pair = Buffer.from(`a:${clientSecret}`).toString('base64')
    expect(headers['authorization']).toBe(`Basic ${pair}`)
  })

  it('is asked in JSON with the secret among the rest, where it is known that way', async () => {
    const { body } = await playing({ requests: 'json' }, { clientId: 'a', clientSecret })
    expect(JSON.parse(body)).toEqual({
      grant_type: 'client_credentials',
      scope: 'read',
      client_id: 'a',
      client_secret: clientSecret,
    })
  })

  it('hears what it wants to hear besides, which takes the place of nothing that is ours to say', async () => {
    const { body, headers } = await playing(
      { tokenParams: { audience: 'x', grant_type: 'evil' }, tokenHeaders: { 'x-version': '2' } },
      { clientId: 'a', clientSecret },
    )
    const form = new URLSearchParams(body)
    expect([form.get('audience'), form.getAll('grant_type')]).toEqual(['x', ['client_credentials']])
    expect(headers['x-version']).toBe('2')
  })

  it('[security 10.2] is stated to by its token endpoint, where it has no name', async () => {
    const stage = await hostileStage(
      { openCatalogue, openNetwork },
      { signIn: program, known: knownIn('private_key_jwt') },
    )
    stage.there.play({ token: ({ id_token: _, refresh_token: __, ...honest }) => ({ body: honest }) })
    const oauth = { ...stage.context.provider.oauth, issuer: undefined, token: `${stage.there.issuer}/token` }
    const provider = { ...stage.context.provider, oauth } as FlowContext['provider']
    await clientCredentialsFlow().begin({ ...stage.context, client: undefined, provider })
    const { aud } = decodeJwt(stage.there.forms[0]?.get('client_assertion') ?? '')
    expect(aud).toBe(`${stage.there.issuer}/token`)
    await stage.close()
  })

  it('is told the id alone by a client that has nothing to prove itself by', async () => {
    const { turn, body } = await playing({ clientAuth: 'none' }, { clientId: 'a' })
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      client_id: 'a',
      grant_type: 'client_credentials',
      scope: 'read',
    })
    const { credential } = issuedBy(turn)
    expect(Object.keys(credential.kept)).toEqual(['clientId'])
    expect(clientCredentialsFlow().renews?.(credential)).toBe(true)
  })

  it('[security 10.4] is shown a pair that is encoded as a form is, before it is base64', async () => {
    const odd = { clientId: 'a:b c/ü', clientSecret: `${clientSecret}:%+ é` }
    const { headers } = await playing({ clientAuth: 'basic' }, odd)
    const [, pair = ''] = String(headers['authorization']).split(' ')
    const [id = '', secret = ''] = Buffer.from(pair, 'base64').toString().split(':')
    const read = (text: string) => new URLSearchParams(`x=${text}`).get('x')
    expect([read(id), read(secret)]).toEqual([odd.clientId, odd.clientSecret])
  })
})

describe('a server for programs alone', () => {
  const programs = { authorization_endpoint: undefined, response_types_supported: [] }

  it('issues tokens, and names no place that a browser could be sent to', async () => {
    const stage = await hostileStage(
      { openCatalogue, openNetwork },
      { signIn: { flow: 'client-credentials', fields: FIELDS }, known: { clientId: 'a', clientSecret } },
    )
    stage.there.play({
      metadata: (honest) => ({ body: { ...honest, ...programs } }),
      token: ({ id_token: _, refresh_token: __, ...honest }) => ({ body: honest }),
    })
    const turn = await clientCredentialsFlow().begin({ ...stage.context, client: undefined })
    expect(issuedBy(turn).credential.standing).toBe(false)
    await expect(authorizationCodeFlow().begin(stage.context)).rejects.toMatchObject({
      code: 'provider-not-configured',
      message: 'the provider names no place to sign in at',
    })
    await stage.close()
  })
})
