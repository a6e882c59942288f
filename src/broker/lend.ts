import type { LendRequest } from '#client'
import { ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Credential } from '../model/credential.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Lent } from '../model/words.ts'
import { addressOf } from './accounts.ts'
import { isStanding } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { openLease } from './leases.ts'
import { freshWhole } from './refresh.ts'

/** Lends what soon dies, or reveals what never does: the gate knows which of the two is permitted. */
export async function lend(
  kit: Kit,
  caller: Caller,
  verb: 'lend' | 'reveal',
  request: LendRequest,
): Promise<Lent> {
  const passage = await kit.gate.pass(caller, verb, { address: request.address })
  return behind(
    passage,
    async () => {
      const of = accountOf(passage, request.address)
      const { account, credential } = await freshWhole(kit, of, request.minValidity)
      if (verb === 'lend') refuseStanding(account, credential)
      refuseDead(account, credential, kit.now(), request.minValidity)
      const { worn, tokenType, expiresAt, scopes } = credential
      const lease = await openLease(kit, caller, account, verb, expiresAt)
      return { lease, token: firstOf(credential), fields: worn, tokenType, expiresAt, scopes }
    },
    () => request.purpose ?? '',
  )
}

function firstOf({ worn }: Credential): Secret {
  return Object.values(worn)[0] ?? new Secret('')
}

/** The gate judged by the account's row, which anybody may have written; this is what was sealed. */
function refuseStanding(account: AccountRow, credential: Credential): void {
  if (!isStanding(credential)) return
  const address = addressOf(account)
  throw new ValetkeyError('forward-only', `the key of ${address} never dies by itself`, {
    hint: `valetkey forward ${address} GET /…`,
  })
}

/**
 * A token that would be dead before the caller is done with it is not handed out. Whoever states no
 * need gets any that is still alive: there is no fresher one to have.
 */
function refuseDead(account: AccountRow, { expiresAt }: Credential, now: Date, minValiditySeconds = 0): void {
  const needed = Math.max(0, minValiditySeconds) * 1000
  if (expiresAt === null || expiresAt.getTime() - now.getTime() > needed) return
  const address = addressOf(account)
  throw new ValetkeyError('token-expired', `the access to ${address} ends too soon`, {
    hint: `valetkey reconnect ${address}`,
  })
}
