import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { apiKeyFlow } from '../flows/api-key.ts'
import { authorizationCodeFlow } from '../flows/authorization-code.ts'
import type { Flow, FlowContext } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { discover } from '../protocol/discovery.ts'
import { register } from '../protocol/registration.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import type { HostileServer, Script } from '../testing/hostile-server.ts'
import { hostileStage, REDIRECT_URI, signInBy } from '../testing/oauth-stage.ts'
import type { StandInAnswer } from '../testing/stand-in.ts'
import { openNetwork } from './network.ts'

// Every request that a sign-in makes by itself, with an answer that leads somewhere else, or nowhere.

const ends: Array<() => unknown> = []
let inside: { readonly link: string; readonly connections: () => number }

beforeEach(async () => {
  inside = await counter()
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A private place that nothing may reach, and that counts who comes all the same. */
async function counter() {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => server.close())
  const { port } = server.address() as AddressInfo
  return { link: `http://127.0.0.1:${port}/latest/meta-data`, connections: () => connections }
}

interface Stage {
  readonly context: FlowContext
  readonly there: HostileServer
  readonly flow: Flow
}

const signIn = ({ flow, context, there }: Stage) => signInBy(flow, context, there.consent)

/** Each kind of request, with the part of the server that answers it. */
const REQUESTS: ReadonlyArray<readonly [string, keyof Script, (stage: Stage) => Promise<unknown>]> = [
  ['metadata', 'metadata', ({ flow, context }) => flow.begin(context)],
  ['a code that is redeemed', 'token', signIn],
  ['keys', 'jwks', signIn],
  ['userinfo', 'userinfo', signIn],
  [
    'a registration',
    'register',
    async ({ context: { network, now }, there }) => {
      const server = await discover(network, there.issuer, { found: new Map(), now })
      const redirectUris = [new URL(REDIRECT_URI)]
      return register(network, server, { name: 'Valetkey', redirectUris, scopes: [], clientAuth: 'post' })
    },
  ],
]

/** The stage with one answer in the place of the honest one; what comes of the request that gets it. */
async function asked(
  part: keyof Script,
  answer: StandInAnswer,
  request: (stage: Stage) => Promise<unknown>,
  answerSeconds = 30,
): Promise<unknown> {
  const stage = await hostileStage({
    openCatalogue,
    openNetwork: ({ allow }) => openNetwork({ allow, answerSeconds, silenceSeconds: answerSeconds }),
  })
  ends.push(stage.close)
  stage.there.play({ [part]: () => answer })
  return await request({ ...stage, flow: authorizationCodeFlow() }).catch((error: unknown) => error)
}

const REDIRECTS = [301, 302, 303, 307, 308]
const moved = (status: number): StandInAnswer => ({ status, headers: { location: inside.link } })

describe('a redirect to a private address', () => {
  it.each(REQUESTS)('[security 20.4] is not followed by a request for %s', async (_, part, request) => {
    for (const status of REDIRECTS) {
      const refused = await asked(part, moved(status), request)
      expect(refused).toMatchObject({ code: expect.stringMatching(/^(bad-answer|provider-not-configured)$/) })
    }
    expect(inside.connections()).toBe(0)
  })

  it('[security 20.4] is not followed by a renewal, nor by an end', async () => {
    const stage = await hostileStage({ openCatalogue, openNetwork })
    ends.push(stage.close)
    const flow = authorizationCodeFlow()
    const { credential } = await signInBy(flow, stage.context, stage.there.consent)
    for (const status of REDIRECTS) {
      stage.there.play({ token: () => moved(status), revoke: () => moved(status) })
      await expect(flow.refresh?.(stage.context, credential)).rejects.toMatchObject({ code: 'bad-answer' })
      const pieces = await flow.revoke(stage.context, credential)
      expect(pieces.map(({ died }) => died)).toEqual([false, false])
    }
    expect(inside.connections()).toBe(0)
  })

  it('[security 20.4] is not followed by the check of a key', async () => {
    const stage = await hostileStage({ openCatalogue, openNetwork })
    ends.push(stage.close)
    stage.there.play({ userinfo: () => moved(302) })
    const [signIn] = stage.context.provider.signIns
    if (signIn === undefined) throw new Error('there is no sign-in')
    const verify = {
      method: 'GET',
      url: new URL('/userinfo', stage.there.issuer).href,
      ok: [200],
      refused: [401],
    } as const
    const fields = [{ name: 'key', label: 'Key', secret: true, optional: false }]
    const present = [{ header: 'authorization', field: 'key', optional: false }]
    const turn = await apiKeyFlow.begin({
      ...stage.context,
      signIn: {
        ...signIn,
        flow: 'api-key',
        fields,
        present,
        verify: { ...verify, ok: [200], refused: [401] },
      },
      known: { key: new Secret(canary('key')) },
    })
    expect(turn).toMatchObject({ step: { ask: 'fill', code: 'bad-answer' } })
    expect([stage.there.requests.length, inside.connections()]).toEqual([1, 0])
  })
})

describe('an address in an answer that is private', () => {
  it.each([
    'token_endpoint',
    'jwks_uri',
    'userinfo_endpoint',
    'registration_endpoint',
    'revocation_endpoint',
  ])(
    '[security 20.4] [security 8.3] is not dialled as the %s, nor over http outside this computer',
    async (name) => {
      const links = [
        inside.link,
        'http://10.0.0.1/x',
        'http://metadata.google.internal/x',
        'https://169.254.169.254/x',
      ]
      for (const link of links) {
        const stage = await hostileStage({ openCatalogue, openNetwork })
        ends.push(stage.close)
        stage.there.play({ metadata: (honest) => ({ body: { ...honest, [name]: link } }) })
        const every = { ...stage, flow: authorizationCodeFlow() }
        for (const [, , request] of REQUESTS) await request(every).catch(() => undefined)
        const done = await signIn(every).catch(() => undefined)
        if (done) await every.flow.revoke(stage.context, done.credential)
      }
      expect(inside.connections()).toBe(0)
    },
    20_000,
  )
})

describe('an answer', () => {
  const json = { 'content-type': 'application/json' }
  const large = `{"x":"${'x'.repeat(1_100_000)}"}`
  async function* endless() {
    for (;;) yield 'x'.repeat(65_536)
  }
  async function* silent() {
    yield '{'
    await pause(60_000, undefined, { ref: false })
  }

  it.each(REQUESTS)(
    '[security 10.3] [security 8.4] of more than a megabyte is cut off where it is for %s',
    async (_, part, request) => {
      const pieces = { headers: json, body: endless() }
      for (const answer of [{ headers: json, body: large }, pieces])
        expect(
          await asked(part, { status: part === 'register' ? 201 : 200, ...answer }, request),
        ).toMatchObject({
          code: 'response-too-large',
        })
    },
  )

  it.each(REQUESTS)(
    '[security 10.3] of another type is not read where it is for %s',
    async (_, part, request) => {
      for (const type of ['text/html', 'text/plain', 'application/json-patch+json', '']) {
        const answer = { headers: type === '' ? {} : { 'content-type': type }, body: '{}' }
        expect(await asked(part, answer, request), type).toMatchObject({
          code: expect.stringMatching(/^(bad-answer|provider-not-configured)$/),
        })
      }
    },
  )

  it.each(REQUESTS.filter(([, part]) => part !== 'userinfo'))(
    '[security 8.4] that never comes, or falls silent, is given up where it is for %s',
    async (_, part, request) => {
      for (const answer of [{ afterMs: 5000 }, { headers: json, body: silent() }])
        expect(await asked(part, answer, request, 0.5)).toMatchObject({ code: 'answer-timeout' })
    },
    15_000,
  )

  it('[security 8.4] that never comes does not keep a person out whose name alone was asked for', async () => {
    expect(await asked('userinfo', { afterMs: 5000 }, signIn, 0.5)).toHaveProperty('credential')
  }, 15_000)
})
