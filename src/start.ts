import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isErrorCode, ValetkeyError } from '#client'
import { claim } from './machine/claim.ts'
import { diskTrouble } from './machine/disk-trouble.ts'
import { privateFolder } from './machine/folders.ts'
import { refuseNamed, running, type Way } from './reach.ts'
import { type Where, wherePaths } from './where.ts'

const START_MS = 15_000
const AGAIN_MS = 30
const LEAVE_AFTER_MINUTES = 15

/** Of many commands that find nobody, one starts a broker and the others wait for it. */
export async function runningOrStarted(where: Where, program: string): Promise<Way> {
  const { run } = wherePaths(where)
  let failure: ValetkeyError | undefined
  for (const end = Date.now() + START_MS; Date.now() < end; await pause(AGAIN_MS)) {
    const way = await running(where)
    if (way !== undefined) return way
    refuseNamed(where)
    await privateFolder(run)
    const done = await claim(join(run, 'starting'))
    if (done === undefined) continue
    try {
      // Whoever went before may have been done just now.
      const started = (await running(where)) ?? (await startBroker(where, program, join(run, 'broker.log')))
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
async function startBroker(where: Where, program: string, log: string): Promise<Way | ValetkeyError> {
  const words = ['serve', '--no-page', '--leave-after', `${LEAVE_AFTER_MINUTES}m`]
  const child = spawn(process.execPath, [...process.execArgv, program, ...words], {
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
