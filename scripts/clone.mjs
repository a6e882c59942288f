import { spawn, spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { outsidePath, root } from './prepare.mjs'
import { pageAt, start } from './running.mjs'

// What somebody does who has just found this: clones it, types `npm start`, and then every command that the
// README prints. The clone is of what is committed, the home is empty, and of the machine there is its own Node
// and little more. With `--test` the tests are run there too, which takes as long as they take.

const KEY = `sk-proj-${'k'.repeat(40)}`
const LONGEST = 300_000
const withTests = process.argv.includes('--test')

/** What it takes to clone, to install and to type at a terminal; and curl, by which the README shows the socket. */
const TOOLS = ['node', 'npm', 'npx', 'git', 'sh', 'env', 'script', 'stty', 'curl']
/** With these the tests play other users, full disks and sudden deaths; without one they say what is not run. */
const TOOLS_OF_TESTS = [
  ...['cat', 'chmod', 'cp', 'head', 'ls', 'mkdir', 'mkfifo', 'mv', 'printf', 'rm', 'sleep', 'touch'],
  ...['mount', 'umount', 'unshare', 'setpriv', 'strace', 'python3'],
]
/** It runs already; and tests are not for this to try. */
const ELSEWHERE = /^npm (?:start|test|run test:)/

/** A person who opens a link to sign in, and agrees. */
const VISIT = `
import { visitorOf } from './src/practice/visitor.ts'
const link = new URL(process.argv[2])
const back = await visitorOf({ origin: new URL(link.origin) }).consent(link)
if (!(await fetch(back)).ok) process.exitCode = 1
`

/**
 * A command of the README, and the first line that it prints there.
 *
 * @typedef {{ command: string, prints: string | undefined }} Printed
 * @typedef {{ code: number | null, output: string }} Ran
 */

const folder = mkdtempSync(join(tmpdir(), 'valetkey-clone-'))
const clone = join(folder, 'clone')
const env = strangersEnvironment(join(folder, 'home'))
let [passed, failed] = [0, 0]
try {
  console.log(`node ${versionOf('node')}, npm ${versionOf('npm')}`)
  cloneHead()
  const provider = await standIn()
  const running = start('npm', ['start'], { cwd: clone, env })
  try {
    await step('npm start', () => started(running))
    for (const printed of readmeCommands()) await step(printed.command, () => asPrinted(printed))
    await step('npx valetkey connect practice', practised)
  } finally {
    await step('ctrl-c', () => stopped(running))
    provider.close()
  }
  if (withTests) await step('npm test', tested)
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0

/**
 * @param {string} what
 * @param {() => Promise<string | undefined>} work What is wrong, if anything.
 */
async function step(what, work) {
  const begun = performance.now()
  const fault = await work().catch((error) => String(error instanceof Error ? error.stack : error))
  if (fault === undefined) passed += 1
  else failed += 1
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(`${fault === undefined ? 'ok    ' : 'FAILED'}  ${what} (${seconds} s)`)
  if (fault !== undefined) console.log(fault.trimEnd())
}

function cloneHead() {
  const { status, stderr } = spawnSync('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, clone], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`it cannot be cloned\n${stderr}`)
  const { stdout } = spawnSync('git', ['-C', root, 'status', '--short'], { encoding: 'utf8' })
  const changes = stdout.split('\n').filter(Boolean).length
  if (changes > 0) console.log(`only what is committed is tried; ${changes} changed files are not`)
  writeFileSync(join(clone, 'key.txt'), `${KEY}\n`)
  writeFileSync(join(clone, 'visit.mjs'), VISIT)
}

/** @param {string} tool */
function versionOf(tool) {
  const { stdout, error } = spawnSync(tool, ['--version'], { encoding: 'utf8', env })
  if (error) throw new Error(`there is no ${tool} here`)
  return stdout.trim().replace(/^v/, '')
}

/** @returns {Promise<string | undefined>} */
function tested() {
  const child = spawn('npm', ['test'], { cwd: clone, env, stdio: ['ignore', 'inherit', 'inherit'] })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code === 0 ? undefined : `it ended with ${code}`))
  })
}

/**
 * A folder of links to the few tools that there are; what the machine lacks is not there either.
 *
 * @param {string} bin
 */
function fewTools(bin) {
  mkdirSync(bin)
  for (const tool of withTests ? [...TOOLS, ...TOOLS_OF_TESTS] : TOOLS) {
    const found = outsidePath()
      .map((place) => join(place, tool))
      .find(isThere)
    if (found) symlinkSync(found, join(bin, tool))
  }
  return bin
}

/** @param {string} file */
function isThere(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Nothing of this machine's user but where npm gets its packages from, and nothing of npm's own run around us.
 *
 * @param {string} home
 */
function strangersEnvironment(home) {
  mkdirSync(join(home, 'tmp'), { recursive: true })
  const path = fewTools(join(folder, 'bin'))
  const npmrc = spawnSync('npm', ['config', 'get', 'userconfig'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  })
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|xdg_|valetkey_|database_url$|node_|display$|wayland_)/i.test(name),
  )
  return {
    ...Object.fromEntries(kept),
    // What the machine trusts is a part of where packages come from.
    ...(process.env['NODE_EXTRA_CA_CERTS'] && { NODE_EXTRA_CA_CERTS: process.env['NODE_EXTRA_CA_CERTS'] }),
    npm_config_userconfig: npmrc.stdout.trim(),
    npm_config_progress: 'false',
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    PATH: path,
  }
}

/** A provider that answers as the README says, and stands in OpenAI's place. */
async function standIn() {
  const server = createServer((request, response) => {
    const known = request.headers.authorization === `Bearer ${KEY}`
    response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' })
    response.end(known ? '{"object":"list","data":[{"id":"gpt-5"}]}' : '{"error":{}}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const config = join(folder, 'home', '.config', 'valetkey')
  mkdirSync(config, { recursive: true, mode: 0o700 })
  const origin = `http://127.0.0.1:${port}`
  writeFileSync(join(config, 'config.json'), JSON.stringify({ origins: { openai: origin } }), { mode: 0o600 })
  return server
}

/** @param {ReturnType<typeof start>} running */
async function started(running) {
  try {
    const { ok, output } = await pageAt(await running.link)
    return ok ? undefined : `${running.output()}\n${output}`
  } catch (error) {
    return `${running.output()}\n${error}`
  }
}

/** @param {ReturnType<typeof start>} running */
async function stopped(running) {
  const link = await running.link.catch(() => undefined)
  const before = performance.now()
  await running.end()
  if (performance.now() - before > 4500) return 'it had to be killed'
  const left = link && (await fetch(new URL('/', link)).catch(() => undefined))
  return left ? 'its page still answers' : undefined
}

/** Every line of a block that is a command, save those that are for elsewhere. */
function readmeCommands() {
  const blocks = readFileSync(join(clone, 'README.md'), 'utf8').matchAll(/^```(\w*)\n(.*?)^```$/gms)
  /** @type {Printed[]} */
  const commands = []
  for (const [, language, block = ''] of blocks) {
    if (language !== '') continue
    const lines = block.split('\n')
    for (const [at, line] of lines.entries()) {
      const command = /^(?:\$ )?((?:npx|npm|curl|valetkey) .*)$/.exec(line)?.[1]
      if (!command || ELSEWHERE.test(command)) continue
      const prints = line.startsWith('$') ? lines[at + 1] : undefined
      commands.push({ command: command.replace(/^valetkey/, 'npx valetkey'), prints })
    }
  }
  if (commands.length === 0) throw new Error('the README prints no commands')
  return commands
}

/** @param {Printed} printed */
async function asPrinted({ command, prints }) {
  const address = /valetkey connect (\S+)/.exec(command)?.[1]
  // The README connects it in more than one way, each for the first time.
  if (address) await play(`npx valetkey revoke ${address} --yes`)
  const { code, output } = await play(command)
  const refuses = prints?.startsWith('! ') === true
  const found = prints === undefined || output.split('\n').some((line) => isSaid(line, prints))
  return found && (code !== 0) === refuses ? undefined : `it ended with ${code} and printed\n${output}`
}

/**
 * The same but for its numbers.
 *
 * @param {string} line
 * @param {string} printed
 */
function isSaid(line, printed) {
  const bare = (/** @type {string} */ text) => text.replaceAll(/\d+/g, '1').trim()
  return bare(line) === bare(printed)
}

/** A sign-in at the provider that runs beside it, by a person who agrees. */
async function practised() {
  const said = await play('npx valetkey connect practice', async (link) => {
    const { code, output } = await play(`npx node visit.mjs '${link}'`)
    if (code !== 0) throw new Error(output)
  })
  return said.code === 0 && said.output.includes('connected practice') ? undefined : said.output
}

/**
 * A line of a shell. Who is asked for a key types one, so what asks is played at a terminal.
 *
 * @param {string} line
 * @param {(link: string) => Promise<unknown>} [visit] What to do with a link to sign in.
 * @returns {Promise<Ran>}
 */
function play(line, visit) {
  const atTerminal = /valetkey connect \S+$/.test(line)
  const words = atTerminal
    ? ['script', '-qec', `stty cols 240 rows 40 && ${line}`, '/dev/null']
    : ['sh', '-c', line]
  const [command = '', ...rest] = words
  const child = spawn(command, rest, { cwd: clone, env: { ...env, SHELL: '/bin/sh', TERM: 'xterm' } })
  if (!atTerminal) child.stdin.end()
  let [printed, asked] = ['', false]
  const read = (/** @type {Buffer} */ piece) => {
    printed += piece
    if (asked || !atTerminal) return
    const link = /sign in at (http\S+)\s/.exec(plain(printed))?.[1]
    asked = visit ? link !== undefined : printed.includes('◆')
    if (asked && !visit) child.stdin.write(`${KEY}\r`)
    if (visit && link) visit(link).catch(broken)
  }
  const broken = (/** @type {unknown} */ error) => {
    printed += `\n${error}`
    child.kill()
  }
  child.stdout.setEncoding('utf8').on('data', read)
  child.stderr.setEncoding('utf8').on('data', read)
  const late = setTimeout(() => child.kill('SIGKILL'), LONGEST)
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: null, output: error.message }))
    child.on('close', (code) => {
      clearTimeout(late)
      resolve({ code, output: plain(printed) })
    })
  })
}

/**
 * Without what only moves and colours.
 *
 * @param {string} text
 */
function plain(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal is told by just these
  return text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replaceAll('\r', '')
}
