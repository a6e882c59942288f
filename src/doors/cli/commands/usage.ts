import type { Usage } from '#client'
import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'
import { callerOf, wholeNumber, writtenAddress } from '../words.ts'

const MOST_DAYS = 400

interface Options {
  readonly caller?: string
  readonly days: string
}

export const usage: Shape = (command, run) => {
  command
    .argument('[address]', 'the account, such as github/work; all of them where none is named')
    .option('--caller <caller>', 'only what this one used')
    .option('--days <count>', 'how many days back, today included', '30')
    .addHelpText('after', examples('usage', 'usage openai --caller app:reports --days 7 --json'))
    .action(async (account: string | undefined, { caller, days }: Options) => {
      const query = {
        ...(account !== undefined && { address: writtenAddress(account) }),
        ...(caller !== undefined && { caller: callerOf(caller) }),
        days: wholeNumber(days, 'a number of days', 1, MOST_DAYS),
      }
      const { desk } = await run.reach()
      const found = await desk.usage(query)
      if (run.json) return run.terminal.document(found)
      if (found.length === 0) return run.terminal.note('nothing was used')
      await run.terminal.columns(['day', 'address', 'caller', 'forwards', 'lends', 'reveals'], found.map(row))
    })
}

function row({ day, address, caller, forwards, lends, reveals }: Usage): string[] {
  return [day, address, caller, String(forwards), String(lends), String(reveals)]
}
