import { type ErrorCode, ValetkeyError } from '#client'
import type { Client, FlowContext } from '../../model/flow.ts'
import type { OAuth } from '../../model/provider.ts'
import { type FoundServers, findServer } from '../../protocol/discovery.ts'
import type { FoundKeys, KeySource } from '../../protocol/keys.ts'
import type { Server } from '../../protocol/server.ts'
import { blankless } from '../filled/filled.ts'
import { own, type Values } from '../filled/key-fields.ts'
import { asKnown } from '../issued/told-values.ts'

/** What was found lately about servers, shared by all sign-ins of one broker. */
export interface Found {
  readonly servers: FoundServers
  readonly keys: FoundKeys
}

/** Our client, and how its provider is spoken to. */
export interface Standing {
  readonly oauth: OAuth
  readonly client: Client
}

export function standingOf({ provider, client }: FlowContext): Standing {
  if (provider.oauth && client) return { oauth: provider.oauth, client }
  throw new ValetkeyError('provider-not-configured', `there is no client of ours at ${provider.name}`, {
    hint: 'register one at the provider first',
  })
}

/** RFC 8707: said in every request to its authorization server, whether or not that has a use for it. */
export function resourceOf({ resource }: OAuth): { readonly resource?: string } {
  return resource === undefined ? {} : { resource }
}

/** What is known by now of all that the provider asks for. */
export function knownValues({ provider, signIn, known }: FlowContext): Values {
  return Object.fromEntries(
    [...provider.vars, ...signIn.fields].flatMap(({ name }) => {
      const value = blankless(name, own(known, name))
      return value === '' ? [] : [[name, value]]
    }),
  )
}

export async function serverOf(context: FlowContext, vars: Values, { servers }: Found): Promise<Server> {
  const { catalogue, network, now } = context
  // A value that cannot be part of an address is told first: then nobody knows yet whose client is wanted.
  const destination = catalogue.destination(asKnown(context, vars), vars)
  const { oauth } = standingOf(context)
  return findServer(network, oauth, destination, { found: servers, now })
}

/**
 * The server of an account that was signed in to once. It was found then, so what keeps it from being found
 * now may pass; and nothing of the account was shown to anybody yet, so no answer was lost.
 */
export async function serverAgain(context: FlowContext, found: Found): Promise<Server> {
  standingOf(context)
  return serverOf(context, knownValues(context), found).catch((error: unknown) => {
    throw error instanceof ValetkeyError ? passing(error) : error
  })
}

const PASSING: Partial<Record<ErrorCode, ErrorCode>> = {
  'provider-not-configured': 'bad-answer',
  'answer-lost': 'network-error',
  'answer-timeout': 'network-error',
}

function passing({ code, message, hint, retryAfter }: ValetkeyError): ValetkeyError {
  return new ValetkeyError(PASSING[code] ?? code, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

/** Where the keys of a server are, if it shows any and signs with them. */
export function keysOf({ network, now }: FlowContext, server: Server, { keys }: Found): KeySource {
  const { jwks, algorithms } = server
  if (jwks !== undefined && algorithms.length > 0) return { network, jwks, found: keys, now }
  throw new ValetkeyError('provider-not-configured', 'the provider shows no keys to verify a sign-in by')
}
