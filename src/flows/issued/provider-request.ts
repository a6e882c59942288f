import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Asking } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'
import { type Answer, ask } from '../../protocol/ask.ts'
import { fetchWearing } from '../../protocol/proving.ts'
import type { Values } from '../filled/key-fields.ts'

/** As our client, by the basic pair of its id and its secret. */
const AS_CLIENT = [{ basic: { user: 'clientId', password: 'clientSecret' } }] as const

/** For whom one of the provider's own requests is made, and what stands in it for what. */
export interface AskedFor {
  /** The variables of the provider's addresses. */
  readonly vars: Values
  /** What else may be named in it: tokens, or what a person filled in. */
  readonly named?: Values
  /** Worn where it is asked `as` the token. */
  readonly credential?: Credential
}

/**
 * One request of the provider's own, and its whole answer. Nothing of it is ever quoted: its address may hold a
 * secret where the provider takes it in no other way.
 */
export async function askProvider(context: FlowContext, request: Asking, of: AskedFor): Promise<Answer> {
  const named = { ...of.vars, ...clientValues(context), ...of.named }
  const url = placeOf(context, request, of.vars, named)
  const { body, type } = bodyOf(request, named)
  const headers = Object.entries(request.headers).flatMap(([name, text]) => filledIn(name, text, named))
  const sent = {
    accept: 'application/json',
    'user-agent': 'valetkey',
    ...context.provider.headers,
    ...(type === undefined ? {} : { 'content-type': type }),
    ...Object.fromEntries(headers),
  }
  const { method } = request
  const { present, credential } = wornBy(context, request, of.credential)
  const wearing = { present, headers: {}, credential, now: context.now }
  const network = {
    ...context.network,
    fetch: (to: URL, outgoing = {}) => fetchWearing(context.network, to, outgoing, wearing),
  }
  return ask(network, url, { method, headers: sent, ...(body === undefined ? {} : { body }) }, context)
}

/** Values with `{name}` filled in; one that speaks of something which was never issued is left out. */
export function filledValues(texts: Values, named: Values): Values {
  return Object.fromEntries(Object.entries(texts).flatMap(([name, text]) => filledIn(name, text, named)))
}

function filledIn(name: string, text: string, named: Values): [string, string][] {
  let isWhole = true
  const value = text.replaceAll(/\{(\w+)\}/g, (_, of: string) => {
    const known = Object.hasOwn(named, of) ? named[of] : undefined
    if (known === undefined) isWhole = false
    return known ?? ''
  })
  return isWhole ? [[name, value]] : []
}

function clientValues({ client }: FlowContext): Values {
  if (client === undefined) return {}
  const secret = client.clientSecret?.reveal()
  return { clientId: client.clientId, ...(secret ? { clientSecret: secret } : {}) }
}

/** The client's id may be a part of the path; everything else of the place is the provider's alone. */
function placeOf({ catalogue, provider }: FlowContext, request: Asking, vars: Values, named: Values): URL {
  const { clientId = '' } = named
  if (request.url.includes('{clientId}') && (clientId === '' || /^\.+$/.test(clientId)))
    throw refused('this client has no place at the provider')
  const destination = catalogue.destination(provider, vars)
  const url = destination.place(request.url.replaceAll('{clientId}', encodeURIComponent(clientId)))
  for (const [name, value] of Object.entries(filledValues(request.query, named)))
    url.searchParams.set(name, value)
  return url
}

interface Body {
  readonly body?: string
  readonly type?: string
}

function bodyOf({ form, json }: Asking, named: Values): Body {
  if (json !== undefined) return { body: JSON.stringify(filledValues(json, named)), type: 'application/json' }
  if (form === undefined) return {}
  const body = new URLSearchParams(filledValues(form, named)).toString()
  return { body, type: 'application/x-www-form-urlencoded' }
}

const NOBODY: Credential = {
  worn: {},
  kept: {},
  standing: true,
  expiresAt: null,
  scopes: [],
  tokenType: 'none',
}

function wornBy({ signIn, client }: FlowContext, { auth }: Asking, credential: Credential | undefined) {
  if (auth === 'none') return { present: [], credential: NOBODY }
  if (auth === 'client') return { present: AS_CLIENT, credential: proofOf(client) }
  if (credential === undefined) throw refused('there is no token to ask the provider with')
  return { present: signIn.present, credential }
}

function proofOf(client: FlowContext['client']): Credential {
  const { clientId = '', clientSecret } = client ?? {}
  if (clientSecret === undefined || clientSecret.reveal() === '')
    throw refused('only a client with a secret can ask this of the provider')
  return { ...NOBODY, worn: { clientId: new Secret(clientId), clientSecret }, tokenType: 'Basic' }
}

function refused(message: string): ValetkeyError {
  return new ValetkeyError('provider-not-configured', message)
}
