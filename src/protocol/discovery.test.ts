import { describe, expect, it } from 'vitest'
import type { Network } from '../model/network.ts'
import { discover, type FoundServers, judgeMetadata, wellKnown } from './discovery.ts'
import { clientAuthOf, isSafe, type Server } from './server.ts'

const places = (issuer: string) => wellKnown(issuer).map(({ href }) => href)

const documentOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
})

describe('[security 8.2] the well-known places of an issuer', () => {
  it('are two without a path', () => {
    for (const issuer of ['https://acme.test', 'https://acme.test/'])
      expect(places(issuer)).toEqual([
        'https://acme.test/.well-known/oauth-authorization-server',
        'https://acme.test/.well-known/openid-configuration',
      ])
  })

  it('are three with one, the standard of OAuth first', () => {
    for (const issuer of ['https://acme.test/a/b', 'https://acme.test/a/b/'])
      expect(places(issuer)).toEqual([
        'https://acme.test/.well-known/oauth-authorization-server/a/b',
        'https://acme.test/.well-known/openid-configuration/a/b',
        'https://acme.test/a/b/.well-known/openid-configuration',
      ])
  })

  it.each([
    'https://acme.test?x=1',
    'https://acme.test/?',
    'https://acme.test/#',
    'http://acme.test',
    'https://u:p@acme.test',
    'http://localhost:1',
  ])('[security 8.3] are none for what is no issuer: %s', (issuer) => {
    expect(() => wellKnown(issuer)).toThrow(expect.objectContaining({ code: 'provider-not-configured' }))
  })
})

describe('metadata', () => {
  it('[security 8.1] are held against the issuer to the letter', () => {
    for (const [asked, said] of [
      ['https://acme.test', 'https://acme.test/'],
      ['https://acme.test/', 'https://acme.test'],
      ['https://acme.test', 'https://ACME.test'],
      ['https://acme.test', 'https://acme.test:443'],
      ['https://acme.test/a', 'https://acme.test/%61'],
    ] as const)
      expect(() => judgeMetadata(asked, documentOf(said))).toThrow('another issuer')
  })

  it('keep only algorithms that prove something', () => {
    const algs = ['none', 'HS256', 'ES256', 'RS256', 'nOnE', 'ES256K']
    const document = { ...documentOf('https://acme.test'), id_token_signing_alg_values_supported: algs }
    expect(judgeMetadata('https://acme.test', document).algorithms).toEqual(['RS256', 'ES256'])
    expect(judgeMetadata('https://acme.test', documentOf('https://acme.test')).algorithms).toEqual(['RS256'])
  })

  it('are kept for a bounded number of issuers', async () => {
    const found: FoundServers = new Map()
    const network: Network = {
      fetch: async (url) => Response.json(documentOf(url.origin)),
      close: async () => {},
    }
    for (let i = 0; i < 130; i += 1)
      await discover(network, `https://n${i}.acme.test`, { found, now: () => new Date(0) })
    expect(found.size).toBe(100)
    expect([...found.keys()].at(-1)).toBe('https://n129.acme.test')
  })
})

describe('an endpoint', () => {
  it('is https, or http by the literal of loopback', () => {
    for (const link of ['https://acme.test/x', 'http://127.0.0.1:4010/x', 'http://[::1]:4010/x'])
      expect(isSafe(link)).toBe(true)
    for (const link of [
      'http://acme.test',
      'http://localhost:1',
      'http://127.0.0.1.evil.test',
      'http://127.1.evil.test/',
      'https://a@acme.test',
      'https://acme.test/#x',
      'ftp://acme.test',
      'x',
      '',
    ])
      expect(isSafe(link), link).toBe(false)
  })
})

describe('how a client shows its secret', () => {
  const shown = (clientAuth: string[] | undefined, declared: 'basic' | 'post') =>
    clientAuthOf({ clientAuth } as Server, declared)

  it('is as the provider says, unless the server takes only the other way', () => {
    expect(shown(undefined, 'post')).toBe('post')
    expect(shown(['client_secret_basic', 'client_secret_post'], 'post')).toBe('post')
    expect(shown(['client_secret_basic'], 'post')).toBe('basic')
    expect(shown(['private_key_jwt'], 'post')).toBe('post')
  })
})
