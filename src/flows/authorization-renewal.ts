import { decodeJwt, type JWTPayload } from 'jose'
import { refreshTokenGrant } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { FlowContext } from '../model/flow.ts'
import type { Secret } from '../model/secret.ts'
import { configurationFor } from '../protocol/client.ts'
import { provenIdToken } from '../protocol/id-token.ts'
import type { Server } from '../protocol/server.ts'
import { tokenAnswer } from '../protocol/token-answer.ts'
import { type Meaning, troubleOf } from '../protocol/trouble.ts'
import { succeeding } from './authorization-credential.ts'
import { type Found, keysOf, knownValues, serverOf, standingOf } from './authorization-server.ts'

const OVER: Meaning = ['access-revoked', 'the provider no longer renews this access']

/** A fresh access token for the refresh token. Only the server's own `invalid_grant` says that it is over. */
export async function renew(context: FlowContext, before: Credential, found: Found): Promise<Credential> {
  const { oauth, client } = standingOf(context)
  const { refreshToken, idToken } = before.kept
  if (refreshToken === undefined)
    throw new ValetkeyError('refresh-not-available', 'the provider gave nothing to renew this access with')
  const server = await serverOf(context, knownValues(context), found)
  const signedIn = idToken && claimsOf(idToken)
  refuseAnother(server, signedIn?.iss)
  const judge = tokenAnswer({ answers: oauth.answers, idToken: signedIn !== undefined })
  const config = configurationFor({ ...context, server, client, clientAuth: oauth.clientAuth, judge })
  const tokens = await refreshTokenGrant(config, refreshToken.reveal()).catch((error: unknown) => {
    throw troubleOf(error, { invalid_grant: OVER })
  })
  if (signedIn && tokens.id_token !== undefined)
    await provenIdToken(keysOf(context, server, found), tokens.id_token, {
      issuer: signedIn.iss ?? '',
      clientId: client.clientId,
      algorithms: server.algorithms,
      accessToken: tokens.access_token,
      before: signedIn,
    })
  return succeeding(before, tokens, context.now())
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
