import type { OwnClient, ProviderCard, WayIn } from '#client'
import { INSTALLATION } from '../model/caller.ts'
import type { Provider, SignIn } from '../model/provider.ts'
import type { RegistrationRow } from '../model/storage.ts'
import { broughtAlong, issuerAt } from './clients/clients.ts'
import type { Kit } from './kit.ts'
import { needsClient } from './sign-ins/lacking.ts'
import { isBesidePersons } from './sign-ins/order.ts'
import { asksOf, ownRedirect } from './sign-ins/redirects.ts'
import { findProvider, wayOf, waysHere } from './sign-ins/sign-ins.ts'
import { isOff, noticeOf } from './sign-ins/vendor-policy.ts'

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
  const { id, name, category, aliases, signIns, hosts } = provider
  const ways = waysHere(kit, provider)
  return {
    id,
    name,
    category,
    hosts,
    aliases: [...new Set([...aliases, ...signIns.flatMap(({ called }) => called)])].filter(
      (one) => one !== id,
    ),
    flows: ways.filter((signIn) => !isOff(kit, provider, signIn)).map(({ flow }) => flow),
    ways: ways.map((signIn) => wayIn(kit, provider, signIn)),
    needs: needs(kit, provider, registered),
    ownClient: ownClientOf(kit, provider),
    programs: provider.programs ?? null,
    from: kit.catalogue.isBuiltIn(id) ? 'built-in' : 'yours',
  }
}

function wayIn(kit: Kit, provider: Provider, signIn: SignIn): WayIn {
  const { called, scopes, optionalScopes, policy } = signIn
  return {
    ...wayOf(kit, signIn),
    called,
    scopes,
    optionalScopes: optionalScopes.map(({ name, label = name }) => ({ name, label })),
    notice: noticeOf(signIn),
    tried: policy === undefined ? 'by-itself' : isOff(kit, provider, signIn) ? 'not-here' : 'by-name',
  }
}

/** Nothing, where a way that is tried by itself can do with what is there. */
function needs(kit: Kit, provider: Provider, registered: readonly RegistrationRow[]): ProviderCard['needs'] {
  const usual = waysHere(kit, provider).filter(
    (signIn) => signIn.policy === undefined && !isBesidePersons(kit, provider, signIn),
  )
  const can = usual.some((signIn) => {
    const seen = findProvider(kit, provider.id, signIn.flow)
    if (!needsClient(kit, seen, signIn) || broughtAlong(kit, seen)) return true
    const issuer = issuerAt(kit, seen, {})
    return registered.some((row) => row.issuer === issuer || row.provider === seen.id)
  })
  return can || usual.length === 0 ? 'nothing' : 'own-client'
}

function ownClientOf(kit: Kit, provider: Provider): OwnClient | null {
  const signIn = provider.signIns.find(({ flow }) => kit.flows.get(flow)?.comesBack)
  const seen = signIn && findProvider(kit, provider.id, signIn.flow)
  if (signIn === undefined || seen?.oauth === undefined || seen.registration === 'none') return null
  // The vendor's own client came along with its login.
  if (signIn.policy !== undefined && seen.registration === 'shipped') return null
  const { console, minutes, note } = provider.registrationGuide ?? {}
  return {
    flow: signIn.flow,
    redirectUri: ownRedirect(seen, signIn),
    scopes: signIn.scopes,
    console: console ?? null,
    minutes: minutes ?? null,
    note: note ?? null,
    asks: asksOf(seen),
  }
}
