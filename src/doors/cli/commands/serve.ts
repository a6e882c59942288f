import { examples } from '../examples.ts'
import type { ServeOptions } from '../hands.ts'
import type { Shape } from '../shape.ts'
import { duration } from '../when.ts'
import { oneOf, wholeNumber } from '../words.ts'

const MINUTE_MS = 60_000

interface Options {
  readonly port?: string
  readonly page: boolean
  readonly leaveAfter?: string
  readonly for: string
  readonly open?: true
}

export const serve: Shape = (command, run) => {
  command
    .option('--port <number>', 'the port of the page on 127.0.0.1')
    .option('--no-page', 'serve the socket alone')
    .option('--leave-after <time>', 'leave when nobody asked for anything so long, such as 15m')
    .option('--for <whom>', 'for one person', 'one')
    .option('--open', 'open the page in a browser')
    .addHelpText('after', examples('serve --json', 'serve --port 8200 --leave-after 15m'))
    .action(async (options: Options) => {
      await run.serve({ ...wished(options), ...(run.json && { json: true }) })
    })
}

function wished({ port, page, leaveAfter, open, for: whom }: Options): ServeOptions {
  oneOf(whom, ['one'], 'whom this valetkey can serve')
  return {
    page,
    ...(port !== undefined && { port: wholeNumber(port, 'a port', 0, 65_535) }),
    ...(leaveAfter !== undefined && { leaveAfterMinutes: duration(leaveAfter) / MINUTE_MS }),
    ...(open && { open }),
  }
}
