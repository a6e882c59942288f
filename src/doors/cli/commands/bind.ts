import type { Asks, Binding, May } from '#client'
import { VERBS_OF_A_BINDING } from '../../../model/gate.ts'
import { examples } from '../examples.ts'
import { heldInWords, type LimitWords, limitOptions, readLimits } from '../grants.ts'
import type { Shape } from '../shape.ts'
import { moment, relative } from '../when.ts'
import { callerOf, listOf, oneOf, writtenAddress } from '../words.ts'

const ASKED: { readonly [A in Asks]: string } = {
  never: '',
  'first-use': '; you are asked about each new program of it',
  always: '; you are asked each time',
}
const ASKS: readonly Asks[] = ['never', 'first-use', 'always']

interface Options extends LimitWords {
  readonly may?: string
  readonly asks?: string
  readonly until?: string
}

export const bind: Shape = (command, run) => {
  limitOptions(
    command
      .argument('<caller>', 'who: app:reports, node:n1, or me for yourself')
      .argument('<address>', 'the account, such as github/work')
      .option('--may <verbs>', 'some of lend, forward, reveal; forward where nothing is said', together)
      .option('--asks <when>', 'when you are asked: never, always, or at the first-use of a new program')
      .option('--until <time>', 'for how long, such as 1h, or until when'),
  )
    .addHelpText(
      'after',
      examples('bind app:reports github/work --may lend,forward', 'bind me openai --may reveal --until 10m'),
    )
    .action(async (caller: string, account: string, { may = 'forward', asks, until, ...words }: Options) => {
      const limits = readLimits(words)
      const request = {
        caller: callerOf(caller),
        address: writtenAddress(account),
        may: listOf<May>(may, VERBS_OF_A_BINDING, 'something that a binding may'),
        ...(asks !== undefined && { asks: oneOf(asks, ASKS, 'a time to ask') }),
        ...(limits !== undefined && { limits }),
        ...(until !== undefined && { until: moment(until, run.now(), 'ahead') }),
      }
      const { desk } = await run.reach()
      const binding = await desk.bind(request)
      if (run.json) return run.terminal.document(binding)
      await run.terminal.answer(binding.id)
      await run.terminal.note(inWords(binding, run.now()))
    })
}

export const unbind: Shape = (command, run) => {
  command
    .argument('<id>', 'as valetkey bindings lists it')
    .addHelpText('after', examples('unbind bind-7f3a', 'unbind bind-7f3a --json'))
    .action(async (id: string) => {
      const { desk } = await run.reach()
      await desk.unbind(id)
      if (run.json) return run.terminal.document({ id })
      await run.terminal.note('this binding is over')
    })
}

export const bindings: Shape = (command, run) => {
  command.addHelpText('after', examples('bindings', 'bindings --json')).action(async () => {
    const { terminal } = run
    const { desk } = await run.reach()
    const found = await desk.bindings()
    if (run.json) return terminal.document(found)
    if (found.length === 0)
      return terminal.note('no bindings yet', '  hint: valetkey bind app:reports github --may forward')
    await terminal.columns(
      ['id', 'caller', 'address', 'may', 'asks', 'ends'],
      found.map((binding) => row(binding, run.now())),
    )
  })
}

/** Said twice, it counts twice. */
function together(value: string, before?: string): string {
  return before === undefined ? value : `${before},${value}`
}

function row({ id, caller, address, may, asks, limits, until }: Binding, now: Date): string[] {
  return [
    id,
    caller,
    address,
    heldInWords(may.join(', '), limits),
    asks,
    until === null ? 'never' : relative(until, now),
  ]
}

function inWords({ caller, address, may, asks, limits, until }: Binding, now: Date): string {
  const end = until === null ? '' : `; this ends ${relative(until, now)}`
  return `${caller} may ${heldInWords(`${may.join(', ')} ${address}`, limits)}${ASKED[asks]}${end}`
}
