import type { Credential } from '../../model/credential.ts'
import type { OAuth } from '../../model/provider.ts'
import { Secret } from '../../model/secret.ts'

/** What of a token answer is used, in the words of its standard. */
export interface Tokens {
  readonly access_token: string
  readonly refresh_token?: string | undefined
  readonly id_token?: string | undefined
  readonly expires_in?: number | undefined
  readonly refresh_token_expires_in?: number | undefined
  readonly scope?: string | undefined
  /** By pointer: what else was read in the answer. */
  readonly told?: Readonly<Record<string, string>> | undefined
}

/** What a provider says of the lives of what it issues. */
type Lives = Pick<OAuth, 'accessSeconds' | 'grantLife'>

/** Servers count whole seconds, and an answer takes its time. */
const ROUNDING_MS = 2000
const USUAL_SECONDS = 3600
const DAY_SECONDS = 24 * 60 * 60

/** What was issued. The scopes are those that were granted, or, where none are told, those that were asked for. */
export function credentialOf(tokens: Tokens, asked: readonly string[], lives: Lives, now: Date): Credential {
  const granted = toldScopes(tokens)
  const kept = keptOf(tokens)
  return {
    ...living(tokens, kept, lives, now),
    ...ends(undefined, tokens, kept, lives, now),
    kept,
    scopes: granted.length > 0 ? granted : asked,
    tokenType: 'Bearer',
  }
}

/**
 * The successor of a credential. A new refresh token replaces the old one, which stays where none
 * came; what was granted is what was granted at first, however narrow this one answer is. What its
 * token may do is said beside that, since whoever is lent it may rely on that alone.
 */
export function succeeding(before: Credential, tokens: Tokens, lives: Lives, now: Date): Credential {
  const { wornScopes: _, ...lasting } = before
  const kept = { ...before.kept, ...keptOf(tokens) }
  const told = toldScopes(tokens)
  return {
    ...lasting,
    ...living(tokens, kept, lives, now),
    ...ends(before, tokens, kept, lives, now),
    ...(told.length === 0 || areSame(told, before.scopes) ? {} : { wornScopes: told }),
    kept,
  }
}

function toldScopes({ scope }: Tokens): readonly string[] {
  return scope?.split(/[ ,]+/).filter(Boolean) ?? []
}

function areSame(some: readonly string[], others: readonly string[]): boolean {
  return some.every((scope) => others.includes(scope)) && others.every((scope) => some.includes(scope))
}

/**
 * What has no known end and cannot be renewed is standing, however it came to be: nobody could be told
 * when it dies. What can be renewed has an end, whether or not the server says when.
 */
function living(
  tokens: Tokens,
  kept: Credential['kept'],
  { accessSeconds = USUAL_SECONDS }: Lives,
  now: Date,
) {
  const { access_token: token, expires_in: told } = tokens
  const expiresAt = later(now, told ?? (isRenewable(kept) ? accessSeconds : undefined))
  return { worn: { accessToken: new Secret(token) }, expiresAt, standing: expiresAt === null }
}

/**
 * When the grant itself is over. What a server tells of its refresh token is moved on by each renewal,
 * until a renewal is seen not to move it: then it is an end that nothing puts off.
 */
function ends(
  before: Credential | undefined,
  { refresh_token: fresh, refresh_token_expires_in: seconds }: Tokens,
  kept: Credential['kept'],
  { grantLife: { absoluteDays, idleDays } }: Lives,
  now: Date,
): Pick<Credential, 'grantEndsAt' | 'idleEndsAt'> {
  if (!isRenewable(kept)) return { grantEndsAt: null, idleEndsAt: null }
  const { grantEndsAt: endedBefore = null, idleEndsAt: idleBefore = null } = before ?? {}
  const declared = absoluteDays === undefined ? null : (endedBefore ?? later(now, days(absoluteDays)))
  const told = later(now, seconds)
  if (told === null) {
    const stays = fresh === undefined ? idleBefore : null
    return { grantEndsAt: declared ?? endedBefore, idleEndsAt: later(now, days(idleDays)) ?? stays }
  }
  const fixed = idleBefore ?? (declared === null ? endedBefore : null)
  if (fixed !== null && told.getTime() - fixed.getTime() <= ROUNDING_MS)
    return { grantEndsAt: earlier(declared, fixed), idleEndsAt: null }
  return { grantEndsAt: declared, idleEndsAt: told }
}

function isRenewable(kept: Credential['kept']): boolean {
  return kept['refreshToken'] !== undefined
}

function days(count: number | undefined): number | undefined {
  return count === undefined ? undefined : count * DAY_SECONDS
}

function later(now: Date, seconds: number | undefined): Date | null {
  return seconds === undefined ? null : new Date(now.getTime() + seconds * 1000)
}

function earlier(one: Date | null, other: Date): Date {
  return one !== null && one < other ? one : other
}

function keptOf({ refresh_token: refreshToken, id_token: idToken }: Tokens): Credential['kept'] {
  return {
    ...(refreshToken === undefined ? {} : { refreshToken: new Secret(refreshToken) }),
    ...(idToken === undefined ? {} : { idToken: new Secret(idToken) }),
  }
}
