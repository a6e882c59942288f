import { spawn } from 'node:child_process'

const LONGEST = 300_000

/**
 * Starts what prints a link to the page and goes on.
 *
 * @param {string} command
 * @param {readonly string[]} words
 * @param {{ cwd: string, env: NodeJS.ProcessEnv }} where
 * @returns {{ link: Promise<string>, output: () => string, end: () => Promise<void> }}
 */
export function start(command, words, where) {
  const child = spawn(command, words, { ...where, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const link = new Promise((resolve, reject) => {
    const read = (/** @type {Buffer} */ piece) => {
      output += piece
      const found = /http:\/\/127\.0\.0\.1:\d+\/\S*(?=\s)/.exec(output)
      if (found) resolve(found[0])
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('error', reject)
    child.on('close', (code) => reject(new Error(`it ended with ${code} and printed no link`)))
    setTimeout(() => reject(new Error('it printed no link in time')), LONGEST).unref()
  })
  // It may end while nobody waits for the link any more.
  link.catch(() => {})
  return { link, output: () => output, end: () => end(child) }
}

/**
 * Whether the page is there.
 *
 * @param {string} link
 */
export async function pageAt(link) {
  const answer = await fetch(link)
  const type = answer.headers.get('content-type') ?? ''
  const ok = answer.status === 200 && type.startsWith('text/html') && /<html/i.test(await answer.text())
  return { ok, output: `${new URL(link).origin} answered ${answer.status} ${type}` }
}

/**
 * The whole group of processes, first with a word and then without one.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
async function end(child) {
  const { pid } = child
  if (pid === undefined || child.exitCode !== null) return
  const gone = new Promise((resolve) => child.on('close', resolve))
  process.kill(-pid, 'SIGTERM')
  const late = setTimeout(() => process.kill(-pid, 'SIGKILL'), 5000)
  await gone
  clearTimeout(late)
}
