import { describe, expect, it } from 'vitest'
import { apiKeyFlow } from '../flows/api-key.ts'
import { authorizationCodeFlow } from '../flows/authorization-code.ts'
import type { Provider } from '../model/provider.ts'
import { openNetwork } from '../network/network.ts'
import { canary } from '../testing/canary.ts'
import { providerContract } from '../testing/provider-contract.ts'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'

const open = (file: object, origins = {}) =>
  openCatalogue({ builtIn: readBuiltIn(), own: [{ file: 'mine.json', text: JSON.stringify(file) }], origins })

function read(file: object): Provider {
  const catalogue = open(file)
  const found = catalogue.list().find(({ id }) => !catalogue.isBuiltIn(id))
  if (found === undefined) throw new Error('it was not read')
  return found
}

function refusal(file: object) {
  try {
    return read(file)
  } catch (error) {
    return error
  }
}

/** Metadata of a Connection Center: what it calls itself, and its endpoints inside of `oauth`. */
const NESTED = {
  id: 'openai-chatgpt',
  oauth: {
    authorizationUrl: 'https://platform.openai.com/oauth/authorize',
    tokenUrl: 'https://platform.openai.com/oauth/token',
    scopes: ['models.read', 'responses.write'],
  },
}

/** The configuration of an app: everything beside each other, with the client. */
const FLAT = {
  name: 'Acme Cloud',
  authUrl: 'https://auth.acme.test/oauth/authorize',
  tokenUrl: 'https://auth.acme.test/oauth/token',
  clientId: 'acme-client',
  redirectUri: 'http://localhost:8080/callback',
  scopes: ['api.read', 'api.write'],
  requiresPKCE: true,
}

/** A custom app with a key of its user. */
const KEY = { id: 'custom-app', credentials: { apiKey: '' } }

describe('a provider with its endpoints inside of oauth', () => {
  it('is read, and its tokens go to whoever issued them', () => {
    expect(read(NESTED)).toMatchObject({
      id: 'openai-chatgpt',
      name: 'openai-chatgpt',
      hosts: ['platform.openai.com'],
      oauth: {
        authorize: 'https://platform.openai.com/oauth/authorize',
        token: 'https://platform.openai.com/oauth/token',
        pkce: 'S256',
      },
      registration: 'yours',
      signIns: [{ flow: 'authorization-code', scopes: ['models.read', 'responses.write'] }],
    })
  })

  it('may say which hosts its tokens are for', () => {
    expect(read({ ...NESTED, hosts: ['api.openai.com'] }).hosts).toEqual(['api.openai.com'])
  })

  it.each([
    [{ ...NESTED.oauth, tokenUrl: undefined }, 'mine.json: oauth.tokenUrl is missing'],
    [{ ...NESTED.oauth, authorizationUrl: undefined }, 'mine.json: oauth.authorizationUrl is missing'],
    [
      { ...NESTED.oauth, tokenUrl: 'http://platform.openai.com/t' },
      'mine.json: oauth.tokenUrl must be an address',
    ],
    [{ ...NESTED.oauth, tokenURL: 'https://x.test' }, 'mine.json: oauth has no field "tokenURL"'],
    [{ ...NESTED.oauth, tokenUrl: 'https://10.0.0.1/t' }, 'must be a public host name'],
  ])('is refused by the name that its own file has for it: %j', (oauth, message) => {
    expect(refusal({ ...NESTED, oauth })).toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(message),
    })
  })
})

describe('a provider with everything beside each other', () => {
  it('is read with its client and the address it was registered with', () => {
    const provider = read(FLAT)
    expect(provider).toMatchObject({
      id: 'acme-cloud',
      name: 'Acme Cloud',
      hosts: ['auth.acme.test'],
      oauth: { authorize: FLAT.authUrl, token: FLAT.tokenUrl, clientId: 'acme-client', pkce: 'S256' },
      registration: 'shipped',
    })
    expect(provider.signIns[0]?.redirect).toEqual({ host: 'localhost', port: 8080, path: '/callback' })
  })

  it('may call its address authorizationUrl, and write its scopes as one text', () => {
    const { authUrl: authorizationUrl, ...rest } = FLAT
    const { oauth, signIns } = read({ ...rest, authorizationUrl, scopes: 'api.read api.write' })
    expect([oauth?.authorize, signIns[0]?.scopes]).toEqual([authorizationUrl, ['api.read', 'api.write']])
  })

  it('is sent with PKCE even where it says that it could do without', () => {
    expect(read({ ...FLAT, requiresPKCE: false }).oauth?.pkce).toBe('S256')
  })

  it('may leave the port, or the whole address to come back to, open', () => {
    const at = (redirectUri?: string) => read({ ...FLAT, redirectUri }).signIns[0]?.redirect
    expect(at('http://127.0.0.1/cb')).toEqual({ host: '127.0.0.1', path: '/cb' })
    expect(at()).toBeUndefined()
  })

  it.each([
    'https://app.acme.test/callback',
    'http://acme.test:8080/callback',
    'http://127.0.0.1:443/callback',
    'http://127.0.0.1:8080/callback?x=1',
    'acme://callback',
    'callback',
  ])('cannot be come back to at %s', (redirectUri) => {
    expect(refusal({ ...FLAT, redirectUri })).toMatchObject({
      message: expect.stringContaining('redirectUri must be an address on this computer'),
    })
  })

  it.each([
    [{ name: undefined }, 'mine.json: id is missing'],
    [{ tokenUrl: undefined }, 'mine.json: tokenUrl is missing'],
    [{ authUrl: undefined }, 'mine.json: authorizationUrl is missing'],
    [{ scopes: 7 }, 'mine.json: scopes '],
    [{ scopes: ['openid'] }, 'mine.json: scopes name openid'],
    [{ site: 'datadoghq.com' }, 'mine.json: has no field "site"'],
    [{ clientId: 'a b' }, 'mine.json: oauth.clientId must be visible ASCII'],
  ])('is refused with what is missing or wrong: %j', (change, message) => {
    expect(refusal({ ...FLAT, ...change })).toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(message),
      hint: expect.any(String),
    })
  })
})

describe('a provider with a key of its user', () => {
  it('is read, and asks for the one host that the key may go to', () => {
    const provider = read(KEY)
    expect(provider).toMatchObject({
      hosts: ['{host}'],
      registration: 'none',
      signIns: [{ flow: 'api-key', fields: [{ name: 'apiKey', secret: true }] }],
    })
    const { destination } = open(KEY)
    expect(() => destination(provider, {})).toThrow(expect.objectContaining({ code: 'invalid-request' }))
    expect(destination(provider, { host: 'api.acme.test' }).origins).toEqual(['https://api.acme.test'])
  })

  it('may say its host itself, and offer a sign-in by browser first', () => {
    expect(read({ ...KEY, hosts: ['api.acme.test'] })).toMatchObject({ vars: [], hosts: ['api.acme.test'] })
    for (const both of [
      { ...NESTED, ...KEY },
      { ...FLAT, ...KEY },
    ])
      expect(read(both).signIns.map(({ flow }) => flow)).toEqual(['authorization-code', 'api-key'])
  })

  it('is refused with the key in the file, and the key is not repeated', () => {
    for (const credentials of [
      { apiKey: `sk-${canary('file')}` },
      { accessToken: canary('file') },
      { refreshToken: canary('file') },
    ]) {
      const refused = refusal({ ...KEY, credentials })
      expect(refused).toMatchObject({
        code: 'config-invalid',
        message: expect.stringContaining('no secret lies in a file'),
        hint: 'leave it empty ("") and run valetkey connect custom-app',
      })
      expect(`${refused}`).not.toContain('CANARY')
    }
  })
})

describe('a secret of a client', () => {
  const ours = { ...read(NESTED), $schema: undefined }

  it.each<[string, (clientSecret: string) => object]>([
    ['beside the endpoints', (clientSecret) => ({ ...FLAT, id: 'acme', clientSecret })],
    [
      'inside of oauth',
      (clientSecret) => ({ ...NESTED, id: 'acme', oauth: { ...NESTED.oauth, clientSecret } }),
    ],
    ['in the words of our own schema', (clientSecret) => ({ ...ours, id: 'acme', clientSecret })],
    [
      'as the standard spells it',
      (client_secret) => ({ ...ours, id: 'acme', oauth: { ...ours.oauth, client_secret } }),
    ],
  ])('is refused %s, with what to do instead', (_, file) => {
    const refused = refusal(file(canary('client')))
    expect(refused).toMatchObject({
      code: 'config-invalid',
      message: expect.stringMatching(
        /^mine\.json: client_?secret is a secret, and no secret lies in a file$/i,
      ),
      hint: 'valetkey register acme',
    })
    expect(`${refused}`).not.toContain('CANARY')
  })

  it('is none where it is empty', () => {
    expect(read({ ...FLAT, clientSecret: '' }).oauth?.clientId).toBe('acme-client')
  })
})

it('leaves a file in our own words as it is', () => {
  const ours = read(NESTED)
  expect(read(ours)).toEqual(ours)
  expect(refusal({ id: 'acme', name: 'Acme' })).toMatchObject({ message: 'mine.json: category is missing' })
  for (const odd of [[], null, 7, 'text']) expect(() => read(odd as object)).toThrow('mine.json')
})

const vars = { host: 'api.acme.test' }
const good = { apiKey: canary('any') }
const bad = { apiKey: `${canary('broken')}\nx-other: 1` }
for (const [file, example] of [
  [NESTED, { good: {}, bad: {} }],
  [FLAT, { good: {}, bad: {} }],
  [KEY, { vars, good, bad }],
] as const)
  providerContract(read(file), example, {
    flows: [apiKeyFlow, authorizationCodeFlow()],
    catalogue: (origins) => open(file, origins),
    network: (allow) => openNetwork({ allow }),
  })
