import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { Provider, SignIn } from '../../model/provider.ts'
import type { AccountRow } from '../../model/storage.ts'
import { addressOf } from '../accounts.ts'
import { clientOf } from '../clients/clients.ts'
import type { Kit } from '../kit.ts'
import { secrets } from './answers.ts'
import type { Known } from './sessions.ts'

export function findProvider(kit: Kit, name: string): Provider {
  const provider = kit.catalogue.find(name)
  if (provider !== undefined) return provider
  throw new ValetkeyError('unknown-provider', `no provider is called ${name}`, { hint: 'valetkey providers' })
}

/** The sign-in that was asked for, or the first of the provider's that can be done here. */
export function signInOf(kit: Kit, provider: Provider, flow: string | undefined): SignIn {
  const here = provider.signIns.filter((signIn) => kit.flows.has(signIn.flow))
  const found = flow === undefined ? here[0] : here.find((signIn) => signIn.flow === flow)
  if (found !== undefined) return found
  throw unknownFlow(provider, flow ?? 'anything known here', here[0]?.flow)
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

type Wanted = Pick<Known, 'fields'> & Partial<Known> & Pick<FlowContext, 'replaces'>

/** All that a flow gets to see of the house. */
export async function flowContext(
  kit: Kit,
  provider: Provider,
  flow: string,
  { fields, answered, insist = false, back, replaces = false }: Wanted,
): Promise<FlowContext> {
  const { catalogue, network, now, newId } = kit
  return {
    provider,
    signIn: signInOf(kit, provider, flow),
    catalogue,
    network,
    now,
    newId,
    known: secrets(fields),
    insist,
    replaces,
    client: await clientOf(kit, provider, { ...fields, ...answered }),
    redirectUri: back && new URL(back.redirectUri),
    state: back?.state,
  }
}

export function alreadyThere(account: AccountRow): ValetkeyError {
  const address = addressOf(account)
  return new ValetkeyError('conflict', `${address} is already connected`, {
    hint: `valetkey reconnect ${address}, or valetkey connect ${account.provider}/another-name beside it`,
  })
}

export function unknownFlow(provider: Provider, flow: string, instead?: string): ValetkeyError {
  return new ValetkeyError('unknown-flow', `${provider.name} is not connected by ${flow}`, {
    hint: instead === undefined ? 'valetkey providers' : `valetkey connect ${provider.id} --flow ${instead}`,
  })
}
