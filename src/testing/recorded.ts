import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { type ErrorCode, ValetkeyError } from '#client'
import type { Credential, Profile } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import type { Catalogue, Provider } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import type { FlowAnswer, FlowStep } from '../model/words.ts'
import { CANARY_MARK, canary } from './canary.ts'
import { type Check, tell } from './check.ts'
import type { ProviderKit } from './provider-contract.ts'
import { type RecordedServer, recordedServer } from './recorded-server.ts'
import {
  type Outcome,
  type Recorded,
  type RecordedAnswer,
  recordedSchema,
  replaced,
  withSecrets,
} from './recorded-shape.ts'

const REDIRECT_URI = 'http://127.0.0.1:49152/cb/one'
const CLIENT_ID = 'recorded-client'
const MOST_TURNS = 40

/** The rooms that a recorded provider is played with. */
export interface RecordedKit extends ProviderKit {
  /** Whether a credential is alive, as its provider's own request shows; undefined where it has none. */
  isAlive(context: FlowContext, credential: Credential): Promise<boolean | undefined>
}

/**
 * What every provider promises whose answers were recorded: each of its ways in leads from the first step to an
 * account, is renewed, found dead when it is, and ended; all that was recorded is asked for, and nothing else.
 */
export function recordedContract(provider: Provider, shape: unknown, kit: RecordedKit): void {
  tell(`${provider.id}, as it was recorded`, recordedChecks(provider, shape, kit))
}

export function recordedChecks(provider: Provider, shape: unknown, kit: RecordedKit): readonly Check[] {
  const recorded = withSecrets(recordedSchema.parse(shape))
  const plays = new Map<string, Promise<ReadonlySet<RecordedAnswer>>>()
  const play = (flow: string) => {
    const begun = plays.get(flow) ?? playOf({ provider, recorded, kit, flow })
    plays.set(flow, begun)
    return begun
  }
  const flows = Object.keys(recorded.expect)
  return [
    {
      name: 'was recorded by each of its ways in, and by no other',
      run: async () => {
        assert.deepEqual(flows.toSorted(), provider.signIns.map(({ flow }) => flow).toSorted())
      },
    },
    ...flows.map((flow) => ({
      name: `leads to an account by ${flow}`,
      run: async () => void (await play(flow)),
    })),
    {
      name: 'is asked for all that was recorded',
      run: async () => {
        const given = new Set((await Promise.all(flows.map(play))).flatMap((one) => [...one]))
        const unasked = recorded.answers.filter((answer) => !given.has(answer)).map(({ on }) => on)
        assert.deepEqual(unasked, [], 'nobody asked for this')
      },
    },
  ]
}

interface Trial {
  readonly provider: Provider
  readonly recorded: Recorded
  readonly kit: RecordedKit
  readonly flow: string
}

/** One way in, played from its first step to its end. */
async function playOf(given: Trial): Promise<ReadonlySet<RecordedAnswer>> {
  const trial = openedOnce(given)
  const { recorded, kit, flow: id } = trial
  const outcome = recorded.expect[id]
  const flow = kit.flows.find((one) => one.id === id)
  assert.ok(flow && outcome, `there is no flow ${id}`)
  let time = Date.now()
  const now = () => new Date(time)
  const there = await recordedServer({
    ...trial,
    flow: id,
    now,
    metadata: (origin) => metadataOf(trial, origin),
  })
  const network = kit.network([there.origin])
  const stage: Stage = {
    ...trial,
    there,
    by: flow,
    context: (known) => ({ ...contextOf(trial, there, known), network, now }),
    wait: (until) => {
      time = Math.max(time, until.getTime())
    },
  }
  try {
    const account = await connect(stage)
    compare(outcome, account)
    const last = await renewals(stage, outcome, account)
    await aDeadOne(stage, last)
    await endings(stage, outcome, last)
    noSecretInAnAddress(stage)
    assert.deepEqual(there.unanswered, [], 'nobody recorded an answer to this')
    return there.given
  } catch (error) {
    throw there.unanswered.length === 0
      ? error
      : new Error(`nobody recorded an answer to ${there.unanswered.join(', ')}`, { cause: error })
  } finally {
    await network.close()
    await there.close()
  }
}

/** To open a catalogue takes its time, and one way in asks for the same again and again. */
function openedOnce(trial: Trial): Trial {
  const opened = new Map<string, Catalogue>()
  const catalogue: RecordedKit['catalogue'] = (origins) => {
    const key = JSON.stringify(origins)
    const known = opened.get(key) ?? trial.kit.catalogue(origins)
    opened.set(key, known)
    return known
  }
  return { ...trial, kit: { ...trial.kit, catalogue } }
}

interface Stage extends Trial {
  readonly there: RecordedServer
  readonly by: Flow
  /** What the flow gets to see; with the variables of an account, once there is one. */
  context(known?: Readonly<Record<string, string>>): FlowContext
  wait(until: Date): void
}

interface Issued {
  readonly credential: Credential
  readonly profile: Profile
}

function signInOf({ provider, flow, kit }: Trial, origin: string) {
  const catalogue = kit.catalogue({ [provider.id]: origin })
  const seen = catalogue.find(provider.id, flow) ?? provider
  const signIn = seen.signIns.find((one) => one.flow === flow)
  assert.ok(signIn, `${provider.id} is not connected by ${flow}`)
  return { catalogue, provider: seen, signIn }
}

function contextOf(
  trial: Trial,
  { origin }: RecordedServer,
  vars: Readonly<Record<string, string>> = trial.recorded.vars,
): Omit<FlowContext, 'network' | 'now'> {
  const { catalogue, provider, signIn } = signInOf(trial, origin)
  const asked = signIn.fields.map(({ name }) => name)
  const filled = Object.entries(trial.recorded.fields).filter(([name]) => asked.includes(name))
  const known = [...Object.entries(vars), ...filled].map(([name, value]) => [name, new Secret(value)])
  let ids = 0
  const newId = () => {
    ids += 1
    return `recorded-${ids}`
  }
  return {
    provider,
    signIn,
    catalogue,
    newId,
    known: Object.fromEntries(known),
    insist: false,
    client: clientOf(provider),
    redirectUri: new URL(REDIRECT_URI),
    state: `flow-recorded.${canary('state')}`,
  }
}

/** A client that the file brings along has no secret; one of the person's own has one, where the provider gives it. */
function clientOf({ oauth, registration }: Provider): FlowContext['client'] {
  if (oauth === undefined || registration === 'none') return undefined
  const isPublic = oauth.clientAuth === 'none' || (registration === 'shipped' && oauth.clientId !== undefined)
  return {
    clientId: oauth.clientId ?? CLIENT_ID,
    clientSecret: isPublic ? undefined : new Secret(canary('client')),
  }
}

/** As the person and their browser would, whatever is asked. */
async function connect(stage: Stage): Promise<Issued> {
  const context = stage.context()
  stage.there.signedInBy({ clientId: context.client?.clientId ?? '', nonce: null })
  let turn: FlowTurn = await stage.by.begin(context)
  for (let turns = 0; 'step' in turn; turns += 1) {
    assert.ok(turns < MOST_TURNS, 'it asks on and on')
    if (turn.again !== undefined) stage.wait(turn.again)
    const answer = answerTo(stage, context, turn.step)
    // Whoever takes it up may be another process, which has nothing but the memory.
    turn = await stage.by.next(context, new Secret(turn.memory.reveal()), answer)
  }
  assert.ok('credential' in turn.done, 'nothing was issued')
  return turn.done
}

function answerTo(stage: Stage, context: FlowContext, step: FlowStep): FlowAnswer | undefined {
  if (step.ask === 'visit' && stage.by.comesBack) {
    const callback = cameBack(stage, context, step.url)
    return { callback: new Secret(callback.href) }
  }
  if (step.ask !== 'fill') return undefined
  assert.equal(step.because, undefined, `it asks again: ${step.because}`)
  const { recorded } = stage
  const given = { ...recorded.vars, ...recorded.fields, ...recorded.choose }
  const entries = step.fields.flatMap(({ name, choices, optional }) => {
    const value = given[name] ?? (optional ? undefined : choices?.[0])
    assert.ok(value !== undefined || optional, `nobody recorded what is filled in for ${name}`)
    return value === undefined ? [] : [[name, new Secret(value)]]
  })
  return { fields: Object.fromEntries(entries) }
}

/** Where the browser ends once the person said yes. */
function cameBack({ there, recorded, by }: Stage, context: FlowContext, visited: URL): URL {
  const { signIn, state, client } = context
  const nonce = visited.searchParams.get('nonce')
  there.signedInBy({ clientId: visited.searchParams.get('client_id') ?? client?.clientId ?? '', nonce })
  const url = new URL(visited.searchParams.get('redirect_uri') ?? context.redirectUri ?? REDIRECT_URI)
  assert.ok(by.comesBack)
  url.searchParams.set('code', 'recorded-code')
  url.searchParams.set('state', visited.searchParams.get('state') ?? state ?? '')
  for (const [name, value] of Object.entries(recorded.callback))
    url.searchParams.set(
      name,
      replaced(value, (text) => text.replaceAll('{origin}', there.origin)),
    )
  if (signIn.signed !== undefined)
    url.searchParams.set(
      signIn.signed.parameter,
      signed(url.searchParams, client?.clientSecret?.reveal() ?? ''),
    )
  return url
}

function signed(params: URLSearchParams, secret: string): string {
  const text = [...params].map((pair) => pair.join('=')).toSorted()
  return createHmac('sha256', secret).update(text.join('&')).digest('hex')
}

function compare(expected: Outcome, { credential, profile }: Issued): void {
  const { subject, displayName, vars, scopes } = expected
  if (subject !== undefined) assert.equal(profile.subject, subject, 'whose account it is')
  if (displayName !== undefined) assert.equal(profile.displayName, displayName, 'what the account is called')
  if (vars !== undefined) assert.deepEqual({ ...profile.vars }, vars, 'what is known of its addresses')
  if (scopes !== undefined)
    assert.deepEqual([...credential.scopes].toSorted(), scopes.toSorted(), 'its scopes')
}

/** Renewed once as it was recorded; and then refused, after which it has to be connected again. */
async function renewals(stage: Stage, { renews }: Outcome, { credential, profile }: Issued): Promise<Issued> {
  const { by, there } = stage
  assert.equal(
    by.refresh !== undefined && by.renews?.(credential) === true,
    renews,
    'whether it can be renewed',
  )
  if (!renews || by.refresh === undefined) return { credential, profile }
  const context = stage.context(profile.vars)
  const before = there.requests.length
  nearItsEnd(stage, credential)
  const renewed = await by.refresh(context, credential)
  assert.ok(Object.keys(renewed.worn).length > 0, 'nothing came of the renewal')
  assert.ok(there.requests.length > before, 'it is renewed without asking anybody')
  const asked = there.requests.slice(before).findLast(({ method }) => method === 'POST')
  const on = asked && `POST ${asked.path.split('?')[0]}`
  if (on !== undefined && isServers(context, profile, on)) await refusal(stage, context, { on, renewed })
  return { credential: renewed, profile }
}

/** Some are not renewed before they are so old, and none after its end. */
function nearItsEnd({ wait }: Stage, { expiresAt }: Credential): void {
  if (expiresAt !== null) wait(new Date(expiresAt.getTime() - 5 * 60_000))
}

async function refusal(
  stage: Stage,
  context: FlowContext,
  { on, renewed }: { readonly on: string; readonly renewed: Credential },
): Promise<void> {
  const { by, there, provider } = stage
  if (!there.hasLeft(on)) there.add(refusedAt(context.provider, on))
  nearItsEnd(stage, renewed)
  const error = await by.refresh?.(context, renewed).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  const code: ErrorCode | undefined = error instanceof ValetkeyError ? error.code : undefined
  assert.equal(code, 'access-revoked', `${provider.id} refused to renew it, and it goes on all the same`)
}

/** Whether this is the provider's own place for tokens, so that it refuses in the words of its file. */
function isServers({ provider, catalogue }: FlowContext, { vars }: Profile, on: string): boolean {
  if (provider.oauth === undefined) return false
  const { token, refresh } = provider.oauth
  const links = [token, refresh].filter((link) => link !== undefined)
  const { place } = catalogue.destination(provider, vars)
  return links.length === 0 || links.some((link) => on === `POST ${place(link).pathname}`)
}

function refusedAt({ oauth }: Provider, on: string): RecordedAnswer {
  const word = oauth?.over[0] ?? 'invalid_grant'
  const { ok, error = '/error' } = oauth?.shape ?? {}
  const body = [[error, word] as const, ...(ok === undefined ? [] : [[ok, false] as const])]
  const answer = { type: 'application/json', headers: {}, times: 1 }
  return { ...answer, on, status: ok === undefined ? 400 : 200, body: placed(body) }
}

/** What the provider's own request says of a credential that is dead is not taken for life. */
async function aDeadOne(stage: Stage, { credential, profile }: Issued): Promise<void> {
  const context = stage.context(profile.vars)
  const { verify } = context.signIn
  if (verify === undefined) return
  const { there, kit } = stage
  const { pathname, search } = context.catalogue.destination(context.provider, profile.vars).place(verify.url)
  const on = `${verify.method} ${pathname}${search}`
  const [status = 401] = verify.refused
  const dead =
    verify.okAt === undefined
      ? { status, body: { error: 'refused' } }
      : { status: verify.ok[0] ?? 200, body: placed([[verify.okAt, false]]) }
  if (!there.hasLeft(on)) there.add({ on, type: 'application/json', headers: {}, times: 1, ...dead })
  assert.equal(await kit.isAlive(context, credential), false, 'a dead credential is taken for a living one')
}

async function endings(stage: Stage, { ends }: Outcome, { credential, profile }: Issued): Promise<void> {
  const pieces = await stage.by.revoke(stage.context(profile.vars), credential)
  const told = pieces.map(({ what, how, died }) => `${what}: ${died ? 'ended' : how}`).join('; ')
  assert.equal(
    pieces.some(({ died }) => died),
    ends,
    `whether it is ended at the provider (${told})`,
  )
}

/** Save where the provider takes it in no other way, and its file says so. */
function noSecretInAnAddress({ there, context }: Stage): void {
  const { provider, signIn } = context()
  if (JSON.stringify([signIn, provider.revoke]).includes('secretsInQuery')) return
  for (const { path } of there.requests)
    assert.ok(!path.includes(CANARY_MARK), 'a secret stands in an address')
}

/** An object with values at these pointers. */
function placed(values: readonly (readonly [string, unknown])[]): Readonly<Record<string, unknown>> {
  const whole: Record<string, unknown> = {}
  for (const [pointer, value] of values) {
    const keys = pointer.slice(1).split('/')
    const last = keys.pop() ?? ''
    const inside = keys.reduce<Record<string, unknown>>((at, key) => {
      const next = (at[key] ?? {}) as Record<string, unknown>
      at[key] = next
      return next
    }, whole)
    inside[last] = value
  }
  return whole
}

/** What the metadata of an issuer say where nobody recorded them: its endpoints, at their usual places. */
function metadataOf(trial: Trial, origin: string): Readonly<Record<string, unknown>> | undefined {
  const { provider, catalogue } = signInOf(trial, origin)
  const { oauth } = provider
  if (oauth?.issuer === undefined) return undefined
  const at = catalogue.authority(provider, trial.recorded.vars)
  const issuer = at?.place(`${oauth.issuer}/-`).href.slice(0, -2)
  return {
    issuer,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    // A place that its file names is one of which its metadata say nothing.
    ...(provider.revoke.how === 'rfc7009' && oauth.revoke === undefined
      ? { revocation_endpoint: `${origin}/revoke` }
      : {}),
    device_authorization_endpoint: `${origin}/device/code`,
    code_challenge_methods_supported: ['S256'],
  }
}
