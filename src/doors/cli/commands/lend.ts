import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'
import { wholeNumber, writtenAddress } from '../words.ts'

const LONGEST_SECONDS = 31_536_000

interface Options {
  readonly minValidity?: string
  readonly purpose?: string
  readonly refusedStdin?: true
}

export const lend: Shape = (command, run) => {
  command
    .argument('<address>', 'the account, such as github/work')
    .option('--min-validity <seconds>', 'how long the token must still live')
    .option('--purpose <words>', 'what it is for; goes on record')
    .option('--refused-stdin', 'read the token that the provider refused, to be lent another')
    .addHelpText('after', examples('lend github', 'lend github/work --min-validity 300 --json'))
    .action(async (account: string, { minValidity, purpose, refusedStdin }: Options) => {
      const address = writtenAddress(account)
      const request = {
        address,
        ...(minValidity !== undefined && {
          minValidity: wholeNumber(minValidity, 'a number of seconds', 0, LONGEST_SECONDS),
        }),
        ...(purpose !== undefined && { purpose }),
        ...(refusedStdin && { refused: (await run.terminal.input()).trim() }),
      }
      const { desk } = await run.reach()
      const lent = await desk.lend(request)
      if (run.json) await run.terminal.document(lent)
      else await run.terminal.answer(lent.token)
    })
}
