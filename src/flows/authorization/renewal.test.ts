import { afterEach, describe, expect, it } from 'vitest'
import type { ErrorCode } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { OAuth } from '../../model/provider.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { faultProxy } from '../../testing/fault-proxy.ts'
import { type Fault, faults } from '../../testing/faults.ts'
import type { HostileServer, Script } from '../../testing/hostile-server.ts'
import { hostileStage, oauthStage, signInBy } from '../../testing/oauth-stage.ts'
import type { StandInAnswer } from '../../testing/stand-in.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const rooms = { openCatalogue, openNetwork }
const flow = authorizationCodeFlow()

interface Connected {
  readonly there: HostileServer
  readonly context: FlowContext
  readonly credential: Credential
}

/** Somebody who signed in, at a server whose endpoints are named, or with OpenID Connect. */
async function connected(
  script: Script = {},
  { oauth = {}, openid = false }: { oauth?: Partial<OAuth>; openid?: boolean } = {},
): Promise<Connected> {
  const { there, close } = await hostileStage(rooms)
  closing.push(close)
  const { origin } = new URL(there.issuer)
  const named = { authorize: `${origin}/authorize`, token: `${origin}/token`, revoke: `${origin}/revoke` }
  const context = oauthStage(rooms, {
    oauth: { ...(openid ? { issuer: there.issuer } : named), ...oauth },
    scopes: openid ? ['openid', 'profile'] : ['read', 'write'],
    allow: [origin],
  })
  closing.push(context.network.close)
  there.play({ token: (honest) => ({ body: { ...honest, scope: 'read write' } }), ...script })
  const { credential } = await signInBy(flow, context, there.consent)
  return { there, context, credential }
}

/** What becomes of one refresh that is answered like this, and how often the server was asked. */
async function refreshed(answer: StandInAnswer, more: Parameters<typeof connected>[1] = {}) {
  const { there, context, credential } = await connected({}, more)
  const before = there.forms.length
  there.play({ token: () => answer })
  const outcome = await flow.refresh?.(context, credential).catch((error: unknown) => error)
  return { outcome, calls: there.forms.length - before }
}

const word = (error: string, more = {}, status = 400): StandInAnswer => ({
  status,
  body: { error, ...more },
})

const html = { 'content-type': 'text/html' }
const json = { 'content-type': 'application/json' }

describe('what a refresh comes to', () => {
  it.each<[string, StandInAnswer]>([
    ['a 400 with invalid_grant', word('invalid_grant')],
    ['a 401 with invalid_grant', word('invalid_grant', {}, 401)],
    ['a 403 with invalid_grant', word('invalid_grant', {}, 403)],
    ['a 200 with invalid_grant', word('invalid_grant', {}, 200)],
    ['a token that Microsoft calls bad', word('invalid_grant', { suberror: 'bad_token' })],
    ['a password that changed', word('invalid_grant', { suberror: 'user_password_expired' })],
    ['a suberror in no words', word('invalid_grant', { suberror: ['basic_action'] })],
  ])('[security 2.3] is over for good by %s', async (_, answer) => {
    const { outcome, calls } = await refreshed(answer)
    expect(outcome).toMatchObject({ code: 'access-revoked', reaction: 'reconnect' })
    expect(calls).toBe(1)
  })

  it('[security 2.3] is over for good by the words that a provider declares, and by no other’s', async () => {
    const dead = word('bad_refresh_token', {}, 200)
    const declared = await refreshed(dead, { oauth: { over: ['bad_refresh_token'] } })
    expect(declared.outcome).toMatchObject({ code: 'access-revoked' })
    expect((await refreshed(dead)).outcome).toMatchObject({ code: 'bad-answer', retryable: true })
  })

  it.each<[string, StandInAnswer]>([
    ['invalid_client', word('invalid_client', {}, 401)],
    ['unauthorized_client', word('unauthorized_client')],
    ['unsupported_grant_type', word('unsupported_grant_type')],
    ['incorrect_client_credentials', word('incorrect_client_credentials', {}, 200)],
    ['a 401 without a word', { status: 401 }],
    ['a 401 that asks for another way in', { status: 401, headers: { 'www-authenticate': 'Basic' } }],
  ])('[security 2.3] is a fault of our client by %s', async (_, answer) => {
    const { outcome, calls } = await refreshed(answer)
    expect(outcome).toMatchObject({ code: 'provider-not-configured' })
    expect(calls).toBe(1)
  })

  it.each<[string, StandInAnswer]>([
    ...[
      'invalid_scope',
      'invalid_target',
      'access_denied',
      'interaction_required',
      'login_required',
      'consent_required',
      'account_selection_required',
      'admin_policy_enforced',
      'org_internal',
    ].map((error): [string, StandInAnswer] => [error, word(error)]),
    ['a factor that Microsoft wants', word('invalid_grant', { suberror: 'basic_action' })],
    ['a device that Microsoft wants', word('invalid_grant', { suberror: 'additional_action' })],
    ['a place that Microsoft does not want', word('invalid_grant', { suberror: 'message_only' })],
    ['a sign-in that Google wants again', word('invalid_grant', { error_subtype: 'invalid_rapt' })],
  ])('is refused by the rules of the provider by %s', async (_, answer) => {
    const { outcome, calls } = await refreshed(answer)
    expect(outcome).toMatchObject({ code: 'refused-by-policy', reaction: 'ask-the-person' })
    expect(calls).toBe(1)
  })

  it.each<[string, StandInAnswer, ErrorCode]>([
    ['a 500', { status: 500 }, 'server-error'],
    ['a 500 with invalid_grant', word('invalid_grant', {}, 500), 'server-error'],
    ['a 502 of a gateway', { status: 502, headers: html, body: '<html>' }, 'server-error'],
    ['a 503 with invalid_client', word('invalid_client', {}, 503), 'server-error'],
    ['a 511 of a captive portal', { status: 511, headers: html, body: '<html>' }, 'server-error'],
    ['a 429 with invalid_grant', word('invalid_grant', {}, 429), 'rate-limited'],
    ['a 408 with invalid_grant', word('invalid_grant', {}, 408), 'server-error'],
    ['a 404 with invalid_grant', word('invalid_grant', {}, 404), 'bad-answer'],
    ['a 404 page', { status: 404, headers: html, body: '<html>' }, 'bad-answer'],
    ['a 403 page', { status: 403, headers: html, body: '<html>' }, 'bad-answer'],
    ['a 400 without JSON', { status: 400, body: 'invalid_grant' }, 'bad-answer'],
    ['a 400 of another type', { status: 400, body: '{"error":"invalid_grant"}' }, 'bad-answer'],
    ['a 400 in broken JSON', { status: 400, headers: json, body: '{"error":"invalid_grant"' }, 'bad-answer'],
    [
      'a 400 that says two things',
      { status: 400, headers: json, body: '{"error":"x","error":"invalid_grant"}' },
      'bad-answer',
    ],
    ['a 400 with no error', { status: 400, body: { message: 'invalid_grant' } }, 'bad-answer'],
    ['an error that is no word', { status: 400, body: { error: { code: 'invalid_grant' } } }, 'bad-answer'],
    ['a word that is not known', word('bad_weather'), 'bad-answer'],
    ['a word like a part of every object', word('constructor'), 'bad-answer'],
    ['invalid_request', word('invalid_request'), 'bad-answer'],
    ['temporarily_unavailable', word('temporarily_unavailable'), 'server-error'],
    ['server_error', word('server_error'), 'server-error'],
    ['slow_down', word('slow_down'), 'rate-limited'],
    ['the page of a captive portal', { headers: html, body: '<html>sign in</html>' }, 'bad-answer'],
    ['nothing at all', {}, 'bad-answer'],
    ['an empty object', { body: {} }, 'bad-answer'],
    ['a token of an unknown type', { body: { access_token: 'x', token_type: 'mac' } }, 'bad-answer'],
    ['broken JSON', { headers: json, body: '{"access_token":x}' }, 'bad-answer'],
    ['a way elsewhere', { status: 302, headers: { location: '/token' } }, 'bad-answer'],
    ['a way elsewhere for the whole request', { status: 307, headers: { location: '/token' } }, 'bad-answer'],
    ['JSON that breaks off', { headers: json, body: '{"access_token":"x","tok' }, 'answer-lost'],
    ['JSON of which nothing came', { headers: json, body: '' }, 'answer-lost'],
    ['a connection that ends', { hangUp: true }, 'answer-lost'],
  ])(
    '[security 2.3] [security 10.3] may pass where it is %s: asked once, and nothing ends',
    async (_, answer, code) => {
      const { outcome, calls } = await refreshed(answer)
      expect(outcome).toMatchObject({ name: 'ValetkeyError', code, reaction: 'try-again' })
      expect(calls).toBe(1)
    },
  )

  it('[security 10.3] says plainly of a 400 without a reason that connecting again may be needed', async () => {
    const { outcome } = await refreshed({ status: 400, body: 'Bad Request' })
    expect(outcome).toMatchObject({
      code: 'bad-answer',
      message: expect.stringMatching(/answered 400 without a reason.* may have to be connected again/),
    })
  })

  it.each<[string, StandInAnswer, ErrorCode]>([
    ['a 503', { status: 503 }, 'server-error'],
    ['a 429', { status: 429 }, 'rate-limited'],
    ['a 403 page', { status: 403, body: '<html>' }, 'bad-answer'],
    ['a word', word('temporarily_unavailable'), 'server-error'],
    ['another word', word('slow_down'), 'rate-limited'],
    ['a fault of our client', word('invalid_client'), 'provider-not-configured'],
  ])('carries how long to wait, whatever it is: %s', async (_, answer, code) => {
    for (const [header, seconds] of [
      ['75', 75],
      ['999999', 86_400],
      ['later', undefined],
    ] as const) {
      const { outcome } = await refreshed({
        ...answer,
        headers: { ...answer.headers, 'retry-after': header },
      })
      expect(outcome).toMatchObject({ code, retryAfter: seconds })
    }
  })

  it('takes a date to come back by the clock that was handed in', async () => {
    const { there, context, credential } = await connected()
    const headers = { 'retry-after': 'Fri, 20 Nov 2026 12:01:30 GMT' }
    there.play({ token: () => ({ status: 503, headers }) })
    const now = () => new Date('2026-11-20T12:00:00Z')
    await expect(flow.refresh?.({ ...context, now }, credential)).rejects.toMatchObject({ retryAfter: 90 })
  })
})

describe('a refresh over a line that fails', () => {
  const over = async (fault: Fault) => {
    const { there, context, credential } = await connected()
    const { port } = new URL(there.issuer)
    const proxy = await faultProxy({ target: { host: '127.0.0.1', port: Number(port) } })
    const network = openNetwork({ allow: [proxy.origin], answerSeconds: 1 })
    closing.push(proxy.close, network.close)
    const oauth = { ...context.provider.oauth, token: `${proxy.origin}/token` } as OAuth
    await proxy.set(fault)
    const byProxy = { ...context, network, provider: { ...context.provider, oauth } }
    const outcome = await flow.refresh?.(byProxy, credential).catch((error: unknown) => error)
    return { outcome, requests: proxy.requests }
  }

  it.each<[string, Fault, ErrorCode]>([
    ['whose answer is swallowed', faults.loseAnswer, 'answer-lost'],
    ['that ends in the middle of the answer', faults.truncate(20), 'answer-lost'],
    ['that ends before the body', faults.truncate(0), 'answer-lost'],
    ['that is reset in the middle of the answer', faults.reset(20), 'answer-lost'],
    ['that says nothing for too long', faults.delay(30_000), 'answer-timeout'],
  ])('says that the answer may be lost on one %s, and asks once', async (_, fault, code) => {
    const { outcome, requests } = await over(fault)
    expect(outcome).toMatchObject({ code, retryable: true })
    expect(requests).toEqual(['POST /token'])
  })

  it('says that nothing was asked where nobody picks up', async () => {
    const { outcome, requests } = await over(faults.refuse)
    expect(outcome).toMatchObject({ code: 'network-error', retryable: true })
    expect(requests).toEqual([])
  })
})

describe('metadata that are not to be had', () => {
  it.each<[string, StandInAnswer, ErrorCode]>([
    ['there is a page of a captive portal', { headers: html, body: '<html>' }, 'bad-answer'],
    ['they are not there', { status: 404 }, 'bad-answer'],
    ['they are those of somebody else', { body: { issuer: 'https://evil.test' } }, 'bad-answer'],
    ['there is trouble', { status: 503, headers: { 'retry-after': '30' } }, 'server-error'],
    ['they get lost', { hangUp: true }, 'network-error'],
  ])('are no fault of our client, and cost no grant, where %s', async (_, answer, code) => {
    const { there, context, credential } = await connected({}, { openid: true })
    const asked = there.forms.length
    there.play({ metadata: () => answer })
    const elsewhere = authorizationCodeFlow()
    await expect(elsewhere.refresh?.(context, credential)).rejects.toMatchObject({ code, retryable: true })
    await expect(elsewhere.revoke(context, credential)).resolves.toMatchObject([
      { died: false, again: code === 'server-error' ? { after: 30 } : {} },
      { died: false },
    ])
    expect(there.forms).toHaveLength(asked)
  })
})

describe('an ID token that comes with a refresh', () => {
  const renewed = async (script: Script, change: Partial<FlowContext> = {}) => {
    const { there, context, credential } = await connected({}, { openid: true })
    there.play(script)
    const elsewhere = script.jwks ? authorizationCodeFlow() : flow
    const fresh = await elsewhere.refresh?.({ ...context, ...change }, credential)
    const [before, after] = [credential, fresh].map((it) => it?.kept['idToken']?.reveal())
    expect(fresh?.kept['refreshToken']?.reveal()).not.toBe(credential.kept['refreshToken']?.reveal())
    return { isReplaced: before !== after }
  }

  it('takes the place of the one before where it is proven', async () => {
    expect(await renewed({})).toEqual({ isReplaced: true })
  })

  it.each([-24, 24])('does not cost the grant where the clock is %s hours off', async (hours) => {
    const now = () => new Date(Date.now() + hours * 3_600_000)
    expect(await renewed({}, { now })).toEqual({ isReplaced: true })
  })

  it.each<[string, Script]>([
    ['the keys are not to be had', { jwks: () => ({ status: 503 }) }],
    ['the keys are those of a captive portal', { jwks: () => ({ headers: html, body: '<html>' }) }],
    ['no key is the one it names', { jwks: () => ({ body: { keys: [] } }) }],
    ['it cannot be read', { idToken: async () => 'nonsense' }],
  ])('does not cost the grant, and is not believed, where %s', async (_, script) => {
    expect(await renewed(script)).toEqual({ isReplaced: false })
  })

  it('is refused with all that came along where it names somebody else, proven or not', async () => {
    const { there, context, credential } = await connected({}, { openid: true })
    there.play({ claims: (it) => ({ ...it, sub: 'person-2' }), jwks: () => ({ status: 503 }) })
    await expect(authorizationCodeFlow().refresh?.(context, credential)).rejects.toMatchObject({
      code: 'bad-answer',
      message: expect.stringContaining('"sub"'),
    })
  })
})

describe('what a refresh leaves', () => {
  const answering = (change: Readonly<Record<string, unknown>>): Script => ({
    token: (honest) => ({ body: { ...honest, scope: 'read write', ...change } }),
  })

  const left = async (
    change: Readonly<Record<string, unknown>>,
    more: Parameters<typeof connected>[1] = {},
  ) => {
    const { there, context, credential } = await connected({}, more)
    there.play(answering(change))
    const fresh = await flow.refresh?.(context, credential)
    if (fresh === undefined) throw new Error('nothing was refreshed')
    return { there, context, credential, fresh }
  }

  it('is known beforehand: what holds a refresh token can be renewed', async () => {
    const { credential } = await connected()
    expect(flow.renews?.(credential)).toBe(true)
    expect(flow.renews?.({ ...credential, worn: {} })).toBe(true)
    expect(flow.renews?.({ ...credential, kept: {} })).toBe(false)
  })

  it('works with the refresh token alone: no access token is needed for it, or for an end', async () => {
    const { context, credential } = await connected()
    const bare = { ...credential, worn: {} }
    expect((await flow.refresh?.(context, bare))?.worn['accessToken']).toBeDefined()
    const again = { ...(await flow.refresh?.(context, bare)), worn: {} } as Credential
    expect((await flow.revoke(context, again)).map(({ what, died }) => [what, died])).toEqual([
      ['refresh token', true],
    ])
  })

  it('[security 2.5] keeps what was granted, and says what the narrower token may do', async () => {
    const { context, there, credential, fresh } = await left({ scope: 'read' })
    expect([credential.wornScopes, fresh.scopes, fresh.wornScopes]).toEqual([
      undefined,
      ['read', 'write'],
      ['read'],
    ])
    there.play(answering({ scope: 'write read' }))
    const whole = await flow.refresh?.(context, fresh)
    expect([whole?.scopes, whole?.wornScopes]).toEqual([['read', 'write'], undefined])
    expect((await left({ scope: ['read'] })).fresh.wornScopes).toEqual(['read'])
    for (const scope of [undefined, null, '', 7, {}, [7]])
      expect((await left({ scope })).fresh.wornScopes).toBeUndefined()
  })

  it.each([undefined, null, 0, -1, 'soon', 1e18])(
    '[security 10.1] lives an hour where an end is not told (%j), and stands by no means',
    async (expires) => {
      const { fresh } = await left({ expires_in: expires })
      expect(fresh.standing).toBe(false)
      expect(inSeconds(fresh.expiresAt)).toBeCloseTo(3600, -2)
      const declared = await left({ expires_in: expires }, { oauth: { accessSeconds: 600 } })
      expect(inSeconds(declared.fresh.expiresAt)).toBeCloseTo(600, -2)
    },
  )
})

function inSeconds(end: Date | null | undefined, from = Date.now()): number {
  return end ? (end.getTime() - from) / 1000 : Number.NaN
}

describe('the end of a grant', () => {
  const DAY = 24 * 60 * 60

  /** The ends after the sign-in, and after each refresh, a day apart. */
  const endsAt = async (oauth: Partial<OAuth>, told: readonly Readonly<Record<string, unknown>>[]) => {
    const start = Date.now()
    const answers = [...told]
    const script: Script = { token: (honest) => ({ body: { ...honest, ...answers.shift() } }) }
    const { context, credential } = await connected(script, { oauth })
    const held = [credential]
    for (let day = 1; day < told.length; day += 1) {
      const now = () => new Date(start + day * DAY * 1000)
      const fresh = await flow.refresh?.({ ...context, now }, held.at(-1) ?? credential)
      if (fresh) held.push(fresh)
    }
    const inDays = (end: Date | null | undefined) => (end ? Math.round(inSeconds(end, start) / DAY) : null)
    return held.map(({ grantEndsAt, idleEndsAt }) => [inDays(grantEndsAt), inDays(idleEndsAt)])
  }

  it('is not known where nobody says so', async () => {
    expect(await endsAt({}, [{}, {}])).toEqual([
      [null, null],
      [null, null],
    ])
  })

  it.each([
    'refresh_token_expires_in',
    'refresh_expires_in',
    'x_refresh_token_expires_in',
    'refresh_token_timeout',
  ])('is read from %s, and moves on with each renewal', async (name) => {
    const told = { [name]: String(10 * DAY) }
    expect(await endsAt({}, [told, told, told])).toEqual([
      [null, 10],
      [null, 11],
      [null, 12],
    ])
  })

  it('is absolute where a renewal does not move it', async () => {
    const remaining = [10, 9, 8].map((count) => ({ refresh_expires_in: count * DAY }))
    expect(await endsAt({}, remaining)).toEqual([
      [null, 10],
      [10, null],
      [10, null],
    ])
  })

  it('is what the provider declares where its answers say nothing', async () => {
    expect(await endsAt({ grantLife: { absoluteDays: 365, idleDays: 90 } }, [{}, {}, {}])).toEqual([
      [365, 90],
      [365, 91],
      [365, 92],
    ])
  })

  it('stays with a refresh token that stays, and is told of none that is not there', async () => {
    const told = { refresh_expires_in: 10 * DAY }
    expect(await endsAt({}, [told, { refresh_token: undefined }, {}])).toEqual([
      [null, 10],
      [null, 10],
      [null, null],
    ])
    expect(await endsAt({ grantLife: { idleDays: 90 } }, [{ refresh_token: undefined }])).toEqual([
      [null, null],
    ])
  })

  it('is nonsense where it is none', async () => {
    for (const seconds of [0, -1, 'never', {}, 1e18])
      expect(await endsAt({}, [{ refresh_expires_in: seconds }])).toEqual([[null, null]])
  })
})
