import type { Credential, Identity, Profile } from './credential.ts'
import type { Network } from './network.ts'
import type { Catalogue, Provider, SignIn } from './provider.ts'
import type { Secret } from './secret.ts'
import type { FlowAnswer, FlowStep } from './words.ts'

/** What a flow tells the broker. `memory` is sealed into the session; no door ever holds it. */
export type FlowTurn = { readonly step: FlowStep; readonly memory: Secret } | { readonly done: FlowYield }

export type FlowYield =
  | { readonly credential: Credential; readonly profile: Profile }
  | { readonly identity: Identity }

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
}

/** How a credential or an identity is born, and how it is ended. One file a flow. */
export interface Flow {
  readonly id: string
  /** A pure flow lives in its memory alone, so any broker can go on with it; a live one dies with its process. */
  readonly nature: 'pure' | 'live'
  begin(context: FlowContext): Promise<FlowTurn>
  next(context: FlowContext, memory: Secret, answer: FlowAnswer | undefined): Promise<FlowTurn>
  /** Ends the credential at its provider; says, piece by piece, what died. */
  revoke(context: FlowContext, credential: Credential): Promise<readonly RevokedPiece[]>
}

export interface RevokedPiece {
  readonly what: string
  readonly died: boolean
  readonly how: string
}
