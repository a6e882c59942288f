import { describe, expect, it } from 'vitest'
import type { ProviderFile } from '../model/provider.ts'
import { issuerOf } from '../protocol/server.ts'
import { openCatalogue } from './catalogue.ts'
import { parseProvider } from './read.ts'

const acme = {
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.test'],
  oauth: { issuer: 'https://login.acme.test' },
  registration: 'yours',
  signIns: [{ flow: 'authorization-code', present: [{ header: 'authorization', field: 'accessToken' }] }],
  revoke: { how: 'rfc7009' },
} satisfies ProviderFile

const [signIn] = acme.signIns
const refusal = (change: object) => {
  try {
    parseProvider('acme.json', { ...acme, ...change })
  } catch (error) {
    return error
  }
}
const site = [{ name: 'site', label: 'Site', pattern: '.*' }]
const region = [{ name: 'region', label: 'Region', choices: ['eu', 'us'] }]
const endpoints = { authorize: 'https://login.acme.test/a', token: 'https://login.acme.test/t' }

const pin = `sha256/${'A'.repeat(43)}=`
const ending = {
  how: 'request',
  method: 'DELETE',
  url: 'https://api.acme.test/apps/{clientId}/token',
  auth: 'client',
  json: { access_token: '{accessToken}' },
}

describe('a provider with an authorization server', () => {
  it('is taken with an issuer, or with endpoints', () => {
    expect(refusal({})).toBeUndefined()
    expect(refusal({ oauth: endpoints, revoke: { how: 'console' } })).toBeUndefined()
    expect(refusal({ revoke: ending, pins: { 'api.acme.test': [pin] } })).toBeUndefined()
    expect(refusal({ oauth: { issuer: 'http://127.0.0.1:4010' }, hosts: ['127.0.0.1:4010'] })).toBeUndefined()
    expect(refusal({ vars: site, signIns: [{ ...signIn, captures: { realm: 'site' } }] })).toBeUndefined()
  })

  it.each<[string, object, string]>([
    [
      'half of its endpoints',
      { oauth: { authorize: endpoints.authorize } },
      'oauth needs an issuer, or at least',
    ],
    [
      '[security 2.1] an endpoint over plain http',
      { oauth: { ...endpoints, token: 'http://acme.test/t' } },
      'oauth.token must be an address',
    ],
    [
      '[security 20.4] an endpoint in a private place',
      { oauth: { ...endpoints, token: 'https://printer.local/t' } },
      'oauth.token must be a public host name',
    ],
    [
      '[security 20.4] an issuer that is an address',
      { oauth: { issuer: 'https://10.0.0.1' } },
      'oauth.issuer must be a public host name',
    ],
    [
      '[security 1.17] an endpoint that a pattern could move',
      { vars: site, oauth: { ...endpoints, token: 'https://login.{site}/t' } },
      'oauth.token must end in a fixed domain',
    ],
    [
      '[security 1.17] an endpoint after a variable that is a whole address',
      { vars: site, oauth: { issuer: 'https://{site}', userinfo: 'https://{site}/me' } },
      'oauth.userinfo must be this variable and nothing else',
    ],
    [
      'a variable that nobody declares',
      { oauth: { issuer: 'https://{site}' } },
      'oauth.issuer names a variable',
    ],
    [
      '[security 8.3] an issuer with a query',
      { oauth: { issuer: 'https://login.acme.test/?x=1' } },
      'oauth.issuer must have no query',
    ],
    [
      'an issuer that no server could write',
      { oauth: { issuer: 'https://LOGIN.acme.test' } },
      'oauth.issuer must be in lower case',
    ],
    [
      'an issuer with a port that is left out',
      { oauth: { issuer: 'https://login.acme.test:443' } },
      'oauth.issuer must be written as',
    ],
    [
      '[security 1.3] a state of its own',
      { oauth: { ...acme.oauth, authorizeParams: { state: 'x' } } },
      'oauth.authorizeParams.state is not for',
    ],
    [
      '[security 1.7] a response type of its own',
      { oauth: { ...acme.oauth, authorizeParams: { response_type: 'token' } } },
      'oauth.authorizeParams.response_type is not for',
    ],
    [
      '[security 1.7] an answer in the fragment',
      { oauth: { ...acme.oauth, authorizeParams: { response_mode: 'fragment' } } },
      'response_mode must be',
    ],
    [
      'OpenID Connect without keys to verify it by',
      { oauth: endpoints, revoke: { how: 'console' }, signIns: [{ ...signIn, scopes: ['openid'] }] },
      'needs an oauth.issuer',
    ],
    [
      'a scope with a blank',
      { signIns: [{ ...signIn, scopes: ['a b'] }] },
      'signIns[0].scopes must be visible ASCII',
    ],
    [
      'a client id that is none',
      { oauth: { ...acme.oauth, clientId: 'a b' } },
      'oauth.clientId must be visible ASCII',
    ],
    [
      '[security 1.17] an end at a host of nobody',
      { revoke: { ...ending, url: 'https://evil.test/{clientId}' } },
      'revoke.url must go to one of hosts',
    ],
    [
      '[security 20.4] an end at a look-alike of its host',
      { revoke: { ...ending, url: 'https://api.acme.test@evil.test/x' } },
      'revoke.url must have no fragment and no user',
    ],
    [
      'an end whose client is part of the host',
      { revoke: { ...ending, url: 'https://{clientId}.acme.test/x' } },
      'revoke.url names a variable that is not among vars',
    ],
    [
      'an end that names no token',
      { revoke: { ...ending, json: { client: '{clientId}' } } },
      'revoke.json must name {accessToken}',
    ],
    [
      'an end that names something else',
      { revoke: { ...ending, json: { a: '{accessToken}', b: '{password}' } } },
      'revoke.json names {password}, which is nothing',
    ],
    [
      'a pin of another host',
      { oauth: endpoints, revoke: { how: 'console' }, pins: { 'api.openai.com': [pin] } },
      'pins.api.openai.com is none of its hosts',
    ],
    ['a pin that is none', { pins: { 'api.acme.test': ['sha1/x'] } }, 'must be sha256/ and a digest'],
    ['a host without a pin', { pins: { 'api.acme.test': [] } }, 'pins.api.acme.test is too short'],
    ['an end that it has no place for', { oauth: endpoints }, 'revoke.how needs an issuer'],
    [
      'a token worn from nowhere',
      { oauth: undefined, revoke: { how: 'console' } },
      'signIns[0].present[0] names the field "accessToken"',
    ],
    [
      '[security 1.17] a captured variable that says a whole host and ends in nobody’s domain',
      {
        vars: site,
        hosts: ['{site}'],
        signIns: [{ ...signIn, captures: { domain: 'site' } }],
      },
      'captures.domain says a whole host',
    ],
    [
      'a variable captured from the code',
      { vars: region, signIns: [{ ...signIn, captures: { code: 'region' } }] },
      'captures.code is not for a variable',
    ],
    [
      'a captured variable that is needed before',
      {
        vars: region,
        oauth: { issuer: 'https://{region}.acme.test' },
        signIns: [{ ...signIn, captures: { region: 'region' } }],
      },
      'is known only after',
    ],
  ])('is refused with %s', (_, change, words) => {
    expect(refusal(change)).toMatchObject({ code: 'config-invalid', message: expect.stringContaining(words) })
  })
})

describe('an issuer that the person names', () => {
  const file = { ...acme, vars: [{ name: 'issuer', label: 'Issuer' }], oauth: { issuer: 'https://{issuer}' } }
  const at = (issuer: string, origins = {}) => {
    const catalogue = openCatalogue({ builtIn: [file], own: [], origins })
    const provider = catalogue.find('acme')
    if (!provider?.oauth) throw new Error('there is no provider')
    return issuerOf(provider.oauth, catalogue.destination(provider, { issuer }))
  }

  it('is kept to the letter, slash and all', () => {
    for (const issuer of [
      'login.acme.test',
      'login.acme.test/',
      'login.acme.test/a/B_c~1/',
      'login.acme.test:8443/x',
    ]) {
      expect(at(issuer)).toBe(`https://${issuer}`)
      expect(at(`https://${issuer}`)).toBe(`https://${issuer}`)
    }
  })

  it('moves to the stand-in with its path, and with the slash that it has or has not', () => {
    const origins = { acme: 'http://127.0.0.1:4010' }
    expect(at('login.acme.test', origins)).toBe('http://127.0.0.1:4010')
    expect(at('login.acme.test/', origins)).toBe('http://127.0.0.1:4010/')
    expect(at('login.acme.test/a', origins)).toBe('http://127.0.0.1:4010/a')
  })

  it('may be on this very computer, at a port that is named; the way out has the last word', () => {
    for (const issuer of ['http://127.0.0.1:4010', 'http://127.0.0.1:4010/', 'http://127.0.0.1:4010/tenant/'])
      expect(at(issuer)).toBe(issuer)
  })

  it('is the usual place of what else is reached there, if the file says so', () => {
    const vars = [...file.vars, { name: 'host', label: 'Host', pattern: '[a-z.]+', default: '{issuer}' }]
    const catalogue = openCatalogue({ builtIn: [{ ...file, vars, hosts: ['{host}'] }], own: [], origins: {} })
    const provider = catalogue.find('acme')
    if (!provider) throw new Error('there is no provider')
    const goesTo = (values: Record<string, string>) => catalogue.destination(provider, values).origins
    expect(goesTo({ issuer: 'login.acme.test:8443/tenant' })).toEqual(['https://login.acme.test:8443'])
    expect(goesTo({ issuer: 'http://127.0.0.1:4010/x' })).toEqual(['http://127.0.0.1:4010'])
    expect(goesTo({ issuer: 'login.acme.test', host: 'api.acme.test' })).toEqual(['https://api.acme.test'])
    // As it is remembered with an account.
    expect(goesTo({ issuer: 'login.acme.test', host: '{issuer}' })).toEqual(['https://login.acme.test'])
    for (const host of ['{other}', '127.0.0.1:4010', '{issuer}.evil.test'])
      expect(() => goesTo({ issuer: 'login.acme.test', host })).toThrow(
        expect.objectContaining({ code: 'invalid-request' }),
      )
  })

  it.each([
    'http://login.acme.test',
    'http://127.0.0.1',
    'http://127.0.0.1:4010/../x',
    'http://127.0.0.1:4010@evil.test/',
    'http://127.0.0.1.evil.test:4010',
    'http://127.0.0.2:4010',
    'http://localhost:4010',
    'http://10.0.0.1:4010',
    '127.0.0.1',
    '127.0.0.1:8080',
    'localhost',
    'login.acme.test/../x',
    'login.acme.test/.x',
    'login.acme.test?x',
    'login.acme.test#x',
    'a@login.acme.test',
    'login.acme.test/%2e',
    'login.acme.test//x',
    'LOGIN.acme.test',
    'login.acme.test\\x',
    ' ',
    'https://https://acme.test',
    `login.acme.test/${'a/'.repeat(20)}`,
  ])('[security 20.4] cannot be %j', (issuer) => {
    expect(() => at(issuer)).toThrow(expect.objectContaining({ code: 'invalid-request' }))
  })
})

describe('a provider that is found by its resource', () => {
  const mcp = { hosts: ['mcp.acme.test'], mcp: '/mcp' }
  const found = (change: object = {}, resource = 'https://mcp.acme.test/mcp') =>
    refusal({ ...mcp, oauth: { resource }, ...change })

  it('needs no issuer before it was asked', () => {
    expect(found()).toBeUndefined()
    expect(found({}, 'https://mcp.acme.test')).toBeUndefined()
  })

  it.each([
    [{ mcp: undefined }, undefined, 'oauth.resource needs mcp, the path of the server'],
    [{}, 'https://elsewhere.test/mcp', 'oauth.resource must be at the first of hosts'],
    [{}, 'https://mcp.acme.test/mcp#x', 'oauth.resource must have no fragment'],
    [{ mcp: 'mcp' }, undefined, 'mcp must be a path'],
    [{ mcp: '//evil.test/mcp' }, undefined, 'mcp must be a path'],
    [{ mcp: '/a b' }, undefined, 'mcp must be a path'],
    [{ vars: site }, undefined, 'oauth.resource is of one server'],
  ])('[security 9.3] is refused with %o', (change, resource, words) => {
    expect(found(change, resource)).toMatchObject({ message: expect.stringContaining(words) })
  })

  it('does not let a file speak of another resource', () => {
    const oauth = {
      resource: 'https://mcp.acme.test/mcp',
      authorizeParams: { resource: 'https://evil.test' },
    }
    expect(found({ oauth })).toMatchObject({ message: expect.stringContaining('not for a provider to set') })
  })
})
