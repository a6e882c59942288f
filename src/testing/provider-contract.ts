import assert from 'node:assert/strict'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import type { Network, Outgoing } from '../model/network.ts'
import { fits } from '../model/provider/forms.ts'
import { wornFields } from '../model/provider/worn.ts'
import { type Catalogue, type Provider, providerSchema, type SignIn } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { type Check, tell } from './check.ts'
import { visitChecks } from './provider-visits.ts'
import { type ListeningStandIn, type StandInAnswer, standIn } from './stand-in.ts'

/** What an authorization server issues, and no person fills in. */
const ISSUED = 'accessToken'

/** The rooms that a provider is tried with; handed in, so that a double can take any place. */
export interface ProviderKit {
  readonly flows: readonly Flow[]
  /** Every provider of the installation, with the stand-ins of the operator. */
  catalogue(origins: Readonly<Record<string, string>>): Catalogue
  network(allow: readonly string[]): Network
}

/** Values for the fields of the first sign-in by a key, and for the provider's variables. */
export interface ProviderExample {
  readonly vars?: Readonly<Record<string, string>>
  readonly good: Readonly<Record<string, string>>
  /** Not of the declared form, or not fit to be sent at all. */
  readonly bad: Readonly<Record<string, string>>
  /** Its own answers were recorded, so that it is not connected by those that are right by the standard. */
  readonly recorded?: boolean
}

/** What every provider promises, ours and anybody's own. */
export function providerContract(provider: Provider, example: ProviderExample, kit: ProviderKit): void {
  tell(`the provider contract, kept by ${provider.id}`, providerChecks(provider, example, kit))
}

export function providerChecks(
  provider: Provider,
  example: ProviderExample,
  kit: ProviderKit,
): readonly Check[] {
  const byKey = provider.signIns.filter(({ fields, present }) =>
    fields.some(({ name, secret }) => secret && present.flatMap(wornFields).includes(name)),
  )
  return [
    ...onPaper(provider, example, kit),
    ...byKey
      .slice(0, 1)
      .flatMap((signIn) => [
        ...onKeys(provider, signIn, example, kit),
        ...onTheWire({ provider, signIn, example, kit }),
      ]),
    ...provider.signIns.flatMap((signIn) => onVisits({ provider, signIn, example, kit })),
  ]
}

function onVisits({
  provider,
  signIn,
  example: { vars = {}, recorded = false },
  kit,
}: Trial): readonly Check[] {
  const flow = kit.flows.find(({ id }) => id === signIn.flow)
  const seen = kit.catalogue({}).find(provider.id, signIn.flow) ?? provider
  // Where nobody is a client, nothing goes by the standard.
  if (!flow?.comesBack || seen.registration === 'none') return []
  return visitChecks({ ...kit, provider: seen, signIn, flow, vars, recorded })
}

function onPaper(provider: Provider, { vars = {} }: ProviderExample, kit: ProviderKit): readonly Check[] {
  return [
    check('is of the declared form, and nothing is lost in reading it', async () => {
      assert.deepEqual(providerSchema.parse(JSON.parse(JSON.stringify(provider))), provider)
    }),
    check('is found by its id', async () => {
      assert.equal(kit.catalogue({}).find(provider.id)?.id, provider.id)
    }),
    check('sends its credentials to public https hosts alone', async () => {
      for (const origin of kit.catalogue({}).destination(provider, vars).origins)
        assertPublic(new URL(origin))
    }),
    check('is signed in to by flows that exist', async () => {
      for (const { flow } of provider.signIns)
        assert.ok(
          kit.flows.some(({ id }) => id === flow),
          flow,
        )
    }),
    check('wears only fields that it asks for', async () => {
      for (const { fields, present, apart, mint } of provider.signIns)
        for (const name of present.flatMap(wornFields))
          assert.ok(
            fields.some((field) => field.name === name) ||
              ((apart?.oauth ?? provider.oauth) && name === ISSUED) ||
              // What is minted for it is worn.
              mint !== undefined,
            name,
          )
    }),
    check('is verified at one of its own hosts', async () => {
      const { origins, place } = kit.catalogue({}).destination(provider, vars)
      for (const { verify } of provider.signIns)
        if (verify) assert.ok(origins.includes(place(verify.url).origin))
    }),
    check('moves as a whole to the stand-in that the operator named', async () => {
      const elsewhere = 'http://127.0.0.1:4010'
      const there = kit.catalogue({ [provider.id]: elsewhere }).destination(provider, vars)
      assert.deepEqual([there.base.origin, ...there.origins], [elsewhere, elsewhere])
      const { issuer, authorize, token, revoke, userinfo } = provider.oauth ?? {}
      const links = [issuer, authorize, token, revoke, userinfo]
      for (const link of [...links, ...provider.signIns.map(({ verify }) => verify?.url)])
        if (link) assert.equal(there.place(link).origin, elsewhere)
    }),
  ]
}

function onKeys(
  provider: Provider,
  signIn: SignIn,
  { good, bad }: ProviderExample,
  kit: ProviderKit,
): readonly Check[] {
  const patterned = signIn.fields.filter(({ pattern }) => pattern !== undefined)
  const wellFormed = (values: Readonly<Record<string, string>>) =>
    patterned.every(({ name, pattern = '' }) => values[name] === undefined || fits(pattern, values[name]))
  return [
    check('takes a good key for one of its own', async () => assert.ok(wellFormed(good))),
    ...(patterned.length === 0
      ? []
      : [check('does not take a bad key for one', async () => assert.ok(!wellFormed(bad)))]),
    ...(signIn.recognise === undefined
      ? []
      : [
          check('is recognised by a pasted key, and no other provider is', async () => {
            const keys = Object.values(good).map((key) => kit.catalogue({}).recognise(key)?.id)
            assert.ok(keys.includes(provider.id))
          }),
          check('is not recognised by a bad key', async () => {
            for (const key of Object.values(bad))
              assert.notEqual(kit.catalogue({}).recognise(key)?.id, provider.id)
          }),
        ]),
  ]
}

interface Trial {
  readonly provider: Provider
  readonly signIn: SignIn
  readonly example: ProviderExample
  readonly kit: ProviderKit
}

function onTheWire(trial: Trial): readonly Check[] {
  const { provider, signIn, example, kit } = trial
  const { verify } = signIn
  const checks = [
    check('is connected by a good key, whose parts are then worn', () =>
      atStandIn(
        trial,
        { status: verify?.ok[0] ?? 200, body: answerFor(signIn) },
        async (turn, { requests }) => {
          assert.ok('done' in turn && 'credential' in turn.done, 'it asks on')
          const { worn } = turn.done.credential
          for (const [name, value] of Object.entries(example.good)) assert.equal(worn[name]?.reveal(), value)
          assert.equal(requests.length, verify ? 1 : 0)
        },
      ),
    ),
    check('sends a bad key nowhere', () =>
      atStandIn({ ...trial, example: { ...example, good: example.bad } }, {}, async (turn, { requests }) => {
        assert.ok('step' in turn, 'it is connected')
        assert.equal(requests.length, 0)
      }),
    ),
    check('sends its credential to its own origins alone, and never in an address', async () => {
      const sent: { url: URL; request: Outgoing }[] = []
      const network: Network = {
        fetch: async (url, request = {}) => {
          sent.push({ url, request })
          return Response.json(answerFor(signIn), { status: verify?.ok[0] ?? 200 })
        },
        close: async () => {},
      }
      await connectWith(trial, kit.catalogue({}), network)
      const { origins } = kit.catalogue({}).destination(provider, example.vars ?? {})
      for (const { url } of sent) {
        assert.ok(origins.includes(url.origin), url.origin)
        for (const value of Object.values(example.good))
          assert.ok(!decodeURIComponent(url.href).includes(value))
      }
    }),
  ]
  if (!verify) return checks
  return [
    ...checks,
    ...verify.refused.map((status) =>
      check(`asks again when the provider answers ${status}`, () => asksAgain(trial, { status })),
    ),
    check('asks again, and does not break, when the provider has trouble of its own', () =>
      asksAgain(trial, { status: 500, body: '<html>' }),
    ),
    check('asks again when the provider hangs up', () => asksAgain(trial, { hangUp: true })),
  ]
}

async function asksAgain(trial: Trial, answer: StandInAnswer): Promise<void> {
  await atStandIn(trial, answer, async (turn, { requests }) => {
    assert.ok('step' in turn && turn.step.ask === 'fill' && turn.step.because, 'it does not ask again')
    assert.ok(requests.length > 0, 'it never asked the provider')
  })
}

async function atStandIn(
  trial: Trial,
  answer: StandInAnswer,
  judge: (turn: FlowTurn, there: ListeningStandIn) => Promise<void>,
): Promise<void> {
  const there = await standIn({ '*': answer }).listen()
  const network = trial.kit.network([there.origin])
  try {
    const catalogue = trial.kit.catalogue({ [trial.provider.id]: there.origin })
    await judge(await connectWith(trial, catalogue, network), there)
  } finally {
    await network.close()
    await there.close()
  }
}

async function connectWith(
  { provider, signIn, example, kit }: Trial,
  catalogue: Catalogue,
  network: Network,
) {
  const flow = kit.flows.find(({ id }) => id === signIn.flow)
  assert.ok(flow, `there is no flow ${signIn.flow}`)
  const known = Object.entries({ ...example.vars, ...example.good }).map(([name, value]) => [
    name,
    new Secret(value),
  ])
  const context: FlowContext = {
    provider,
    signIn,
    catalogue,
    network,
    now: () => new Date(),
    newId: () => 'one',
    known: Object.fromEntries(known),
    insist: false,
    client: undefined,
    redirectUri: undefined,
    state: 'flow-one.word',
  }
  return flow.begin(context)
}

/** An answer that says whose key it is, at the places where the provider says so. */
function answerFor({ verify }: SignIn): unknown {
  const said = [
    [verify?.subject, 'somebody'],
    [verify?.displayName, 'somebody'],
    [verify?.okAt, true],
  ] as const
  return said.reduce<Record<string, unknown>>(
    (answer, [pointer, value]) =>
      pointer === undefined ? answer : merged(answer, pointer.slice(1).split('/'), value),
    {},
  )
}

function merged(
  into: Record<string, unknown>,
  [key = '', ...rest]: readonly string[],
  value: unknown,
): Record<string, unknown> {
  if (rest.length === 0) return { ...into, [key]: value }
  return { ...into, [key]: merged((into[key] ?? {}) as Record<string, unknown>, rest, value) }
}

function assertPublic({ protocol, hostname }: URL): void {
  assert.equal(protocol, 'https:')
  assert.match(hostname, /^([a-z0-9-]+\.)+[a-z][a-z0-9-]*$/)
  assert.doesNotMatch(hostname, /(^|\.)(localhost|local|internal|home\.arpa)$/)
}

function check(name: string, run: () => Promise<void>): Check {
  return { name, run }
}
