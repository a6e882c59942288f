import { afterEach, describe, expect, it } from 'vitest'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext, RevokedPiece } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { readBuiltIn } from '../../providers/built-in.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { type StandInAnswer, standIn } from '../../testing/stand-in.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const clientId = 'Iv1.8a61f9b3a7aba766'
const clientSecret = canary('client')
const accessToken = `gho_${canary('access')}`
const refreshToken = `ghr_${canary('refresh')}`
const BY_HAND = 'only you can end it, at https://github.com/settings/applications'
const OVER = 'the provider no longer renews this access'

function credential(kept: Credential['kept'] = {}): Credential {
  const worn = { accessToken: new Secret(accessToken) }
  return { worn, kept, standing: true, expiresAt: null, scopes: [], tokenType: 'Bearer' }
}

/** GitHub as its file says, at a stand-in that answers its end in one way. */
async function atGitHub(answer: StandInAnswer, client: Partial<NonNullable<FlowContext['client']>> = {}) {
  const there = await standIn({
    [`DELETE /applications/${clientId}/token`]: answer,
    'POST /login/oauth/access_token': { body: { error: 'bad_refresh_token' } },
  }).listen()
  const catalogue = openCatalogue({ builtIn: readBuiltIn(), own: [], origins: { github: there.origin } })
  const network = openNetwork({ allow: [there.origin] })
  closing.push(network.close, there.close)
  const provider = catalogue.find('github')
  const signIn = provider?.signIns.find(({ flow }) => flow === 'authorization-code')
  if (!provider || !signIn) throw new Error('there is no GitHub')
  const context: FlowContext = {
    provider,
    signIn,
    catalogue,
    network,
    now: () => new Date(),
    newId: () => 'one',
    known: {},
    insist: false,
    client: { clientId, clientSecret: new Secret(clientSecret), ...client },
    redirectUri: undefined,
    state: undefined,
  }
  const revoke = (held = credential()) => authorizationCodeFlow().revoke(context, held)
  return { there, context, revoke }
}

describe('an end by a request of the provider’s own', () => {
  it('names the token in JSON, and shows the client by its basic pair', async () => {
    const { there, revoke } = await atGitHub({ status: 204 })
    expect(await revoke()).toEqual([{ what: 'access token', died: true, how: 'ended at the provider' }])
    const [request] = there.requests
    expect([request?.method, request?.path]).toEqual(['DELETE', `/applications/${clientId}/token`])
    expect(JSON.parse(String(await request?.body))).toEqual({ access_token: accessToken })
    expect(request?.headers).toMatchObject({
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'content-type': 'application/json',
      'user-agent': 'valetkey',
    })
  })

  it('says nothing of a token that it does not name', async () => {
    const { there, revoke } = await atGitHub({ status: 204 })
    expect(await revoke(credential({ refreshToken: new Secret(refreshToken) }))).toEqual([
      { what: 'refresh token', died: false, how: BY_HAND },
      { what: 'access token', died: true, how: 'ended at the provider' },
    ])
    expect(String(await there.requests[0]?.body)).not.toContain(refreshToken)
  })

  it.each<[string, StandInAnswer, string]>([
    [
      'the token is not known',
      { status: 404 },
      'the provider does not know it, or not as one of this client',
    ],
    ['the client is not accepted', { status: 401 }, 'the provider does not accept this client'],
    ['the client may not do that', { status: 403 }, 'the provider does not accept this client'],
    ['it is spammed', { status: 422 }, 'the provider answered 422, which does not say that it is ended'],
    ['it is taken for something else', { status: 202 }, 'the provider answered 202, which does not'],
  ])(
    '[security 7.2] is told not to have come where %s, and is not asked for again',
    async (_, answer, why) => {
      const { revoke } = await atGitHub(answer)
      const pieces = await revoke()
      expect(pieces).toEqual([{ what: 'access token', died: false, how: expect.stringContaining(why) }])
      expect(pieces[0]?.how).toContain(BY_HAND)
    },
  )

  it.each<[string, StandInAnswer, string, RevokedPiece['again']]>([
    ['there is trouble', { status: 503 }, 'the provider has trouble of its own', {}],
    [
      'there is trouble for a while',
      { status: 503, headers: { 'retry-after': '90' } },
      'the provider has trouble of its own',
      { after: 90 },
    ],
    [
      'it is asked too often',
      { status: 429, headers: { 'retry-after': '60' } },
      'the provider had too many requests',
      { after: 60 },
    ],
    [
      'it is asked too often, in other words',
      { status: 403, headers: { 'retry-after': '60' } },
      'the provider had too many requests',
      { after: 60 },
    ],
    [
      'it leads away',
      { status: 307, headers: { location: 'http://127.0.0.1:9/' } },
      'which leads nowhere',
      {},
    ],
    ['it hangs up', { hangUp: true }, 'was lost on the way', {}],
  ])('[security 7.1] [security 7.2] may be asked for again where %s', async (_, answer, why, again) => {
    const { revoke } = await atGitHub(answer)
    const pieces = await revoke()
    expect(pieces).toEqual([{ what: 'access token', died: false, how: expect.stringContaining(why), again }])
    expect(pieces[0]?.how).toContain(BY_HAND)
  })

  it('says when what nobody can end here is over by itself', async () => {
    const { revoke } = await atGitHub({ status: 204 })
    const kept = { refreshToken: new Secret(refreshToken) }
    const idleEndsAt = new Date('2027-05-01T10:00:00Z')
    expect((await revoke({ ...credential(kept), worn: {}, idleEndsAt }))[0]).toEqual({
      what: 'refresh token',
      died: false,
      how: `${OVER}; ${BY_HAND}; by itself it ends on 2027-05-01`,
    })
  })

  it.each([{ clientSecret: undefined }, { clientSecret: new Secret('') }])(
    'needs a client with a secret: a public one sends nothing',
    async (client) => {
      const { there, revoke } = await atGitHub({ status: 204 }, client)
      expect(await revoke()).toEqual([
        {
          what: 'access token',
          died: false,
          how: `only a client with a secret can ask this of the provider; ${BY_HAND}`,
        },
      ])
      expect(there.requests).toEqual([])
    },
  )

  it('does not let the id of a client lead anywhere else', async () => {
    for (const odd of ['..', '.', 'a/../../user', '?x', '#', '{site}']) {
      const { there, revoke } = await atGitHub({ status: 204 }, { clientId: odd })
      expect((await revoke())[0]?.died).toBe(false)
      for (const { path } of there.requests)
        expect(path).toBe(`/applications/${encodeURIComponent(odd)}/token`)
    }
  })

  it('is not asked for where there is nothing that it could name', async () => {
    const { there, revoke } = await atGitHub({ status: 204 })
    const held = { ...credential({ refreshToken: new Secret(refreshToken) }), worn: {} }
    expect(await revoke(held)).toEqual([{ what: 'refresh token', died: false, how: `${OVER}; ${BY_HAND}` }])
    expect(there.requests.map(({ path }) => path)).toEqual(['/login/oauth/access_token'])
  })
})
