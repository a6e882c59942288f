import type { OwnClient, ProviderCard } from '#client'
import { INSTALLATION } from '../model/caller.ts'
import type { Provider } from '../model/provider.ts'
import type { RegistrationRow } from '../model/storage.ts'
import { broughtAlong, issuerAt } from './clients/clients.ts'
import type { Kit } from './kit.ts'
import { asksOf, ownRedirect } from './sign-ins/redirects.ts'

/** All that can be connected; what needs nothing beforehand comes first. */
export async function listProviders(kit: Kit): Promise<readonly ProviderCard[]> {
  const registered = await kit.storage.list('registrations', { owner: INSTALLATION })
  const cards = kit.catalogue.list().map((provider) => card(kit, provider, registered))
  return cards.toSorted((one, other) => rank(one) - rank(other))
}

function rank({ needs }: ProviderCard): number {
  return needs === 'nothing' ? 0 : 1
}

function card(kit: Kit, provider: Provider, registered: readonly RegistrationRow[]): ProviderCard {
  const { id, name, category, signIns, hosts } = provider
  return {
    id,
    name,
    category,
    hosts,
    flows: signIns.map((signIn) => signIn.flow).filter((flow) => kit.flows.has(flow)),
    needs: needs(kit, provider, registered),
    ownClient: ownClientOf(kit, provider),
    programs: provider.programs ?? null,
    from: kit.catalogue.isBuiltIn(id) ? 'built-in' : 'yours',
  }
}

/** A sign-in by browser needs a client at the provider, unless one is there or can be made on the spot. */
function needs(kit: Kit, provider: Provider, registered: readonly RegistrationRow[]): ProviderCard['needs'] {
  const { id, registration, signIns } = provider
  const [first] = signIns.filter(({ flow }) => kit.flows.has(flow))
  if (!kit.flows.get(first?.flow ?? '')?.comesBack || !NEEDS.includes(registration)) return 'nothing'
  const issuer = issuerAt(kit, provider, {})
  const there = registered.some((row) => row.issuer === issuer || row.provider === id)
  return there || broughtAlong(kit, provider) ? 'nothing' : 'own-client'
}

const NEEDS: readonly Provider['registration'][] = ['yours', 'metadata-document', 'shipped']

function ownClientOf(kit: Kit, provider: Provider): OwnClient | null {
  const signIn = provider.signIns.find(({ flow }) => kit.flows.get(flow)?.comesBack)
  if (signIn === undefined || provider.oauth === undefined || provider.registration === 'none') return null
  const { console, minutes, note } = provider.registrationGuide ?? {}
  return {
    flow: signIn.flow,
    redirectUri: ownRedirect(provider, signIn),
    scopes: signIn.scopes,
    console: console ?? null,
    minutes: minutes ?? null,
    note: note ?? null,
    asks: asksOf(provider),
  }
}
