import { ValetkeyError } from '#client'
import type { Profile } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { OAuth } from '../../model/provider.ts'
import type { Bound } from '../../protocol/dpop.ts'
import { provenIdToken } from '../../protocol/id-token.ts'
import type { Server } from '../../protocol/server.ts'
import { userinfo } from '../../protocol/userinfo.ts'
import type { Tokens } from '../authorization/credential.ts'
import { type Found, keysOf, standingOf } from '../authorization/server.ts'
import { personOf } from './person.ts'

/** What the tokens were asked for with. */
export interface AskedWith {
  readonly server: Server
  readonly clientId: string
  /** Present where a request bound the ID token to itself. */
  readonly nonce?: string | undefined
  readonly bound?: Bound | undefined
}

/** Whether it is asked who signs in, in a way that is proved. */
export function isOpenId({ idToken }: Pick<OAuth, 'idToken'>, scopes: readonly string[]): boolean {
  return idToken === 'proved' && scopes.includes('openid')
}

/** Who signed in with OpenID Connect, proved by a signature and completed by what userinfo adds. */
export async function signedIn(
  context: FlowContext,
  { server, nonce, clientId, bound }: AskedWith,
  tokens: Tokens,
  found: Found,
): Promise<Omit<Profile, 'vars'>> {
  const { oauth, client } = standingOf(context)
  const { issuer, algorithms } = server
  const { id_token: idToken, access_token: accessToken } = tokens
  if (issuer === null || idToken === undefined)
    throw new ValetkeyError('bad-answer', 'the provider does not say who signed in')
  const keys = keysOf(context, server, found)
  const expected = { issuer, clientId, algorithms, accessToken, ...(nonce === undefined ? {} : { nonce }) }
  const claims = await provenIdToken(keys, idToken, expected)
  const use = { ...context, server, client, oauth, bound }
  return personOf({ ...(await userinfo(use, keys, accessToken, claims.sub)), ...claims })
}
