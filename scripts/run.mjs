import { spawn } from 'node:child_process'
import { finished } from 'node:stream/promises'
import { root, toolsFirst } from './prepare.mjs'

/**
 * Runs a tool of the clone to its end, and keeps what it printed.
 *
 * @param {string} command
 * @param {readonly string[]} words
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, log?: import('node:fs').WriteStream, begun?: (pid: number) => void }} [options]
 * With a `log`, everything is shown as it comes and written there as well.
 * @returns {Promise<{ ok: boolean, output: string }>}
 */
export async function run(command, words, { cwd = root, env = toolsFirst(), log, begun } = {}) {
  const child = spawn(command, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  if (child.pid !== undefined) begun?.(child.pid)
  /** @type {Buffer[]} */
  const printed = []
  const keep = (/** @type {Buffer} */ piece) => {
    printed.push(piece)
    log?.write(piece)
    if (log) process.stdout.write(piece)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const ended = new Promise((resolve) => {
    child.on('error', (error) => keep(Buffer.from(`${command}: ${error.message}\n`)))
    child.on('close', resolve)
  })
  const code = await ended
  if (log) log.end()
  if (log) await finished(log)
  return { ok: code === 0, output: Buffer.concat(printed).toString('utf8') }
}
