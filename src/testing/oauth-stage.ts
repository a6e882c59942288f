import type { Flow, FlowContext, FlowTurn, FlowYield } from '../model/flow.ts'
import type { Network } from '../model/network.ts'
import type { Catalogue, ProviderFile } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { canary } from './canary.ts'
import { type HostileOptions, hostileServer } from './hostile-server.ts'

/** The rooms that a flow is played with; handed in, since a double can take any place. */
export interface OAuthRooms {
  openCatalogue(sources: {
    readonly builtIn: readonly ProviderFile[]
    readonly own: readonly []
    readonly origins: Readonly<Record<string, string>>
  }): Catalogue
  openNetwork(options: { readonly allow: readonly string[] }): Network
}

type OAuthFile = NonNullable<ProviderFile['oauth']>
type SignInFile = ProviderFile['signIns'][number]

export interface OAuthScene {
  readonly oauth: OAuthFile
  readonly scopes?: readonly string[]
  readonly signIn?: Partial<SignInFile>
  readonly provider?: Partial<ProviderFile>
  readonly origins?: Readonly<Record<string, string>>
  readonly allow: readonly string[]
  readonly known?: Readonly<Record<string, string>>
  /** An empty secret makes a public client. */
  readonly clientSecret?: string
  readonly state?: string
}

export const REDIRECT_URI = 'http://127.0.0.1:49152/cb/one'

/** A provider around an authorization server, and all that a flow gets to see when somebody connects it. */
export function oauthStage(rooms: OAuthRooms, scene: OAuthScene): FlowContext {
  const { scopes = ['openid', 'profile'], known = {}, clientSecret = canary('client') } = scene
  const file = {
    id: 'acme',
    name: 'Acme',
    category: 'other',
    hosts: ['api.acme.test'],
    registration: 'yours',
    oauth: scene.oauth,
    revoke: { how: 'rfc7009' },
    ...scene.provider,
    signIns: [
      {
        flow: 'authorization-code',
        scopes: [...scopes],
        present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
        ...scene.signIn,
      },
    ],
  } satisfies ProviderFile
  const catalogue = rooms.openCatalogue({ builtIn: [file], own: [], origins: scene.origins ?? {} })
  const provider = catalogue.find('acme')
  const signIn = provider?.signIns[0]
  if (!provider || !signIn) throw new Error('the provider was not read')
  return {
    provider,
    signIn,
    catalogue,
    network: rooms.openNetwork({ allow: scene.allow }),
    now: () => new Date(),
    newId: () => 'one',
    known: Object.fromEntries(Object.entries(known).map(([name, value]) => [name, new Secret(value)])),
    insist: false,
    client: {
      clientId: 'our client:1',
      clientSecret: clientSecret === '' ? undefined : new Secret(clientSecret),
    },
    redirectUri: new URL(REDIRECT_URI),
    state: scene.state ?? `flow-one.${canary('state')}`,
  }
}

/** A provider whose authorization server is the hostile one, told here or found by its issuer. */
export async function hostileStage(
  rooms: OAuthRooms,
  scene: Partial<OAuthScene> = {},
  options: HostileOptions = {},
) {
  const there = await hostileServer(options)
  const allow = [new URL(there.issuer).origin]
  const context = oauthStage(rooms, { oauth: { issuer: there.issuer }, allow, ...scene })
  const close = async () => {
    await context.network.close()
    await there.close()
  }
  return { there, context, close }
}

/** The step that sends the person off, with the memory behind it. */
export function visitOf(turn: FlowTurn) {
  if (!('step' in turn) || turn.step.ask !== 'visit') throw new Error('nobody is sent off')
  return { ...turn.step, memory: turn.memory }
}

export function issuedBy(turn: FlowTurn): Extract<FlowYield, { credential: unknown }> {
  if (!('done' in turn) || !('credential' in turn.done)) throw new Error('nothing was issued')
  return turn.done
}

/** From the first step to the tokens, with a browser that does as it is told. */
export async function signInBy(
  flow: Flow,
  context: FlowContext,
  consent: (url: URL) => Promise<URL | string>,
) {
  const { url, memory } = visitOf(await flow.begin(context))
  const callback = new Secret(String(await consent(url)))
  return issuedBy(await flow.next(context, memory, { callback }))
}
