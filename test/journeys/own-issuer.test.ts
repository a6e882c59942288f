import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { canary } from '../../src/testing/canary.ts'
import { ended, type RealHome, realHome, until } from '../real.ts'
import { noTerminal, typeCommand } from '../terminal.ts'

// Somebody's own OpenID Connect server, on this very computer: opened by name in the configuration,
// with a client that was made there by hand.

const CLIENT_ID = 'made by hand'
const clientSecret = canary('client')
const PROGRAM_ID = 'a-program'
const programSecret = canary('program')
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Opened at once, so that its port is known; it answers when it has been told who comes back where. */
async function ownIssuer() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const begin = (redirectUri: string) => {
    // It warns of its own interactions and its store in memory, which are just what is wanted here.
    const said = vi.spyOn(console, 'warn').mockReturnValue()
    server.on('request', providerAt(issuer, redirectUri))
    said.mockRestore()
  }
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { issuer, host: `127.0.0.1:${port}`, begin, close }
}

function providerAt(issuer: string, redirectUri: string) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { kty = 'EC', ...key } = privateKey.export({ format: 'jwk' })
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: clientSecret,
        application_type: 'native',
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
      },
      {
        client_id: PROGRAM_ID,
        client_secret: programSecret,
        redirect_uris: [],
        grant_types: ['client_credentials'],
        response_types: [],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: 'Zoë', email: 'zoe@example.com', email_verified: true }),
    }),
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    features: {
      revocation: { enabled: true, allowedPolicy: () => true },
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: 60,
      AuthorizationCode: 60,
      RefreshToken: 600,
      IdToken: 60,
      Grant: 600,
      Session: 600,
      Interaction: 60,
    },
    cookies: { keys: [canary('cookies')] },
    jwks: { keys: [{ kty, ...key, alg: 'ES256', use: 'sig', kid: 'one' }] },
  })
  provider.silent = true
  return provider.callback()
}

/** A browser with cookies, and a person in front of it who signs in and agrees to everything. */
function visitor() {
  const jar = new Map<string, string>()
  const go = async (url: URL, form?: URLSearchParams): Promise<string> => {
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(form ? { method: 'POST', body: form } : {}),
    })
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split('=')
      jar.set(name, value)
    }
    const location = answer.headers.get('location')
    if (location) return go(new URL(location, url))
    const page = await answer.text()
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1]
    return prompt ? go(url, new URLSearchParams({ prompt, login: 'zoe', password: 'x' })) : page
  }
  return go
}

function consent(link: URL): Promise<string> {
  return visitor()(link)
}

/** The same person, who enters a code there that was shown to them elsewhere. */
async function enter(place: URL, code: string): Promise<string> {
  const go = visitor()
  const xsrfIn = (page: string) => /name="xsrf" value="([^"]+)"/.exec(page)?.[1] ?? ''
  const form = { xsrf: xsrfIn(await go(place)), user_code: code }
  const asked = await go(place, new URLSearchParams(form))
  return go(place, new URLSearchParams({ ...form, xsrf: xsrfIn(asked), confirm: 'yes' }))
}

describe('a server of one’s own', () => {
  let there: Awaited<ReturnType<typeof ownIssuer>>
  let home: RealHome
  let redirectUri: string

  /** What a person is told to enter at the server, where they make the client. */
  async function toCopy(): Promise<string> {
    const { stdout } = await home.run(['providers', 'oidc', '--json'])
    return JSON.parse(stdout).ownClient.redirectUri
  }

  beforeAll(async () => {
    there = await ownIssuer()
    home = await realHome({ allow: [there.host] })
    redirectUri = (await toCopy()).replace('{issuer}', there.host)
    there.begin(redirectUri)
  }, 30_000)

  afterAll(async () => {
    await home?.close()
    there?.close()
  })

  const issuerVar = () => ['--var', `issuer=${there.issuer}`]
  const userinfo = async (token: string) =>
    (await fetch(`${there.issuer}/me`, { headers: { authorization: `Bearer ${token}` } })).status

  it('[security 20.4] is not asked where the configuration does not open it', async () => {
    const closed = await realHome()
    const refused = await closed.run(['connect', 'oidc', ...issuerVar()])
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/^! host-not-allowed: /)
    await closed.close()
  }, 30_000)

  it('takes a client that was made there by hand', async () => {
    const body = JSON.stringify({
      provider: 'oidc',
      vars: { issuer: there.issuer },
      clientId: CLIENT_ID,
      clientSecret,
    })
    const answer = await home.ask('/api/registrations', { method: 'POST', body })
    expect([answer.status, await answer.json()]).toEqual([
      200,
      expect.objectContaining({ provider: 'oidc', issuer: there.issuer, clientId: CLIENT_ID, how: 'yours' }),
    ])
  }, 30_000)

  it('is connected at the terminal by its issuer alone', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const typed = typeCommand(home, ['connect', 'oidc', '--flow', 'authorization-code', ...issuerVar()])
    const link = await until(() => /sign in at (http\S+)/.exec(typed.said())?.[1])
    const url = new URL(link)
    expect(url.origin).toBe(there.issuer)
    // What is asked for was pushed beforehand (RFC 9126); the server takes no other place to come back to.
    expect([...url.searchParams.keys()].toSorted()).toEqual(['client_id', 'request_uri'])
    expect(await consent(url)).toContain('Connected to Any OpenID Connect server')
    expect(await typed.code()).toBe(0)
    expect(typed.said()).toContain('connected oidc as Zoë')
  }, 60_000)

  it('lends a token that the server takes, and renews it', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const first = (await home.run(['lend', 'oidc'])).stdout.trim()
    expect(await userinfo(first)).toBe(200)
    const [account] = await accounts()
    const renewed = await home.ask(`/api/accounts/${account?.id}/refresh`, { method: 'POST' })
    expect([renewed.status, await renewed.json()]).toEqual([200, expect.objectContaining({ subject: 'zoe' })])
    const second = (await home.run(['lend', 'oidc'])).stdout.trim()
    expect(second).not.toBe(first)
    expect(await userinfo(second)).toBe(200)
  }, 30_000)

  it('is forwarded to at the host of its issuer, and nowhere else', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const answer = await home.run(['forward', 'oidc', 'GET', '/me'])
    expect(JSON.parse(answer.stdout)).toMatchObject({ sub: 'zoe' })
    const elsewhere = await home.run(['forward', 'oidc', 'GET', 'https://api.example.com/me'])
    expect(elsewhere.stderr).toMatch(/^! host-not-allowed: /)
  }, 30_000)

  it('ends at the server what it revokes', async ({ skip }) => {
    skip(noTerminal !== undefined, noTerminal)
    const token = (await home.run(['lend', 'oidc'])).stdout.trim()
    const receipt = await home.run(['revoke', 'oidc', '--yes'])
    expect(receipt.code).toBe(0)
    expect(await userinfo(token)).toBe(401)
  }, 30_000)

  it('is connected by a code that is entered elsewhere', async () => {
    const child = home.start(['connect', 'oidc/by-code', '--flow', 'device-code', ...issuerVar()])
    let said = ''
    child.stderr?.on('data', (chunk) => {
      said += chunk
    })
    const code = await until(() => /\b([A-Z]{4}-[A-Z]{4})\b/.exec(said)?.[1])
    expect(await enter(new URL('/device', there.issuer), code)).toContain('Sign-in Success')
    expect([await ended(child), said]).toEqual([0, expect.any(String)])
    const token = (await home.run(['lend', 'oidc/by-code'])).stdout.trim()
    expect(await userinfo(token)).toBe(200)
    const [account] = (await accounts()).filter(({ bucket }) => bucket === 'by-code')
    const renewed = await home.ask(`/api/accounts/${account?.id}/refresh`, { method: 'POST' })
    expect([renewed.status, await renewed.json()]).toEqual([200, expect.objectContaining({ subject: 'zoe' })])
  }, 60_000)

  it('is connected by a program’s own client, whose secret is never lent', async () => {
    const words = ['connect', 'oidc/program', '--flow', 'client-credentials', ...issuerVar()]
    const asClient = ['--field', `clientId=${PROGRAM_ID}`, '--key-stdin']
    const refused = await home.run([...words, ...asClient], 'wrong')
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('! invalid-credentials: ') })
    const connected = await home.run([...words, ...asClient], `clientSecret=${programSecret}\n`)
    expect(connected).toMatchObject({ code: 0, stdout: `connected oidc/program as ${PROGRAM_ID}\n` })
    const { stdout } = await home.run(['lend', 'oidc/program', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ tokenType: 'Bearer', expiresAt: expect.any(String) })
    expect(stdout).not.toContain(programSecret)
  }, 30_000)

  async function accounts(): Promise<readonly { readonly id: string; readonly bucket: string }[]> {
    return (await (await home.ask('/api/accounts')).json()) as { id: string; bucket: string }[]
  }
})
