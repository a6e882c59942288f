import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

// This runs before anything is installed and on Node 20, so it stands on Node alone.

/** The folder of the clone. */
export const root = fileURLToPath(new URL('..', import.meta.url))

const modules = join(root, 'node_modules')
/** Beside what it vouches for, so that deleting `node_modules` deletes it too. */
const stamp = join(modules, '.valetkey-installed')
const onWindows = process.platform === 'win32'
const OLDEST = 24

/**
 * Installs what is missing and gives the path of a Node that runs Valetkey. When there is none,
 * it says so in one line and the process ends.
 */
export function prepare() {
  const missing = !installed()
  if (missing) install()
  const node = [join(modules, 'node', 'bin', onWindows ? 'node.exe' : 'node'), process.execPath].find(
    isNewEnough,
  )
  if (!node) return lackOfNode()
  if (missing) writeFileSync(stamp, wanted())
  return node
}

/** The environment in which that Node and the tools of the clone come first. */
export function toolsFirst(environment = process.env) {
  return { ...environment, PATH: [join(modules, '.bin'), ...outsidePath()].join(delimiter) }
}

function installed() {
  try {
    return readFileSync(stamp, 'utf8') === wanted()
  } catch {
    return false
  }
}

function wanted() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  return `${lock} ${process.platform}-${process.arch}\n`
}

function install() {
  say('installing what is missing, about half a minute')
  // Not `npm ci`: it wants every other platform's binaries in the lockfile, and not every registry has
  // them all. A machine may be set up to leave out what the clone needs for building and testing.
  npm(
    'install',
    '--no-save',
    '--include=dev',
    '--include=optional',
    '--engine-strict=false',
    '--global=false',
  )
  // A machine may forbid install scripts; only the one that brings Node is needed.
  if (!isNewEnough(join(modules, 'node', 'bin', 'node'))) npm('rebuild', 'node', '--ignore-scripts=false')
  linkCommand()
}

/** npm links the commands of what is installed, and not the clone's own: with this, `npx valetkey` finds it. */
function linkCommand() {
  const link = join(modules, '.bin', 'valetkey')
  rmSync(link, { force: true })
  if (!onWindows) symlinkSync(join('..', '..', 'bin', 'valetkey.mjs'), link)
}

/** @param {...string} words */
function npm(...words) {
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  const run = spawnSync('npm', [...words, ...quiet], {
    cwd: root,
    encoding: 'utf8',
    shell: onWindows,
    env: { ...process.env, PATH: outsidePath().join(delimiter) },
  })
  if (run.status === 0) return
  process.stderr.write(`${run.stdout ?? ''}${run.stderr ?? ''}`)
  fail(`npm ${words[0]} failed${run.error ? ` (${run.error.message})` : ''}`, 'look at what npm says above')
}

/** The path without the clone's own tools: npm must not run on a Node that it is replacing. */
export function outsidePath() {
  const path = process.env['PATH'] ?? ''
  return path.split(delimiter).filter((folder) => !resolve(folder).startsWith(modules))
}

/** @param {string} node */
function isNewEnough(node) {
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  return Number.parseInt(stdout?.slice(1) ?? '', 10) >= OLDEST
}

/** @returns {never} */
function lackOfNode() {
  return fail(
    `valetkey needs Node ${OLDEST} or later; this is ${process.version}, and npm could not install another`,
    'install Node from https://nodejs.org',
  )
}

/** @param {string} line */
function say(line) {
  process.stderr.write(`${line}\n`)
}

/**
 * @param {string} message
 * @param {string} hint
 * @returns {never}
 */
function fail(message, hint) {
  say(`! ${message}\n  hint: ${hint}`)
  process.exit(1)
}
