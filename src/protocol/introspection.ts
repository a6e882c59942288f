import { tokenIntrospection } from 'openid-client'
import { ValetkeyError } from '#client'
import type { Judge } from './ask.ts'
import { configurationFor, type Use } from './client.ts'
import { plainAnswer } from './plain-answer.ts'

/** What a server knows of a token. */
export interface Introspected {
  readonly active: boolean
  readonly subject: string | null
  readonly username: string | null
}

const ANSWER = plainAnswer(['active', 'sub', 'username'], 200)

/** RFC 7662 §2.2: whatever is not `true` is not active. */
const judge: Judge = async (answer) => {
  const { body, ...judged } = await ANSWER(answer)
  if ('error' in body) return { ...judged, body }
  return {
    ...judged,
    body: { active: body['active'] === true, sub: body['sub'], username: body['username'] },
  }
}

/**
 * Asks a server about a token that it has issued. Undefined where it does not say: it does not answer for tokens
 * of this kind, or not to this client, or not now; none of that is the token's fault.
 */
export async function introspected(
  use: Omit<Use, 'judge'>,
  token: string,
): Promise<Introspected | undefined> {
  if (use.server.introspect === undefined) return undefined
  try {
    const config = configurationFor({ ...use, judge })
    const said = await tokenIntrospection(config, token, { token_type_hint: 'access_token' })
    return { active: said.active, subject: text(said.sub), username: text(said.username) }
  } catch {
    return undefined
  }
}

export function refuseInactive(said: Introspected | undefined): void {
  if (said === undefined || said.active) return
  throw new ValetkeyError('exchange-failed', 'the provider says that what it has just issued is not valid', {
    hint: 'begin again',
  })
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
