import { describe, expect, it } from 'vitest'
import type { ProviderFile } from '../model/provider.ts'
import { readBuiltIn } from './built-in.ts'
import { parseProvider } from './read.ts'

type SignInFile = ProviderFile['signIns'][number]

const signIn: SignInFile = {
  flow: 'authorization-code',
  present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
}
const oauth = { authorize: 'https://login.acme.test/a', token: 'https://login.acme.test/t' }
const site = { name: 'site', label: 'Site', pattern: '[a-z0-9-]+' }
const realm = { name: 'realm', label: 'Realm', pattern: '\\d+' }
const region = { name: 'region', label: 'Region', choices: ['eu', 'us'] }
const whole = (pattern: string) => [{ name: 'instance', label: 'Instance', pattern }]

const file = (change: Partial<ProviderFile>, way: Partial<SignInFile> = {}): ProviderFile => ({
  id: 'acme',
  name: 'Acme',
  category: 'other',
  hosts: ['api.acme.test'],
  registration: 'yours',
  oauth,
  revoke: { how: 'console' },
  ...change,
  signIns: [{ ...signIn, ...way }],
})

function refusal(change: Partial<ProviderFile>, way: Partial<SignInFile> = {}): string | undefined {
  try {
    parseProvider('acme.json', file(change, way))
  } catch (error) {
    return error instanceof Error ? error.message : 'something else'
  }
}

const asking = (url: string, more: object = {}) => ({ method: 'GET', url, ...more }) as const
const looking = (url: string, more: object = {}) => ({
  lookups: [{ request: asking(url, more), value: '/id', as: 'site' }],
})
const ending = (more: object) =>
  ({ how: 'request', url: 'https://api.acme.test/end', json: { a: '{accessToken}' }, ...more }) as const
const withOauth = (more: object) => ({ oauth: { ...oauth, ...more } })

describe('a provider with an authorization server of its own kind', () => {
  it.each<[string, Partial<ProviderFile>, Partial<SignInFile>]>([
    ['a place of its own to renew', withOauth({ refresh: 'https://login.acme.test/r' }), {}],
    [
      'a device',
      withOauth({ device: { authorize: 'https://login.acme.test/d', verify: 'https://acme.test/go' } }),
      {},
    ],
    ['the state along with its code', withOauth({ codeParams: { state: '{state}' } }), {}],
    ['a header for tokens', withOauth({ tokenHeaders: { 'acme-version': '2' } }), {}],
    ['a look-up', { vars: [site] }, looking('https://api.acme.test/sites', { auth: 'token' })],
    ['a company from the browser', { vars: [realm] }, { captures: { realmId: 'realm' } }],
    [
      'a part of a host from the server',
      { vars: [site], hosts: ['{site}.acme.test'] },
      { told: { '/site': 'site' } },
    ],
    [
      'a whole host from the server',
      {
        vars: whole('[a-z0-9-]+(\\.[a-z0-9-]+)*\\.acme\\.test|[a-z]+\\.acme\\.example'),
        hosts: ['{instance}'],
      },
      { told: { '/instance_url': 'instance' } },
    ],
    [
      'a shop that the browser says again',
      {
        vars: [{ ...site, name: 'shop' }],
        hosts: ['{shop}.acme.test'],
        oauth: { authorize: 'https://{shop}.acme.test/a', token: 'https://{shop}.acme.test/t' },
      },
      { captures: { shop: 'shop' }, signed: { parameter: 'hmac', by: 'hmac-sha256-hex' } },
    ],
    [
      'a question to verify with',
      {},
      { verify: { method: 'POST', url: 'https://api.acme.test/q', json: { query: 'me' }, okAt: '/ok' } },
    ],
    ['an end that the token asks for', { revoke: ending({ auth: 'token', json: undefined }) }, {}],
    [
      'a secret in an address, where it says so',
      {
        revoke: ending({
          method: 'GET',
          json: undefined,
          query: { t: '{accessToken}' },
          secretsInQuery: true,
        }),
      },
      {},
    ],
  ])('may have %s', (_, change, way) => {
    expect(refusal(change, way)).toBeUndefined()
  })

  it.each<[string, Partial<ProviderFile>, Partial<SignInFile>, string]>([
    [
      'a place to renew that is nobody’s',
      withOauth({ refresh: 'https://{x}.test/r' }),
      {},
      'oauth.refresh names a variable',
    ],
    [
      'a pushed request to a private host',
      withOauth({ par: 'https://localhost/par' }),
      {},
      'oauth.par must be a public host',
    ],
    [
      'a device at a private host',
      withOauth({ device: { authorize: 'https://intranet/d' } }),
      {},
      'oauth.device.authorize must be',
    ],
    [
      'a device that says who we are',
      withOauth({ device: { params: { client_id: 'x' } } }),
      {},
      'oauth.device.params.client_id is not',
    ],
    [
      'a device with codes for nowhere',
      withOauth({ device: { yields: 'code' } }),
      {},
      'oauth.device.redirect is missing',
    ],
    [
      'a grant in our place',
      withOauth({ tokenParams: { grant_type: 'x' } }),
      {},
      'oauth.tokenParams.grant_type is not',
    ],
    [
      'a parameter of what it cannot know',
      withOauth({ tokenParams: { a: '{state}' } }),
      {},
      'oauth.tokenParams.a names {state}',
    ],
    [
      'a verifier in our place',
      withOauth({ codeParams: { code_verifier: 'x' } }),
      {},
      'oauth.codeParams.code_verifier is not',
    ],
    [
      'a code parameter of nothing',
      withOauth({ codeParams: { a: '{secret}' } }),
      {},
      'oauth.codeParams.a names {secret}',
    ],
    [
      'a proof in a header',
      withOauth({ tokenHeaders: { authorization: 'x' } }),
      {},
      'oauth.tokenHeaders.authorization is not',
    ],
    [
      'a header of two lines',
      withOauth({ tokenHeaders: { 'acme-a': 'a\nb' } }),
      {},
      'oauth.tokenHeaders.acme-a must be visible',
    ],
    [
      'scopes in the place of the state',
      withOauth({ scopeParam: 'state' }),
      {},
      'oauth.scopeParam means something else',
    ],
    [
      'a wish that it asks for anyway',
      {},
      { scopes: ['a'], optionalScopes: [{ name: 'a' }] },
      'optionalScopes asks for "a" twice',
    ],
    ['a wish that is none', {}, { optionalScopes: [{ name: 'a b' }] }, 'optionalScopes must be visible'],
    [
      'a body for a GET',
      {},
      { verify: { url: 'https://api.acme.test/q', json: {} } },
      'verify.json cannot be sent with GET',
    ],
    [
      'a refusal that proves life',
      {},
      { verify: { url: 'https://api.acme.test/q', ok: [401] } },
      'verify.ok cannot be a refusal',
    ],
    ['keys minted for nothing', {}, { mint: { how: 'aws-sts' } }, 'mint.how needs to be worn by sigv4'],
    [
      'a mint elsewhere',
      {},
      { mint: { how: 'google-impersonation', url: 'https://evil.test/x' } },
      'mint.url must go to one of hosts',
    ],
  ])('is refused with %s', (_, change, way, words) => {
    expect(refusal(change, way)).toContain(words)
  })
})

describe('a value that nobody fills in', () => {
  it.each<[string, Partial<ProviderFile>, Partial<SignInFile>, string]>([
    ['is of a variable that is not there', {}, { told: { '/a': 'nothing' } }, 'told./a names "nothing"'],
    [
      'may be anything',
      { vars: [{ name: 'free', label: 'Free' }] },
      { told: { '/a': 'free' } },
      'told./a must be a variable with a list',
    ],
    [
      'is told twice',
      { vars: [site] },
      { told: { '/a': 'site' }, ...looking('https://api.acme.test/s') },
      'lookups[0].as tells "site" once more',
    ],
    ['is a token', { vars: [site] }, { told: { '/access_token': 'site' } }, 'told is a secret'],
    ['names somebody by a token', {}, { whose: { subject: '/refresh_token' } }, 'told is a secret'],
    [
      'is wanted by the server that tells it',
      { vars: [region], oauth: { ...oauth, revoke: 'https://{region}.acme.test/r' } },
      { told: { '/region': 'region' } },
      'is known only after',
    ],
    [
      'from the browser is wanted to redeem the code',
      { vars: [site], oauth: { ...oauth, token: 'https://{site}.acme.test/t' } },
      { captures: { site: 'site' } },
      'is known only after',
    ],
    [
      '[security 1.17] is any host',
      { vars: whole('[a-z.]+'), hosts: ['{instance}'] },
      { told: { '/u': 'instance' } },
      'says a whole host',
    ],
    [
      '[security 1.17] ends in a domain that anybody may have',
      { vars: whole('[a-z]+\\.co\\.uk'), hosts: ['{instance}'] },
      { told: { '/u': 'instance' } },
      'says a whole host',
    ],
    [
      '[security 1.17] ends in one by half of its form',
      { vars: whole('[a-z.]+|[a-z]+\\.acme\\.test'), hosts: ['{instance}'] },
      { told: { '/u': 'instance' } },
      'says a whole host',
    ],
    [
      '[security 1.17] only seems to end in one',
      { vars: whole('[a-z]+.acme.test'), hosts: ['{instance}'] },
      { captures: { u: 'instance' } },
      'says a whole host',
    ],
    [
      '[security 1.17] ends in one that may be left out',
      { vars: whole('[a-z.]+(\\.acme\\.test)?'), hosts: ['{instance}'] },
      { captures: { u: 'instance' } },
      'says a whole host',
    ],
    [
      'is looked up elsewhere',
      { vars: [site] },
      looking('https://evil.test/s'),
      'lookups[0].request.url must go to one of hosts',
    ],
    [
      'is looked up with a secret in the address',
      { vars: [site] },
      looking('https://api.acme.test/s', { query: { t: '{accessToken}' } }),
      'shows {accessToken} in an address',
    ],
    [
      'is signed in the state',
      {},
      { signed: { parameter: 'state', by: 'hmac-sha256-hex' } },
      'signed.parameter is not',
    ],
  ])('is refused where it %s', (_, change, way, words) => {
    expect(refusal(change, way)).toContain(words)
  })
})

describe('a request of a provider’s own', () => {
  it.each<[string, object, string]>([
    ['to another host', { url: 'https://evil.test/end' }, 'revoke.url must go to one of hosts'],
    [
      'that names what is not known',
      { json: { a: '{accessToken}', b: '{password}' } },
      'revoke.json names {password}',
    ],
    ['that names no token', { json: { a: 'x' } }, 'revoke.json must name'],
    [
      'that ends tokens of nobody',
      { json: { a: 'x' }, ends: ['accessToken'] },
      'revoke.ends needs a variable',
    ],
    ['as a form and as JSON', { form: { a: '{accessToken}' } }, 'revoke.form cannot be sent beside json'],
    ['by GET with a body', { method: 'GET' }, 'revoke.method has no body'],
    ['that goes to a host it names itself', { headers: { host: 'evil.test' } }, 'revoke.headers.host is not'],
    [
      'that proves itself twice',
      { auth: 'client', headers: { authorization: 'x' } },
      'revoke.headers.authorization is not',
    ],
    [
      '[security 1.15] with a token in its address',
      { query: { t: '{refreshToken}' } },
      'shows {refreshToken} in an address',
    ],
    [
      '[security 1.15] with our secret in its address',
      { query: { s: '{clientSecret}' } },
      'shows {clientSecret} in an address',
    ],
    [
      'with leave for a secret that it does not have',
      { secretsInQuery: true },
      'has no secret that it is about',
    ],
  ])('is refused %s', (_, change, words) => {
    expect(refusal({ revoke: ending(change) as ProviderFile['revoke'] })).toContain(words)
  })

  it('[security 1.15] shows a secret in an address at the one provider that takes it in no other way', () => {
    const inAddress = readBuiltIn().filter((provider) =>
      JSON.stringify(provider).includes('"secretsInQuery":true'),
    )
    expect(inAddress.map(({ id }) => id).filter((id) => id !== 'instagram')).toEqual([])
    for (const { evidence } of inAddress)
      expect(Object.keys(evidence).filter((name) => /secretsInQuery|exchange/.test(name))).not.toEqual([])
  })
})
