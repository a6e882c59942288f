import { ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../src/model/flow.ts'
import { Secret } from '../src/model/secret.ts'
import { tokenFlow } from './practice.ts'

/** A provider that is asked again and again whether somebody said yes there. A test changes it. */
export interface Yes {
  /** After which look. */
  after: number
  everySeconds: number
  looks: number
  /** The most that looked at the same moment. */
  most: number
  /** Comes before an answer; what it throws is the answer. */
  meanwhile: () => Promise<void>
}

/** A person enters a code elsewhere, and the flow looks by itself whether that was done. */
export function lookingFlow(): { readonly flow: Flow; readonly yes: Yes } {
  const { flow } = tokenFlow()
  const yes: Yes = { after: 3, everySeconds: 5, looks: 0, most: 0, meanwhile: async () => {} }
  let underWay = 0

  function waiting({ now }: FlowContext, looks: number): FlowTurn {
    const at = now().getTime()
    const [again, until] = [new Date(at + yes.everySeconds * 1000), new Date(at + 600_000)]
    const step = {
      ask: 'enter-code',
      code: `ABCD-${looks}`,
      at: new URL('https://practice.test/code'),
      until,
    } as const
    return { step, memory: new Secret(`${looks}`), again }
  }

  async function look(context: FlowContext, memory: Secret): Promise<FlowTurn> {
    yes.looks += 1
    underWay += 1
    yes.most = Math.max(yes.most, underWay)
    try {
      await yes.meanwhile()
    } finally {
      underWay -= 1
    }
    const looks = Number(memory.reveal()) + 1
    return looks < yes.after ? waiting(context, looks) : flow.begin(context)
  }

  return {
    yes,
    flow: {
      ...flow,
      begin: async (context) => waiting(context, 0),
      async next(context, memory, answer) {
        if (answer !== undefined) throw new ValetkeyError('invalid-request', 'nothing is asked here')
        return look(context, memory)
      },
    },
  }
}
