import type { LendRequest } from '#client'
import { ValetkeyError } from '#client'
import type { Caller } from '../model/caller.ts'
import type { Credential } from '../model/credential.ts'
import { Secret } from '../model/secret.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Lent } from '../model/words.ts'
import { addressOf } from './accounts.ts'
import { takeGrant } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { openLease } from './leases.ts'

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
      const account = accountOf(passage, request.address)
      const { credential } = await takeGrant(kit, kit.storage, account)
      refuseDead(account, credential, kit.now(), request.minValidity)
      const lease = await openLease(kit, caller, account, verb)
      return {
        lease,
        token: firstOf(credential),
        fields: credential.worn,
        tokenType: credential.tokenType,
        expiresAt: credential.expiresAt,
        scopes: credential.scopes,
      }
    },
    () => request.purpose ?? '',
  )
}

function firstOf({ worn }: Credential): Secret {
  return Object.values(worn)[0] ?? new Secret('')
}

/** A token that would be dead before the caller is done with it is not handed out. */
function refuseDead(account: AccountRow, { expiresAt }: Credential, now: Date, minValiditySeconds = 0): void {
  if (expiresAt === null || expiresAt.getTime() - now.getTime() > minValiditySeconds * 1000) return
  const address = addressOf(account)
  throw new ValetkeyError('token-expired', `the access to ${address} ends too soon`, {
    hint: `valetkey reconnect ${address}`,
  })
}
