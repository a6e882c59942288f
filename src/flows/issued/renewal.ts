import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import { renew } from '../authorization/renewal.ts'
import type { Found } from '../authorization/server.ts'
import { isTraded, tradedAgain } from '../exchange/exchange.ts'

/** Whether there is anything to have a fresh one with. */
export function isRenewable(credential: Pick<Credential, 'kept'>): boolean {
  return credential.kept['refreshToken'] !== undefined || isTraded(credential)
}

/** What an authorization server issued, again: by its refresh token, or in the way in which it was traded in. */
export function renewed(context: FlowContext, before: Credential, found: Found): Promise<Credential> {
  if (!isTraded(before)) return renew(context, before, found)
  return tradedAgain(context, before, found, (base) => renew(context, base, found))
}
