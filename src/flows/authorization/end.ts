import { tokenRevocation } from 'openid-client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext, RevokedPiece } from '../../model/flow.ts'
import type { Secret } from '../../model/secret.ts'
import { configurationFor } from '../../protocol/client.ts'
import type { Server } from '../../protocol/server.ts'
import { revocationAnswer } from '../../protocol/token-answer.ts'
import { type Meaning, refusalOf, troubleOf } from '../../protocol/trouble.ts'
import { asWorn, BASE } from '../exchange/exchange.ts'
import { isRenewable, renewed } from '../issued/renewal.ts'
import { askToEnd, type EndRequest, isEnded, isNamed } from './end-request.ts'
import { type Found, serverAgain, standingOf } from './server.ts'

/** In words of its own: it will say the same again. */
const REFUSED: Meaning = ['provider-not-configured', 'the provider refused to end it']

interface Piece {
  readonly what: string
  readonly field: 'refreshToken' | 'baseToken' | 'accessToken'
  readonly hint: 'refresh_token' | 'access_token'
  readonly secret: Secret
}

/** RFC 7009 §2.1: the refresh token first, since most servers end with it all that came of it. */
export async function endGrant(
  context: FlowContext,
  issued: Credential,
  found: Found,
): Promise<readonly RevokedPiece[]> {
  const credential = asWorn(issued)
  const pieces = piecesOf(credential)
  const { revoke, name } = context.provider
  if (revoke.how === 'console') return alive(pieces, { how: `only you can end it, at ${revoke.at ?? name}` })
  if (revoke.how === 'request') {
    const fresh = await wearable(context, revoke, issued, found).catch((error: unknown) => why(error))
    if ('how' in fresh) return pieces.map((piece) => unended(context, revoke, credential, piece, fresh))
    return endByRequest(context, revoke, piecesOf(asWorn(fresh)), asWorn(fresh))
  }
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

/** A token that is over, or was written down nowhere, cannot ask for its end: it is had once more for that. */
async function wearable(
  context: FlowContext,
  request: EndRequest,
  issued: Credential,
  found: Found,
): Promise<Credential> {
  const { worn, expiresAt } = asWorn(issued)
  const isOver = expiresAt !== null && expiresAt <= context.now()
  const isThere = worn['accessToken'] !== undefined && !isOver
  if (isThere || !isNamed(request, 'accessToken', context) || !isRenewable(issued)) return issued
  return renewed(context, issued, found)
}

function piecesOf({ kept, worn }: Credential): readonly Piece[] {
  const all = [
    { what: 'refresh token', field: 'refreshToken', hint: 'refresh_token', secret: kept['refreshToken'] },
    { what: 'token issued first', field: 'baseToken', hint: 'access_token', secret: kept[BASE] },
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
  const use = { ...context, server, client, oauth, judge: revocationAnswer }
  try {
    await tokenRevocation(configurationFor(use), secret.reveal(), { token_type_hint: hint })
    return { what, died: true, how: 'ended at the provider' }
  } catch (error) {
    return { what, died: false, ...why(error) }
  }
}

/** What the request names is ended by it, or not; of what it neither names nor ends nothing is known. */
async function endByRequest(
  context: FlowContext,
  request: EndRequest,
  pieces: readonly Piece[],
  credential: Credential,
): Promise<readonly RevokedPiece[]> {
  const outcome = await outcomeOf(context, request, { pieces, credential })
  return pieces.map((piece): RevokedPiece => {
    if (isEnded(request, piece.field, context) && outcome !== undefined)
      return { what: piece.what, ...outcome }
    return unended(context, request, credential, piece)
  })
}

/** What a person can still do, and what will come about by itself. */
function unended(
  context: FlowContext,
  request: EndRequest,
  credential: Credential,
  { what, field }: Piece,
  { how, ...again }: Partial<Why> = {},
): RevokedPiece {
  const end = endOf(credential)
  const byItself = field === 'refreshToken' && end !== null ? `; by itself it ends ${dayOf(end)}` : ''
  const because = how === undefined ? '' : `${how}; `
  return { what, died: false, how: because + byHand(context, request) + byItself, ...again }
}

function byHand({ provider }: FlowContext, { at }: EndRequest): string {
  return `only you can end it, at ${at ?? provider.name}`
}

async function outcomeOf(
  context: FlowContext,
  request: EndRequest,
  { pieces, credential }: { readonly pieces: readonly Piece[]; readonly credential: Credential },
): Promise<Omit<RevokedPiece, 'what'> | undefined> {
  if (!pieces.some(({ field }) => isEnded(request, field, context))) return undefined
  const tokens = Object.fromEntries(pieces.map(({ field, secret }) => [field, secret.reveal()]))
  return askToEnd(context, request, tokens, credential).then(
    () => ({ died: true, how: 'ended at the provider' }),
    (error: unknown) => {
      const { how, ...again } = why(error)
      return { died: false, how: `${how}; ${byHand(context, request)}`, ...again }
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
