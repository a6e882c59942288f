import type { Credential, Profile } from './credential.ts'
import type { FlowContext } from './flow.ts'

/** Less than an account may do. What is left out is not held to anything by it. */
export interface Wish {
  readonly scopes?: readonly string[]
  /** For whom, or as whom. */
  readonly audience?: string
  readonly repositories?: readonly string[]
}

/** How a shorter and smaller credential is had for one that is kept. One file each. */
export interface Mint {
  readonly how: string
  /** What it mints is ended by the flow of its account, in the same way as what that issued. */
  readonly ends?: true
  /** What only whoever signed in has, and not who is lent the account's own: nobody but its owner may wish for it. */
  isBeyond?(of: Profile, wish: Wish): boolean
  /**
   * Asked for once. It dies by itself and is never more than the one that it is had for. Throws `invalid-request`
   * for a wish that cannot be fulfilled to the letter, and `invalid-token` where what is worn was refused and
   * may be renewed for that.
   */
  mint(context: FlowContext, credential: Credential, wish: Wish): Promise<Credential>
}
