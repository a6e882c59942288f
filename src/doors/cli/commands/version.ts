import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'

export const version: Shape = (command, run) => {
  command.addHelpText('after', examples('version', 'version --json')).action(async () => {
    if (run.json) await run.terminal.document({ version: run.version })
    else await run.terminal.answer(run.version)
  })
}
