import { calculatePKCECodeChallenge, randomPKCECodeVerifier } from 'openid-client'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import { scopesFor } from '../authorization/request.ts'
import { type Found, keysOf, serverOf, standingOf } from '../authorization/server.ts'
import { type Values, varsOf } from '../filled/key-fields.ts'
import { ownScopes, saidIn } from '../filled/own-scopes.ts'
import { keyToBindTo } from '../issued/bound.ts'
import { isOpenId } from '../issued/signed-in.ts'
import { asKnown } from '../issued/told-values.ts'
import { askForCode } from './asking.ts'
import { begunNow, type Waiting } from './memory.ts'

/** Everything of a sign-in by a code, up to the code itself. */
export async function prepare(context: FlowContext, values: Values, found: Found): Promise<Waiting> {
  const { catalogue, signIn, now } = context
  const vars = { ...varsOf(context, values), ...saidIn(signIn, values) }
  const server = await serverOf(context, vars, found)
  const { oauth, client } = standingOf(context)
  const { token, verify, pkce } = oauth.device ?? {}
  if (server.device === undefined) throw nowhere(context)
  const place = (link: string) => catalogue.destination(asKnown(context, vars), vars).place(link).href
  const scopes = [...scopesFor([...signIn.scopes, ...ownScopes(values)], server, oauth)]
  if (isOpenId(oauth, scopes)) keysOf(context, server, found)
  const dpopKey = await keyToBindTo(oauth, server)
  const verifier = pkce ? randomPKCECodeVerifier() : undefined
  const wish = {
    ...(scopes.length > 0 ? { scope: scopes.join(oauth.scopeSeparator) } : {}),
    ...(verifier && {
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }),
  }
  const begun = await askForCode(context, server, wish, verify && place(verify))
  const asked = token === undefined ? server.token : place(token)
  const request = {
    server,
    asked,
    clientId: client.clientId,
    scopes,
    vars,
    ...(verifier && { verifier }),
    ...(dpopKey && { dpopKey: dpopKey.reveal() }),
  }
  return begunNow(request, begun, now())
}

function nowhere({ provider }: FlowContext): ValetkeyError {
  return new ValetkeyError('provider-not-configured', `${provider.name} is not signed in to by a code`, {
    hint: 'sign in another way',
  })
}
