import { decodeJwt, type JWTPayload } from 'jose'
import { refreshTokenGrant } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { OAuth } from '../../model/provider.ts'
import type { Secret } from '../../model/secret.ts'
import { configurationFor, proofsFor } from '../../protocol/client.ts'
import { isProvenAgain } from '../../protocol/id-token.ts'
import { renewalAnswer, SET_ASIDE } from '../../protocol/renewal-answer.ts'
import type { Server } from '../../protocol/server.ts'
import { type Meaning, troubleOf } from '../../protocol/trouble.ts'
import { boundBy } from '../issued/bound.ts'
import { succeeding, type Tokens } from './credential.ts'
import { type Found, keysOf, knownValues, resourceOf, serverAgain, standingOf } from './server.ts'

type Meanings = Readonly<Record<string, Meaning>>

const OVER: Meaning = ['access-revoked', 'the provider no longer renews this access']
const BY_POLICY: Meaning = [
  'refused-by-policy',
  'the rules of the provider do not let this access be renewed',
  'see what the provider asks for there; connecting the account again is what mostly helps',
]
const UNKNOWN: Meaning = [
  'bad-answer',
  'the provider refused to renew this access, for a reason that is not known here',
]

/** What stands against a renewal while the grant itself stands: of the standards, and Google's own words. */
const POLICY_WORDS = [
  'invalid_scope',
  'invalid_target',
  'access_denied',
  'interaction_required',
  'login_required',
  'consent_required',
  'account_selection_required',
  'unmet_authentication_requirements',
  'insufficient_user_authentication',
  'admin_policy_enforced',
  'org_internal',
]

/**
 * A fresh access token for the refresh token, which is shown to one server, once. Only the server's own
 * `invalid_grant`, or what its provider declares to mean the same, says that it is over.
 */
export async function renew(context: FlowContext, before: Credential, found: Found): Promise<Credential> {
  const { oauth, client } = standingOf(context)
  const { refreshToken, idToken } = before.kept
  if (refreshToken === undefined)
    throw new ValetkeyError('refresh-not-available', 'the provider gave nothing to renew this access with')
  const server = renewedAt(context, await serverAgain(context, found))
  const signedIn = idToken && claimsOf(idToken)
  refuseAnother(server, signedIn?.iss)
  const { bound } = await boundBy(before.kept['dpopKey'])
  const judge = renewalAnswer({ ...oauth, bound: bound !== undefined })
  const config = configurationFor({ ...context, server, client, oauth, bound, judge })
  const asked = [config, refreshToken.reveal(), resourceOf(oauth), proofsFor(config, { bound })] as const
  const tokens = await refreshTokenGrant(...asked).catch((error: unknown) => {
    throw troubleOf(error, meaningsAt(oauth), UNKNOWN)
  })
  const aside = tokens[SET_ASIDE]
  const fresh = signedIn && typeof aside === 'string' ? aside : undefined
  const isProven =
    fresh !== undefined && (await isOfTheSame(context, server, { signedIn, fresh, tokens }, found))
  return succeeding(before, { ...tokens, id_token: isProven ? fresh : undefined }, oauth, context.now())
}

/** Where tokens are renewed, where that is not the token endpoint. */
function renewedAt(context: FlowContext, server: Server): Server {
  const { oauth } = standingOf(context)
  if (oauth.refresh === undefined) return server
  const { catalogue, provider } = context
  const destination = catalogue.destination(provider, knownValues(context))
  return { ...server, token: destination.place(oauth.refresh).href }
}

function meaningsAt({ over }: OAuth): Meanings {
  const [policy, dead] = [POLICY_WORDS, ['invalid_grant', ...over]]
  return Object.fromEntries([
    ...policy.map((word) => [word, BY_POLICY] as const),
    ...dead.map((word) => [word, OVER] as const),
  ])
}

interface Renewed {
  readonly signedIn: JWTPayload | undefined
  readonly fresh: string
  readonly tokens: Tokens
}

/** OpenID Connect Core §12.2. An ID token that is not proven takes no other's place. */
async function isOfTheSame(
  context: FlowContext,
  server: Server,
  { signedIn, fresh, tokens }: Renewed,
  found: Found,
): Promise<boolean> {
  if (signedIn === undefined || server.jwks === undefined || server.algorithms.length === 0) return false
  return isProvenAgain(keysOf(context, server, found), fresh, {
    issuer: signedIn.iss ?? '',
    clientId: standingOf(context).client.clientId,
    algorithms: server.algorithms,
    accessToken: tokens.access_token,
    before: signedIn,
  })
}

/** It was verified before it was kept. */
function claimsOf(idToken: Secret): JWTPayload {
  try {
    return decodeJwt(idToken.reveal())
  } catch {
    throw new ValetkeyError('needs-reauth', 'the stored ID token cannot be read')
  }
}

/** What one issuer gave is never shown to another. */
function refuseAnother({ issuer }: Server, before: string | undefined): void {
  if (before === undefined || before === issuer) return
  throw new ValetkeyError('needs-reauth', 'the provider is another issuer than the one that was signed in to')
}
