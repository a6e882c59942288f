import { authorizationCodeGrant } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Credential, Profile } from '../model/credential.ts'
import type { FlowContext, FlowYield } from '../model/flow.ts'
import type { Variable } from '../model/provider.ts'
import { configurationFor } from '../protocol/client.ts'
import { provenIdToken } from '../protocol/id-token.ts'
import { namedEndpoints, type Server } from '../protocol/server.ts'
import { tokenAnswer } from '../protocol/token-answer.ts'
import { type Meaning, troubleOf } from '../protocol/trouble.ts'
import { userinfo } from '../protocol/userinfo.ts'
import { credentialOf, type Tokens } from './authorization-credential.ts'
import type { Visiting } from './authorization-memory.ts'
import { type Found, keysOf, resourceOf, standingOf } from './authorization-server.ts'
import type { Values } from './key-fields.ts'
import { liveCheck } from './live-check.ts'
import { personOf } from './person.ts'

const SPENT: Meaning = ['invalid-code', 'the provider did not accept the code', 'begin again']

/** Redeems a code that was judged, at the server it was asked from, and finds out whose account it is. */
export async function exchange(
  context: FlowContext,
  held: Visiting,
  params: URLSearchParams,
  found: Found,
): Promise<FlowYield> {
  const captured = capturesOf(context, params)
  const vars = { ...held.vars, ...captured }
  const server = placedAnew(context, held.server, vars, captured)
  const tokens = await redeem(context, { ...held, server }, params)
  const credential = credentialOf(tokens, held.scopes, standingOf(context).oauth, context.now())
  const whose =
    held.nonce === undefined
      ? await ownerOf(context, vars, credential)
      : await signedIn(context, { ...held, server }, tokens, found)
  return { credential, profile: { ...whose, vars } }
}

async function redeem(context: FlowContext, held: Visiting, params: URLSearchParams): Promise<Tokens> {
  const { oauth, client } = standingOf(context)
  const { server, state, verifier, nonce, clientId } = held
  if (client.clientId !== clientId)
    throw new ValetkeyError('flow-failed', 'our client at the provider changed meanwhile', {
      hint: 'begin again',
    })
  const judge = tokenAnswer({ answers: oauth.answers, idToken: nonce !== undefined })
  const config = configurationFor({ ...context, server, client, clientAuth: oauth.clientAuth, judge })
  const checks = {
    expectedState: state,
    ...(verifier === undefined ? {} : { pkceCodeVerifier: verifier }),
    ...(nonce === undefined ? {} : { expectedNonce: nonce }),
  }
  const url = answered(held, params)
  return authorizationCodeGrant(config, url, checks, resourceOf(oauth)).catch((error: unknown) => {
    throw troubleOf(error, { invalid_grant: SPENT })
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

/** Who signed in with OpenID Connect, proved by a signature and completed by what userinfo adds. */
async function signedIn(context: FlowContext, held: Visiting, tokens: Tokens, found: Found) {
  const { oauth, client } = standingOf(context)
  const { server, nonce, clientId } = held
  const { issuer, algorithms } = server
  const { id_token: idToken, access_token: accessToken } = tokens
  if (issuer === null || idToken === undefined || nonce === undefined)
    throw new ValetkeyError('bad-answer', 'the provider does not say who signed in')
  const keys = keysOf(context, server, found)
  const expected = { issuer, clientId, algorithms, nonce, accessToken }
  const claims = await provenIdToken(keys, idToken, expected)
  const use = { ...context, server, client, clientAuth: oauth.clientAuth }
  return personOf({ ...(await userinfo(use, keys, accessToken, claims.sub)), ...claims })
}

/** Whose account it is where there is no OpenID Connect: the provider's own harmless request tells. */
async function ownerOf(
  context: FlowContext,
  vars: Values,
  credential: Credential,
): Promise<Pick<Profile, 'subject' | 'displayName'>> {
  const { verify } = context.signIn
  if (verify === undefined) return { subject: null, displayName: null }
  const destination = context.catalogue.destination(context.provider, vars)
  const finding = await liveCheck(context, verify, destination, credential)
  if (finding.alive) return { subject: finding.subject, displayName: finding.displayName }
  throw new ValetkeyError('exchange-failed', `it is not known whose account this is: ${finding.why.because}`)
}

/** What the browser told; the catalogue judges it like any other value. */
function capturesOf({ signIn, provider }: FlowContext, params: URLSearchParams): Values {
  const told = new Map<string, string>()
  for (const [parameter, name] of Object.entries(signIn.captures)) {
    const value = params.get(parameter)
    if (value === null) continue
    const meant = chosenBy(provider.vars, name, value)
    if (told.has(name) && told.get(name) !== meant)
      throw new ValetkeyError('bad-answer', `the provider told two different things of its ${name}`)
    told.set(name, meant)
  }
  return Object.fromEntries(told)
}

/** A choice may be told by what it decides as well, such as the address of its pages. */
function chosenBy(vars: readonly Variable[], name: string, value: string): string {
  const bare = value.replace(/^https:\/\//, '').replace(/\/$/, '')
  const decided = vars.flatMap((one) => (one.decided?.by === name ? Object.entries(one.decided.values) : []))
  return decided.find(([choice, follows]) => choice === bare || follows === bare)?.[0] ?? value
}

/** Links that hold a captured variable could not be known before; all others stay as they were remembered. */
function placedAnew(context: FlowContext, server: Server, vars: Values, captured: Values): Server {
  const { provider, catalogue, signIn } = context
  const { oauth } = standingOf(context)
  const missing = Object.values(signIn.captures).find((name) => vars[name] === undefined)
  if (missing !== undefined) throw new ValetkeyError('bad-answer', `the provider did not tell its ${missing}`)
  if (Object.keys(captured).length === 0) return server
  try {
    const { authorize: _, ...named } = namedEndpoints(oauth, catalogue.destination(provider, vars))
    return { ...server, ...named }
  } catch {
    throw new ValetkeyError('bad-answer', 'the provider sent the browser back from a place it does not have')
  }
}
