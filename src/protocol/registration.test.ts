import { afterEach, describe, expect, it } from 'vitest'
import { openNetwork } from '../network/network.ts'
import { canary } from '../testing/canary.ts'
import { type HostileServer, hostileServer, type Script } from '../testing/hostile-server.ts'
import { judgeMetadata } from './discovery.ts'
import { register, unregister } from './registration.ts'

const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const wish = {
  name: 'Valetkey',
  redirectUris: [new URL('http://127.0.0.1:49152/cb')],
  scopes: ['openid'],
  clientAuth: 'basic',
} as const

async function at(script: Script = {}) {
  const there = await hostileServer()
  const network = openNetwork({ allow: [there.issuer] })
  closing.push(there.close, network.close)
  there.play(script)
  return { there, network, server: await serverOf(there) }
}

async function serverOf({ issuer }: HostileServer) {
  return judgeMetadata(issuer, await (await fetch(`${issuer}/.well-known/openid-configuration`)).json())
}

const changed = (change: Readonly<Record<string, unknown>>): Script => ({
  register: (honest) => ({ status: 201, body: { ...honest, ...change } }),
})

const withSecrets: Script['metadata'] = (honest) => ({
  body: { ...honest, token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'] },
})

describe('a registration', () => {
  it('says what we are: a native client that asks for codes', async () => {
    const { there, network, server } = await at()
    await register(network, server, wish)
    expect(JSON.parse(String(await there.requests.at(-1)?.body))).toEqual({
      client_name: 'Valetkey',
      redirect_uris: ['http://127.0.0.1:49152/cb'],
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      scope: 'openid',
    })
  })

  it('says so when we are no native client, and how we would show a secret', async () => {
    const secret = canary('given')
    const { there, network, server } = await at({
      metadata: withSecrets,
      ...changed({ client_secret: secret, client_secret_expires_at: 1_700_000_000 }),
    })
    const redirectUris = [new URL('https://keys.acme.test/oauth/callback')]
    const got = await register(network, server, { ...wish, redirectUris })
    const sent = JSON.parse(String(await there.requests.at(-1)?.body))
    expect(sent).toMatchObject({ application_type: 'web', token_endpoint_auth_method: 'client_secret_basic' })
    expect(got.clientSecret?.reveal()).toBe(secret)
    expect(got.secretExpiresAt).toEqual(new Date(1_700_000_000_000))
  })

  it('gives a client, and the means to give it back', async () => {
    const { there, network, server } = await at()
    const got = await register(network, server, wish)
    expect(got.clientId).toMatch(/^client-/)
    expect(`${JSON.stringify(got)}${got.management?.token}`).not.toContain('CANARY')
    expect(await unregister(network, got)).toBe(true)
    expect(there.requests.at(-1)).toMatchObject({ method: 'DELETE', path: '/register/one' })
    expect(there.requests.at(-1)?.headers['authorization']).toBe(`Bearer ${got.management?.token.reveal()}`)
  })

  it.each(['https://evil.test/register/one', 'http://127.0.0.1:1/x', 'http://acme.test/', 'nonsense'])(
    'is managed nowhere but where it was made: not at %s',
    async (registration_client_uri) => {
      const { there, network, server } = await at(changed({ registration_client_uri }))
      const got = await register(network, server, wish)
      const before = there.requests.length
      expect([got.management, await unregister(network, got)]).toEqual([undefined, false])
      expect(there.requests).toHaveLength(before)
    },
  )

  it.each<[string, Script, string]>([
    ['without an id', changed({ client_id: undefined }), 'bad-answer'],
    ['with another address', changed({ redirect_uris: ['https://evil.test/'] }), 'provider-not-configured'],
    [
      'with a way to prove ourselves that we do not know',
      changed({ token_endpoint_auth_method: 'private_key_jwt' }),
      'provider-not-configured',
    ],
    [
      'with another way to show a secret than the one it takes',
      changed({ token_endpoint_auth_method: 'client_secret_post', client_secret: 's' }),
      'provider-not-configured',
    ],
    [
      'with a secret that it keeps to itself',
      changed({ token_endpoint_auth_method: 'client_secret_basic' }),
      'provider-not-configured',
    ],
    [
      'as a refusal',
      { register: () => ({ status: 400, body: { error: 'invalid_redirect_uri' } }) },
      'provider-not-configured',
    ],
    ['as something else than JSON', { register: () => ({ status: 201, body: '<html>' }) }, 'bad-answer'],
    ['with trouble', { register: () => ({ status: 502 }) }, 'server-error'],
  ])('is refused when it is answered %s', async (_, script, code) => {
    const { network, server } = await at(script)
    await expect(register(network, server, wish)).rejects.toMatchObject({ code })
  })

  it('has no use for a secret that a public client was given', async () => {
    const { network, server } = await at(changed({ client_secret: 's' }))
    expect((await register(network, server, wish)).clientSecret).toBeUndefined()
  })

  it('shows itself as was asked, where the server says nothing of that and does not take the usual way', async () => {
    const silent = (ways: readonly string[]): Script => ({
      metadata: (honest) => ({ body: { ...honest, token_endpoint_auth_methods_supported: ways } }),
      ...changed({ client_secret: canary('given'), token_endpoint_auth_method: undefined }),
    })
    const secretAt = async (ways: readonly string[]) => {
      const { network, server } = await at(silent(ways))
      return (await register(network, server, wish)).clientSecret
    }
    expect(await secretAt(['none'])).toBeUndefined()
    expect(await secretAt(['client_secret_post'])).toBeDefined()
    expect(await secretAt(['client_secret_basic'])).toBeDefined()
  })

  it('is not tried where the server has no place for it', async () => {
    const { network, server, there } = await at()
    const { register: _, ...closed } = server
    const before = there.requests.length
    await expect(register(network, closed, wish)).rejects.toMatchObject({ code: 'provider-not-configured' })
    expect(there.requests).toHaveLength(before)
  })
})
