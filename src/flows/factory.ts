import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import type { FlowAnswer, FlowStep } from '../model/words.ts'
import { credentialOf, succeeding } from './authorization/credential.ts'
import { type Looking, lookAt } from './factory/polling.ts'
import {
  answerOf,
  type Begun,
  FIELDS,
  type FlowFactories,
  type OAuthFlowInterface,
} from './factory/shapes.ts'
import { ISSUED, type Issued, issuedBefore, readIssued, tokensOf } from './issued/issued.ts'

export const FACTORY_FLOW = 'factory'

const SESSION_MS = 10 * 60_000
const LIVES = { accessSeconds: 3600, grantLife: {} } as const

/** A sign-in under way. The program's own object is held here alone, and so is what it must not tell. */
interface Live {
  readonly instance: OAuthFlowInterface
  readonly begun: Begun
  readonly until: Date
  looking: Looking
}

/** How a provider's sign-in goes on, where it is known by name; otherwise it is what its flow can do. */
export type GoesOn = (provider: string, instance: OAuthFlowInterface) => 'device' | 'browser' | 'paste'

/**
 * Sign-ins that a program brings along as objects of its own. What they are made of never leaves this
 * process: the memory of the sign-in is nothing but a name for it, so it ends with the process.
 */
export function factoryFlow(factories: FlowFactories, goesOn: GoesOn): Flow {
  const live = new Map<string, Live>()

  async function begin(context: FlowContext): Promise<FlowTurn> {
    const issued = issuedBefore(context)
    if (issued !== undefined)
      return done(readIssued(JSON.parse(context.known[ISSUED]?.reveal() ?? '')), context)
    sweep(live, context.now())
    const instance = make(factories, context.provider.id)
    const begun = answerOf(await own(instance.initiateDeviceFlow(context.known[FIELDS.redirect]?.reveal())))
    const name = context.newId()
    const until = new Date(context.now().getTime() + SESSION_MS)
    const held: Live = { instance, begun, until, looking: { everySeconds: begun.interval ?? 5 } }
    live.set(name, held)
    return ask(context, held, name)
  }

  function ask(context: FlowContext, held: Live, name: string): FlowTurn {
    const { begun, until, looking } = held
    const { everySeconds } = looking
    const how = goesOn(context.provider.id, held.instance)
    const looks = how !== 'paste' && held.instance.pollForToken !== undefined
    const again = new Date(Math.min(context.now().getTime() + everySeconds * 1000, until.getTime()))
    return {
      step: how === 'device' ? code(begun, until, everySeconds) : visit(begun, until, everySeconds),
      memory: new Secret(name),
      ...(looks ? { again } : {}),
    }
  }

  return {
    id: FACTORY_FLOW,
    nature: 'live',
    comesBack: false,
    takes: [ISSUED],
    begin,

    async next(context, memory, answer) {
      const name = memory.reveal()
      const held = live.get(name)
      if (held === undefined)
        throw new ValetkeyError('flow-failed', 'the program that began this sign-in has ended')
      const token = await (answer === undefined ? lookAt(held.looking, held) : exchanged(held, answer))
      if (token === undefined) return ask(context, held, name)
      live.delete(name)
      return done(token, context)
    },

    renews: ({ kept }) => kept['refreshToken'] !== undefined,

    async refresh(context, credential) {
      const { refreshToken } = credential.kept
      const isKnown = factories.has(context.provider.id)
      const instance = isKnown ? make(factories, context.provider.id) : undefined
      if (refreshToken === undefined || instance?.refreshToken === undefined)
        throw new ValetkeyError('refresh-not-available', 'this access cannot be renewed')
      const token = readIssued(await instance.refreshToken(refreshToken.reveal()).catch(asRenewal))
      const fresh = succeeding(credential, tokensOf(token, context.now()), LIVES, context.now())
      return { ...fresh, worn: { ...fresh.worn, ...extrasOf(token) } }
    },

    revoke: async () => [{ what: 'access token', died: false, how: 'only you can end it, at the provider' }],
  }
}

function make(factories: FlowFactories, provider: string): OAuthFlowInterface {
  const factory = factories.get(provider)
  if (factory === undefined)
    throw new ValetkeyError('provider-not-configured', `${provider} cannot be signed in to here`)
  try {
    return factory()
  } catch {
    throw notBegun()
  }
}

/** Whatever it says of its trouble may quote anything, so nothing of it is kept. */
async function own<R>(asked: Promise<R>): Promise<R> {
  return asked.catch(() => {
    throw notBegun()
  })
}

function notBegun(): ValetkeyError {
  return new ValetkeyError('flow-failed', 'the sign-in could not be started')
}

async function exchanged({ instance, begun }: Live, answer: FlowAnswer): Promise<Issued> {
  if (!('callback' in answer) || instance.exchangeCodeForToken === undefined)
    throw new ValetkeyError('invalid-request', 'this sign-in awaits no code')
  const params = URL.parse(answer.callback.reveal())?.searchParams
  const code = params?.get('code')
  if (params?.get('error') === 'access_denied')
    throw new ValetkeyError('access-denied', 'access was denied at the provider')
  if (!code) throw new ValetkeyError('invalid-code', 'there is no code in what came back')
  const sent = new URL(begun.verification_uri_complete ?? begun.verification_uri).searchParams.get('state')
  const state = params?.get('state')
  if (sent !== null && state && state !== sent)
    throw new ValetkeyError('invalid-state', 'the answer does not belong to this sign-in')
  return instance.exchangeCodeForToken(code, begun.device_code).then(readIssued, () => {
    throw new ValetkeyError('exchange-failed', 'the provider did not complete the sign-in')
  })
}

/** Only what says that the grant is over ends anything; all else may pass. */
function asRenewal(error: unknown): never {
  const text = error instanceof Error ? `${'code' in error ? error.code : ''} ${error.message}` : ''
  if (/invalid_grant|revoked/i.test(text))
    throw new ValetkeyError('access-revoked', 'the provider has ended this access')
  throw new ValetkeyError('server-error', 'the provider did not renew the access')
}

function done(token: Issued, context: FlowContext): FlowTurn {
  const tokens = tokensOf(token, context.now())
  const credential: Credential = credentialOf(tokens, context.signIn.scopes, LIVES, context.now())
  const { token_type: tokenType = credential.tokenType } = token
  const worn = { ...credential.worn, ...extrasOf(token) }
  const profile = { subject: null, displayName: null, vars: {} }
  return { done: { credential: { ...credential, tokenType, worn }, profile } }
}

const STANDARD = new Set(['access_token', 'refresh_token', 'id_token', 'token_type', 'scope'])

/** What a provider adds for those who use its token, such as the account or the address that it is good for. */
function extrasOf(token: Issued): Credential['worn'] {
  const extras = Object.entries(token).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && !STANDARD.has(entry[0]),
  )
  return Object.fromEntries(extras.map(([name, text]) => [name, new Secret(text)]))
}

function code(begun: Begun, until: Date, everySeconds: number): FlowStep {
  const { user_code: userCode = '', verification_uri: at, verification_uri_complete: whole } = begun
  const link = whole === undefined ? {} : { whole: new URL(whole) }
  return { ask: 'enter-code', code: userCode, at: new URL(at), ...link, until, everySeconds }
}

function visit(begun: Begun, until: Date, everySeconds: number): FlowStep {
  const url = new URL(begun.verification_uri_complete ?? begun.verification_uri)
  return { ask: 'visit', url, until, everySeconds }
}

function sweep(live: Map<string, Live>, now: Date): void {
  for (const [name, { until }] of live) if (until <= now) live.delete(name)
}
