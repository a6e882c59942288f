import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isErrorCode, ValetkeyError } from '#client'
import type { ReachOptions, ServeOptions } from './doors/cli/hands.ts'
import { runCli } from './doors/cli/main.ts'
import { claim } from './machine/claim.ts'
import { diskTrouble } from './machine/disk-trouble.ts'
import { privateFolder } from './machine/folders.ts'
import { harden } from './machine/harden.ts'
import { openBrowser } from './machine/open-browser.ts'
import { wherePaths } from './open.ts'
import { deskOver, enduring, running, type Way } from './reach.ts'
import { type Serving, serve } from './serve.ts'
import { VERSION } from './version.ts'

const { argv, env, stdin, stdout, stderr } = process
const where = { env }

const START_MS = 15_000
const AGAIN_MS = 30
const LEAVE_AFTER_MINUTES = 15
const IDLE_CHECK_MS = 1000

process.exitCode = await runCli({
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
  serve: serveHere,
  openLink: async () => (await reach()).newLink(),
  version: VERSION,
})

/** The broker that runs, or one that is started for this and leaves when nobody needs it any more. */
async function reach({ as }: ReachOptions = {}) {
  return deskOver(enduring(runningOrStarted), as)
}

/** Of many commands that find nobody, one starts a broker and the others wait for it. */
async function runningOrStarted(): Promise<Way> {
  const { run } = wherePaths(where)
  let failure: ValetkeyError | undefined
  for (const end = Date.now() + START_MS; Date.now() < end; await pause(AGAIN_MS)) {
    const way = await running(where)
    if (way !== undefined) return way
    await privateFolder(run)
    const done = await claim(join(run, 'starting'))
    if (done === undefined) continue
    try {
      const started = await startBroker(join(run, 'broker.log'))
      if (!(started instanceof ValetkeyError)) return started
      failure = started
    } finally {
      await done()
    }
    // Whoever holds the vault is about to listen, or to leave it.
    if (failure.code !== 'held') break
  }
  throw failure ?? notStarted()
}

/** Its socket as soon as it answers, or why it has ended. */
async function startBroker(log: string): Promise<Way | ValetkeyError> {
  const words = ['serve', '--no-page', '--leave-after', `${LEAVE_AFTER_MINUTES}m`]
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), ...words], {
    detached: true,
    stdio: ['ignore', 'ignore', written(log)],
  })
  child.unref()
  for (const end = Date.now() + START_MS; Date.now() < end; await pause(AGAIN_MS)) {
    const way = await running(where)
    if (way !== undefined) return way
    if (child.exitCode !== null || child.signalCode !== null) break
  }
  return failureIn(log)
}

function written(log: string): number {
  try {
    return openSync(log, 'w', 0o600)
  } catch (error) {
    throw diskTrouble(error, log)
  }
}

/** The broker that could not start said why in its last lines, as any command does. */
async function failureIn(log: string): Promise<ValetkeyError> {
  const said = await readFile(log, 'utf8').catch(() => '')
  const [, code = '', message = ''] = /^! ([a-z-]+): (.*)$/m.exec(said) ?? []
  const [, hint] = /^ {2}hint: (.*)$/m.exec(said) ?? []
  if (!isErrorCode(code)) return notStarted()
  return new ValetkeyError(code, message, hint === undefined ? {} : { hint })
}

function notStarted(): ValetkeyError {
  return new ValetkeyError('broker-gone', 'valetkey could not be started', { hint: 'valetkey serve' })
}

/** Runs the broker in this process until a signal comes, or until nobody asked for so long. */
async function serveHere({ port, page, leaveAfterMinutes, open = false }: ServeOptions): Promise<void> {
  harden()
  const serving = await serve(where, port)
  try {
    if (page) await welcome(serving, open)
    await untilLeaving(serving, leaveAfterMinutes)
  } finally {
    await serving.close()
  }
}

async function welcome({ newLink, house }: Serving, open: boolean): Promise<void> {
  const link = await newLink()
  stdout.write(`${link.href}\n`)
  stderr.write(
    [
      '',
      'the link works once, and for two minutes; valetkey open makes another',
      `the vault is in ${house.paths.state}`,
      'try, in another terminal:',
      '  npx valetkey connect openai',
      '  npx valetkey forward openai GET /v1/models',
      '  npx valetkey audit verify',
      '',
    ].join('\n'),
  )
  if (open) await openBrowser(link, { env, platform: process.platform }).catch(() => {})
}

async function untilLeaving({ idleMs }: Serving, leaveAfterMinutes?: number): Promise<void> {
  const leaving = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => leaving.abort())
  while (!leaving.signal.aborted) {
    await pause(IDLE_CHECK_MS, undefined, { signal: leaving.signal }).catch(() => {})
    if (leaveAfterMinutes !== undefined && idleMs() > leaveAfterMinutes * 60_000) return
  }
}
