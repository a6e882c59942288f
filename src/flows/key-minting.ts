import { calculatePKCECodeChallenge, randomPKCECodeVerifier } from 'openid-client'
import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { Flow, FlowContext, FlowTurn, FlowYield } from '../model/flow.ts'
import type { OAuth } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { type Answer, ask, refuseTrouble } from '../protocol/ask.ts'
import { readCallback } from '../protocol/callback.ts'
import { textAt } from '../protocol/pointer.ts'
import { type Server, serverSchema } from '../protocol/server.ts'
import { strictObject } from '../protocol/strict-json.ts'
import { knownValues } from './authorization/server.ts'
import { type Values, varsOf } from './filled/key-fields.ts'
import { shown } from './issued/person.ts'
import { recall, remember } from './memory.ts'

const VISIT_MS = 10 * 60_000
const MOST_LETTERS = 16 * 1024

const memorySchema = z.strictObject({
  server: serverSchema,
  /** With the state in it: nothing else of the request comes back. */
  redirectUri: z.string(),
  state: z.string(),
  verifier: z.string(),
  url: z.string(),
  until: z.iso.datetime(),
  vars: z.record(z.string(), z.string()),
})

type Visiting = z.infer<typeof memorySchema>

/**
 * The person's browser is sent to the provider, which makes a key for whoever can show the verifier: PKCE with no
 * client behind it. The key stands like one that a person made and pasted.
 */
export const keyMintingFlow: Flow = {
  id: 'pkce-key',
  label: 'the browser',
  nature: 'pure',
  comesBack: true,
  ownClient: true,
  // Only a person ends it.
  endsAlone: true,

  async begin(context) {
    return send(await prepare(context))
  },

  async next(context, memory, answer) {
    const held = recall(memorySchema, memory)
    if (answer === undefined) return send(held)
    if (!('callback' in answer))
      throw new ValetkeyError('invalid-request', 'the address the browser came back to is awaited here')
    if (context.now() > new Date(held.until))
      throw new ValetkeyError('flow-expired', 'the sign-in took longer than ten minutes', {
        hint: 'begin again',
      })
    const code = readCallback(answer.callback.reveal(), held).get('code') ?? ''
    try {
      return { done: await redeem(context, held, code) }
    } finally {
      // One attempt, one verifier.
      memory.forget()
    }
  },

  async revoke({ provider, signIn }, { worn }) {
    const how = `only you can end it, at ${signIn.console ?? provider.revoke.at ?? provider.name}`
    return Object.keys(worn).map(() => ({ what: 'key', died: false, how }))
  },
}

async function prepare(context: FlowContext): Promise<Visiting> {
  const { redirectUri, state, now } = context
  if (redirectUri === undefined || state === undefined)
    throw new ValetkeyError('flow-failed', 'there is no address to come back to')
  const vars = varsOf(context, knownValues(context))
  const server = serverAt(context, vars)
  const verifier = randomPKCECodeVerifier()
  const callback = new URL(redirectUri)
  callback.searchParams.set('state', state)
  if (server.authorize === undefined) throw noEndpoints(context)
  const url = new URL(server.authorize)
  const params = {
    ...oauthOf(context).authorizeParams,
    callback_url: callback.href,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
  const until = new Date(now().getTime() + VISIT_MS).toISOString()
  return { server, redirectUri: redirectUri.href, state, verifier, url: url.href, until, vars: { ...vars } }
}

/** Its two endpoints; of anything else of an authorization server there is nothing here. */
function serverAt(context: FlowContext, vars: Values): Server {
  const { authorize, token } = oauthOf(context)
  const { place } = context.catalogue.destination(context.provider, vars)
  if (authorize === undefined || token === undefined) throw noEndpoints(context)
  const found = { authorize: place(authorize).href, token: place(token).href }
  return serverSchema.parse({ ...found, issuer: null, tellsIssuer: false, pkce: true, algorithms: [] })
}

function oauthOf(context: FlowContext): OAuth {
  if (context.provider.oauth !== undefined) return context.provider.oauth
  throw noEndpoints(context)
}

function noEndpoints({ provider }: FlowContext): ValetkeyError {
  return new ValetkeyError('provider-not-configured', `${provider.name} names no place where keys are made`)
}

function send(held: Visiting): FlowTurn {
  const step = { ask: 'visit', url: new URL(held.url), until: new Date(held.until) } as const
  return { step, memory: remember(held) }
}

async function redeem(context: FlowContext, held: Visiting, code: string): Promise<FlowYield> {
  const { network, now } = context
  const { verifier, server, vars } = held
  const { tokenHeaders, tokenParams } = oauthOf(context)
  const headers = {
    accept: 'application/json',
    'user-agent': 'valetkey',
    'content-type': 'application/json',
    ...tokenHeaders,
  }
  const said = { ...tokenParams, code, code_verifier: verifier, code_challenge_method: 'S256' }
  const request = { method: 'POST', headers, body: JSON.stringify(said) }
  const answer = await ask(network, new URL(server.token), request, { now })
  return minted(context, vars, answered(answer))
}

/** Whatever it refuses a code for, another code is what helps. */
function answered(answer: Answer): Readonly<Record<string, unknown>> {
  refuseTrouble(answer)
  const { status, type, text } = answer
  if (status >= 400)
    throw new ValetkeyError('invalid-code', 'the provider did not accept the code', { hint: 'begin again' })
  if (type === 'application/json') return strictObject(text)
  throw new ValetkeyError('bad-answer', 'the provider answered with something else than JSON')
}

function minted({ provider, signIn }: FlowContext, vars: Values, said: unknown): FlowYield {
  const key = textAt(said, provider.oauth?.shape?.accessToken ?? '/key') ?? ''
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > MOST_LETTERS)
    throw new ValetkeyError('bad-answer', 'the provider made no key')
  const subject = textAt(said, signIn.whose?.subject) ?? null
  const displayName = shown(textAt(said, signIn.whose?.displayName)) ?? null
  return { credential: standing(key), profile: { subject, displayName, vars } }
}

function standing(key: string): Credential {
  return {
    worn: { accessToken: new Secret(key) },
    kept: {},
    standing: true,
    expiresAt: null,
    scopes: [],
    tokenType: 'Bearer',
  }
}
