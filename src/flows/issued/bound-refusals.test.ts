import { decodeJwt } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import type { Script } from '../../testing/hostile-server.ts'
import { hostileStage, type OAuthScene, signInBy, visitOf } from '../../testing/oauth-stage.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

// A server that does not keep to what it says, or asks for what nobody can do.

const rooms = { openCatalogue, openNetwork }
let stage: Awaited<ReturnType<typeof hostileStage>>
afterEach(() => stage?.close())

async function opened(oauth: object, script: Script = {}, scene: Partial<OAuthScene> = {}) {
  stage = await hostileStage(rooms, { scopes: ['profile'], ...scene })
  stage.there.play(script)
  const { context } = stage
  const whole = { ...context.provider.oauth, ...oauth } as NonNullable<typeof context.provider.oauth>
  return { ...context, provider: { ...context.provider, oauth: whole } }
}

const forms = () => stage.there.forms.length
const bound = (honest: object, more: object = {}) => ({ body: { ...honest, token_type: 'DPoP', ...more } })

describe('a server that takes only pushed requests', () => {
  it('[security 9.1] and names no place for them is not gone to with a plain one', async () => {
    const context = await opened(
      {},
      { metadata: (honest) => ({ body: { ...honest, require_pushed_authorization_requests: true } }) },
    )
    await expect(authorizationCodeFlow().begin(context)).rejects.toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringContaining('pushed'),
    })
    expect(stage.there.requests.some(({ path }) => path.startsWith('/authorize'))).toBe(false)
  })

  it.each([
    ['refuses', { status: 400, body: { error: 'invalid_request' } }, 'exchange-failed'],
    ['knows no such resource', { status: 400, body: { error: 'invalid_target' } }, 'provider-not-configured'],
    [
      'does not know the client',
      { status: 401, body: { error: 'invalid_client' } },
      'provider-not-configured',
    ],
    ['names no request', { status: 201, body: { expires_in: 60 } }, 'bad-answer'],
    ['does not say for how long', { status: 201, body: { request_uri: 'urn:x' } }, 'bad-answer'],
    [
      'answers with a page',
      { status: 201, headers: { 'content-type': 'text/html' }, body: 'x' },
      'bad-answer',
    ],
    ['leads elsewhere', { status: 307, headers: { location: 'https://evil.test/' } }, 'bad-answer'],
    ['is down', { status: 503 }, 'server-error'],
  ])('[security 9.1] is not gone to where it %s', async (_, answer, code) => {
    const context = await opened({}, { par: () => answer })
    await expect(authorizationCodeFlow().begin(context)).rejects.toMatchObject({ code })
  })
})

describe('a server that offers to take pushed requests', () => {
  it('[security 9.1] gets them from a client that can prove who it is, and plain ones from any other', async () => {
    const pushed = { par: () => ({ status: 201, body: { request_uri: 'urn:one', expires_in: 60 } }) }
    const ours = visitOf(await authorizationCodeFlow().begin(await opened({}, pushed)))
    expect(ours.url.searchParams.get('request_uri')).toBe('urn:one')
    await stage.close()
    const anyones = visitOf(
      await authorizationCodeFlow().begin(await opened({}, pushed, { clientSecret: '' })),
    )
    expect(anyones.url.searchParams.get('state')).toBeTruthy()
    expect(anyones.url.searchParams.has('request_uri')).toBe(false)
  })
})

describe('tokens that were asked to be bound', () => {
  const signIn = async (script: Script, oauth: object = { dpop: true }) => {
    const context = await opened(oauth, script)
    return signInBy(authorizationCodeFlow(), context, stage.there.consent)
  }

  it.each(['Bearer', 'bearer', 'mac', 'N_A', ''])(
    '[security 9.2] [security 10.1] are refused where they are of the type "%s"',
    async (type) => {
      const script: Script = { token: (honest) => ({ body: { ...honest, token_type: type } }) }
      await expect(signIn(script)).rejects.toMatchObject({ code: 'bad-answer' })
    },
  )

  it.each(['DPoP', 'dpop', 'DPOP'])('[security 9.2] are taken where their type is "%s"', async (type) => {
    const { credential } = await signIn({ token: (honest) => bound(honest, { token_type: type }) })
    expect(credential.tokenType).toBe('DPoP')
  })

  it('[security 9.2] are refused where nobody asked for them to be bound', async () => {
    await expect(signIn({ token: (honest) => bound(honest) }, {})).rejects.toMatchObject({
      code: 'bad-answer',
    })
  })

  it('[security 9.2] are refused at renewal where they are not bound any more', async () => {
    const { credential } = await signIn({ token: (honest) => bound(honest) })
    stage.there.play({ token: (honest) => ({ body: honest }) })
    const { context } = stage
    await expect(authorizationCodeFlow().refresh?.(context, credential)).rejects.toMatchObject({
      code: 'bad-answer',
    })
  })

  it('[security 9.2] are asked for once more where a nonce is wanted, and no third time', async () => {
    const wants = (nonce: string) => ({
      status: 400,
      headers: { 'dpop-nonce': nonce },
      body: { error: 'use_dpop_nonce' },
    })
    await expect(signIn({ token: () => wants(`n${forms()}`) })).rejects.toMatchObject({
      code: expect.any(String),
    })
    expect(forms()).toBe(2)
    const [, second] = stage.there.requests.filter(({ path }) => path === '/token')
    expect(decodeJwt(String(second?.headers['dpop']))['nonce']).toBe('n1')
  })

  it('[security 9.2] take the nonce for the next request from any answer', async () => {
    const said = (honest: object) => ({ ...bound(honest), headers: { 'dpop-nonce': `n${forms()}` } })
    const { credential } = await signIn({ token: said })
    await authorizationCodeFlow().refresh?.(stage.context, credential)
    await authorizationCodeFlow().refresh?.(stage.context, credential)
    const shown = stage.there.requests
      .filter(({ path }) => path === '/token')
      .map(({ headers }) => decodeJwt(String(headers['dpop']))['nonce'])
    expect(shown).toEqual([undefined, 'n1', 'n2'])
  })

  it.each([
    ['no algorithm that is known here', ['RS512'], 'provider-not-configured'],
    ['one of ours', ['RS256', 'ES256'], undefined],
  ])('[security 9.2] are asked for by ES256, at a server that takes %s', async (_, algorithms, code) => {
    const context = await opened(
      { dpop: true },
      { metadata: (honest) => ({ body: { ...honest, dpop_signing_alg_values_supported: algorithms } }) },
    )
    const begun = authorizationCodeFlow().begin(context)
    if (code === undefined) expect(await begun).toHaveProperty('step')
    else await expect(begun).rejects.toMatchObject({ code })
  })

  it('[security 9.2] hold no key in anything that is shown', async () => {
    const context = await opened({ dpop: true })
    const turn = await authorizationCodeFlow().begin(context)
    const { memory } = visitOf(turn)
    const { d } = JSON.parse(JSON.parse(memory.reveal()).dpopKey)
    expect(JSON.stringify(turn)).not.toContain(d)
  })
})

describe('a token for one resource', () => {
  it.each([
    ['with the code', { token: () => ({ status: 400, body: { error: 'invalid_target' } }) }],
    [
      'in the browser',
      {
        callback: (honest: URLSearchParams) => {
          honest.delete('code')
          honest.set('error', 'invalid_target')
        },
      },
    ],
  ])('[security 9.3] that its server does not know is told as such: %s', async (_, script: Script) => {
    const context = await opened({ resource: 'https://api.acme.test/mcp' }, script)
    await expect(signInBy(authorizationCodeFlow(), context, stage.there.consent)).rejects.toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringContaining('resource'),
    })
  })
})
