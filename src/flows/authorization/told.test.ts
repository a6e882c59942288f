import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowTurn, Unkept } from '../../model/flow.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { issuedBy, oauthStage, REDIRECT_URI, visitOf } from '../../testing/oauth-stage.ts'
import { type ListeningStandIn, type StandInRoute, standIn } from '../../testing/stand-in.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

const closing: (() => Promise<void>)[] = []
const clientSecret = canary('client')

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

interface Scene {
  readonly provider?: Partial<ProviderFile>
  readonly oauth?: Partial<NonNullable<ProviderFile['oauth']>>
  readonly signIn?: Partial<ProviderFile['signIns'][number]>
  readonly known?: Readonly<Record<string, string>>
  readonly token?: unknown
  readonly routes?: Readonly<Record<string, StandInRoute>>
}

/** A provider whose answers are as a test says, all of it at one stand-in. */
async function at({ provider, oauth, signIn, known = {}, token, routes }: Scene) {
  const issued = { access_token: canary('access'), refresh_token: canary('refresh'), token_type: 'bearer' }
  const there = await standIn({
    'POST /token': { body: token ?? issued },
    'POST /revoke': {},
    ...routes,
  }).listen()
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: {
        authorize: 'https://login.acme.test/authorize',
        token: 'https://login.acme.test/token',
        revoke: 'https://login.acme.test/revoke',
        ...oauth,
      },
      scopes: ['read'],
      signIn: signIn ?? {},
      provider: { hosts: ['api.acme.test'], ...provider },
      origins: { acme: there.origin },
      allow: [there.origin],
      known,
      clientSecret,
    },
  )
  closing.push(async () => {
    await context.network.close()
    await there.close()
  })
  return { there, context, flow: authorizationCodeFlow(), issued }
}

type Stage = Awaited<ReturnType<typeof at>>

/** The browser is back, with these parameters besides the code. */
async function backWith({ context, flow }: Stage, more: Readonly<Record<string, string>> = {}) {
  const { memory } = visitOf(await flow.begin(context))
  const url = new URL(REDIRECT_URI)
  const all = { code: canary('code'), state: context.state ?? '', ...more }
  for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value)
  return flow.next(context, memory, { callback: new Secret(url.href) })
}

async function refusal(turn: Promise<unknown>): Promise<ValetkeyError> {
  const error = await turn.then(
    () => new Error('nothing was refused'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof ValetkeyError) return error
  throw error
}

const asked = ({ requests }: ListeningStandIn, path: string) => requests.filter((one) => one.path === path)

const fieldsOf = (turn: FlowTurn) => ('step' in turn && turn.step.ask === 'fill' ? turn.step.fields : [])

const instance = { name: 'instance', label: 'Instance', pattern: '[a-z0-9-]+(\\.[a-z0-9-]+)*\\.acme\\.test' }

describe('what the token endpoint tells of the provider’s addresses', () => {
  const telling = (url: string): Scene => ({
    provider: { vars: [instance], hosts: ['{instance}'] },
    signIn: {
      told: { '/instance_url': 'instance' },
      whose: { subject: '/id', displayName: '/team/name' },
    },
    token: {
      access_token: canary('access'),
      refresh_token: canary('refresh'),
      token_type: 'Bearer',
      instance_url: url,
      id: 4711,
      team: { name: 'Acme\u202e' },
    },
  })

  it('becomes a value that nobody was asked for, and whose account it is is told along with it', async () => {
    const stage = await at(telling('https://eu.my.acme.test/'))
    const { profile } = issuedBy(await backWith(stage))
    expect(profile).toEqual({
      subject: '4711',
      displayName: 'Acme',
      vars: { instance: 'eu.my.acme.test' },
    })
  })

  it.each(['https://acme.test.evil.example', 'https://evil.example/acme.test', 'http://127.0.0.1:1', ''])(
    'is no place of the provider’s where it is %j, and what was issued then is handed over to be ended',
    async (url) => {
      const stage = await at(telling(url))
      const error = await refusal(backWith(stage))
      expect(error.code).toBe('bad-answer')
      const { unkept } = error.cause as Unkept
      expect(Object.keys(unkept.credential.kept)).toEqual(['refreshToken'])
      expect(JSON.stringify(error)).not.toContain('CANARY')
    },
  )
})

describe('what the browser brings back', () => {
  const realm = { name: 'realm', label: 'Company', pattern: '\\d{6,20}' }
  const capturing: Scene = {
    provider: { vars: [realm] },
    signIn: {
      captures: { realmId: 'realm' },
      verify: { url: 'https://api.acme.test/v3/company/{realm}', subject: '/id' },
    },
    routes: { 'GET /v3/company/4620816365': { body: { id: 'c-1' } } },
  }

  it('is a value of a declared form, and stands in the links that are used from then on', async () => {
    const { profile } = issuedBy(await backWith(await at(capturing), { realmId: '4620816365' }))
    expect(profile).toMatchObject({ subject: 'c-1', vars: { realm: '4620816365' } })
  })

  it.each([{ realmId: '../admin' }, { realmId: '' }, {}])('redeems no code for %j', async (more) => {
    const stage = await at(capturing)
    expect((await refusal(backWith(stage, more))).code).toBe('bad-answer')
    expect(asked(stage.there, '/token')).toEqual([])
  })

  describe('signed by the provider', () => {
    const shopping: Scene = {
      provider: {
        vars: [{ name: 'shop', label: 'Shop', pattern: '[a-z0-9][a-z0-9-]*' }],
        hosts: ['{shop}.acme.test'],
        revoke: { how: 'console' },
      },
      oauth: {
        authorize: 'https://{shop}.acme.test/authorize',
        token: 'https://{shop}.acme.test/token',
        revoke: undefined,
      },
      signIn: { captures: { shop: 'shop' }, signed: { parameter: 'hmac', by: 'hmac-sha256-hex' } },
      known: { shop: 'zoe' },
    }

    /** As the provider does it: over all but the signature, by name. */
    const signed = (params: Readonly<Record<string, string>>, secret = clientSecret) => {
      const text = Object.entries(params)
        .map((pair) => pair.join('='))
        .toSorted()
        .join('&')
      return { ...params, hmac: createHmac('sha256', secret).update(text).digest('hex') }
    }

    it('is believed, and says the same shop that the person named', async () => {
      const stage = await at(shopping)
      const all = {
        code: canary('code'),
        state: stage.context.state ?? '',
        shop: 'zoe.acme.test',
        timestamp: '1',
      }
      const { profile } = issuedBy(await backWith(stage, signed(all)))
      expect(profile.vars).toEqual({ shop: 'zoe' })
    })

    it.each([
      ['by somebody else', { shop: 'zoe.acme.test' }, canary('other'), 'invalid-state'],
      ['about another shop', { shop: 'eve.acme.test' }, clientSecret, 'bad-answer'],
    ])('is not believed when it is signed %s, and no code is redeemed', async (_, more, secret, code) => {
      const stage = await at(shopping)
      const all = { code: canary('code'), state: stage.context.state ?? '', ...more }
      expect((await refusal(backWith(stage, signed(all, secret)))).code).toBe(code)
      expect(asked(stage.there, '/token')).toEqual([])
    })

    it('is asked for again where the signature was left out, or something was added', async () => {
      const stage = await at(shopping)
      expect((await refusal(backWith(stage, { shop: 'zoe.acme.test' }))).code).toBe('invalid-request')
      const all = { code: canary('code'), state: stage.context.state ?? '', shop: 'zoe.acme.test' }
      expect((await refusal(backWith(stage, { ...signed(all), more: '1' }))).code).toBe('invalid-state')
      expect(asked(stage.there, '/token')).toEqual([])
    })
  })
})

describe('what is looked up once there is a token', () => {
  const sites = [
    { id: 'site-1', name: 'Acme' },
    { id: 'site-2', name: 'Acme' },
    { id: 'site-3', name: 'Zoë\u0000' },
  ]
  const looking = (found: unknown): Scene => ({
    provider: { vars: [{ name: 'site', label: 'Site', pattern: '[a-z0-9-]+' }] },
    signIn: {
      lookups: [
        {
          request: { method: 'GET', url: 'https://api.acme.test/sites', auth: 'token' },
          list: '',
          value: '/id',
          label: '/name',
          as: 'site',
        },
      ],
      verify: { url: 'https://api.acme.test/{site}/me', subject: '/id' },
    },
    routes: {
      'GET /sites': { body: found },
      'GET /site-1/me': { body: { id: 'zoe' } },
      'GET /site-3/me': { body: { id: 'zoe' } },
    },
  })

  it('is taken where there is one', async () => {
    const stage = await at(looking(sites.slice(0, 1)))
    const { profile } = issuedBy(await backWith(stage))
    expect(profile).toMatchObject({ subject: 'zoe', vars: { site: 'site-1' } })
    expect(asked(stage.there, '/sites')[0]?.headers['authorization']).toBe(
      `Bearer ${stage.issued.access_token}`,
    )
  })

  it('is chosen by the person where there are several, and the code is redeemed once', async () => {
    const stage = await at(looking(sites))
    const turn = await backWith(stage)
    const [field] = fieldsOf(turn)
    expect(field).toEqual({
      name: 'site',
      label: 'Site',
      kind: 'choice',
      choices: ['Acme (site-1)', 'Acme (site-2)', 'Zoë'],
    })
    if (!('step' in turn)) throw new Error('nothing is asked')
    // Whoever goes on has the memory and nothing else.
    const again = await authorizationCodeFlow().next(stage.context, turn.memory, undefined)
    expect(fieldsOf(again)).toEqual([field])
    await expect(
      stage.flow.next(stage.context, turn.memory, { fields: { site: new Secret('site-9') } }),
    ).rejects.toMatchObject({ code: 'invalid-request' })
    const chosen = { fields: { site: new Secret('Zoë') } }
    const { credential, profile } = issuedBy(await stage.flow.next(stage.context, turn.memory, chosen))
    expect(profile).toMatchObject({ subject: 'zoe', vars: { site: 'site-3' } })
    expect(credential.worn['accessToken']?.reveal()).toBe(stage.issued.access_token)
    expect(credential.kept['refreshToken']?.reveal()).toBe(stage.issued.refresh_token)
    expect(asked(stage.there, '/token')).toHaveLength(1)
    expect(stage.flow.unkept?.(turn.memory)?.credential).toMatchObject({
      tokenType: 'Bearer',
      standing: false,
    })
  })

  it('is never chosen for another one whose name and value it has for a name', async () => {
    const stage = await at(looking([{ id: 'site-9', name: 'Acme (site-1)' }, ...sites.slice(0, 2)]))
    const [field] = fieldsOf(await backWith(stage))
    expect(field).toMatchObject({
      choices: ['Acme (site-1) (site-9)', 'Acme (site-1)', 'Acme (site-2)'],
    })
  })

  it('is the same as before where that is still there', async () => {
    const stage = await at({ ...looking(sites), known: { site: 'site-3' } })
    expect(issuedBy(await backWith(stage)).profile.vars).toEqual({ site: 'site-3' })
  })

  it('is not taken for another one, where the one that was meant is not there', async () => {
    const stage = await at({ ...looking(sites.slice(0, 1)), known: { site: 'site-3' } })
    expect(fieldsOf(await backWith(stage))).toMatchObject([{ name: 'site', choices: ['Acme'] }])
  })

  it.each([
    ['nothing', [], 'exchange-failed', 'no Site'],
    ['no list', { error: 'x' }, 'bad-answer', 'no list'],
    ['what cannot be a value', [{ id: '../x' }], 'bad-answer', 'does not have'],
  ])(
    'ends the sign-in where %s is found, and what was issued is handed over',
    async (_, found, code, words) => {
      const error = await refusal(backWith(await at(looking(found))))
      expect(error).toMatchObject({ code, message: expect.stringContaining(words) })
      expect((error.cause as Unkept).unkept.credential.kept['refreshToken']).toBeDefined()
    },
  )

  it('has nothing to hand over before there is anything', async () => {
    const { flow, context } = await at(looking(sites))
    const { memory } = visitOf(await flow.begin(context))
    expect(flow.unkept?.(memory)).toBeUndefined()
  })
})

describe('an answer that is pasted', () => {
  it('is the code with its state, which is sent along where the provider wants it', async () => {
    const stage = await at({ oauth: { requests: 'json', codeParams: { state: '{state}' } } })
    const { memory } = visitOf(await stage.flow.begin(stage.context))
    const code = canary('code')
    const given = { callback: new Secret(` ${code}#${stage.context.state} `) }
    expect('done' in (await stage.flow.next(stage.context, memory, given))).toBe(true)
    const [request] = asked(stage.there, '/token')
    expect(JSON.parse(String(await request?.body))).toMatchObject({ code, state: stage.context.state })
  })

  it('is not taken with the state of another sign-in', async () => {
    const stage = await at({})
    const { memory } = visitOf(await stage.flow.begin(stage.context))
    const given = { callback: new Secret(`${canary('code')}#flow-two.${canary('state')}`) }
    expect((await refusal(stage.flow.next(stage.context, memory, given))).code).toBe('invalid-state')
    expect(asked(stage.there, '/token')).toEqual([])
  })
})

describe('a server with ways of its own', () => {
  it('is asked for scopes by its own parameter, and renewed at its own place', async () => {
    const stage = await at({
      oauth: {
        scopeParam: 'user_scope',
        scopeSeparator: ',',
        refresh: 'https://login.acme.test/renew',
        tokenParams: { product: 'cli' },
      },
      signIn: { scopes: ['read', 'write'] },
      routes: {
        'POST /renew': { body: { access_token: canary('second'), token_type: 'bearer', expires_in: 60 } },
      },
    })
    const { url } = visitOf(await stage.flow.begin(stage.context))
    expect(url.searchParams.get('user_scope')).toBe('read,write')
    expect(url.searchParams.has('scope')).toBe(false)
    const { credential } = issuedBy(await backWith(stage))
    await stage.flow.refresh?.(stage.context, credential)
    const form = new URLSearchParams(String(await asked(stage.there, '/renew')[0]?.body))
    expect(form.get('refresh_token')).toBe(stage.issued.refresh_token)
    expect(form.get('product')).toBe('cli')
    expect(asked(stage.there, '/token')).toHaveLength(1)
  })

  it('keeps its tokens inside of an object, and refuses with a 200', async () => {
    const access = canary('nested')
    const shape = { in: '/authed_user', ok: '/ok', error: '/error', untyped: true }
    const nested = { id: 'U1', access_token: access, token_type: 'user', scope: 'read,write' }
    const stage = await at({
      oauth: { shape },
      token: { ok: true, access_token: canary('bot'), authed_user: nested },
    })
    const { credential } = issuedBy(await backWith(stage))
    expect(credential.worn['accessToken']?.reveal()).toBe(access)
    expect(credential).toMatchObject({ standing: true, expiresAt: null, scopes: ['read', 'write'] })
    const refused = await at({ oauth: { shape }, token: { ok: false, error: 'invalid_code' } })
    expect((await refusal(backWith(refused))).code).toBe('invalid-code')
    const odd = await at({ oauth: { shape }, token: { authed_user: nested } })
    expect((await refusal(backWith(odd))).code).toBe('bad-answer')
  })
})

describe('an end by a request of a provider’s own', () => {
  const ends = async (revoke: ProviderFile['revoke'], answer: StandInRoute) => {
    const stage = await at({ provider: { revoke }, routes: { '/end': answer } })
    const { credential } = issuedBy(await backWith(stage))
    const pieces = await stage.flow.revoke(stage.context, credential)
    const [request] = asked(stage.there, '/end')
    const died = pieces.map(({ what, died }) => [what, died])
    return { ...stage, died, pieces, request, body: String(await request?.body) }
  }
  const end = { how: 'request' as const, url: 'https://api.acme.test/end', ok: [200], okAt: '/ok' }
  const well = { body: { ok: true } }

  it('wears the token that it ends, and has nothing to say besides', async () => {
    const { died, request, body, issued } = await ends({ ...end, auth: 'token' }, well)
    expect(died).toEqual([
      ['refresh token', false],
      ['access token', true],
    ])
    expect(request?.headers['authorization']).toBe(`Bearer ${issued.access_token}`)
    expect(body).toBe('')
  })

  it.each<[string, Partial<Credential>]>([
    ['is over', { expiresAt: new Date(0) }],
    ['was written down nowhere', { worn: {} }],
  ])('has the token once more where it %s', async (_, change) => {
    const stage = await at({
      provider: { revoke: { ...end, auth: 'token' } },
      oauth: { refresh: 'https://login.acme.test/renew' },
      routes: {
        '/end': well,
        'POST /renew': { body: { access_token: canary('second'), token_type: 'bearer', expires_in: 60 } },
      },
    })
    const { credential } = issuedBy(await backWith(stage))
    const pieces = await stage.flow.revoke(stage.context, { ...credential, ...change })
    expect(pieces).toContainEqual({ what: 'access token', died: true, how: 'ended at the provider' })
    const [request] = asked(stage.there, '/end')
    expect(request?.headers['authorization']).toMatch(/^Bearer CANARYsecond/)
  })

  it('says so where the provider gives none any more', async () => {
    const stage = await at({
      provider: { revoke: { ...end, auth: 'token' } },
      oauth: { refresh: 'https://login.acme.test/renew' },
      routes: { 'POST /renew': { status: 400, body: { error: 'invalid_grant' } } },
    })
    const { credential } = issuedBy(await backWith(stage))
    const pieces = await stage.flow.revoke(stage.context, { ...credential, worn: {} })
    const how = 'the provider no longer renews this access; only you can end it, at Acme'
    expect(pieces).toEqual([{ what: 'refresh token', died: false, how }])
  })

  it('names both in a form, as nobody', async () => {
    const form = { refresh: '{refreshToken}', access: '{accessToken}', id: '{clientId}' }
    const { died, request, body, issued } = await ends({ ...end, form }, well)
    expect(died).toEqual([
      ['refresh token', true],
      ['access token', true],
    ])
    expect(request?.headers['authorization']).toBeUndefined()
    const { refresh_token: refresh, access_token: access } = issued
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({ refresh, access, id: 'our client:1' })
  })

  it.each<[string, StandInRoute, boolean]>([
    ['says no with a 200', { body: { ok: false, error: 'not_allowed' } }, false],
    ['says nothing with a 200', { body: '' }, false],
    ['answers otherwise', { status: 204 }, false],
    ['does not know the token any more', { status: 401 }, false],
    ['has trouble', { status: 503, headers: { 'retry-after': '7' } }, true],
  ])('is not done where the provider %s', async (_, answer, isAskedAgain) => {
    const { pieces } = await ends({ ...end, form: { t: '{refreshToken}' } }, answer)
    const [refresh] = pieces
    expect(refresh).toMatchObject({ what: 'refresh token', died: false })
    expect(refresh?.again !== undefined).toBe(isAskedAgain)
  })
})
