import { describe, expect, it } from 'vitest'
import type { ProviderFile } from '../model/provider.ts'
import { openCatalogue } from './catalogue.ts'

type SignInFile = ProviderFile['signIns'][number]
type ExchangeFile = NonNullable<SignInFile['exchange']>

const BEARER = [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }]
const ASSERTION = { issuer: '/client_email', privateKey: '/private_key' }
const RENEW = 'again' as const

/** What is said against a provider file with this way in; undefined where it is taken. */
function against(signIn: Partial<SignInFile>, change: Partial<ProviderFile> = {}): string | undefined {
  const file: ProviderFile = {
    id: 'acme',
    name: 'Acme',
    category: 'other',
    hosts: ['api.acme.test'],
    registration: 'yours',
    oauth: { authorize: 'https://acme.test/authorize', token: 'https://acme.test/token' },
    revoke: { how: 'console' },
    signIns: [{ flow: 'authorization-code', present: BEARER, ...signIn }],
    ...change,
  }
  try {
    openCatalogue({ builtIn: [file], own: [], origins: {} })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const trade = (change: object = {}): ExchangeFile => ({
  request: { url: 'https://api.acme.test/long', form: { token: '{accessToken}' } },
  renew: RENEW,
  ...change,
})
const asked = (request: object) => against({ exchange: trade({ request }) })

describe('an exchange after sign-in', () => {
  it('is taken where it goes to the provider alone', () => {
    expect(against({ exchange: trade() })).toBeUndefined()
    expect(
      against({ exchange: { how: 'token-exchange', audience: 'https://api.acme.test' } }),
    ).toBeUndefined()
  })

  it.each([
    ['shows what was issued to somebody else', { url: 'https://evil.test/long' }, 'must go to one of hosts'],
    [
      'shows what was issued in an address',
      { method: 'GET', url: 'https://api.acme.test/long', query: { token: '{accessToken}' } },
      'secretsInQuery does not say so',
    ],
    [
      'names what is not known then',
      { url: 'https://api.acme.test/l', form: { a: '{password}' } },
      '{password}',
    ],
  ])('is refused where it %s', (_, request, words) => {
    expect(asked(request)).toContain(words)
    expect(against({ exchange: trade({ renew: request }) })).toContain(words)
    expect(against({ exchange: trade({ whose: { request, subject: '/id' } }) })).toContain(words)
  })

  it('is refused where nobody could tell when it may be renewed, or what is over', () => {
    expect(against({ exchange: trade({ renewableAfterSeconds: 60 }) })).toContain('longer than renewable')
    expect(against({ exchange: trade({ renewableAfterSeconds: 60, seconds: 3600 }) })).toBeUndefined()
    expect(against({ exchange: trade({ over: [{ status: 400, at: '/error' }] }) })).toContain('exchange.over')
  })

  it('is refused where what it tells is bound to nothing', () => {
    const told = { '/host': 'host' }
    const vars = [{ name: 'host', label: 'Host' }]
    expect(against({ exchange: trade({ told }) }, { vars, hosts: ['{host}'] })).toContain('a list of choices')
  })
})

describe('a key that signs what it asks for', () => {
  const key = { name: 'key', label: 'Key' }

  it('is taken with the field that its document is given in, and a server', () => {
    expect(against({ flow: 'jwt-bearer', assertion: ASSERTION, fields: [key] })).toBeUndefined()
  })

  it('is refused without either', () => {
    expect(against({ flow: 'jwt-bearer', assertion: ASSERTION })).toContain('needs a secret field')
    const open = { ...key, secret: false }
    expect(against({ flow: 'jwt-bearer', assertion: ASSERTION, fields: [open] })).toContain('needs a secret')
    const present = [{ header: 'x-key', field: 'key' }]
    const way = { flow: 'jwt-bearer', assertion: ASSERTION, fields: [key], present }
    expect(against(way, { oauth: undefined })).toContain('assertion')
  })
})
