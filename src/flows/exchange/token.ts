import { genericGrantRequest } from 'openid-client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Exchange } from '../../model/provider.ts'
import { configurationFor } from '../../protocol/client.ts'
import { renewalAnswer } from '../../protocol/renewal-answer.ts'
import { type Meaning, troubleOf } from '../../protocol/trouble.ts'
import { type Found, serverOf, standingOf } from '../authorization/server.ts'
import type { Values } from '../filled/key-fields.ts'
import type { Got } from './request.ts'

/** One that is done as RFC 8693 has it. */
export type AtTokenEndpoint = Extract<Exchange, { how: 'token-exchange' }>

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

const OVER: Meaning = ['access-revoked', 'the provider no longer gives anything for this access']
const NOT_ALLOWED: Meaning = [
  'refused-by-policy',
  'the provider does not give this access what it is to be traded in for',
  'see which audiences and scopes the client may have there',
]
const MEANINGS = {
  invalid_grant: OVER,
  invalid_target: NOT_ALLOWED,
  invalid_scope: NOT_ALLOWED,
  access_denied: NOT_ALLOWED,
}
const UNKNOWN: Meaning = [
  'bad-answer',
  'the provider did not take this access, for a reason that is not known here',
]

/** Shows what was issued to the token endpoint, once. */
export async function tradeAtServer(
  context: FlowContext,
  { audience, resource, scopes }: AtTokenEndpoint,
  { credential, vars }: { readonly credential: Credential; readonly vars: Values },
  found: Found,
): Promise<Got> {
  const { oauth, client } = standingOf(context)
  const server = await serverOf(context, vars, found)
  const config = configurationFor({ ...context, server, client, oauth, judge: renewalAnswer(oauth) })
  const tokens = await genericGrantRequest(config, GRANT, {
    subject_token: credential.worn['accessToken']?.reveal() ?? '',
    subject_token_type: ACCESS_TOKEN,
    requested_token_type: ACCESS_TOKEN,
    ...(audience === undefined ? {} : { audience }),
    ...(resource === undefined ? {} : { resource }),
    ...(scopes.length === 0 ? {} : { scope: scopes.join(oauth.scopeSeparator) }),
  }).catch((error: unknown) => {
    throw troubleOf(error, MEANINGS, UNKNOWN)
  })
  const told = tokens.scope?.split(/[ ,]+/).filter(Boolean) ?? []
  return { token: tokens.access_token, seconds: tokens.expires_in, scopes: told.length > 0 ? told : scopes }
}
