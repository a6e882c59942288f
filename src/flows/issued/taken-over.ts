import type { FlowContext, FlowTurn } from '../../model/flow.ts'
import { credentialOf, type Tokens } from '../authorization/credential.ts'
import { knownValues, standingOf } from '../authorization/server.ts'
import { tradedIn } from '../exchange/exchange.ts'
import { varsOf } from '../filled/key-fields.ts'

/** What was issued to the same client by another way is renewed and ended as if it had been asked for here. */
export async function takenOver(context: FlowContext, tokens: Tokens): Promise<FlowTurn> {
  const issued = credentialOf(tokens, context.signIn.scopes, standingOf(context).oauth, context.now())
  const known = varsOf(context, knownValues(context))
  const { credential, vars, whose } = await tradedIn(context, { credential: issued, vars: known })
  return { done: { credential, profile: { subject: null, displayName: null, ...whose, vars } } }
}
