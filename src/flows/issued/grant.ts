import type { Flow, FlowContext, FlowTurn } from '../../model/flow.ts'
import { endGrant } from '../authorization/end.ts'
import { type Found, knownValues } from '../authorization/server.ts'
import type { Values } from '../filled/key-fields.ts'
import { unkeptIn } from './after-issue.ts'
import { ISSUED, issuedBefore } from './issued.ts'
import { isRenewable, renewed } from './renewal.ts'
import { takenOver } from './taken-over.ts'

type Begin = (context: FlowContext, values: Values) => Promise<FlowTurn>

/** What is the same of every grant of an authorization server, however a person gave it. */
export function ofAGrant(found: Found, begin: Begin) {
  return {
    nature: 'pure',
    takes: [ISSUED],

    async begin(context) {
      const issued = issuedBefore(context)
      return issued === undefined ? begin(context, knownValues(context)) : takenOver(context, issued)
    },

    unkept: unkeptIn,
    renews: isRenewable,
    refresh: (context, credential) => renewed(context, credential, found),
    revoke: (context, credential) => endGrant(context, credential, found),
  } as const satisfies Partial<Flow>
}
