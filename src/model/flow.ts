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

/**
 * Rides along as the cause of an error that came after something had been issued. Nobody keeps that, so it is
 * ended at its provider.
 */
export interface Unkept {
  readonly unkept: Extract<FlowYield, { readonly credential: Credential }>
}

/** Our client at the provider, as its registration says. A public client has no secret. */
export interface Client {
  readonly clientId: string
  readonly clientSecret: Secret | undefined
  /** By what it signs what it says of itself (RFC 7523); with a certificate, the key of that. As PEM or a JWK. */
  readonly privateKey?: Secret | undefined
  /** By what it is known at the other end of its connections (RFC 8705), as PEM. */
  readonly certificate?: Secret | undefined
  /** The address it was registered with, where that is not the one that its provider declares. */
  readonly redirectUri?: URL | undefined
  /** The server that it is registered with, where its owner named one. */
  readonly endpoints?: { readonly authorize: string; readonly token: string } | undefined
}

/** An account that can say who its owner is, as another flow has it vouch for them. */
export interface Voucher {
  readonly account: string
  readonly address: string
  /** Its provider, with our client there. */
  readonly context: FlowContext
  /** It is alive. */
  readonly idToken: Secret
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
  /** Which program this is, on which computer, for whoever is asked whether they began it. */
  readonly device?: string | undefined
  /** Undefined where the provider needs none. */
  readonly client: Client | undefined
  /** Where the browser will come back to; set for a flow that says `comesBack`. */
  readonly redirectUri: URL | undefined
  /** The word by which the browser is known again when it comes back. */
  readonly state: string | undefined
  /**
   * What another account of the same owner says of who they are, by its address or its id. It is on record.
   * Throws `not-connected` where there is none, and `invalid-request` for one that says nothing of that.
   */
  readonly voucherAt?: ((address: string) => Promise<Voucher>) | undefined
}

/** How a credential or an identity is born, and how it is ended. One file a flow. */
export interface Flow {
  readonly id: string
  /** What a person knows it by, such as `a browser`; where a provider has no words of its own for it. */
  readonly label?: string
  /** A pure flow lives in its memory alone, so any broker can go on with it; a live one dies with its process. */
  readonly nature: 'pure' | 'live'
  /** True for a flow that sends the person's browser away and needs an address to come back to. */
  readonly comesBack: boolean
  /** Fields that it makes use of where they are known beforehand, and that nobody is asked for. */
  readonly takes?: readonly string[]
  begin(context: FlowContext): Promise<FlowTurn>
  next(context: FlowContext, memory: Secret, answer: FlowAnswer | undefined): Promise<FlowTurn>
  /** What was issued already and lies in a memory, so that it can be ended if the sign-in is given up. */
  unkept?(memory: Secret): Unkept['unkept'] | undefined
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
  /** What it issues is a program's own, and no person stands behind it. */
  readonly forPrograms?: true
  /** Ends the credential at its provider; says, piece by piece, what died. */
  revoke(context: FlowContext, credential: Credential): Promise<readonly RevokedPiece[]>
}

export interface RevokedPiece {
  readonly what: string
  readonly died: boolean
  readonly how: string
  /** It never leaves the broker, so nobody to whom something was lent has any of it. */
  readonly within?: true
  /** The provider could not be asked now, and may be asked again; after this many seconds where it said so. */
  readonly again?: { readonly after?: number }
}
