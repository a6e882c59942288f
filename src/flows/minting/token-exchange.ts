import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { Mint, Wish } from '../../model/mint.ts'
import { Secret } from '../../model/secret.ts'
import { type Found, knownValues, resourceOf, standingOf } from '../authorization/server.ts'
import { tradeAtServer } from '../exchange/token.ts'
import { refuseWished } from './wishes.ts'

/** A grant to renew by, and not a scope that anybody is lent. */
const NOT_LENT = 'offline_access'
/** Of a token that its server names no end of. */
const USUAL_SECONDS = 300

/** RFC 8693 at the provider's token endpoint: for the account's own token another one, for somebody or for less. */
export function tokenExchangeMint(found: Found = { servers: new Map(), keys: new Map() }): Mint {
  return {
    how: 'token-exchange',
    ends: true,

    async mint(context, credential, wish) {
      refuseWished(wish, ['repositories'], 'this provider has no repositories to hold a token to')
      const scopes = scopesFor(wish, credential)
      const { audience } = wish
      const request = {
        how: 'token-exchange' as const,
        ...(audience === undefined ? {} : { audience }),
        ...resourceOf(standingOf(context).oauth),
        scopes: [...scopes],
      }
      const vars = knownValues(context)
      const got = await tradeAtServer(context, request, { credential, vars }, found).catch(asMinting)
      const { token, seconds = USUAL_SECONDS, scopes: given = scopes } = got
      if (scopes.length > 0 && given.some((scope) => !scopes.includes(scope)))
        throw new ValetkeyError('bad-answer', 'the provider gave more than was asked for')
      if (wish.scopes?.some((scope) => !given.includes(scope)))
        throw new ValetkeyError('invalid-request', 'the provider does not give all of these scopes', {
          hint: given.length === 0 ? 'leave out the scopes' : `it gives ${given.join(' ')}`,
        })
      return {
        worn: { accessToken: new Secret(token) },
        kept: {},
        standing: false,
        expiresAt: new Date(context.now().getTime() + seconds * 1000),
        scopes: given,
        tokenType: 'Bearer',
      }
    },
  }
}

/** Never more than the account has, where that is known. */
function scopesFor({ scopes: wished }: Wish, { scopes: granted }: Credential): readonly string[] {
  const beyond = wished?.some((scope) => granted.length > 0 && !granted.includes(scope))
  if (beyond)
    throw new ValetkeyError('invalid-request', 'the account itself was not granted all of these scopes', {
      hint: `it was granted ${granted.join(' ')}`,
    })
  return (wished ?? granted).filter((scope) => scope !== NOT_LENT)
}

/** What ends a sign-in when it is renewed only says here that this token is not to be had, or not any more. */
function asMinting(error: unknown): never {
  if (!(error instanceof ValetkeyError)) throw error
  const { code, message } = error
  if (code === 'access-revoked') throw new ValetkeyError('invalid-token', message)
  if (code === 'refused-by-policy')
    throw new ValetkeyError('invalid-request', 'the provider does not give this account what is wished', {
      hint: 'leave out the audience, or some of the scopes',
    })
  throw error
}
