import { afterEach, describe, expect, it } from 'vitest'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { ProviderFile } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { flowContract } from '../../testing/flow-contract.ts'
import { oauthStage, signInBy } from '../../testing/oauth-stage.ts'
import { type StandInAnswer, type StandInRequest, standIn } from '../../testing/stand-in.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

// A server on loopback whose own tokens are good for nothing but to be traded in.

const DAY = 24 * 60 * 60
const SECRET = canary('client')
type ExchangeFile = NonNullable<ProviderFile['signIns'][number]['exchange']>
type Script = (honest: StandInAnswer) => StandInAnswer

interface Ways {
  /** How long what is issued first lives; for ever where that is not said. */
  readonly baseSeconds?: number
  readonly refreshes?: boolean
}

async function server({ baseSeconds, refreshes = false }: Ways = {}) {
  const [bases, traded, ended] = [new Set<string>(), new Set<string>(), [] as string[]]
  let refreshToken = ''
  let script: Script = (honest) => honest
  const newIn = (set: Set<string>, name: string) => {
    const token = canary(name)
    set.add(token)
    return token
  }
  const issue = (): StandInAnswer => {
    refreshToken = canary('refresh')
    return {
      body: {
        access_token: newIn(bases, 'base'),
        token_type: 'bearer',
        ...(baseSeconds === undefined ? {} : { expires_in: baseSeconds }),
        ...(refreshes ? { refresh_token: refreshToken } : {}),
      },
    }
  }
  const refused = (error: string): StandInAnswer => ({ status: 400, body: { error } })
  const give = (isKnown: boolean, said: object = {}): StandInAnswer =>
    isKnown
      ? script({ body: { access_token: newIn(traded, 'traded'), token_type: 'bearer', ...said } })
      : script({ status: 400, body: { error: { code: 190, message: 'expired' } } })
  const formOf = async ({ body }: StandInRequest) => new URLSearchParams(String(await body))
  const there = await standIn({
    'POST /token': async (request) => {
      const form = await formOf(request)
      const grant = form.get('grant_type')
      if (form.get('client_secret') !== SECRET) return { status: 401, body: { error: 'invalid_client' } }
      if (grant === 'authorization_code') return issue()
      if (grant === 'refresh_token')
        return form.get('refresh_token') === refreshToken ? issue() : refused('invalid_grant')
      if (grant !== 'urn:ietf:params:oauth:grant-type:token-exchange')
        return refused('unsupported_grant_type')
      const isToken = form.get('subject_token_type') === 'urn:ietf:params:oauth:token-type:access_token'
      if (!isToken || form.get('audience') !== 'https://api.acme.test')
        return script(refused('invalid_request'))
      if (!bases.has(form.get('subject_token') ?? '')) return script(refused('invalid_grant'))
      const more = { expires_in: 900, issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' }
      return give(true, { ...more, scope: 'read' })
    },
    'POST /long': async (request) => {
      const form = await formOf(request)
      const shown = form.get('exchange_token') ?? ''
      if (form.get('client_secret') !== SECRET) return { status: 400, body: { error: { code: 1 } } }
      return give(bases.has(shown) || traded.has(shown), { expires_in: 60 * DAY })
    },
    'GET /longer': async ({ path }) => {
      const shown = new URL(path, 'http://x').searchParams.get('access_token') ?? ''
      return give(traded.has(shown), { expires_in: 60 * DAY })
    },
    'GET /internal': ({ headers }) => {
      const shown = String(headers['authorization']).replace(/^Bearer /, '')
      if (!bases.has(shown)) return script({ status: 401, body: { message: 'Bad credentials' } })
      const expires_at = Math.floor(Date.now() / 1000) + 1800
      const token = newIn(traded, 'traded')
      return script({ body: { token, expires_at, endpoints: { api: 'https://api.team.acme.test/' } } })
    },
    'GET /me': ({ headers }) => {
      const isBase = bases.has(String(headers['authorization']).replace(/^Bearer /, ''))
      return isBase ? { body: { id: 7, login: 'zoe' } } : { status: 401, body: {} }
    },
    'DELETE /me': ({ headers }) => {
      const shown = String(headers['authorization']).replace(/^Bearer /, '')
      if (!traded.delete(shown)) return { status: 401, body: {} }
      ended.push(shown)
      return { body: { success: true } }
    },
    'POST /revoke': async (request) => {
      const token = (await formOf(request)).get('token') ?? ''
      if (bases.delete(token) || traded.delete(token)) ended.push(token)
      return {}
    },
  }).listen()
  const consent = async (url: URL) => {
    const back = new URL(url.searchParams.get('redirect_uri') ?? '')
    back.search = String(
      new URLSearchParams({ code: canary('code'), state: url.searchParams.get('state') ?? '' }),
    )
    return back
  }
  return {
    origin: there.origin,
    paths: () => there.requests.map(({ method, path }) => `${method} ${path.split('?')[0]}`),
    bases,
    traded,
    ended,
    consent,
    play: (next: Script) => {
      script = next
    },
    close: there.close,
  }
}

type There = Awaited<ReturnType<typeof server>>

const long = ({ origin }: There): ExchangeFile => {
  const form = {
    grant_type: 'exchange',
    client_secret: '{clientSecret}',
    exchange_token: '{accessToken}',
  }
  const request = { url: `${origin}/long`, form }
  return {
    request,
    expiresIn: '/expires_in',
    renew: request,
    seconds: 30 * DAY,
    renewableAfterSeconds: DAY,
    over: [{ status: 400, at: '/error/code', is: '190' }],
  }
}
const internal = ({ origin }: There): ExchangeFile => ({
  request: { method: 'GET', url: `${origin}/internal`, auth: 'token' },
  token: '/token',
  expiresAt: '/expires_at',
  told: { '/endpoints/api': 'api' },
  whose: {
    request: { method: 'GET', url: `${origin}/me`, auth: 'token' },
    subject: '/id',
    displayName: '/login',
  },
  renew: 'again',
  over: [{ status: 401 }],
})
const standard = (): ExchangeFile => ({
  how: 'token-exchange',
  audience: 'https://api.acme.test',
  scopes: ['read'],
})

function contextAt(there: There, exchange: ExchangeFile, known = {}): FlowContext {
  const { origin } = there
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: {
        authorize: `${origin}/authorize`,
        token: `${origin}/token`,
        revoke: `${origin}/revoke`,
        pkce: 'none',
      },
      scopes: ['read', 'write'],
      signIn: { exchange },
      provider: {
        vars: [
          { name: 'api', label: 'API', pattern: 'api(\\.[a-z]+)?\\.acme\\.test', default: 'api.acme.test' },
        ],
        hosts: ['{api}'],
      },
      allow: [origin],
      clientSecret: SECRET,
      known,
    },
  )
  return context
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const flow = authorizationCodeFlow()

async function connected(way: (there: There) => ExchangeFile, ways: Ways = {}) {
  const there = await server(ways)
  closing.push(there.close)
  const context = contextAt(there, way(there))
  return { there, context, ...(await signInBy(flow, context, there.consent)) }
}

const later = (context: FlowContext, seconds: number): FlowContext => {
  const end = Date.now() + seconds * 1000
  return { ...context, now: () => new Date(end) }
}
const wornOf = ({ worn }: Credential) => worn['accessToken']?.reveal() ?? ''
const refreshed = async (context: FlowContext, credential: Credential) => {
  const next = await flow.refresh?.(context, credential)
  if (next === undefined) throw new Error('it is not renewed')
  return next
}
const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    ({ code }) => code,
  )
const secondsLeft = (end: Date | null | undefined) => (Number(end) - Date.now()) / 1000

for (const [name, way, ways] of [
  ['showing what is worn', long, { baseSeconds: 3600 }],
  ['RFC 8693', standard, { baseSeconds: 3600, refreshes: true }],
] as const)
  flowContract(`an exchange after sign-in, by ${name}`, async () => {
    const there = await server(ways)
    const context = contextAt(there, way(there))
    // Old enough to be renewed.
    const old =
      way === long ? { ...context, signIn: { ...context.signIn, exchange: young(context) } } : context
    return {
      flow: () => authorizationCodeFlow(),
      context: old,
      answer: async (step) => ({ callback: new Secret((await there.consent(urlOf(step))).href) }),
      wrongAnswer: async (step) => {
        const back = await there.consent(urlOf(step))
        back.searchParams.set('state', canary('other'))
        return { callback: new Secret(back.href) }
      },
      secrets: [SECRET],
      close: there.close,
    }
  })

function young({ signIn }: FlowContext) {
  const { exchange } = signIn
  return exchange && 'request' in exchange ? { ...exchange, renewableAfterSeconds: undefined } : exchange
}

function urlOf(step: object): URL {
  if (!('url' in step) || !(step.url instanceof URL)) throw new Error('nobody is sent off')
  return step.url
}

describe('a token that is traded in for a longer one', () => {
  it('is worn at once, and lives as long as its provider says', async () => {
    const { there, credential } = await connected(long, { baseSeconds: 3600 })
    expect(there.traded).toContain(wornOf(credential))
    expect(there.bases).not.toContain(wornOf(credential))
    expect(credential).toMatchObject({ standing: false, scopes: ['read', 'write'], grantEndsAt: null })
    expect(secondsLeft(credential.expiresAt)).toBeGreaterThan(60 * DAY - 10)
    expect(credential.idleEndsAt).toEqual(credential.expiresAt)
  })

  it('is not renewed before it is old enough: it goes on being worn, and nobody is asked', async () => {
    const { there, context, credential } = await connected(long, { baseSeconds: 3600 })
    const asked = there.paths().length
    const same = await refreshed(later(context, DAY - 60), { ...credential, worn: {} })
    expect(wornOf(same)).toBe(wornOf(credential))
    expect(same.expiresAt).toEqual(credential.expiresAt)
    expect(there.paths()).toHaveLength(asked)
    const next = await refreshed(later(context, DAY + 60), same)
    expect(wornOf(next)).not.toBe(wornOf(credential))
    expect(secondsLeft(next.expiresAt)).toBeGreaterThan(61 * DAY - 10)
    expect(there.paths().slice(asked)).toEqual(['POST /long'])
  })

  it('is over when its provider says so in its own words, and for nothing else', async () => {
    const { there, context, credential } = await connected(long, { baseSeconds: 3600 })
    const old = later(context, 2 * DAY)
    const html = { 'content-type': 'text/html' }
    const answers: [StandInAnswer, string][] = [
      [{ status: 400, body: { error: { code: 190 } } }, 'access-revoked'],
      [{ status: 400, body: { error: { code: 4 } } }, 'bad-answer'],
      [{ status: 400, body: '190' }, 'bad-answer'],
      [{ status: 400, headers: html, body: JSON.stringify({ error: { code: 190 } }) }, 'bad-answer'],
      [{ headers: html, body: '<html>' }, 'bad-answer'],
      [{ body: { expires_in: 60 } }, 'bad-answer'],
      [{ status: 503, body: { error: { code: 190 } } }, 'server-error'],
      [{ status: 429, body: {} }, 'rate-limited'],
    ]
    for (const [answer, code] of answers) {
      there.play(() => answer)
      expect(await outcomeOf(refreshed(old, credential))).toBe(code)
    }
  })

  it('goes on being worn while it lives where its provider is down and nothing but the kept one is left', async () => {
    const { there, context, credential } = await connected(long, { baseSeconds: 3600 })
    there.play(() => ({ status: 503 }))
    const same = await refreshed(later(context, 2 * DAY), { ...credential, worn: {} })
    expect(wornOf(same)).toBe(wornOf(credential))
    expect(await outcomeOf(refreshed(later(context, 61 * DAY), { ...credential, worn: {} }))).toBe(
      'server-error',
    )
  })

  it('ends at its provider by being shown there, also where nothing but the kept one is left', async () => {
    const { there, context, credential } = await connected(long, { baseSeconds: 3600 })
    const provider: FlowContext['provider'] = {
      ...context.provider,
      revoke: {
        how: 'request',
        method: 'DELETE',
        url: `${there.origin}/me`,
        auth: 'token',
        headers: {},
        query: {},
        ok: [200],
        ends: [],
        alone: false,
      },
    }
    const pieces = await flow.revoke({ ...context, provider }, { ...credential, worn: {} })
    expect(pieces).toEqual([{ what: 'access token', died: true, how: 'ended at the provider' }])
    expect(there.ended).toEqual([wornOf(credential)])
  })

  it('lives as long as its provider file says where no answer does', async () => {
    const there = await server({ baseSeconds: 3600 })
    closing.push(there.close)
    there.play(({ body }) => ({ body: { ...(body as object), expires_in: undefined } }))
    const { credential } = await signInBy(flow, contextAt(there, long(there)), there.consent)
    expect(secondsLeft(credential.expiresAt)).toBeLessThanOrEqual(30 * DAY)
    expect(secondsLeft(credential.expiresAt)).toBeGreaterThan(30 * DAY - 10)
  })
})

describe('a token that is traded in again and again', () => {
  it('stays here, and what came of it is worn; where that goes and whose it is is told', async () => {
    const { there, credential, profile } = await connected(internal)
    expect(there.traded).toContain(wornOf(credential))
    expect(there.bases).toContain(credential.kept['baseToken']?.reveal())
    expect(profile).toMatchObject({ subject: '7', displayName: 'zoe', vars: { api: 'api.team.acme.test' } })
    expect(secondsLeft(credential.expiresAt)).toBeGreaterThan(1780)
    expect(credential).toMatchObject({ standing: false, grantEndsAt: null, idleEndsAt: null })
  })

  it('goes nowhere but to the hosts of its provider, whatever is told', async () => {
    const there = await server()
    closing.push(there.close)
    there.play(({ body }) => ({ body: { ...(body as object), endpoints: { api: 'https://evil.test' } } }))
    expect(await outcomeOf(signInBy(flow, contextAt(there, internal(there)), there.consent))).toBe(
      'bad-answer',
    )
  })

  it('is renewed with what was issued first, until that is over', async () => {
    const { there, context, credential } = await connected(internal)
    const next = await refreshed(context, { ...credential, worn: {} })
    expect(wornOf(next)).not.toBe(wornOf(credential))
    expect(next.kept['baseToken']?.reveal()).toBe(credential.kept['baseToken']?.reveal())
    there.bases.clear()
    expect(await outcomeOf(refreshed(context, next))).toBe('access-revoked')
  })

  it('begins nothing where the provider gives nothing for it', async () => {
    const there = await server()
    closing.push(there.close)
    there.play(() => ({ status: 403, body: { message: 'no seat' } }))
    const begun = signInBy(flow, contextAt(there, internal(there)), there.consent)
    const trouble = await begun.catch((error: unknown) => error)
    expect(trouble).toMatchObject({
      code: 'bad-answer',
      hint: expect.stringContaining('whether this account'),
    })
    expect(JSON.stringify(trouble)).not.toMatch(/CANARY/)
  })

  it('ends at its provider together with what was issued first', async () => {
    const { there, context, credential } = await connected(internal)
    const pieces = await flow.revoke(context, credential)
    expect(pieces.map(({ what, died }) => [what, died])).toEqual([
      ['token issued first', true],
      ['access token', true],
    ])
    expect(there.ended).toEqual([credential.kept['baseToken']?.reveal(), wornOf(credential)])
  })
})

describe('a token exchange at the token endpoint', () => {
  it('asks for one audience and what it may, and says what came of it (RFC 8693)', async () => {
    const { there, credential } = await connected(standard, { baseSeconds: 3600, refreshes: true })
    expect(there.traded).toContain(wornOf(credential))
    expect(credential).toMatchObject({ scopes: ['read', 'write'], wornScopes: ['read'] })
    expect(secondsLeft(credential.expiresAt)).toBeLessThanOrEqual(900)
  })

  it('renews what was issued first before it is over, and not each time', async () => {
    const { there, context, credential } = await connected(standard, { baseSeconds: 3600, refreshes: true })
    const first = credential.kept['refreshToken']?.reveal()
    const again = await refreshed(later(context, 800), credential)
    expect(again.kept['refreshToken']?.reveal()).toBe(first)
    expect(there.paths()).toHaveLength(3)
    const renewed = await refreshed(later(context, 3590), again)
    expect(renewed.kept['refreshToken']?.reveal()).not.toBe(first)
    expect(renewed.kept['baseToken']?.reveal()).not.toBe(again.kept['baseToken']?.reveal())
    expect(there.paths()).toHaveLength(5)
  })

  it('never gives up a new refresh token for trouble that comes after it', async () => {
    const { there, context, credential } = await connected(standard, { baseSeconds: 3600, refreshes: true })
    there.play(() => ({ status: 503 }))
    const old = later(context, 3700)
    const kept = await refreshed(old, { ...credential, worn: {} })
    expect(kept.kept['refreshToken']?.reveal()).not.toBe(credential.kept['refreshToken']?.reveal())
    expect(kept.expiresAt?.getTime()).toBeLessThanOrEqual(old.now().getTime())
    expect(await outcomeOf(refreshed(old, kept))).toBe('server-error')
    there.play((honest) => honest)
    expect(there.traded).toContain(wornOf(await refreshed(old, kept)))
  })

  it('is over with what was issued first where nothing renews that', async () => {
    const { context, credential, there } = await connected(standard, { baseSeconds: 3600 })
    expect(secondsLeft(credential.grantEndsAt)).toBeGreaterThan(3590)
    there.bases.clear()
    expect(await outcomeOf(refreshed(context, credential))).toBe('access-revoked')
    there.play(() => ({ status: 400, body: { error: 'invalid_target' } }))
    expect(await outcomeOf(refreshed(context, credential))).toBe('refused-by-policy')
  })
})

describe('what was issued by another way', () => {
  it('is traded in as well', async () => {
    const there = await server()
    closing.push(there.close)
    const context = contextAt(there, internal(there))
    const { credential } = await signInBy(flow, context, there.consent)
    const base = credential.kept['baseToken']?.reveal()
    const known = { issued: new Secret(JSON.stringify({ access_token: base })) }
    const turn = await flow.begin({ ...context, known, insist: true })
    if (!('done' in turn) || !('credential' in turn.done)) throw new Error('nothing was issued')
    expect(there.traded).toContain(wornOf(turn.done.credential))
    expect(turn.done.profile.vars).toEqual({ api: 'api.team.acme.test' })
  })
})
