import type { FlowContext } from '../src/model/flow.ts'
import type { Network } from '../src/model/network.ts'
import type { Catalogue, ProviderFile } from '../src/model/provider.ts'
import { Secret } from '../src/model/secret.ts'

/** The rooms that it is played with. */
interface BuiltInRooms {
  openCatalogue(sources: {
    readonly builtIn: readonly ProviderFile[]
    readonly own: readonly []
    readonly origins: Readonly<Record<string, string>>
  }): Catalogue
  openNetwork(options: { readonly allow: readonly string[] }): Network
  readBuiltIn(): readonly ProviderFile[]
}

interface Scene {
  readonly provider: string
  readonly flow: string
  /** The server that stands in for all hosts of the provider. */
  readonly origin: string
  readonly known?: Readonly<Record<string, string>>
  readonly now?: () => Date
}

/** All that a flow gets to see of one of our own providers, with a server on loopback in its place. */
export function builtInStage(
  rooms: BuiltInRooms,
  { provider: id, flow, origin, known = {}, now }: Scene,
): FlowContext {
  const catalogue = rooms.openCatalogue({ builtIn: rooms.readBuiltIn(), own: [], origins: { [id]: origin } })
  const provider = catalogue.find(id, flow)
  const signIn = provider?.signIns.find((one) => one.flow === flow)
  if (!provider || !signIn) throw new Error(`${id} is not connected by ${flow}`)
  return {
    provider,
    signIn,
    catalogue,
    network: rooms.openNetwork({ allow: [origin] }),
    now: now ?? (() => new Date()),
    newId: () => 'one',
    known: Object.fromEntries(Object.entries(known).map(([name, value]) => [name, new Secret(value)])),
    insist: false,
    client: undefined,
    redirectUri: undefined,
    state: undefined,
  }
}
