import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'
import { wholeNumber, writtenAddress } from '../words.ts'

const LONGEST_SECONDS = 31_536_000

interface Options {
  readonly minValidity?: string
  readonly purpose?: string
  readonly refusedStdin?: true
  readonly scope?: readonly string[]
  readonly audience?: string
  readonly repo?: readonly string[]
}

export const lend: Shape = (command, run) => {
  command
    .argument('<address>', 'the account, such as github/work')
    .option('--min-validity <seconds>', 'how long the token must still live')
    .option('--purpose <words>', 'what it is for; goes on record')
    .option('--refused-stdin', 'read the token that the provider refused, to be lent another')
    .option('--scope <scope>', 'no more than this, where the provider can give less; may be repeated', each)
    .option('--audience <name>', 'for whom or as whom, such as a role or a service account')
    .option('--repo <owner/name>', 'good for this repository alone; may be repeated', each)
    .addHelpText(
      'after',
      examples(
        'lend github/work --min-validity 300 --json',
        'lend github-app --repo acme/web --scope contents:read',
      ),
    )
    .action(async (account: string, options: Options) => {
      const { minValidity, purpose, refusedStdin, scope, audience, repo } = options
      const address = writtenAddress(account)
      const request = {
        address,
        ...(minValidity !== undefined && {
          minValidity: wholeNumber(minValidity, 'a number of seconds', 0, LONGEST_SECONDS),
        }),
        ...(purpose !== undefined && { purpose }),
        ...(scope !== undefined && { scopes: scope }),
        ...(audience !== undefined && { audience }),
        ...(repo !== undefined && { repositories: repo }),
        ...(refusedStdin && { refused: (await run.terminal.input()).trim() }),
      }
      const { desk } = await run.reach()
      const lent = await desk.lend(request)
      if (run.json) await run.terminal.document(lent)
      else await run.terminal.answer(lent.token)
    })
}

function each(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
