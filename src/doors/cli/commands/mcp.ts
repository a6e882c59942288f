import { examples } from '../examples.ts'
import { usage } from '../failure.ts'
import type { Shape } from '../shape.ts'
import { writtenAddress } from '../words.ts'

export const mcp: Shape = (command, run) => {
  command
    .argument(
      '[address]',
      'the account of an MCP server, such as notion-mcp; valetkey itself where none is named',
    )
    .addHelpText('after', examples('mcp notion-mcp', 'mcp'))
    .action(async (account: string | undefined) => {
      if (account?.includes('://'))
        throw usage('what is named here is an account', 'valetkey connect https://… says what it is called')
      await (account === undefined ? run.serveTools() : run.bridge(writtenAddress(account)))
    })
}
