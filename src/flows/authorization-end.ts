import { tokenRevocation } from 'openid-client'
import type { Credential } from '../model/credential.ts'
import type { FlowContext, RevokedPiece } from '../model/flow.ts'
import type { Secret } from '../model/secret.ts'
import { configurationFor } from '../protocol/client.ts'
import type { Server } from '../protocol/server.ts'
import { revocationAnswer } from '../protocol/token-answer.ts'
import { type Meaning, refusalOf, troubleOf } from '../protocol/trouble.ts'
import { askToEnd, type EndRequest, isNamed } from './authorization-end-request.ts'
import { type Found, serverAgain, standingOf } from './authorization-server.ts'

/** In words of its own: it will say the same again. */
const REFUSED: Meaning = ['provider-not-configured', 'the provider refused to end it']

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
  if (revoke.how === 'console') return alive(pieces, { how: `only you can end it, at ${revoke.at ?? name}` })
  if (revoke.how === 'request') return endByRequest(context, revoke, pieces, endOf(credential))
  try {
    const server = await serverAgain(context, found)
    if (server.revoke === undefined) return alive(pieces, { how: 'the provider names no place to end it' })
    const ended: RevokedPiece[] = []
    for (const piece of pieces) ended.push(await endPiece(context, server, piece))
    return ended
  } catch (error) {
    return alive(pieces, why(error))
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
    return { what, died: false, ...why(error) }
  }
}

/** What the request names is ended by it, or not; of what it does not name nothing is known. */
async function endByRequest(
  context: FlowContext,
  request: EndRequest,
  pieces: readonly Piece[],
  end: Date | null,
): Promise<readonly RevokedPiece[]> {
  const { name } = context.provider
  const byHand = `only you can end it, at ${request.at ?? name}`
  const outcome = await outcomeOf(context, request, pieces, byHand)
  return pieces.map(({ what, field }): RevokedPiece => {
    if (isNamed(request, field)) return { what, ...outcome }
    const byItself = field === 'refreshToken' && end !== null ? `; by itself it ends ${dayOf(end)}` : ''
    return { what, died: false, how: byHand + byItself }
  })
}

async function outcomeOf(
  context: FlowContext,
  request: EndRequest,
  pieces: readonly Piece[],
  byHand: string,
): Promise<Omit<RevokedPiece, 'what'>> {
  if (!pieces.some(({ field }) => isNamed(request, field))) return { died: false, how: byHand }
  const tokens = Object.fromEntries(pieces.map(({ field, secret }) => [field, secret.reveal()]))
  return askToEnd(context, request, tokens).then(
    () => ({ died: true, how: 'ended at the provider' }),
    (error: unknown) => {
      const { how, ...again } = why(error)
      return { died: false, how: `${how}; ${byHand}`, ...again }
    },
  )
}

/** When a grant that nobody renews any more is over at the latest, as far as that is known. */
function endOf({ grantEndsAt, idleEndsAt }: Credential): Date | null {
  return idleEndsAt ?? grantEndsAt ?? null
}

function dayOf(end: Date): string {
  return `on ${end.toISOString().slice(0, 10)}`
}

type Why = Pick<RevokedPiece, 'how' | 'again'>

function alive(pieces: readonly Piece[], why: Why): readonly RevokedPiece[] {
  return pieces.map(({ what }) => ({ what, died: false, ...why }))
}

/** Why it did not end, and whether the provider can be asked again with any hope. */
function why(error: unknown): Why {
  const refusal = refusalOf(error)
  if (refusal === 'unsupported_token_type')
    return { how: 'the provider does not end tokens of this kind (unsupported_token_type)' }
  const trouble = troubleOf(error, {}, REFUSED)
  const { code, message: how, retryAfter } = trouble
  if (!trouble.retryable && code !== 'certificate-pin') return { how }
  return { how, again: retryAfter === undefined ? {} : { after: retryAfter } }
}
