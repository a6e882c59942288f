import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'

const builtIn = readBuiltIn()
const catalogue = openCatalogue({ builtIn, own: [], origins: {} })

function to(id: string, vars: Readonly<Record<string, string>> = {}, from = catalogue) {
  const provider = from.find(id)
  if (!provider) throw new Error(`there is no ${id}`)
  return from.destination(provider, vars)
}

describe('the destination of a credential', () => {
  it('is the hosts of the provider, and the first of them for a bare path', () => {
    const { base, origins } = to('github')
    expect(base.href).toBe('https://api.github.com/')
    expect(origins).toEqual(['https://api.github.com', 'https://uploads.github.com'])
  })

  it('puts the variables in their places', () => {
    const { base, place } = to('datadog', { site: 'datadoghq.eu' })
    expect(base.href).toBe('https://api.datadoghq.eu/')
    expect(place('https://api.{site}/api/v1/validate').href).toBe('https://api.datadoghq.eu/api/v1/validate')
  })

  it.each<[string, string, Readonly<Record<string, string>>]>([
    ['missing', 'datadog', {}],
    ['inherited', 'datadog', Object.create({ site: 'datadoghq.com' })],
    ['not among the choices', 'datadog', { site: 'datadoghq.com.evil.test' }],
    ['a choice with more behind it', 'datadog', { site: 'datadoghq.com/' }],
    ['a host of its own', 'azure-openai', { resource: 'evil.test' }],
    ['a host before a path', 'azure-openai', { resource: 'evil.test/' }],
    ['a host before a fragment', 'azure-openai', { resource: 'evil.test#' }],
    ['a user before a host', 'azure-openai', { resource: 'a@evil' }],
    ['percent-encoded', 'azure-openai', { resource: 'evil%2etest' }],
    ['in capitals', 'azure-openai', { resource: 'ACME' }],
    ['full-width', 'azure-openai', { resource: 'ａｃｍｅ' }],
    ['with a line end', 'azure-openai', { resource: 'acme\n' }],
    ['with a port', 'key', { host: 'api.acme.test:8443' }],
    ['an address', 'key', { host: '127.0.0.1' }],
    ['an address in hex', 'key', { host: '127.0.0.0x1' }],
    ['a name of this machine', 'key', { host: 'broker.localhost' }],
    ['a metadata name', 'key', { host: 'metadata.google.internal' }],
    ['a lone label', 'key', { host: 'intranet' }],
    ['a trailing dot', 'key', { host: 'api.acme.test.' }],
  ])('[security 20.4] refuses a variable that is %s', (_, id, vars) => {
    expect(() => to(id, vars)).toThrow(expect.objectContaining({ code: 'invalid-request' }))
  })

  it('[security 1.17] never leaves the fixed domain, whatever is given for a variable', () => {
    const odd = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.domain(),
      fc.stringMatching(/^[a-z0-9.@/\\:#?%-]{1,20}$/),
    )
    fc.assert(
      fc.property(odd, (resource) => {
        try {
          const { origins, base } = to('azure-openai', { resource })
          for (const origin of [...origins, base.origin])
            expect(origin).toMatch(/^https:\/\/[a-z0-9-]+\.openai\.azure\.com$/)
        } catch (error) {
          if (!(error instanceof ValetkeyError)) throw error
          expect(error.code).toBe('invalid-request')
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses a value that would change a path, whatever its pattern allows', () => {
    const open = {
      id: 'acme',
      name: 'Acme',
      category: 'other',
      vars: [{ name: 'org', label: 'Organisation', pattern: '.*' }],
      hosts: ['api.acme.test'],
      registration: 'none',
      signIns: [
        {
          flow: 'api-key',
          fields: [{ name: 'key', label: 'Key' }],
          present: [{ header: 'x-key', field: 'key' }],
          verify: { url: 'https://api.acme.test/orgs/{org}/me' },
        },
      ],
      revoke: { how: 'console' },
    }
    const own = [{ file: 'acme.json', text: JSON.stringify(open) }]
    const mine = openCatalogue({ builtIn, own, origins: {} })
    const placed = (org: string) =>
      to('acme', { org }, mine).place('https://api.acme.test/orgs/{org}/me').pathname
    expect(placed('a.b_c-1')).toBe('/orgs/a.b_c-1/me')
    for (const org of ['..', '.', '../..', 'a/b', 'a?b', 'a#b', '%2e%2e', 'a b', '{org}'])
      expect(() => placed(org)).toThrow(expect.objectContaining({ code: 'invalid-request' }))
  })

  it('[security 17.2] stays with the owner of the fixed domain, however many labels a value has', () => {
    const at = (host: string, values: Readonly<Record<string, string>>) => {
      const cloud = {
        id: 'cloud',
        name: 'Cloud',
        category: 'other',
        vars: ['a', 'b'].map((name) => ({ name, label: name, pattern: '[a-z0-9.-]+', default: 'x' })),
        hosts: [host],
        registration: 'none',
        signIns: [
          {
            flow: 'api-key',
            fields: [{ name: 'key', label: 'Key' }],
            present: [{ header: 'x-key', field: 'key' }],
            verify: { url: `https://${host}/me` },
          },
        ],
        revoke: { how: 'console' },
      }
      const own = [{ file: 'cloud.json', text: JSON.stringify(cloud) }]
      const mine = openCatalogue({ builtIn, own, origins: {} })
      return to('cloud', values, mine).base.host
    }
    // One that lists its regions as suffixes, and lets strangers have names below some of them.
    expect(at('{a}.amazonaws.com', { a: 'sts' })).toBe('sts.amazonaws.com')
    expect(at('sts.{a}.amazonaws.com', { a: 'us-east-1' })).toBe('sts.us-east-1.amazonaws.com')
    expect(at('{a}.amazonaws.com:8443', { a: 'us-east-1' })).toBe('us-east-1.amazonaws.com:8443')
    expect(at('{a}.acme.test', { a: 'a.b.c' })).toBe('a.b.c.acme.test')
    for (const [host, values] of [
      ['{a}.amazonaws.com', { a: 'stranger.s3' }],
      ['{a}.amazonaws.com:8443', { a: 'stranger.s3.us-east-1' }],
      ['{a}.{b}.amazonaws.com', { a: 'stranger', b: 's3' }],
      ['x-{a}.{b}.amazonaws.com', { a: 'stranger', b: 'us-east-1.elb' }],
    ] as const)
      expect(() => at(host, values)).toThrow(
        expect.objectContaining({
          code: 'invalid-request',
          message: "the host of cloud would be somebody else's",
          hint: 'only the part before .amazonaws.com is yours to say',
        }),
      )
  })

  it('does not repeat a refused value, which may be a key in the wrong place', () => {
    expect(() => to('key', { host: 'sk-misplaced' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('sk-misplaced') }),
    )
  })
})

describe('a stand-in', () => {
  const standing = openCatalogue({
    builtIn,
    own: [],
    origins: { openai: 'http://127.0.0.1:4010', datadog: 'http://127.0.0.1:4011' },
  })

  it('is the only origin, and takes every link with its path and query', () => {
    const { base, origins, place } = to('openai', {}, standing)
    expect([base.href, ...origins]).toEqual(['http://127.0.0.1:4010/', 'http://127.0.0.1:4010'])
    expect(place('https://api.openai.com/v1/models?limit=1').href).toBe(
      'http://127.0.0.1:4010/v1/models?limit=1',
    )
  })

  it('leaves known what the origins of the provider itself are, and takes their addresses too', () => {
    const { own, place } = to('openai', {}, standing)
    expect(own).toEqual(['https://api.openai.com'])
    expect(place(new URL('https://api.openai.com/v1/{x}?y=1')).href).toBe(
      'http://127.0.0.1:4010/v1/%7Bx%7D?y=1',
    )
  })

  it('is not left by a path that looks like a host', () => {
    expect(to('openai', {}, standing).place('https://api.openai.com//evil.test/x').origin).toBe(
      'http://127.0.0.1:4010',
    )
  })

  it('still wants the variables that the provider wants', () => {
    expect(() => to('datadog', {}, standing)).toThrow(expect.objectContaining({ code: 'invalid-request' }))
  })

  it('is nothing to the other providers', () => {
    expect(to('github', {}, standing).base.href).toBe('https://api.github.com/')
  })
})
