import type { ValetkeyError } from '#client'
import { INSTALLATION } from '../../model/caller.ts'
import type { Provider, SignIn } from '../../model/provider.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import { broughtAlong, findRegistered, isByClient, issuerAt } from '../clients/clients.ts'
import type { Kit } from '../kit.ts'
import { noClient } from './leaving.ts'
import { findProvider } from './sign-ins.ts'

type Vars = Readonly<Record<string, string>>

/** Where it is not known yet which server it is, one of the provider's clients may be the one. */
export async function lackOfClient(
  kit: Kit,
  provider: Provider,
  signIn: Pick<SignIn, 'flow'>,
  { vars = {} }: { readonly vars?: Vars },
): Promise<ValetkeyError | undefined> {
  const seen = findProvider(kit, provider.id, signIn.flow)
  if (!needsClient(kit, seen, signIn) || broughtAlong(kit, seen) !== undefined) return undefined
  const issuer = issuerAt(kit, seen, vars)
  if (issuer === undefined) return (await isAnyThere(kit, seen)) ? undefined : noClient(seen, vars)
  return (await findRegistered(kit, issuer)) === undefined ? noClient(seen, vars) : undefined
}

const NEEDS: readonly Provider['registration'][] = ['yours', 'metadata-document', 'shipped']

/** It is done by a client of ours, and none is made on the spot: that takes a browser that comes back. */
export function needsClient(
  kit: Kit,
  { registration, oauth }: Provider,
  { flow }: Pick<SignIn, 'flow'>,
): boolean {
  if (oauth === undefined || !isByClient(kit, flow)) return false
  return NEEDS.includes(registration) || (registration === 'dynamic' && !kit.flows.get(flow)?.comesBack)
}

/** A way that sends nobody away is not begun without its client; one that does sees to that before they leave. */
export async function refuseClientless(
  kit: Kit,
  { provider: id, flow }: Pick<FlowSessionRow, 'provider' | 'flow'>,
  vars: Vars,
): Promise<void> {
  if (id === null || kit.flows.get(flow)?.comesBack) return
  const lack = await lackOfClient(kit, findProvider(kit, id), { flow }, { vars })
  if (lack !== undefined) throw lack
}

async function isAnyThere({ storage }: Kit, { id }: Provider): Promise<boolean> {
  const rows = await storage.list('registrations', { owner: INSTALLATION })
  return rows.some(({ provider }) => provider === id)
}
