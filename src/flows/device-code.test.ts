import { decodeJwt } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import type { FlowContext, FlowTurn } from '../model/flow.ts'
import type { ProviderFile } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { type DeviceServer, type DeviceServerOptions, deviceServer } from '../testing/device-server.ts'
import { issuedBy, oauthStage } from '../testing/oauth-stage.ts'
import { deviceCodeFlow } from './device-code.ts'

type Device = NonNullable<NonNullable<ProviderFile['oauth']>['device']>
type Waiting = Extract<FlowTurn, { step: unknown }>

let server: DeviceServer
let context: FlowContext
let time: number

afterEach(async () => {
  await context?.network.close()
  await server?.close()
})

const flow = deviceCodeFlow()
const START = Date.parse('2027-03-01T12:00:00Z')

interface Scene extends Omit<DeviceServerOptions, 'now'> {
  /** Where its endpoints are, by their path; those of RFC 8628 unless told. */
  readonly device?: (at: (path: string) => string) => Device
  readonly token?: string
  readonly oauth?: Partial<NonNullable<ProviderFile['oauth']>>
  readonly clientSecret?: string
}

async function open({ device, token = '/token', oauth, clientSecret = '', ...options }: Scene = {}) {
  time = START
  const now = () => new Date(time)
  server = await deviceServer({ now, ...options })
  const at = (path: string) => `${server.origin}${path}`
  const scene = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: {
        authorize: at('/authorize'),
        token: at(token),
        revoke: at('/revoke'),
        device: device?.(at) ?? { authorize: at('/device') },
        ...oauth,
      },
      scopes: ['read', 'write'],
      signIn: { flow: 'device-code', verify: { url: at('/me'), subject: '/id', displayName: '/name' } },
      provider: { hosts: [new URL(server.origin).host] },
      allow: [server.origin],
      clientSecret,
    },
  )
  context = { ...scene, now, redirectUri: undefined, state: undefined, device: 'Valetkey on a test' }
}

async function begin(): Promise<Waiting> {
  return stepIn(await flow.begin(context))
}

function stepIn(turn: FlowTurn): Waiting {
  if ('step' in turn) return turn
  throw new Error('it is over already')
}

/** The broker's next look, when it was said to be due. */
async function look({ memory, again }: Waiting): Promise<FlowTurn> {
  time = again?.getTime() ?? time
  return flow.next(context, memory, undefined)
}

/** In how many seconds the provider is asked next. */
function wait({ again }: Waiting): number {
  return ((again?.getTime() ?? 0) - time) / 1000
}

async function refused(turn: Promise<FlowTurn>): Promise<ValetkeyError> {
  const error = await turn.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof ValetkeyError) return error
  throw new Error('it was not refused', { cause: error })
}

describe('how often the provider is asked', () => {
  it('[security 5.1] is every five seconds where it does not say', async () => {
    await open()
    const first = await begin()
    expect([wait(first), first.step]).toMatchObject([5, { everySeconds: 5 }])
    const second = stepIn(await look(first))
    expect(wait(second)).toBe(5)
    expect(server.polls).toHaveLength(1)
  })

  it.each([
    [2, 2],
    ['7', 7],
    [0, 5],
    [-3, 5],
    ['soon', 5],
    [100_000, 300],
  ])('is as the provider says, where that makes sense: %j', async (interval, seconds) => {
    await open({ begun: { interval } })
    expect(wait(await begin())).toBe(seconds)
  })

  it('[security 5.1] is never again once the code is too old, or ten minutes are over', async () => {
    await open({ begun: { expires_in: 12, interval: 5 } })
    let turn = await begin()
    expect(turn.step).toMatchObject({ until: new Date(START + 12_000) })
    for (const seconds of [5, 2]) {
      turn = stepIn(await look(turn))
      expect(wait(turn)).toBe(seconds)
    }
    expect(await refused(look(turn))).toMatchObject({ code: 'flow-expired' })
    expect(server.polls).toHaveLength(2)
    await server.close()
    await open({ begun: { expires_in: 1800 } })
    expect((await begin()).step).toMatchObject({ until: new Date(START + 600_000) })
  })

  it('[security 5.2] is five seconds less often from each slow_down on', async () => {
    await open({ begun: { interval: 5 }, replies: ['slow_down', 'authorization_pending', 'slow_down'] })
    let turn = await begin()
    const waits: number[] = []
    for (let n = 0; n < 4; n += 1) {
      turn = stepIn(await look(turn))
      waits.push(wait(turn))
    }
    expect(waits).toEqual([10, 10, 15, 15])
    expect(turn.step).toMatchObject({ everySeconds: 15, code: 'WDJB-MJHT' })
  })

  it.each(['slow_down', 'authorization_pending'])('is as late as %s asks for with it', async (error) => {
    const headers = { 'content-type': 'application/json', 'retry-after': '40' }
    await open({ replies: [{ status: 429, body: { error }, headers }] })
    expect(wait(stepIn(await look(await begin())))).toBe(40)
  })

  it.each([
    ['hang-up', [10, 20, 40, 60]],
    [503, [10, 20, 40, 60]],
    [{ status: 429, body: '', headers: { 'retry-after': '50' } }, [50, 50, 50, 60]],
  ] as const)('[security 5.2] doubles while nobody is reached: %j', async (reply, expected) => {
    await open({ replies: [reply, reply, reply, reply] })
    let turn = await begin()
    const waits: number[] = []
    for (let n = 0; n < 4; n += 1) {
      turn = stepIn(await look(turn))
      waits.push(wait(turn))
    }
    expect(waits).toEqual(expected)
    // It is as before once somebody answers.
    expect(wait(stepIn(await look(turn)))).toBe(5)
  })

  it('[security 5.3] is counted from the end of the last answer, and not from its beginning', async () => {
    await open()
    const first = await begin()
    const { network } = context
    const slow: typeof network.fetch = async (url, request) => {
      const answer = await network.fetch(url, request)
      time += 20_000
      return answer
    }
    time = first.again?.getTime() ?? 0
    const next = await flow.next(
      { ...context, network: { ...network, fetch: slow } },
      first.memory,
      undefined,
    )
    expect(stepIn(next).again).toEqual(new Date(START + 5000 + 20_000 + 5000))
  })
})

describe('what ends it', () => {
  it.each([
    ['access_denied', 'access-denied'],
    ['authorization_declined', 'access-denied'],
    ['expired_token', 'flow-expired'],
    ['invalid_grant', 'poll-failed'],
    ['something_new', 'poll-failed'],
    ['invalid_client', 'provider-not-configured'],
  ])('[security 5.2] is %s, as %s', async (word, code) => {
    await open({ replies: [word] })
    expect(await refused(look(await begin()))).toMatchObject({ code })
  })

  it.each([400, 403, 404, 302])('[security 5.2] is a %i that says nothing', async (status) => {
    await open({ replies: [status] })
    const error = await refused(look(await begin()))
    expect([error.code, error.message]).toEqual(['bad-answer', expect.stringContaining(String(status))])
  })

  it('is not a yes or a wait under an unusual status', async () => {
    const odd = (error: string) => ({
      status: 428,
      body: { error },
      headers: { 'content-type': 'application/json' },
    })
    await open({ replies: [odd('authorization_pending'), odd('slow_down')] })
    const turn = stepIn(await look(stepIn(await look(await begin()))))
    expect(wait(turn)).toBe(10)
  })
})

describe('what a person is shown', () => {
  it('[security 5.4] is the code also beside a link that holds it, who asks with it, and no device code', async () => {
    await open({ begun: { verification_uri_complete: 'https://acme.test/enter?user_code=WDJB-MJHT' } })
    const { step, memory } = await begin()
    expect(step).toEqual({
      ask: 'enter-code',
      code: 'WDJB-MJHT',
      at: new URL(`${server.origin}/enter`),
      whole: new URL('https://acme.test/enter?user_code=WDJB-MJHT'),
      device: 'Valetkey on a test',
      until: new Date(START + 300_000),
      everySeconds: 5,
    })
    expect(JSON.stringify(step) + String(memory)).not.toContain(server.secrets.device)
    expect(memory.reveal()).toContain(server.secrets.device)
  })

  it('[security 5.4] is no device code in an error either', async () => {
    await open({ replies: ['access_denied'] })
    const error = await refused(look(await begin()))
    expect(JSON.stringify([error.message, error.hint, error.stack])).not.toContain(server.secrets.device)
  })

  it.each([
    'http://acme.test/enter',
    'javascript:alert(1)',
    'ssh://acme.test',
    'https://a:b@acme.test/',
    '/enter',
    '$(reboot)',
    7,
  ])('[security 5.5] is no place that is not https: %s', async (verification_uri) => {
    await open({ begun: { verification_uri } })
    expect(await refused(flow.begin(context))).toMatchObject({ code: 'bad-answer' })
  })

  it('[security 5.5] is no link with the code that is not https', async () => {
    await open({ begun: { verification_uri_complete: 'http://acme.test/?code=1' } })
    expect(await refused(flow.begin(context))).toMatchObject({ code: 'bad-answer' })
  })

  it.each(['\u001b[2J', 'A\nB', '', 'x'.repeat(65), 7])(
    'is no code that a terminal would obey: %j',
    async (user_code) => {
      await open({ begun: { user_code } })
      expect(await refused(flow.begin(context))).toMatchObject({ code: 'bad-answer' })
    },
  )
})

describe('what is issued', () => {
  it('is renewed without another refresh token, and ended', async () => {
    await open({ clientSecret: 'not a real one' })
    server.enter()
    const { credential, profile } = issuedBy(await look(await begin()))
    expect([profile.subject, profile.displayName, credential.scopes]).toEqual([
      'ada',
      'Ada',
      ['read', 'write'],
    ])
    expect(server.begun).toMatchObject([{ scope: 'read write', client_secret: 'not a real one' }])
    const fresh = await flow.refresh?.(context, credential)
    expect(fresh?.kept['refreshToken']?.reveal()).toBe(server.secrets.refresh)
    expect(server.grants).toMatchObject([{ grant_type: 'refresh_token' }])
  })

  it('is bound to the request that asked for the code, where the provider wants that', async () => {
    await open({ device: (at) => ({ authorize: at('/device'), pkce: true }) })
    server.enter()
    const turn = await begin()
    expect(server.begun).toMatchObject([{ code_challenge_method: 'S256' }])
    expect(JSON.stringify(turn.step)).not.toContain(String(server.begun[0]?.['code_challenge']))
    issuedBy(await look(turn))
    expect(server.polls[0]?.params['code_verifier']).toMatch(/^[\w-]{43}$/)
  })

  it('is bound to a key of its own, which every question is signed with, where the provider wants that', async () => {
    await open({ oauth: { dpop: true }, issued: { token_type: 'DPoP' } })
    const turn = stepIn(await look(await begin()))
    server.enter()
    const { credential } = issuedBy(await look(turn))
    expect([credential.tokenType, Object.keys(credential.kept)]).toEqual([
      'DPoP',
      ['refreshToken', 'dpopKey'],
    ])
    const proofs = server.polls.map(({ proof = '' }) => decodeJwt(proof))
    const htu = `${server.origin}/token`
    expect(proofs).toMatchObject([
      { htm: 'POST', htu },
      { htm: 'POST', htu },
    ])
    expect(proofs[0]?.jti).not.toBe(proofs[1]?.jti)
  })

  it('comes of the same address as everything else, and in its words', async () => {
    await open({
      token: '/same',
      device: (at) => ({
        authorize: at('/same'),
        params: { response_type: 'device_code' },
        grant: 'device',
        codeParam: 'code',
      }),
      begun: { expires_in: undefined },
    })
    server.enter()
    issuedBy(await look(await begin()))
    expect(server.polls[0]?.params).toMatchObject({ grant_type: 'device', code: server.secrets.device })
  })

  it('may be looked up by an address that only the file knows', async () => {
    await open({
      device: (at) => ({ authorize: at('/device'), verify: at('/by-hand') }),
      begun: { verification_uri: undefined },
    })
    expect((await begin()).step).toMatchObject({ at: new URL(`${server.origin}/by-hand`) })
  })
})

describe('a code that ends in another code', () => {
  const scene: Scene = {
    device: (at) => ({
      authorize: at('/usercode'),
      token: at('/poll'),
      verify: at('/enter'),
      yields: 'code',
      redirect: 'https://acme.test/deviceauth/callback',
    }),
  }

  it('is asked for in JSON, waits at 403 and 404, and is redeemed as if a browser had brought it', async () => {
    await open(scene)
    let turn = await begin()
    expect([wait(turn), turn.step]).toMatchObject([5, { code: 'WDJB-MJHT' }])
    turn = stepIn(await look(stepIn(await look(turn))))
    server.enter()
    issuedBy(await look(turn))
    expect(server.begun).toEqual([{ client_id: 'our client:1' }])
    expect(server.polls.map(({ params }) => params['device_auth_id'])).toEqual(
      Array(3).fill(server.secrets.device),
    )
    expect(server.grants).toMatchObject([
      { grant_type: 'authorization_code', redirect_uri: 'https://acme.test/deviceauth/callback' },
    ])
  })

  it('ends at any other answer, and waits longer where nobody is reached', async () => {
    await open({ ...scene, replies: [502, 400] })
    const turn = stepIn(await look(await begin()))
    expect(wait(turn)).toBe(10)
    expect(await refused(look(turn))).toMatchObject({ code: 'bad-answer' })
  })

  it('says so where it is switched off for the account', async () => {
    await open({ device: (at) => ({ ...scene.device?.(at), authorize: at('/nothing-here') }) as Device })
    expect(await refused(flow.begin(context))).toMatchObject({
      code: 'provider-not-configured',
      message: 'Acme has signing in by a code switched off for this account',
    })
  })
})

describe('a server that has no place for it', () => {
  it('is told apart, before anybody is asked', async () => {
    await open({ device: () => ({}) })
    expect(await refused(flow.begin(context))).toMatchObject({
      code: 'provider-not-configured',
      message: 'Acme is not signed in to by a code',
    })
  })

  it('may know the flow and not let this client use it', async () => {
    await open({ device: (at) => ({ authorize: at('/me-not') }) })
    const body = { error: 'device_flow_disabled' }
    const fetch = async () => Response.json(body, { status: 400 })
    const error = await refused(flow.begin({ ...context, network: { ...context.network, fetch } }))
    expect(error).toMatchObject({ code: 'provider-not-configured', message: expect.stringContaining('off') })
  })
})

describe('a client that changed meanwhile', () => {
  it('is not asked for with the code of another', async () => {
    await open()
    const turn = await begin()
    const other = { ...context, client: { clientId: 'another', clientSecret: new Secret('x') } }
    time = turn.again?.getTime() ?? 0
    expect(await refused(flow.next(other, turn.memory, undefined))).toMatchObject({ code: 'flow-failed' })
    expect(server.polls).toHaveLength(0)
  })
})
