import { ValetkeyError } from '#client'
import type { Provider, SignIn } from '../../model/provider.ts'
import type { Kit } from '../kit.ts'

type Switches = Pick<Kit, 'vendorLogins'>

/**
 * How the vendor stands to a way in, and whether its owner's computer uses it all the same. That is switched on
 * by the operator's configuration and by nobody else: no caller, and no request, can.
 */
export function refuseByVendor(kit: Switches, provider: Provider, signIn: SignIn): void {
  if (!isOff(kit, provider, signIn)) return
  const { id, name, signIns } = provider
  const { flow, policy } = signIn
  const key = signIns.find((other) => other.flow !== flow && other.policy === undefined)
  const how = policy?.stance === 'dead' ? 'does not exist any more' : 'is not for programs like this one'
  throw new ValetkeyError('vendor-policy', `this way into ${name} ${how}: ${policy?.says}`, {
    ...(key && { hint: `valetkey connect ${id} --flow ${key.flow}` }),
  })
}

/** Whether a way is not gone here. What is tolerated is, where it is asked for by its name. */
export function isOff({ vendorLogins }: Switches, provider: Provider, { policy, called }: SignIn): boolean {
  if (policy === undefined || policy.stance === 'tolerated') return false
  return ![provider.id, ...provider.aliases, ...called].some((known) => vendorLogins.has(known))
}

/** What is to be known of a way beforehand, in one line. */
export function noticeOf({ policy }: Pick<SignIn, 'policy'>): string | null {
  return policy?.says ?? null
}
