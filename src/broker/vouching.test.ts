import { SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../test/house.ts'
import type { CallerId } from '../model/caller.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { type HostileServer, hostileServer, type Script } from '../testing/hostile-server.ts'
import { signingKey } from '../testing/signing.ts'

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'

let idp: HostileServer
let notes: HostileServer
let house: TestHouse
let assertionKey: Awaited<ReturnType<typeof signingKey>>
/** How far the clock of both servers is ahead. */
let ahead: number
let honestly: Script

const bearer = { header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }
const described = (id: string, issuer: string, signIn: object) => ({
  id,
  name: id,
  category: 'other',
  hosts: [new URL(issuer).host],
  oauth: { issuer },
  registration: 'yours',
  signIns: [{ present: [bearer], ...signIn }],
  revoke: { how: 'rfc7009', alone: true },
})
const from = { name: 'from', label: 'Account that vouches for you', secret: false }

beforeEach(async () => {
  ahead = 0
  assertionKey = await signingKey('ES256')
  idp = await hostileServer()
  notes = await hostileServer()
  honestly = {
    claims: (it) => ({ ...it, iat: Number(it.iat) + ahead, exp: Number(it.exp) + ahead }),
    token: (honest, form) =>
      form.get('grant_type') === EXCHANGE
        ? {
            body: {
              access_token: assertions.get(form.get('audience') ?? ''),
              issued_token_type: ID_JAG,
              token_type: 'N_A',
            },
          }
        : { body: honest },
  }
  idp.play(honestly)
  notes.play({
    token: () => ({ body: { access_token: canary('notes'), token_type: 'Bearer', expires_in: 600 } }),
  })
  await assertFor(notes.issuer)
  const providers = [
    described('okta', idp.issuer, { flow: 'authorization-code', scopes: ['openid'] }),
    described('notes', notes.issuer, { flow: 'id-jag', fields: [from] }),
  ]
  const allow = [idp.issuer, notes.issuer].map((issuer) => new URL(issuer).host)
  house = await openTestHouse({ config: { allow }, providers, start: new Date() })
  for (const provider of ['okta', 'notes'])
    await house.owner.register({
      provider,
      clientId: `${provider}-client`,
      clientSecret: new Secret(canary('client')),
      insist: true,
    })
})

afterEach(async () => {
  await house.close()
  await Promise.all([idp.close(), notes.close()])
})

const assertions = new Map<string, string>()
/** Signed beforehand, since the server answers at once. */
async function assertFor(audience: string, seconds = 100_000): Promise<void> {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: idp.issuer,
    sub: 'person-1',
    aud: audience,
    client_id: 'notes-client',
    iat: now,
    exp: now + seconds,
    jti: 'one',
  }
  const { privateKey, kid } = assertionKey
  const header = { alg: 'ES256', kid, typ: 'oauth-id-jag+jwt' }
  assertions.set(audience, await new SignJWT(claims).setProtectedHeader(header).sign(privateKey))
}

async function signIn(begun: Promise<{ id: string; step: unknown }>) {
  const { id, step } = await begun
  const { url } = step as { url: URL }
  await fetch(await idp.consent(new URL(url)))
  return house.owner.flow(id)
}
const connectOkta = () => signIn(house.owner.connect({ provider: 'okta' }))
const connectNotes = (address = 'okta') =>
  house.owner.connect({ provider: 'notes', fields: { from: new Secret(address) } })
const later = (seconds: number) => {
  ahead += seconds
  house.clock.pass({ seconds })
}
const exchanges = () => idp.forms.filter((form) => form.get('grant_type') === EXCHANGE)
const renewals = () => idp.forms.filter((form) => form.get('grant_type') === 'refresh_token')

describe('an account at an identity provider', () => {
  it('vouches for its owner elsewhere, which is on record', async () => {
    await connectOkta()
    const { account } = await connectNotes()
    expect(account).toMatchObject({ status: 'connected', subject: 'person-1', forwardOnly: false })
    expect((await house.owner.lend({ address: 'notes' })).token.reveal()).toContain('CANARYnotes')
    expect(await house.owner.audit({ verb: 'refresh' })).toMatchObject([
      { outcome: 'done', target: 'okta', detail: 'its ID token, to vouch for another account' },
      { outcome: 'opened', target: 'okta' },
    ])
  })

  it('vouches again at each renewal, and is renewed first where its ID token is over', async () => {
    await connectOkta()
    await connectNotes()
    const [first] = exchanges()
    later(700)
    await house.owner.lend({ address: 'notes' })
    expect(renewals()).toHaveLength(1)
    expect(exchanges()).toHaveLength(2)
    expect(exchanges()[1]?.get('subject_token')).not.toBe(first?.get('subject_token'))
  })

  it('does not vouch by what is over and cannot be renewed, and does again once it is connected again', async () => {
    await connectOkta()
    await connectNotes()
    idp.play({ token: () => ({ status: 400, body: { error: 'invalid_grant' } }) })
    later(700)
    expect((await refusal(house.owner.lend({ address: 'notes' }))).code).toBe('needs-reauth')
    const accounts = await house.owner.accounts()
    expect(accounts.find(({ providerId }) => providerId === 'okta')?.status).toBe('needs-reauth')
    expect(accounts.find(({ providerId }) => providerId === 'notes')?.status).toBe('failing')
    idp.play(honestly)
    await signIn(house.owner.reconnect('okta'))
    house.clock.pass({ minutes: 30 })
    ahead += 30 * 60
    expect((await house.owner.lend({ address: 'notes' })).token.reveal()).toContain('CANARYnotes')
  })

  it('takes what it vouched for along when it is revoked', async () => {
    await connectOkta()
    await connectNotes()
    const { token } = await house.owner.lend({ address: 'notes' })
    const receipt = await house.owner.revoke('okta')
    expect(receipt).toMatchObject({ address: 'okta' })
    expect(await refusal(house.owner.lend({ address: 'notes' }))).toMatchObject({
      code: 'needs-reauth',
      message: expect.stringContaining('the account that vouched for this one is gone'),
      hint: 'valetkey reconnect notes',
    })
    await house.tick()
    const ended = notes.requests.filter(({ path }) => path === '/revoke')
    expect(String(await ended[0]?.body)).toContain(token.reveal())
    expect(exchanges()).toHaveLength(1)
  })

  it('vouches for nobody but its owner', async () => {
    await connectOkta()
    const grants = [{ address: 'notes', may: ['connect'] as const }]
    const { key } = await house.owner.narrow({ kind: 'key', grants })
    const agent = house.as(key.id as CallerId)
    const begun = agent.connect({ provider: 'notes', fields: { from: new Secret('okta') } })
    expect(await refusal(begun)).toMatchObject({ code: 'not-allowed', hint: 'ask the owner to connect it' })
    expect(exchanges()).toEqual([])
  })

  it('is asked for again where it is not there, or knows nobody', async () => {
    const nobody = await connectNotes('github')
    expect(nobody.step).toMatchObject({ ask: 'fill', code: 'not-connected' })
    await connectOkta()
    await house.owner.answer(nobody.id, { fields: { from: new Secret('okta') } })
    const itself = await house.owner.connect({
      provider: 'notes',
      bucket: 'two',
      fields: { from: new Secret('notes') },
    })
    expect(itself.step).toMatchObject({ because: 'notes does not say who you are: it has no ID token' })
  })

  it('is not even asked for an assertion by whoever has no client there', async () => {
    await connectOkta()
    const [registration] = (await house.owner.registrations()).filter(({ provider }) => provider === 'notes')
    await house.owner.unregister(registration?.id ?? '')
    expect((await refusal(connectNotes())).code).toBe('provider-not-configured')
    expect(exchanges()).toEqual([])
  })
})
