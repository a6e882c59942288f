import { ValetkeyError } from '#client'
import type { RevokedPiece } from '../model/flow.ts'
import type { Holding } from './grants.ts'
import type { Kit } from './kit.ts'
import { flowContext } from './sign-ins.ts'

/** Ends what an account holds at its provider. What cannot be ended there is told, and stops nobody. */
export async function endUpstream(kit: Kit, { account, grant }: Holding): Promise<readonly RevokedPiece[]> {
  const provider = kit.catalogue.find(account.provider)
  const flow = kit.flows.get(account.flow)
  if (grant === undefined) return notEnded('it could not be read any more')
  if (provider === undefined || flow === undefined) return notEnded('this build knows no way to end it')
  try {
    const context = await flowContext(kit, provider, account.flow, { fields: grant.profile.vars })
    return await flow.revoke(context, grant.credential)
  } catch (error) {
    return notEnded(error instanceof ValetkeyError ? error.message : 'the provider could not be asked')
  }
}

function notEnded(how: string): readonly RevokedPiece[] {
  return [{ what: 'credential', died: false, how }]
}
