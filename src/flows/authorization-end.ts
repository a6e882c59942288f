import { tokenRevocation } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Credential } from '../model/credential.ts'
import type { FlowContext, RevokedPiece } from '../model/flow.ts'
import type { Secret } from '../model/secret.ts'
import { configurationFor } from '../protocol/client.ts'
import type { Server } from '../protocol/server.ts'
import { revocationAnswer } from '../protocol/token-answer.ts'
import { refusalOf, troubleOf } from '../protocol/trouble.ts'
import { askToEnd, type EndRequest, isNamed } from './authorization-end-request.ts'
import { type Found, knownValues, serverOf, standingOf } from './authorization-server.ts'

interface Piece {
  readonly what: string
  readonly field: 'refreshToken' | 'accessToken'
  readonly hint: 'refresh_token' | 'access_token'
  readonly secret: Secret
}

/** RFC 7009 §2.1: the refresh token first, since most servers end with it all that came of it. */
export async function endGrant(
  context: FlowContext,
  credential: Credential,
  found: Found,
): Promise<readonly RevokedPiece[]> {
  const pieces = piecesOf(credential)
  const { revoke, name } = context.provider
  if (revoke.how === 'console') return alive(pieces, `only you can end it, at ${revoke.at ?? name}`)
  if (revoke.how === 'request') return endByRequest(context, revoke, pieces)
  try {
    const server = await serverOf(context, knownValues(context), found)
    if (server.revoke === undefined) return alive(pieces, 'the provider names no place to end it')
    const ended: RevokedPiece[] = []
    for (const piece of pieces) ended.push(await endPiece(context, server, piece))
    return ended
  } catch (error) {
    return alive(pieces, inWords(error))
  }
}

function piecesOf({ kept, worn }: Credential): readonly Piece[] {
  const all = [
    { what: 'refresh token', field: 'refreshToken', hint: 'refresh_token', secret: kept['refreshToken'] },
    { what: 'access token', field: 'accessToken', hint: 'access_token', secret: worn['accessToken'] },
  ] as const
  return all.flatMap(({ secret, ...piece }) => (secret === undefined ? [] : [{ ...piece, secret }]))
}

async function endPiece(
  context: FlowContext,
  server: Server,
  { what, hint, secret }: Piece,
): Promise<RevokedPiece> {
  const { oauth, client } = standingOf(context)
  const use = { ...context, server, client, clientAuth: oauth.clientAuth, judge: revocationAnswer }
  try {
    await tokenRevocation(configurationFor(use), secret.reveal(), { token_type_hint: hint })
    return { what, died: true, how: 'ended at the provider' }
  } catch (error) {
    return { what, died: false, how: inWords(error) }
  }
}

/** What the request names is ended by it, or not; of what it does not name nothing is known. */
async function endByRequest(
  context: FlowContext,
  request: EndRequest,
  pieces: readonly Piece[],
): Promise<readonly RevokedPiece[]> {
  const { name } = context.provider
  const byHand = `only you can end it, at ${request.at ?? name}`
  if (!pieces.some(({ field }) => isNamed(request, field))) return alive(pieces, byHand)
  const tokens = Object.fromEntries(pieces.map(({ field, secret }) => [field, secret.reveal()]))
  const outcome = await askToEnd(context, request, tokens).then(
    () => ({ died: true, how: 'ended at the provider' }),
    (error: unknown) => ({ died: false, how: `${inWords(error)}; ${byHand}` }),
  )
  return pieces.map(({ what, field }) =>
    isNamed(request, field) ? { what, ...outcome } : { what, died: false, how: byHand },
  )
}

function alive(pieces: readonly Piece[], how: string): readonly RevokedPiece[] {
  return pieces.map(({ what }) => ({ what, died: false, how }))
}

function inWords(error: unknown): string {
  const refusal = refusalOf(error)
  if (refusal === 'unsupported_token_type')
    return 'the provider does not end tokens of this kind (unsupported_token_type)'
  if (refusal !== undefined) return 'the provider refused to end it'
  return error instanceof ValetkeyError ? error.message : troubleOf(error).message
}
