import { ValetkeyError, type Way } from '#client'
import type { Client, FlowContext } from '../../model/flow.ts'
import { oauth } from '../../model/provider/oauth.ts'
import type { Provider, SignIn } from '../../model/provider.ts'
import type { AccountRow } from '../../model/storage.ts'
import { addressOf } from '../accounts.ts'
import { clientOf } from '../clients/clients.ts'
import type { Kit } from '../kit.ts'
import { providerOf } from '../provenance.ts'
import { secrets } from './answers.ts'
import type { Known } from './sessions.ts'

/** With a flow, as whoever comes in that way sees it. */
export function findProvider(kit: Kit, name: string, flow?: string): Provider {
  const provider = kit.catalogue.find(name, flow)
  if (provider !== undefined) return provider
  throw new ValetkeyError('unknown-provider', `no provider is called ${name}`, { hint: 'valetkey providers' })
}

/** The provider of an account, as it was signed in to. */
export function knownProvider(
  kit: Kit,
  account: Pick<AccountRow, 'provider' | 'flow'>,
  profile?: { readonly ownServer?: string | undefined },
): Provider {
  return providerOf(kit, account, profile) ?? findProvider(kit, account.provider)
}

/** The sign-in that was asked for, or the first of the provider's that can be done here. */
export function signInOf(kit: Kit, provider: Provider, flow: string | undefined): SignIn {
  const here = waysHere(kit, provider)
  const found = flow === undefined ? here[0] : here.find((signIn) => signIn.flow === flow)
  if (found !== undefined) return found
  throw unknownFlow(provider, flow ?? 'anything known here', here[0]?.flow)
}

/** Its ways in that can be gone here, in the order in which they are tried. */
export function waysHere({ flows }: Kit, { signIns }: Provider): readonly SignIn[] {
  return signIns.filter(({ flow }) => flows.has(flow))
}

export function wayOf({ flows }: Kit, { flow, label }: SignIn): Way {
  return { flow, label: label ?? flows.get(flow)?.label ?? flow }
}

/** A field that the provider does not ask for was meant for something, so it is not dropped in silence. */
export function refuseUnknown(provider: Provider, signIn: SignIn, names: readonly string[]): void {
  const asked = provider.vars.filter(({ decided }) => decided === undefined)
  const known = [...asked, ...signIn.fields].map(({ name }) => name)
  const unknown = names.find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new ValetkeyError('invalid-request', `${provider.name} asks for nothing called ${unknown}`, {
    hint: `it asks for ${known.join(', ')}`,
  })
}

type Wanted = Pick<Known, 'fields'> &
  Partial<Known> &
  Pick<FlowContext, 'replaces'> & {
    /** Who wants it, and of whose accounts; without that no other account vouches for this one. */
    readonly whose?: Pick<AccountRow, 'owner'> & { readonly id: string }
  }

function wishing(signIn: SignIn, scopes: readonly string[]): SignIn {
  return scopes.length === 0 ? signIn : { ...signIn, scopes: [...new Set([...signIn.scopes, ...scopes])] }
}

/** A client of the owner's own may be registered with a server that the provider's file does not know. */
function atServerOf(client: Client | undefined, provider: Provider): Provider {
  if (client?.endpoints === undefined) return provider
  // Whose keys could prove who signs in there is not known.
  const there = oauth.parse({ ...client.endpoints, idToken: 'unread' })
  return { ...provider, oauth: there, registration: 'yours' }
}

/** All that a flow gets to see of the house. */
export async function flowContext(
  kit: Kit,
  provider: Provider,
  flow: string,
  { fields, answered, insist = false, back, replaces = false, ownServer, scopes = [], whose }: Wanted,
): Promise<FlowContext> {
  const { catalogue, network, now, newId, device } = kit
  const client = await clientOf(kit, provider, { ...fields, ...answered }, ownServer)
  return {
    provider: atServerOf(client, provider),
    signIn: wishing(signInOf(kit, provider, flow), scopes),
    catalogue,
    network,
    now,
    newId,
    device,
    known: secrets(fields),
    insist,
    replaces,
    client,
    redirectUri: back && new URL(back.redirectUri),
    state: back?.state,
    voucherAt: whose && ((address) => kit.voucherAt(whose, address)),
  }
}

/** By the name that was asked for: it may mean a way in other than the one that is there. */
export function alreadyThere(account: AccountRow, named: string = account.provider): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('conflict', `${address} is already connected`, {
    hint: `valetkey reconnect ${address}, or valetkey connect ${named}/another-name beside it`,
  })
}

/** A login never takes the place of another kind of one in silence. */
export function anotherWayThere(account: AccountRow, named: string = account.provider): ValetkeyError {
  return new ValetkeyError('conflict', `${addressOf(account)} is connected another way, and stays as it is`, {
    hint: `to have both: valetkey connect ${named}/another-name`,
    reaction: 'ask-the-person',
  })
}

export function unknownFlow(provider: Provider, flow: string, instead?: string): ValetkeyError {
  return new ValetkeyError('unknown-flow', `${provider.name} is not connected by ${flow}`, {
    hint: instead === undefined ? 'valetkey providers' : `valetkey connect ${provider.id} --flow ${instead}`,
  })
}
