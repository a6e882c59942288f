import { randomNonce, randomPKCECodeVerifier } from 'openid-client'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { OAuth } from '../../model/provider.ts'
import { refuseBrowserless, refuseDowngrade, type Server } from '../../protocol/server.ts'
import { type Values, varsOf } from '../filled/key-fields.ts'
import { ownScopes, saidIn } from '../filled/own-scopes.ts'
import { keyToBindTo } from '../issued/bound.ts'
import { isOpenId } from '../issued/signed-in.ts'
import type { Visiting } from './memory.ts'
import { OFFLINE, sentOff } from './sending.ts'
import { type Found, keysOf, serverOf, standingOf } from './server.ts'

const VISIT_MS = 10 * 60_000

/**
 * Everything of a request for authorization, made before the person is sent off: whose answer is
 * awaited, and the three values that bind it to this one sign-in, each of 256 bits of its own.
 */
export async function prepare(context: FlowContext, values: Values, found: Found): Promise<Visiting> {
  const { redirectUri, now, state, signIn } = context
  const vars = { ...varsOf(context, values), ...saidIn(signIn, values) }
  const server = await serverOf(context, { ...vars, ...provisional(context, vars) }, found)
  const { oauth, client } = standingOf(context)
  if (redirectUri === undefined || state === undefined)
    throw new ValetkeyError('flow-failed', 'there is no address to come back to')
  refuseBrowserless(server)
  refuseDowngrade(oauth, server)
  const scopes = scopesFor([...signIn.scopes, ...ownScopes(values)], server, oauth)
  const openId = isOpenId(oauth, scopes)
  const dpopKey = await keyToBindTo(oauth, server)
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
    ...(dpopKey === undefined ? {} : { dpopKey: dpopKey.reveal() }),
    scopes: [...scopes],
    vars,
  }
  return sentOff(context, request)
}

/**
 * A refresh token is asked for by name only where the server knows that name. A resource does not speak of it
 * (it is no scope of the resource's), so for one it is asked for wherever the server knows it.
 */
export function scopesFor(scopes: readonly string[], server: Server, { resource }: OAuth): readonly string[] {
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
