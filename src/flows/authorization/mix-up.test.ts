import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { report } from '../../../test/figures.ts'
import type { FlowContext } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { type HostileServer, hostileServer, type Script } from '../../testing/hostile-server.ts'
import { oauthStage, visitOf } from '../../testing/oauth-stage.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

// RFC 9700 §4.4: the person signs in to an attacker's server, which lures the browser to an honest
// one; its code then comes back to the sign-in with the attacker. Counted is every code of one
// server that reaches the token endpoint of the other.

const BACK = { honest: 'http://127.0.0.1:49152/cb/honest', attacked: 'http://127.0.0.1:49152/cb/attacked' }

/** How the attacker presents itself. */
const GUISES = [
  'by metadata that promise iss',
  'by metadata that promise nothing',
  'by endpoints',
  'by metadata with the honest authorization endpoint',
] as const

/** By what the honest server protects its clients: RFC 9207, or an exact list of addresses (§4.4.2.2). */
const GUARDS = ['names itself in every answer', 'knows one address only'] as const

/** What the attacker makes of the request for authorization before the browser reaches the honest server. */
const TRICKS: Readonly<Record<string, (lured: URL, attacked: URL, honest: URL) => void>> = {
  'leaves it as it is': () => {},
  'turns it to the honest sign-in’s address': ({ searchParams: it }) => it.set('redirect_uri', BACK.honest),
  'takes the honest sign-in’s request, with its own state': ({ searchParams: it }, attacked, honest) => {
    for (const [name, value] of honest.searchParams) it.set(name, value)
    it.set('state', attacked.searchParams.get('state') ?? '')
  },
  'adds an iss of its own to the address': ({ searchParams: it }) =>
    it.set('redirect_uri', `${BACK.attacked}?iss=https%3A%2F%2Fevil.test`),
  'adds a state of its own to the address': ({ searchParams: it }, attacked) =>
    it.set('redirect_uri', `${BACK.honest}?state=${attacked.searchParams.get('state')}`),
}

type Guise = (typeof GUISES)[number]
type Guard = (typeof GUARDS)[number]

const CASES = GUISES.flatMap((guise) =>
  GUARDS.flatMap((guard) => Object.keys(TRICKS).map((trick) => ({ guise, guard, trick }))),
)

const closing: (() => Promise<void>)[] = []
const counted = { cases: 0, codes: 0, strayed: 0 }

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

afterAll(() => {
  const { cases, codes, strayed } = counted
  report('codes at a wrong token endpoint', strayed, codes, `${cases} mix-ups with two real servers`)
})

async function twoServers(guise: Guise, guard: Guard) {
  const list = guard === 'knows one address only' ? { redirectUris: [BACK.honest] } : {}
  const honest = await hostileServer(list)
  const attacker = await hostileServer()
  closing.push(honest.close, attacker.close)
  if (guard === 'knows one address only')
    honest.play({ ...promising(false), callback: (it) => it.delete('iss') })
  const stolen = { authorization_endpoint: `${honest.issuer}/authorize` }
  attacker.play(
    guise === 'by metadata with the honest authorization endpoint'
      ? {
          metadata: (it) => ({
            body: { ...it, ...stolen, authorization_response_iss_parameter_supported: false },
          }),
        }
      : promising(guise === 'by metadata that promise iss'),
  )
  return { honest, attacker }
}

function promising(iss: boolean): Script {
  return { metadata: (it) => ({ body: { ...it, authorization_response_iss_parameter_supported: iss } }) }
}

function stageAt(
  server: HostileServer,
  name: keyof typeof BACK,
  allow: readonly string[],
  byEndpoints = false,
): FlowContext {
  const { issuer } = server
  const endpoints = { authorize: `${issuer}/authorize`, token: `${issuer}/token`, revoke: `${issuer}/revoke` }
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: byEndpoints ? endpoints : { issuer },
      scopes: ['read'],
      allow,
      state: `flow-${name}.${canary('state')}`,
      clientSecret: '',
    },
  )
  closing.push(context.network.close)
  return { ...context, redirectUri: new URL(BACK[name]) }
}

function strayed(one: HostileServer, other: HostileServer): number {
  const seen = (at: HostileServer, from: HostileServer) =>
    at.forms.filter((form) => from.codes.has(form.get('code') ?? '')).length
  return seen(one, other) + seen(other, one)
}

describe('[security 6] two servers, one of them an attacker’s', () => {
  it.each(CASES)(
    'no code strays: it is found $guise, $trick; the honest one $guard',
    async ({ guise, guard, trick }) => {
      const { honest, attacker } = await twoServers(guise, guard)
      const allow = [honest.issuer, attacker.issuer]
      const flow = authorizationCodeFlow()
      const here = stageAt(attacker, 'attacked', allow, guise === 'by endpoints')
      const there = stageAt(honest, 'honest', allow)
      const attacked = visitOf(await flow.begin(here))
      const home = visitOf(await flow.begin(there))
      const lured = new URL(attacked.url)
      lured.host = new URL(honest.issuer).host
      TRICKS[trick]?.(lured, attacked.url, home.url)

      // Wherever the browser ends, the answer is brought to both sign-ins, as often as one likes.
      const back = await honest.consent(lured).catch(() => undefined)
      if (back)
        for (const [context, { memory }] of [
          [here, attacked],
          [there, home],
        ] as const)
          await flow.next(context, memory, { callback: new Secret(back.href) }).catch(() => undefined)

      counted.cases += 1
      counted.codes += honest.codes.size
      counted.strayed += strayed(honest, attacker)
      expect(strayed(honest, attacker)).toBe(0)
      expect(attacker.forms).toHaveLength(0)
    },
  )

  it('are forty cases, in which codes were really issued', () => {
    expect(counted.cases).toBe(40)
    expect(counted.codes).toBeGreaterThanOrEqual(20)
  })

  it.each(GUARDS)('and the honest sign-in beside them works: the server %s', async (guard) => {
    const { honest, attacker } = await twoServers('by endpoints', guard)
    const flow = authorizationCodeFlow()
    const context = stageAt(honest, 'honest', [honest.issuer, attacker.issuer])
    const { url, memory } = visitOf(await flow.begin(context))
    const answer = { callback: new Secret(String(await honest.consent(url))) }
    expect(await flow.next(context, memory, answer)).toHaveProperty('done')
    expect(strayed(honest, attacker)).toBe(0)
  })

  it('and a code that does stray would be counted', async () => {
    const { honest, attacker } = await twoServers(
      'by metadata that promise nothing',
      'knows one address only',
    )
    const code = (
      await honest.consent(new URL(`${honest.issuer}/authorize?redirect_uri=${BACK.honest}`))
    ).searchParams.get('code')
    await fetch(`${attacker.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({ code: code ?? '' }),
    })
    expect(strayed(honest, attacker)).toBe(1)
  })
})
