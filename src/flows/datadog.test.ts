import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FlowContext } from '../model/flow.ts'
import type { Network } from '../model/network.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { readBuiltIn } from '../providers/built-in.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import { type HostileServer, hostileServer } from '../testing/hostile-server.ts'
import { issuedBy, visitOf } from '../testing/oauth-stage.ts'
import { authorizationCodeFlow } from './authorization-code.ts'

// The whole sign-in as an app that needs Datadog describes it, step by step. Every host of Datadog
// leads to one server here, which is told which of them was meant.

const REDIRECT_URI = 'http://127.0.0.1:8080/callback'
const CLIENT_ID = 'doc-buddy'
const HANDLE = 'zoe@example.com'
const SCOPES = [
  'apm_service_catalog:read',
  'metrics:read',
  'rum:read',
  'logs_read_data',
  'monitors_read',
  'incident_read',
  'events_read',
]

const flow = authorizationCodeFlow()
const catalogue = openCatalogue({ builtIn: readBuiltIn(), own: [], origins: {} })
let there: HostileServer
let network: Network
/** The hosts that were asked, in order. */
let asked: string[]

beforeEach(async () => {
  there = await hostileServer({
    endpoints: {
      authorize: '/oauth2/v1/authorize',
      token: '/oauth2/v1/token',
      revoke: '/oauth2/v1/revoke',
      userinfo: '/api/v2/current_user',
    },
    redirectUris: [REDIRECT_URI],
  })
  asked = []
  const { origin } = new URL(there.issuer)
  const open = openNetwork({ allow: [origin] })
  network = {
    fetch: (url, request) => {
      asked.push(url.origin)
      return open.fetch(new URL(url.pathname + url.search, origin), request)
    },
    close: open.close,
  }
  comingBack({ domain: 'datadoghq.eu' })
})

afterEach(async () => {
  await network.close()
  await there.close()
})

/** What stands beside code and state in the address that the browser comes back to; Datadog names no issuer. */
function comingBack(more: Readonly<Record<string, string>>): void {
  there.play({
    callback: (answer) => {
      answer.delete('iss')
      for (const [name, value] of Object.entries(more)) answer.set(name, value)
    },
    token: ({ id_token: _, ...honest }) => ({ body: { ...honest, scope: SCOPES.join(' ') } }),
    userinfo: () => ({ body: { data: { type: 'users', id: 'user-1', attributes: { handle: HANDLE } } } }),
  })
}

function contextWith(
  known: Readonly<Record<string, string>>,
  change: Partial<FlowContext> = {},
): FlowContext {
  const provider = catalogue.find('datadog')
  const signIn = provider?.signIns.find((one) => one.flow === flow.id)
  if (!provider || !signIn) throw new Error('there is no Datadog')
  return {
    provider,
    signIn,
    catalogue,
    network,
    now: () => new Date(),
    newId: () => 'one',
    known: Object.fromEntries(Object.entries(known).map(([name, value]) => [name, new Secret(value)])),
    insist: false,
    client: { clientId: CLIENT_ID, clientSecret: undefined },
    redirectUri: new URL(REDIRECT_URI),
    state: `flow-one.${canary('state')}`,
    ...change,
  }
}

/** The browser, which finds every host of Datadog at the one server. */
async function consent(url: URL): Promise<Secret> {
  return new Secret((await there.consent(new URL(url.pathname + url.search, there.issuer))).href)
}

async function comeBack(context: FlowContext, turn: Awaited<ReturnType<typeof flow.begin>>) {
  const { url, memory } = visitOf(turn)
  return flow.next(context, memory, { callback: await consent(url) })
}

const sites = catalogue.find('datadog')?.vars.find(({ name }) => name === 'site')?.choices ?? []

describe('the sign-in to Datadog', () => {
  it('goes from the first step to the last: sent off, redeemed, renewed, ended', async () => {
    const context = contextWith({ site: 'datadoghq.eu' })
    expect(context.signIn.redirect).toMatchObject({ port: 8080, path: '/callback' })

    const turn = await flow.begin(context)
    const { url, memory } = visitOf(turn)
    expect(url.origin + url.pathname).toBe('https://app.datadoghq.eu/oauth2/v1/authorize')
    const sent = Object.fromEntries(url.searchParams)
    expect(sent).toEqual({
      client_id: CLIENT_ID,
      redirect_uri: REDIRECT_URI,
      response_type: 'code',
      scope: SCOPES.join(' '),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
      state: context.state,
    })

    const { credential, profile } = issuedBy(
      await flow.next(context, memory, { callback: await consent(url) }),
    )
    const [redeemed] = there.forms
    expect(Object.fromEntries(redeemed ?? [])).toEqual({
      grant_type: 'authorization_code',
      client_id: CLIENT_ID,
      redirect_uri: REDIRECT_URI,
      code: [...there.codes][0],
      code_verifier: expect.stringMatching(/^[\w.~-]{43,128}$/),
    })
    const challenge = createHash('sha256').update(redeemed?.get('code_verifier') ?? '')
    expect(challenge.digest('base64url')).toBe(sent['code_challenge'])
    expect(credential).toMatchObject({ scopes: SCOPES, tokenType: 'Bearer', standing: false })
    expect(credential.expiresAt).toBeInstanceOf(Date)
    expect(profile).toEqual({ subject: 'user-1', displayName: HANDLE, vars: { site: 'datadoghq.eu' } })
    const [whose] = there.requests.filter(({ path }) => path === '/api/v2/current_user')
    expect(whose?.headers['authorization']).toBe(`Bearer ${credential.worn['accessToken']?.reveal()}`)

    const later = { ...context, known: { site: new Secret('datadoghq.eu') }, redirectUri: undefined }
    const fresh = await flow.refresh?.(later, credential)
    const [, renewed] = there.forms
    expect(Object.fromEntries(renewed ?? [])).toEqual({
      grant_type: 'refresh_token',
      client_id: CLIENT_ID,
      refresh_token: credential.kept['refreshToken']?.reveal(),
    })
    expect(fresh?.worn['accessToken']?.reveal()).not.toBe(credential.worn['accessToken']?.reveal())
    expect(fresh?.scopes).toEqual(SCOPES)

    const pieces = await flow.revoke(later, fresh ?? credential)
    expect(pieces.map(({ what, died }) => [what, died])).toEqual([
      ['refresh token', true],
      ['access token', true],
    ])
    expect(asked).toEqual(Array(5).fill('https://api.datadoghq.eu'))
    for (const { headers, method } of there.requests.filter(({ path }) => path !== url.pathname))
      if (method === 'POST') expect(headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/)
  })

  it.each([
    ['datadoghq.com', 'app.datadoghq.com'],
    ['us3.datadoghq.com', 'us3.datadoghq.com'],
    ['us5.datadoghq.com', 'us5.datadoghq.com'],
    ['datadoghq.eu', 'app.datadoghq.eu'],
    ['ap1.datadoghq.com', 'ap1.datadoghq.com'],
    ['ap2.datadoghq.com', 'ap2.datadoghq.com'],
    ['uk1.datadoghq.com', 'uk1.datadoghq.com'],
    ['ddog-gov.com', 'app.ddog-gov.com'],
    ['us2.ddog-gov.com', 'us2.ddog-gov.com'],
  ])('sends whoever is at %s to %s, and asks nothing else', async (site, app) => {
    expect(sites).toContain(site)
    comingBack({ domain: site })
    const context = contextWith({ site })
    const turn = await flow.begin(context)
    expect(visitOf(turn).url.host).toBe(app)
    expect(issuedBy(await comeBack(context, turn)).profile.vars).toEqual({ site })
    expect(asked).toEqual(Array(2).fill(`https://api.${site}`))
  })

  it('asks for the site alone where it is not known', async () => {
    const context = contextWith({})
    const turn = await flow.begin(context)
    if (!('step' in turn) || turn.step.ask !== 'fill') throw new Error('nothing is asked')
    expect(turn.step.fields).toMatchObject([{ name: 'site', kind: 'choice', choices: sites }])
    const chosen = { fields: { site: new Secret('us5.datadoghq.com') } }
    expect(visitOf(await flow.next(context, turn.memory, chosen)).url.host).toBe('us5.datadoghq.com')
  })

  it('shows the secret of a client that has one', async () => {
    const clientSecret = new Secret(canary('client'))
    const context = contextWith({ site: 'datadoghq.eu' }, { client: { clientId: CLIENT_ID, clientSecret } })
    issuedBy(await comeBack(context, await flow.begin(context)))
    expect(there.forms[0]?.get('client_secret')).toBe(clientSecret.reveal())
  })
})

describe('the site that Datadog tells', () => {
  const told = async (more: Readonly<Record<string, string>>) => {
    comingBack(more)
    const context = contextWith({ site: 'datadoghq.com' })
    return comeBack(context, await flow.begin(context)).then(
      (turn) => issuedBy(turn).profile.vars['site'],
      (error: unknown) => error,
    )
  }

  it.each<[Readonly<Record<string, string>>, string]>([
    [{}, 'datadoghq.com'],
    [{ domain: 'datadoghq.com' }, 'datadoghq.com'],
    [{ domain: 'us5.datadoghq.com' }, 'us5.datadoghq.com'],
    [{ site: 'datadoghq.eu' }, 'datadoghq.eu'],
    [{ site: 'https://app.datadoghq.eu' }, 'datadoghq.eu'],
    [{ site: 'https://us3.datadoghq.com/' }, 'us3.datadoghq.com'],
    [{ domain: 'datadoghq.eu', site: 'https://app.datadoghq.eu' }, 'datadoghq.eu'],
  ])('is the one of the account: %j', async (more, site) => {
    expect(await told(more)).toBe(site)
    expect(asked).toEqual(Array(2).fill(`https://api.${site}`))
  })

  it.each<Readonly<Record<string, string>>>([
    { domain: 'evil.test' },
    { domain: 'datadoghq.com.evil.test' },
    { domain: 'datadoghq.com@evil.test' },
    { domain: 'datadoghq.com.' },
    { domain: 'DATADOGHQ.COM' },
    { domain: 'dаtadoghq.com' },
    { domain: '' },
    { domain: '127.0.0.1' },
    { site: 'http://app.datadoghq.com' },
    { site: 'https://app.datadoghq.com/../evil' },
    { site: 'https://https://app.datadoghq.com' },
    { domain: 'datadoghq.com', site: 'datadoghq.eu' },
  ])(
    '[security 1.17] [security 17.2] is one of Datadog’s own, or no code goes anywhere: %j',
    async (more) => {
      expect(await told(more)).toMatchObject({ code: 'bad-answer' })
      expect([asked, there.forms]).toEqual([[], []])
    },
  )
})
