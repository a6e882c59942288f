import { fileURLToPath } from 'node:url'
import type { ReachOptions } from './doors/cli/hands.ts'
import { runCli } from './doors/cli/main.ts'
import { openBrowser } from './machine/open-browser.ts'
import { VERSION } from './version.ts'
import { wherePaths } from './where.ts'

const { argv, env, stdin, stdout, stderr, platform } = process
const where = { env }
const program = fileURLToPath(import.meta.url)

const code = await runCli({
  argv: argv.slice(2),
  io: {
    stdin,
    stdout,
    stderr,
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    colour: stderr.isTTY === true,
  },
  env,
  reach,
  // The house itself is loaded by whoever holds it, and by nobody else.
  serve: async (options) => (await import('./attend.ts')).attend(where, options),
  openLink: async () => (await reach()).newLink(),
  openInBrowser: (link) => openBrowser(link, { env, platform, folder: wherePaths(where).run }),
  version: VERSION,
})
// All that was said is written. A request that nobody waits for any more keeps nobody here.
process.exit(code)

/** The broker that runs, or one that is started for this and leaves when nobody needs it any more. */
async function reach({ as }: ReachOptions = {}) {
  const { deskOver, enduring } = await import('./reach.ts')
  const { runningOrStarted } = await import('./start.ts')
  return deskOver(
    enduring(() => runningOrStarted(where, program)),
    as,
  )
}
