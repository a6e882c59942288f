import { authorizationCodeGrant } from 'openid-client'
import { ValetkeyError } from '#client'
import type { FlowContext, FlowTurn } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { configurationFor, proofsFor } from '../../protocol/client.ts'
import type { Bound } from '../../protocol/dpop.ts'
import { namedEndpoints, type Server } from '../../protocol/server.ts'
import { tokenAnswer } from '../../protocol/token-answer.ts'
import { type Meaning, troubleOf } from '../../protocol/trouble.ts'
import type { Values } from '../filled/key-fields.ts'
import { afterIssue } from '../issued/after-issue.ts'
import { askedAfter } from '../issued/asked-after.ts'
import { bindTo, boundBy } from '../issued/bound.ts'
import { filledValues } from '../issued/provider-request.ts'
import { signedIn } from '../issued/signed-in.ts'
import { asKnown, isSentTo, meantBy, readInAnswer } from '../issued/told-values.ts'
import { credentialOf, type Tokens } from './credential.ts'
import type { Visiting } from './memory.ts'
import { type Found, resourceOf, standingOf } from './server.ts'

const SPENT: Meaning = ['invalid-code', 'the provider did not accept the code', 'begin again']
/** Of the standard, and what vendors say instead. */
const MEANINGS = Object.fromEntries(
  ['invalid_grant', 'invalid_code', 'code_already_used', 'bad_verification_code'].map(
    (word) => [word, SPENT] as const,
  ),
)

/** Redeems a code that was judged, at the server it was asked from, and finds out whose account it is. */
export async function exchange(
  context: FlowContext,
  held: Visiting,
  params: URLSearchParams,
  found: Found,
): Promise<FlowTurn> {
  const captured = capturesOf(context, held, params)
  const vars = { ...held.vars, ...captured }
  const server = placedAnew(context, held.server, vars, captured)
  const key = held.dpopKey === undefined ? undefined : new Secret(held.dpopKey)
  const placed = { ...held, server, vars, ...(await boundBy(key)) }
  const tokens = await redeem(context, placed, params)
  const issued = credentialOf(tokens, held.scopes, standingOf(context).oauth, context.now())
  const credential = bindTo(issued, key)
  return afterIssue(context, { credential, vars, told: tokens.told }, () =>
    held.nonce === undefined ? askedAfter(context, placed, tokens) : signedIn(context, placed, tokens, found),
  )
}

/** What was remembered, with what is known by now. */
type Placed = Visiting & { readonly bound?: Bound }

async function redeem(context: FlowContext, held: Placed, params: URLSearchParams): Promise<Tokens> {
  const { oauth, client } = standingOf(context)
  const { server, state, verifier, nonce, clientId, vars, bound } = held
  if (client.clientId !== clientId)
    throw new ValetkeyError('flow-failed', 'our client at the provider changed meanwhile', {
      hint: 'begin again',
    })
  const judge = tokenAnswer({
    ...oauth,
    idToken: nonce !== undefined,
    told: readInAnswer(context.signIn),
    bound: bound !== undefined,
  })
  const config = configurationFor({ ...context, server, client, oauth, bound, judge })
  const checks = {
    expectedState: state,
    ...(verifier === undefined ? {} : { pkceCodeVerifier: verifier }),
    ...(nonce === undefined ? {} : { expectedNonce: nonce }),
  }
  const url = answered(held, params)
  const besides = { ...resourceOf(oauth), ...filledValues(oauth.codeParams, { ...vars, state }) }
  const proofs = proofsFor(config, { bound })
  return authorizationCodeGrant(config, url, checks, besides, proofs).catch((error: unknown) => {
    throw troubleOf(error, MEANINGS)
  })
}

/** The address the browser came to, with nothing on it but what was judged. */
function answered({ redirectUri, server }: Visiting, params: URLSearchParams): URL {
  const url = new URL(redirectUri)
  for (const name of ['code', 'state', ...(server.issuer === null ? [] : ['iss'])]) {
    const value = params.get(name)
    if (value !== null) url.searchParams.set(name, value)
  }
  return url
}

/** What the browser told; the catalogue judges it like any other value. */
function capturesOf({ signIn, provider }: FlowContext, { vars }: Visiting, params: URLSearchParams): Values {
  const told = new Map<string, string>()
  for (const [parameter, name] of Object.entries(signIn.captures)) {
    const value = params.get(parameter)
    if (value === null) continue
    if (value === '') throw untold(name)
    const meant = meantBy(provider, name, value)
    const before = told.get(name) ?? (isSentTo(provider, name) ? vars[name] : undefined)
    if (before !== undefined && before !== meant)
      throw new ValetkeyError('bad-answer', `the provider told two different things of its ${name}`)
    told.set(name, meant)
  }
  return Object.fromEntries(told)
}

/** Links that hold a captured variable could not be known before; all others stay as they were remembered. */
function placedAnew(context: FlowContext, server: Server, vars: Values, captured: Values): Server {
  const { catalogue, signIn } = context
  const { oauth } = standingOf(context)
  const missing = Object.values(signIn.captures).find((name) => vars[name] === undefined)
  if (missing !== undefined) throw untold(missing)
  if (Object.keys(captured).length === 0) return server
  try {
    const destination = catalogue.destination(asKnown(context, vars), vars)
    const { authorize: _, ...named } = namedEndpoints(oauth, destination)
    return { ...server, ...named }
  } catch {
    throw new ValetkeyError('bad-answer', 'the provider sent the browser back from a place it does not have')
  }
}

function untold(name: string): ValetkeyError {
  return new ValetkeyError('bad-answer', `the provider did not tell its ${name}`)
}
