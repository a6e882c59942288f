import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'
import { relative } from '../when.ts'
import { writtenAddress } from '../words.ts'

export const refresh: Shape = (command, run) => {
  command
    .argument('<address>', 'the account, such as github/work')
    .addHelpText('after', examples('refresh github/work', 'refresh github/work --json'))
    .action(async (account: string) => {
      const { desk } = await run.reach()
      const renewed = await desk.refresh(writtenAddress(account))
      if (run.json) return run.terminal.document(renewed)
      const ends =
        renewed.tokenExpiresAt === null
          ? ''
          : `; its access ends ${relative(renewed.tokenExpiresAt, run.now())}`
      await run.terminal.note(`${account} was renewed${ends}`)
    })
}
