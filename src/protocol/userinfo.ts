import { fetchUserInfo } from 'openid-client'
import { ValetkeyError } from '#client'
import { type Answer, type Judge, refuseTrouble } from './ask.ts'
import { configurationFor, proofsFor, type Use } from './client.ts'
import { wantsNonce } from './dpop.ts'
import { SKEW_SECONDS } from './id-token.ts'
import { type KeySource, verifyBy } from './keys.ts'
import type { Server } from './server.ts'
import { strictObject } from './strict-json.ts'
import { OF_THE_SERVER, troubleOf } from './trouble.ts'

/**
 * What the server knows of the person beyond the ID token. It must speak of the same one: OpenID
 * Connect Core §5.3.4. Where it cannot be reached just now, nothing more is known.
 */
export async function userinfo(
  use: Omit<Use, 'judge'>,
  keys: KeySource,
  accessToken: string,
  subject: string,
): Promise<Readonly<Record<string, unknown>>> {
  if (use.server.userinfo === undefined) return {}
  try {
    const config = configurationFor({ ...use, judge: opened(use, keys) }, 'resource')
    return await fetchUserInfo(config, accessToken, subject, proofsFor(config, use, 'resource'))
  } catch (error) {
    const trouble = troubleOf(error)
    if (OF_THE_SERVER.includes(trouble.code)) return {}
    throw trouble
  }
}

/** A signed answer counts when its signature does; from there on it is like a plain one. */
function opened({ server, client }: Omit<Use, 'judge'>, keys: KeySource): Judge {
  return async (answer) => {
    refuseTrouble(answer)
    const { challenge } = answer
    // The library knows what to do about that.
    if (answer.status === 401 && wantsNonce(challenge)) return { status: 401, body: {}, challenge }
    if (answer.status !== 200) throw new ValetkeyError('bad-answer', 'the provider does not say who this is')
    if (answer.type === 'application/json') return { status: 200, body: strictObject(answer.text) }
    if (answer.type !== 'application/jwt') throw new ValetkeyError('bad-answer', 'the answer is not JSON')
    return { status: 200, body: await signed(answer, server, client.clientId, keys) }
  }
}

/** §5.3.2: `iss` and `aud` need not be there, and must be right where they are. */
async function signed({ text }: Answer, { issuer, algorithms }: Server, clientId: string, keys: KeySource) {
  const { payload } = await verifyBy(keys, text.trim(), {
    algorithms: [...algorithms],
    currentDate: keys.now(),
    clockTolerance: SKEW_SECONDS,
  })
  const { iss = issuer, aud = clientId } = payload
  if (iss === issuer && [aud].flat().includes(clientId)) return payload
  throw new ValetkeyError('bad-answer', 'the provider says who this is to somebody else')
}
