import type { Credential } from '../model/credential.ts'
import { Secret } from '../model/secret.ts'

/** What of a token answer is used, in the words of its standard. */
export interface Tokens {
  readonly access_token: string
  readonly refresh_token?: string | undefined
  readonly id_token?: string | undefined
  readonly expires_in?: number | undefined
  readonly scope?: string | undefined
}

/** What was issued. The scopes are those that were granted, or, where none are told, those that were asked for. */
export function credentialOf(tokens: Tokens, asked: readonly string[], now: Date): Credential {
  const granted = tokens.scope?.split(/[ ,]+/).filter(Boolean) ?? []
  return {
    ...living(tokens, now),
    kept: keptOf(tokens),
    scopes: granted.length > 0 ? granted : asked,
    tokenType: 'Bearer',
  }
}

/**
 * The successor of a credential. A new refresh token replaces the old one, which stays where none
 * came; what was granted is what was granted at first, however narrow this one answer is.
 */
export function succeeding(before: Credential, tokens: Tokens, now: Date): Credential {
  return { ...before, ...living(tokens, now), kept: { ...before.kept, ...keptOf(tokens) } }
}

/** What has no known end is standing, however it came to be: nobody could be told when it dies. */
function living({ access_token, expires_in: seconds }: Tokens, now: Date) {
  const expiresAt = seconds === undefined ? null : new Date(now.getTime() + seconds * 1000)
  return { worn: { accessToken: new Secret(access_token) }, expiresAt, standing: expiresAt === null }
}

function keptOf({ refresh_token: refreshToken, id_token: idToken }: Tokens): Credential['kept'] {
  return {
    ...(refreshToken === undefined ? {} : { refreshToken: new Secret(refreshToken) }),
    ...(idToken === undefined ? {} : { idToken: new Secret(idToken) }),
  }
}
