import type { Profile } from '../../model/credential.ts'

const MOST_LETTERS = 200

/** The person behind a sign-in, as far as an account shows them: OpenID Connect Core §5.1. */
export function personOf(claims: Readonly<Record<string, unknown>>): Omit<Profile, 'vars'> {
  const name = shown(claims['name'])
  const email = shown(claims['email'])
  const locale = shown(claims['locale'])
  const authTime = momentOf(claims['auth_time'])
  return {
    subject: typeof claims['sub'] === 'string' ? claims['sub'] : null,
    displayName: name ?? shown(claims['preferred_username']) ?? email ?? null,
    ...(name === undefined ? {} : { name }),
    ...(email === undefined ? {} : { email, emailVerified: isTrue(claims['email_verified']) }),
    ...(locale === undefined ? {} : { locale }),
    ...(authTime === undefined ? {} : { authTime }),
  }
}

/** What is printed on a page or a terminal, so nothing that would move a cursor or turn the text around. */
export function shown(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const plain = value.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, '').trim()
  return plain === '' ? undefined : plain.slice(0, MOST_LETTERS)
}

/** Some servers write it as a word. Everything else is a no. */
function isTrue(value: unknown): boolean {
  return value === true || value === 'true'
}

function momentOf(seconds: unknown): string | undefined {
  const moment = typeof seconds === 'number' ? new Date(seconds * 1000) : undefined
  return moment && !Number.isNaN(moment.getTime()) ? moment.toISOString() : undefined
}
