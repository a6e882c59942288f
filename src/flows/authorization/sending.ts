import { buildAuthorizationUrl, calculatePKCECodeChallenge } from 'openid-client'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { configurationFor } from '../../protocol/client.ts'
import { isPushed, pushed } from '../../protocol/pushed.ts'
import { tokenAnswer } from '../../protocol/token-answer.ts'
import { boundBy } from '../issued/bound.ts'
import type { Visiting } from './memory.ts'
import { resourceOf, standingOf } from './server.ts'

export const OFFLINE = 'offline_access'

type Request = Omit<Visiting, 'url' | 'pushedUntil'>
type Params = Readonly<Record<string, string>>

/** Where the person goes: to what says all of the request, or to what was pushed and says only its name. */
export async function sentOff(context: FlowContext, request: Request): Promise<Visiting> {
  const { oauth, client } = standingOf(context)
  const { server, dpopKey } = request
  const { bound } = await boundBy(dpopKey === undefined ? undefined : new Secret(dpopKey))
  const params = { ...(await paramsOf(context, request)), ...(bound && { dpop_jkt: bound.thumbprint }) }
  if (!isPushed(oauth, server, client))
    return { ...request, url: asWeSaidIt(addressOf(context, request, params)) }
  const { url, until } = await pushed({ ...context, server, client, oauth, bound }, params)
  return { ...request, url: asWeSaidIt(url), pushedUntil: until.toISOString() }
}

/** The same request, under another name where the one that was pushed is over by now. */
export async function stillGood(context: FlowContext, held: Visiting): Promise<Visiting> {
  const isOver = held.pushedUntil !== undefined && context.now() >= new Date(held.pushedUntil)
  return isOver ? sentOff(context, held) : held
}

async function paramsOf(context: FlowContext, request: Request): Promise<Params> {
  const { oauth } = standingOf(context)
  const { verifier, nonce, scopes, redirectUri, state } = request
  const challenge = verifier && {
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  return {
    // OpenID Connect Core §11: without this word the other one may be ignored.
    ...(oauth.resource !== undefined && scopes.includes(OFFLINE) ? { prompt: 'consent' } : {}),
    ...oauth.authorizeParams,
    response_type: 'code',
    redirect_uri: redirectUri,
    ...(scopes.length > 0 ? { [oauth.scopeParam]: scopes.join(oauth.scopeSeparator) } : {}),
    ...resourceOf(oauth),
    state,
    ...challenge,
    ...(nonce === undefined ? {} : { nonce }),
  }
}

function addressOf(context: FlowContext, { server }: Request, params: Params): URL {
  const { oauth, client } = standingOf(context)
  const judge = tokenAnswer({ answers: 'json', idToken: false })
  return buildAuthorizationUrl(configurationFor({ ...context, server, client, oauth, judge }), { ...params })
}

/** Nothing is said twice in it. */
function asWeSaidIt(url: URL): string {
  const names = [...url.searchParams.keys()]
  if (new Set(names).size === names.length) return url.href
  throw new ValetkeyError('provider-not-configured', 'the endpoint of the provider speaks in our place')
}
