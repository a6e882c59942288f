import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builtInStage } from '../../../test/built-in-stage.ts'
import { refusal } from '../../../test/house.ts'
import type { Credential } from '../../model/credential.ts'
import type { Wish } from '../../model/mint.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { readBuiltIn } from '../../providers/built-in.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { oauthStage } from '../../testing/oauth-stage.ts'
import { googleImpersonationMint } from './google-impersonation.ts'
import { tokenExchangeMint } from './token-exchange.ts'

const rooms = { openNetwork, openCatalogue, readBuiltIn }
const held = canary('account')
const issued = canary('issued')

interface Asked {
  readonly path: string
  readonly authorization: string | undefined
  readonly body: string
}

let asked: Asked[]
let answer: { status: number; body: object }
let origin: string
let close: () => void

beforeEach(async () => {
  asked = []
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const { authorization } = request.headers
    asked.push({ path: request.url ?? '', authorization, body: Buffer.concat(pieces).toString() })
    const known = authorization === `Bearer ${held}` || asked.at(-1)?.body.includes(held)
    const { status, body } = known ? answer : { status: 401, body: { error: { code: 401 } } }
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  close = () => {
    server.close()
    server.closeAllConnections()
  }
})
afterEach(() => close())

const account = (scopes: readonly string[] = [], token = held): Credential => ({
  worn: { accessToken: new Secret(token) },
  kept: { refreshToken: new Secret('kept') },
  standing: false,
  expiresAt: new Date(Date.now() + 3_600_000),
  scopes,
  tokenType: 'Bearer',
})

describe('a token of a Google service account', () => {
  const READ = 'https://www.googleapis.com/auth/devstorage.read_only'
  const AS = 'reports@my-project.iam.gserviceaccount.com'
  const google = () => builtInStage(rooms, { provider: 'google', flow: 'authorization-code', origin })
  const mint = (wish: Wish, credential = account()) =>
    googleImpersonationMint.mint(google(), credential, wish)

  it('is had by the account’s own, for an hour and for what is named alone', async () => {
    const expireTime = new Date(Date.now() + 3_600_000).toISOString()
    answer = { status: 200, body: { accessToken: issued, expireTime } }
    const { worn, kept, scopes, expiresAt } = await mint({ audience: AS, scopes: [READ] })
    expect([worn['accessToken']?.reveal(), kept, scopes]).toEqual([issued, {}, [READ]])
    expect(expiresAt?.toISOString()).toBe(expireTime)
    const path = `/v1/projects/-/serviceAccounts/${encodeURIComponent(AS)}:generateAccessToken`
    expect(asked).toMatchObject([{ path, authorization: `Bearer ${held}` }])
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual({ scope: [READ], lifetime: '3600s' })
  })

  it.each([
    [{ audience: AS }, 'a token of a service account is for scopes that are named'],
    [{ scopes: [READ] }, 'this is no service account'],
    [{ audience: `${AS}/../x`, scopes: [READ] }, 'this is no service account'],
    [
      { audience: AS, scopes: [READ], repositories: ['a/b'] },
      'Google has no repositories to hold a token to',
    ],
  ])('is refused, and nobody is asked, for %j', async (wish, message) => {
    expect(await refusal(mint(wish))).toMatchObject({ code: 'invalid-request', message })
    expect(asked).toHaveLength(0)
  })

  it.each([
    [403, 'invalid-request'],
    [404, 'invalid-request'],
    [400, 'invalid-request'],
    [500, 'server-error'],
  ] as const)('is refused by a %s as %s', async (status, code) => {
    answer = { status, body: { error: { code: status, message: 'quoted nowhere' } } }
    const refused = await refusal(mint({ audience: AS, scopes: [READ] }))
    expect(refused.code).toBe(code)
    expect(JSON.stringify(refused)).not.toContain('quoted')
  })

  it('says so where the account’s own token is refused, so that it is renewed', async () => {
    const refused = mint({ audience: AS, scopes: [READ] }, account([], 'another'))
    expect(await refusal(refused)).toMatchObject({ code: 'invalid-token' })
  })
})

describe('a token that is exchanged (RFC 8693)', () => {
  const context = () =>
    oauthStage(rooms, {
      oauth: { authorize: `${origin}/authorize`, token: `${origin}/token` },
      provider: { revoke: { how: 'console' } },
      scopes: ['read', 'write'],
      signIn: { mint: { how: 'token-exchange' } },
      allow: [origin],
    })
  const mint = (wish: Wish, scopes: readonly string[] = ['read', 'write']) =>
    tokenExchangeMint().mint(context(), account(scopes), wish)
  const gives = (more: object) => {
    const plain = { access_token: issued, token_type: 'Bearer', expires_in: 600 }
    const issued_token_type = 'urn:ietf:params:oauth:token-type:access_token'
    answer = { status: 200, body: { ...plain, issued_token_type, ...more } }
  }

  it('is had for the account’s own, with the end and the scopes that were given', async () => {
    gives({ scope: 'read' })
    const { worn, kept, scopes, expiresAt } = await mint({
      audience: 'https://api.example.com',
      scopes: ['read'],
    })
    expect([worn['accessToken']?.reveal(), kept, scopes]).toEqual([issued, {}, ['read']])
    expect((expiresAt?.getTime() ?? 0) - Date.now()).toBeLessThanOrEqual(600_000)
    expect(Object.fromEntries(new URLSearchParams(asked[0]?.body))).toMatchObject({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: held,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      audience: 'https://api.example.com',
      scope: 'read',
    })
  })

  it('is for no more than the account was granted, whoever wishes more', async () => {
    gives({})
    expect(await refusal(mint({ scopes: ['admin'] }))).toMatchObject({
      code: 'invalid-request',
      message: 'the account itself was not granted all of these scopes',
    })
    expect(asked).toHaveLength(0)
    expect((await mint({ audience: 'x' }, ['read', 'offline_access'])).scopes).toEqual(['read'])
    expect(new URLSearchParams(asked[0]?.body).get('scope')).toBe('read')
  })

  it('is not handed on where it may more than was asked for, or less', async () => {
    gives({ scope: 'read write' })
    expect(await refusal(mint({ scopes: ['read'] }))).toMatchObject({ code: 'bad-answer' })
    gives({ scope: 'read' })
    expect(await refusal(mint({ scopes: ['read', 'write'] }))).toMatchObject({ code: 'invalid-request' })
  })

  it.each([
    ['invalid_grant', 'invalid-token'],
    ['invalid_target', 'invalid-request'],
    ['invalid_scope', 'invalid-request'],
  ] as const)('ends nothing where it is refused as %s', async (error, code) => {
    answer = { status: 400, body: { error } }
    expect(await refusal(mint({ audience: 'x' }))).toMatchObject({ code })
  })
})
