import { fileURLToPath } from 'node:url'
import type { ReachOptions } from './doors/cli/hands.ts'
import { runCli } from './doors/cli/main.ts'
import { hasBrowser, openBrowser } from './machine/open-browser.ts'
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
  bridge: async (address, options) => {
    const { bridge } = await import('./doors/mcp/bridge/bridge.ts')
    const { fetchAs } = await reach(options)
    const over = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => over.abort())
    await bridge({ address, fetch: fetchAs(address), input: stdin, output: stdout, signal: over.signal })
  },
  serveTools: async (options) => {
    const { serveMcpStdio } = await import('./doors/mcp/server-stdio.ts')
    await serveMcpStdio({ reach, ...options, stdin, stdout, version: VERSION })
  },
  demo: async (options) => (await import('./show.ts')).showDemo(options),
  openLink: async () => (await reach()).newLink(),
  hasBrowser: () => hasBrowser({ env, platform }),
  openInBrowser: (link) => openBrowser(link, { env, platform, folder: wherePaths(where).run }),
  version: VERSION,
  leaveBy: (signal) => void process.kill(process.pid, signal),
})
// All that was said is written. A request that nobody waits for any more keeps nobody here.
process.exit(code)

/** The broker that runs, or one that is started for this and leaves when nobody needs it any more. */
async function reach({ as, socket }: ReachOptions = {}) {
  const { deskOver, enduring } = await import('./reach.ts')
  if (socket !== undefined) {
    const { socketFetch } = await import('./doors/socket/fetch.ts')
    return deskOver(socketFetch(socket))
  }
  const { runningOrStarted } = await import('./start.ts')
  return deskOver(
    enduring(() => runningOrStarted(where, program)),
    as,
  )
}
