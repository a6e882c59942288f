import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { outsidePath, prepare, root } from './prepare.mjs'
import { run } from './run.mjs'
import { pageAt, start } from './running.mjs'

/** @typedef {import('./test.mjs').Outcome} Outcome */

/** For a keeper of credentials the number of packages is a security figure. */
const MOST_PACKAGES = 20
const MOST_MEGABYTES = 15

/**
 * Both packages as they would be published, built anew.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function pack(folder) {
  const place = packed(folder)
  mkdirSync(place)
  const words = ['pack', '--workspaces', '--include-workspace-root', '--pack-destination', place]
  const { ok, output } = await run('npm', words)
  const made = readdirSync(place)
  return {
    passed: ok ? 1 : 0,
    failed: ok ? 0 : 1,
    output,
    says: made.map((file) => sized(join(place, file))).join(', '),
  }
}

/**
 * What publint and are-the-types-wrong think of them.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function shape(folder) {
  const files = readdirSync(packed(folder)).map((file) => join(packed(folder), file))
  const runs = []
  for (const file of files) {
    runs.push(await run('publint', ['run', file, '--strict']))
    runs.push(
      await run('attw', [file, '--profile', 'esm-only', '--no-definitely-typed', '--format', 'ascii']),
    )
  }
  const bad = runs.filter(({ ok }) => !ok)
  const failed = bad.length > 0 || files.length !== 2
  return {
    passed: failed ? 0 : 1,
    failed: failed ? 1 : 0,
    output: bad.map(({ output }) => output).join('\n') || `${files.length} packages where 2 are expected`,
  }
}

/**
 * What a stranger does: `npx` on the package, in an empty folder, with an empty home.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function published(folder) {
  const file = readdirSync(packed(folder)).find((name) => /^valetkey-\d/.test(name))
  if (!file) throw new Error('there is no package to run')
  const home = join(folder, 'home')
  const empty = join(folder, 'empty')
  mkdirSync(home)
  mkdirSync(empty)
  copyFileSync(join(packed(folder), file), join(empty, file))

  const page = await reachPage(`./${file}`, empty, strangersEnvironment(home))
  await stopBroker(folder)
  const { packages, megabytes } = measure(join(home, '.npm', '_npx'))
  const tooMuch = packages > MOST_PACKAGES || megabytes > MOST_MEGABYTES
  const failed = tooMuch || !page.ok
  return {
    passed: failed ? 0 : 1,
    failed: failed ? 1 : 0,
    says: `published: ${packages} packages, ${megabytes.toFixed(1)} MB`,
    output: tooMuch ? `at most ${MOST_PACKAGES} packages and ${MOST_MEGABYTES} MB are allowed` : page.output,
  }
}

/** What somebody who stands on the package may write, and what their compiler must find wrong. */
const READER = `
import * as valetkey from 'valetkey'
import { ValetkeyError } from 'valetkey/client'
export type { Desk } from 'valetkey/client'
// @ts-expect-error a code that does not exist
new ValetkeyError('no-such-code', 'nothing')
// @ts-expect-error a name that does not exist
valetkey.nothing
`

/**
 * Whether the types resolve, down to the last one, where only the package and Node's types are
 * installed, and whether the examples agree with them.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function readable(folder) {
  const installs = join(folder, 'home', '.npm', '_npx')
  const [install] = readdirSync(installs)
  if (!install) throw new Error('npm installed nothing')
  const cwd = join(installs, install)
  writeFileSync(join(cwd, 'reader.mts'), READER)
  cpSync(join(root, 'examples'), join(cwd, 'examples'), { recursive: true })
  const examples = readdirSync(join(cwd, 'examples')).filter((file) => /\.m?[jt]s$/.test(file))
  const words = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--lib',
    'es2024,esnext.disposable',
  ]
  const nodeTypes = ['--typeRoots', join(root, 'node_modules', '@types'), '--types', 'node']
  const { ok, output } = await run(
    'tsc',
    [...words, ...nodeTypes, '--checkJs', 'reader.mts', ...examples.map((file) => join('examples', file))],
    { cwd },
  )
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, output }
}

/**
 * Nothing of this machine's user, nothing of npm's own run around us, and Node 24 first.
 *
 * @param {string} home
 */
function strangersEnvironment(home) {
  // The socket lies in the temporary folder, so that must be another one as well.
  const temporary = join(home, 'tmp')
  mkdirSync(temporary)
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|xdg_|valetkey_|node_options$)/i.test(name),
  )
  const path = [dirname(prepare()), ...outsidePath()].join(delimiter)
  return { ...Object.fromEntries(kept), HOME: home, TMPDIR: temporary, PATH: path }
}

/**
 * Runs the package until it prints a link, and asks there for the page.
 *
 * @param {string} file
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ ok: boolean, output: string }>}
 */
async function reachPage(file, cwd, env) {
  const started = start('npx', ['--yes', file], { cwd, env })
  try {
    return await pageAt(await started.link)
  } catch (error) {
    return { ok: false, output: `${started.output()}\n${error instanceof Error ? error.message : error}` }
  } finally {
    await started.end()
  }
}

/**
 * Ends the broker that the command left running, known by the folder from which it runs.
 *
 * @param {string} folder
 */
async function stopBroker(folder) {
  const { output } = await run('ps', ['-A', '-ww', '-o', 'pid=,args='])
  for (const line of output.split('\n').filter((line) => line.includes(join(folder, 'home')))) {
    try {
      process.kill(Number.parseInt(line, 10), 'SIGTERM')
    } catch {
      // It has left by itself.
    }
  }
}

/**
 * What npm installed for the command.
 *
 * @param {string} folder
 */
function measure(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const lock = files.find((file) => file.endsWith(join('node_modules', '.package-lock.json')))
  if (!lock) throw new Error('npm installed nothing')
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
  return {
    packages: Object.keys(JSON.parse(readFileSync(lock, 'utf8')).packages).length,
    megabytes: bytes / 1e6,
  }
}

/** @param {string} file */
function sized(file) {
  return `${basename(file)} ${(statSync(file).size / 1e6).toFixed(2)} MB`
}

/** @param {string} folder */
function packed(folder) {
  return join(folder, 'packed')
}
