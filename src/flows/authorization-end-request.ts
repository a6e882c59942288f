import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Client, FlowContext } from '../model/flow.ts'
import type { Revocation } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { type Answer, ask, refuseTrouble } from '../protocol/ask.ts'
import { wear } from '../protocol/presentation.ts'
import { knownValues, standingOf } from './authorization-server.ts'

export type EndRequest = Extract<Revocation, { how: 'request' }>

/** As our client, by the basic pair of its id and its secret. */
const AS_CLIENT = [{ basic: { user: 'clientId', password: 'clientSecret' } }] as const

/** Whether the provider's own request speaks of this token at all. */
export function isNamed({ json }: EndRequest, token: string): boolean {
  return Object.values(json).some((value) => value.includes(`{${token}}`))
}

/** One request of the provider's own that ends the tokens it names. Throws where they may still live. */
export async function askToEnd(
  context: FlowContext,
  request: EndRequest,
  tokens: Readonly<Record<string, string>>,
): Promise<void> {
  const { client } = standingOf(context)
  const known = { ...tokens, clientId: client.clientId }
  const json = Object.fromEntries(
    Object.entries(request.json).flatMap(([name, text]) => filledIn(name, text, known)),
  )
  const agent = { 'user-agent': 'valetkey', ...context.provider.headers }
  const headers = [
    ...wear(AS_CLIENT, agent, proofOf(client)),
    ['content-type', 'application/json'],
    ['accept', 'application/json'],
  ] as const
  const { method } = request
  judge(
    await ask(
      context.network,
      placeOf(context, request, client),
      { method, headers, body: JSON.stringify(json) },
      { now: context.now },
    ),
  )
}

function placeOf(
  { catalogue, provider, ...rest }: FlowContext,
  { url }: EndRequest,
  { clientId }: Client,
): URL {
  if (/^\.+$/.test(clientId)) throw refused('this client has no place at the provider')
  const destination = catalogue.destination(provider, knownValues({ catalogue, provider, ...rest }))
  return destination.place(url.replaceAll('{clientId}', encodeURIComponent(clientId)))
}

function proofOf({ clientId, clientSecret }: Client): Credential {
  if (clientSecret === undefined || clientSecret.reveal() === '')
    throw refused('only a client with a secret can end it')
  const worn = { clientId: new Secret(clientId), clientSecret }
  return { worn, kept: {}, standing: true, expiresAt: null, scopes: [], tokenType: 'Basic' }
}

/** A field that speaks of something which was never issued is left out. */
function filledIn(name: string, text: string, known: Readonly<Record<string, string>>): [string, string][] {
  let isWhole = true
  const value = text.replaceAll(/\{(\w+)\}/g, (_, of: string) => {
    if (!Object.hasOwn(known, of)) isWhole = false
    return known[of] ?? ''
  })
  return isWhole ? [[name, value]] : []
}

/** What is not known there is not told apart from what another client may not end. */
function judge(answer: Answer): void {
  refuseTrouble(answer)
  const { status, retryAfter } = answer
  // Some servers say so when they are asked too often.
  if (status === 403 && retryAfter !== undefined) refuseTrouble({ ...answer, status: 429 })
  if (status === 200 || status === 204) return
  if (status === 401 || status === 403) throw refused('the provider does not accept this client')
  if (status === 404) throw refused('the provider does not know it, or not as one of this client')
  throw refused(`the provider answered ${status}, which does not say that it is ended`)
}

function refused(message: string): ValetkeyError {
  return new ValetkeyError('provider-not-configured', message)
}
