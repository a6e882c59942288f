import {
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  randomNonce,
  randomPKCECodeVerifier,
} from 'openid-client'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../model/flow.ts'
import type { OAuth, SignIn } from '../model/provider.ts'
import { configurationFor } from '../protocol/client.ts'
import { isScope } from '../protocol/scopes.ts'
import { refuseDowngrade, type Server } from '../protocol/server.ts'
import { tokenAnswer } from '../protocol/token-answer.ts'
import type { Visiting } from './authorization-memory.ts'
import { type Found, keysOf, resourceOf, serverOf, standingOf } from './authorization-server.ts'
import { own, type Values, varsOf } from './key-fields.ts'

const VISIT_MS = 10 * 60_000
const OFFLINE = 'offline_access'

/**
 * Everything of a request for authorization, made before the person is sent off: whose answer is
 * awaited, and the three values that bind it to this one sign-in, each of 256 bits of its own.
 */
export async function prepare(context: FlowContext, values: Values, found: Found): Promise<Visiting> {
  const { redirectUri, now, state, signIn } = context
  const vars = { ...varsOf(context, values), ...fieldsOf(signIn, values) }
  const server = await serverOf(context, { ...vars, ...provisional(context, vars) }, found)
  const { oauth, client } = standingOf(context)
  if (redirectUri === undefined || state === undefined)
    throw new ValetkeyError('flow-failed', 'there is no address to come back to')
  refuseDowngrade(oauth, server)
  const scopes = scopesFor([...signIn.scopes, ...ownScopes(values)], server, oauth)
  const openId = scopes.includes('openid')
  if (openId) keysOf(context, server, found)
  const request = {
    stage: 'visiting' as const,
    server,
    clientId: client.clientId,
    redirectUri: redirectUri.href,
    until: new Date(now().getTime() + VISIT_MS).toISOString(),
    state,
    ...(oauth.pkce === 'S256' ? { verifier: randomPKCECodeVerifier() } : {}),
    ...(openId ? { nonce: randomNonce() } : {}),
    scopes: [...scopes],
    vars,
  }
  return { ...request, url: (await addressOf(context, request)).href }
}

async function addressOf(context: FlowContext, request: Omit<Visiting, 'url'>): Promise<URL> {
  const { oauth, client } = standingOf(context)
  const { server, verifier, nonce, scopes, redirectUri, state } = request
  const challenge = verifier && {
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  const judge = tokenAnswer({ answers: 'json', idToken: false })
  const config = configurationFor({ ...context, server, client, clientAuth: oauth.clientAuth, judge })
  const url = buildAuthorizationUrl(config, {
    // OpenID Connect Core §11: without this word the other one may be ignored.
    ...(oauth.resource !== undefined && scopes.includes(OFFLINE) ? { prompt: 'consent' } : {}),
    ...oauth.authorizeParams,
    response_type: 'code',
    redirect_uri: redirectUri,
    ...(scopes.length > 0 ? { scope: scopes.join(oauth.scopeSeparator) } : {}),
    ...resourceOf(oauth),
    state,
    ...challenge,
    ...(nonce === undefined ? {} : { nonce }),
  })
  const names = [...url.searchParams.keys()]
  if (new Set(names).size === names.length) return url
  throw new ValetkeyError('provider-not-configured', 'the endpoint of the provider speaks in our place')
}

/** What else the sign-in asks for is remembered with the account, so that it is not asked for twice. */
function fieldsOf({ fields }: SignIn, values: Values): Values {
  return Object.fromEntries(
    fields.flatMap(({ name, secret }) => {
      const value = secret ? undefined : own(values, name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** Where a provider cannot know what it is wanted for, the person says so in a field of this name. */
function ownScopes(values: Values): readonly string[] {
  const scopes =
    own(values, 'scopes')
      ?.split(/[\s,]+/)
      .filter(Boolean) ?? []
  if (scopes.every(isScope)) return scopes
  throw new ValetkeyError('invalid-request', 'these cannot be scopes')
}

/**
 * A refresh token is asked for by name only where the server knows that name. A resource does not speak of it
 * (it is no scope of the resource's), so for one it is asked for wherever the server knows it.
 */
function scopesFor(scopes: readonly string[], server: Server, { resource }: OAuth): readonly string[] {
  if (resource === undefined)
    return scopes.filter((scope) => scope !== OFFLINE || server.scopes?.includes(scope) !== false)
  const own = scopes.filter((scope) => scope !== OFFLINE)
  return server.scopes?.includes(OFFLINE) ? [...own, OFFLINE] : own
}

/** What the browser will tell is, until then, any of its choices: no link that is used before depends on it. */
function provisional({ provider, signIn }: FlowContext, vars: Values): Values {
  return Object.fromEntries(
    Object.values(signIn.captures).flatMap((name) => {
      const [first] = provider.vars.find((variable) => variable.name === name)?.choices ?? []
      return first === undefined || vars[name] !== undefined ? [] : [[name, first]]
    }),
  )
}
