import type { Credential, Identity, Profile } from './credential.ts'
import type { Network } from './network.ts'
import type { Catalogue, Provider, SignIn } from './provider.ts'
import type { Secret } from './secret.ts'
import type { FlowAnswer, FlowStep } from './words.ts'

/**
 * What a flow tells the broker. `memory` is sealed into the session; no door ever holds it. With `again`
 * the broker looks again at that time, whether or not anybody answers.
 */
export type FlowTurn =
  | { readonly step: FlowStep; readonly memory: Secret; readonly again?: Date }
  | { readonly done: FlowYield }

export type FlowYield =
  | { readonly credential: Credential; readonly profile: Profile }
  | { readonly identity: Identity }

/** Our client at the provider, as its registration says. A public client has no secret. */
export interface Client {
  readonly clientId: string
  readonly clientSecret: Secret | undefined
  /** The address it was registered with, where that is not the one that its provider declares. */
  readonly redirectUri?: URL | undefined
}

/** All that a flow may reach. It opens no browser, prints nothing, listens nowhere and never polls. */
export interface FlowContext {
  readonly provider: Provider
  readonly signIn: SignIn
  readonly catalogue: Catalogue
  readonly network: Network
  readonly now: () => Date
  readonly newId: () => string
  /** Fields and host variables known beforehand. */
  readonly known: Readonly<Record<string, Secret>>
  /** The person wants to keep what could not be proved. */
  readonly insist: boolean
  /** What comes of it takes the place of what works, so it has to be proved where nobody insists. */
  readonly replaces?: boolean
  /** Undefined where the provider needs none. */
  readonly client: Client | undefined
  /** Where the browser will come back to; set for a flow that says `comesBack`. */
  readonly redirectUri: URL | undefined
  /** The word by which the browser is known again when it comes back. */
  readonly state: string | undefined
}

/** How a credential or an identity is born, and how it is ended. One file a flow. */
export interface Flow {
  readonly id: string
  /** A pure flow lives in its memory alone, so any broker can go on with it; a live one dies with its process. */
  readonly nature: 'pure' | 'live'
  /** True for a flow that sends the person's browser away and needs an address to come back to. */
  readonly comesBack: boolean
  /** Fields that it makes use of where they are known beforehand, and that nobody is asked for. */
  readonly takes?: readonly string[]
  begin(context: FlowContext): Promise<FlowTurn>
  next(context: FlowContext, memory: Secret, answer: FlowAnswer | undefined): Promise<FlowTurn>
  /** Whether this credential holds what a fresh one is had for. */
  renews?(credential: Credential): boolean
  /**
   * A fresh credential for an old one, asked for once. Throws `access-revoked` when the grant is over for
   * good, `provider-not-configured` when it is our client that is not accepted, `refused-by-policy` when the
   * provider's rules stand against it, and any code of trouble on the way for what may pass.
   */
  refresh?(context: FlowContext, credential: Credential): Promise<Credential>
  /** What it ends at a provider is that credential and no other. Left out, the provider file says whether it is. */
  readonly endsAlone?: true
  /** The client is the person's own, and is part of the credential: no registration stands behind it. */
  readonly ownClient?: true
  /** Ends the credential at its provider; says, piece by piece, what died. */
  revoke(context: FlowContext, credential: Credential): Promise<readonly RevokedPiece[]>
}

export interface RevokedPiece {
  readonly what: string
  readonly died: boolean
  readonly how: string
  /** The provider could not be asked now, and may be asked again; after this many seconds where it said so. */
  readonly again?: { readonly after?: number }
}
