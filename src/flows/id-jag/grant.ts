import type { JWTPayload } from 'jose'
import { genericGrantRequest } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext, Voucher } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import { configurationFor, proofsFor } from '../../protocol/client.ts'
import {
  ID_JAG,
  ID_TOKEN,
  idJagAnswer,
  idTokenClaims,
  JWT_BEARER,
  judgeIdJag,
  TOKEN_EXCHANGE,
} from '../../protocol/id-jag.ts'
import type { Server } from '../../protocol/server.ts'
import { tokenAnswer } from '../../protocol/token-answer.ts'
import { type Meaning, troubleOf } from '../../protocol/trouble.ts'
import type { Tokens } from '../authorization/credential.ts'
import { type Found, resourceOf, serverAgain, standingOf } from '../authorization/server.ts'
import { bindTo, boundBy, keyToBindTo } from '../issued/bound.ts'

const USUAL_SECONDS = 3600
/** Whose it was said to be at first, as it is kept: nobody else takes their place. */
const SUBJECT = 'vouchedFor'

/** What an assertion yields, and whose it says that it is. */
interface Yielded {
  readonly credential: Credential
  readonly claims: JWTPayload & { readonly sub: string }
}

/**
 * Two requests: the identity provider asserts whose the ID token is, to the very server and for the very client
 * that it is for; and that server gives a token for it. The client is registered with each of them apart.
 */
export async function yieldedBy(
  context: FlowContext,
  server: Server,
  voucher: Voucher,
  found: Found,
  { refused, before = {} }: { readonly refused: Meaning; readonly before?: Credential['kept'] },
): Promise<Yielded> {
  const { text, claims } = await asserted(context, server, voucher, found)
  const { dpopKey, [SUBJECT]: subject } = before
  if (subject !== undefined && subject.reveal() !== claims.sub)
    throw new ValetkeyError(
      'access-revoked',
      'the account that vouched for this one is somebody else’s by now',
    )
  const { oauth, client } = standingOf(context)
  const key = dpopKey ?? (await keyToBindTo(oauth, server))
  const { bound } = await boundBy(key)
  const judge = tokenAnswer({ ...oauth, idToken: false, bound: bound !== undefined })
  const config = configurationFor({ ...context, server, client, oauth, bound, judge })
  const wish = { ...resourceOf(oauth), ...scopesOf(context), assertion: text }
  const asking = genericGrantRequest(config, JWT_BEARER, wish, proofsFor(config, { bound }))
  const tokens: Tokens = await asking.catch((error: unknown) => {
    throw troubleOf(error, { invalid_grant: refused, access_denied: refused })
  })
  const credential = credentialOf(context, tokens, { account: voucher.account, subject: claims.sub })
  return { credential: bindTo(credential, key), claims }
}

/** Judged before it goes anywhere: an assertion for somebody else would be theirs to use. */
async function asserted(context: FlowContext, server: Server, voucher: Voucher, found: Found) {
  const { oauth, client } = standingOf(context)
  const audience = server.issuer ?? nameless(context)
  // The way out and its limits are those of whoever asks.
  const there = { ...voucher.context, network: context.network }
  const { oauth: spoken, client: known } = standingOf(there)
  const provider = await serverAgain(there, found)
  const issuer = provider.issuer ?? nameless(there)
  const before = idTokenClaims(voucher.idToken.reveal())
  // What one issuer gave is never shown to another.
  if (before === undefined || before.iss !== issuer)
    throw new ValetkeyError(
      'needs-reauth',
      `${there.provider.name} is another issuer than was signed in to`,
      {
        hint: `valetkey reconnect ${voucher.address}`,
      },
    )
  const config = configurationFor({
    ...there,
    server: provider,
    client: known,
    oauth: spoken,
    judge: idJagAnswer,
  })
  const answer = await genericGrantRequest(config, TOKEN_EXCHANGE, {
    requested_token_type: ID_JAG,
    audience,
    ...resourceOf(oauth),
    ...scopesOf(context),
    subject_token: voucher.idToken.reveal(),
    subject_token_type: ID_TOKEN,
  }).catch((error: unknown) => {
    throw troubleOf(error, meaningsAt(voucher))
  })
  const text = answer.access_token
  const expected = { issuer, audience, clientId: client.clientId, resource: oauth.resource }
  return { text, claims: judgeIdJag(text, { ...expected, now: context.now() }) }
}

function scopesOf({ provider, signIn }: FlowContext): Readonly<Record<string, string>> {
  const { scopeParam = 'scope', scopeSeparator = ' ' } = provider.oauth ?? {}
  return signIn.scopes.length === 0 ? {} : { [scopeParam]: signIn.scopes.join(scopeSeparator) }
}

/** Signing in there anew is what helps against the first; the rest is for whoever runs it. */
function meaningsAt({ address }: Voucher): Readonly<Record<string, Meaning>> {
  const over: Meaning = [
    'needs-reauth',
    `the sign-in at ${address} is not good enough for its provider to vouch by it`,
    `valetkey reconnect ${address}`,
  ]
  const forbidden: Meaning = [
    'refused-by-policy',
    `the provider of ${address} does not vouch for you there`,
    'ask whoever runs the identity provider to allow this client and that server',
  ]
  return {
    invalid_grant: over,
    invalid_request: over,
    insufficient_user_authentication: over,
    login_required: over,
    invalid_target: forbidden,
    invalid_scope: forbidden,
    access_denied: forbidden,
    unauthorized_client: forbidden,
    unsupported_grant_type: forbidden,
  }
}

function nameless({ provider }: FlowContext): never {
  throw new ValetkeyError(
    'provider-not-configured',
    `the server of ${provider.name} has no issuer to name it by`,
  )
}

interface Vouched {
  readonly account: string
  readonly subject: string
}

function credentialOf(
  { provider, signIn, now }: FlowContext,
  tokens: Tokens,
  { account, subject }: Vouched,
): Credential {
  const seconds = tokens.expires_in ?? provider.oauth?.accessSeconds ?? USUAL_SECONDS
  const { refresh_token: refreshToken } = tokens
  return {
    worn: { accessToken: new Secret(tokens.access_token) },
    // A refresh token would outlive what vouches: it is kept to be ended, and for nothing else.
    kept: {
      voucher: new Secret(account),
      [SUBJECT]: new Secret(subject),
      ...(refreshToken === undefined ? {} : { refreshToken: new Secret(refreshToken) }),
    },
    standing: false,
    expiresAt: new Date(now().getTime() + seconds * 1000),
    scopes: tokens.scope?.split(/[ ,]+/).filter(Boolean) ?? signIn.scopes,
    tokenType: 'Bearer',
  }
}
