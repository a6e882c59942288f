import { ValetkeyError } from '#client'
import type { Voucher } from '../model/flow.ts'
import type { AccountRow } from '../model/storage.ts'
import { idTokenClaims } from '../protocol/id-jag.ts'
import { addressOf } from './accounts.ts'
import { isRenewable, takeWhole, type Whole } from './grants.ts'
import { accountOf, behind, type Kit } from './kit.ts'
import { refuseOtherClient } from './provenance.ts'
import { onBehalfOf, renewedInTime } from './refresh.ts'
import { livingOf } from './renewing/ending.ts'
import { flowContext, knownProvider } from './sign-ins/sign-ins.ts'

/** An ID token that dies on the way is of no use. */
const LEFT_MS = 30_000

/**
 * What one account of the owner's own says of who they are, for another one of theirs. It is their identity that
 * is shown, so it is on record, and nobody else has it shown.
 */
export async function voucherAt(
  kit: Kit,
  { id, owner }: { readonly id: string; readonly owner: AccountRow['owner'] },
  address: string,
): Promise<Voucher> {
  if (id !== owner)
    throw new ValetkeyError('not-allowed', 'only the owner may have one account vouch for another', {
      hint: 'ask the owner to connect it',
    })
  const passage = await kit.gate.pass(onBehalfOf({ owner }), 'refresh', { address })
  return behind(
    passage,
    () => vouching(kit, accountOf(passage, address)),
    () => 'its ID token, to vouch for another account',
  )
}

async function vouching(kit: Kit, of: AccountRow): Promise<Voucher> {
  const whole = await living(kit, livingOf(await takeWhole(kit, of)))
  const { account, profile, from, credential } = whole
  const idToken = credential.kept['idToken']
  if (idToken === undefined) throw nobody(account)
  const provider = knownProvider(kit, account, profile)
  const { vars: fields, ownServer } = profile
  const context = await flowContext(kit, provider, account.flow, { fields, ownServer })
  refuseOtherClient(account, from, context.client)
  return { account: account.id, address: addressOf(account), context, idToken }
}

/** Renewed first where its ID token is over, and not used where that brings no other. */
async function living(kit: Kit, whole: Whole): Promise<Whole> {
  const { account, credential } = whole
  if (credential.kept['idToken'] === undefined) throw nobody(account)
  if (isAlive(kit, whole)) return whole
  const fresh = isRenewable(kit, account, credential) ? await renewedInTime(kit, whole) : whole
  if (isAlive(kit, fresh)) return fresh
  const address = addressOf(account)
  throw new ValetkeyError('needs-reauth', `the sign-in at ${address} is too old to vouch by`, {
    hint: `valetkey reconnect ${address}`,
  })
}

function isAlive({ now }: Kit, { credential: { kept } }: Whole): boolean {
  const end = idTokenClaims(kept['idToken']?.reveal() ?? '')?.exp
  return typeof end === 'number' && end * 1000 - now().getTime() > LEFT_MS
}

function nobody(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('invalid-request', `${address} does not say who you are: it has no ID token`, {
    hint: 'name an account that was signed in to by OpenID Connect',
  })
}
