import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { buildTypes } from './build-types.mjs'
import { root } from './prepare.mjs'
import { run } from './run.mjs'

const dist = join(root, 'dist')

/** What a package's reader may import, and the command. Types are built for all but the command. */
const ENTRANCES = {
  index: 'src/index.ts',
  client: 'client/src/index.ts',
  testing: 'src/testing/index.ts',
}

/** Native code cannot be bundled, what is optional is the reader's own, and so is their test runner. */
const LEFT_OUTSIDE = ['koffi', 'vitest', 'oidc-provider', 'pg-native', /^node:/]

/** What lies among the provider files and is none. */
const BESIDE_PROVIDERS = ['provider.schema.json', 'clients.json']

/** The client is small and stands on nothing, so its files are published one by one. */
export async function buildClient() {
  rmSync(join(root, 'client', 'dist'), { recursive: true, force: true })
  await must('tsc', '--project', 'client/tsconfig.build.json')
}

export async function buildValetkey() {
  rmSync(dist, { recursive: true, force: true })
  mkdirSync(dist)
  const modules = await bundle()
  writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), licencesOf(modules))
  writeFileSync(join(dist, 'catalogue.json'), JSON.stringify(providerFiles()))
  for (const file of BESIDE_PROVIDERS) cpSync(join(root, 'src/providers', file), join(dist, file))
  cpSync(join(root, 'src/doors/http/page'), join(dist, 'page'), { recursive: true, filter: isAsset })
  await buildTypes(Object.values(ENTRANCES), join(dist, 'types'))
}

/** Everything into flat files, so that what lies beside a module in the source lies beside it here. */
async function bundle() {
  const build = await rolldown({
    input: { bin: 'src/bin.ts', 'demo-program': 'src/demo/program.ts', ...ENTRANCES },
    cwd: root,
    platform: 'node',
    external: LEFT_OUTSIDE,
    logLevel: 'warn',
    onLog: (_, log) => {
      throw new Error(log.message)
    },
  })
  const { output } = await build.write({
    dir: dist,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunk-[name]-[hash].js',
  })
  await build.close()
  const chunks = output.filter((file) => file.type === 'chunk')
  for (const { fileName, imports } of chunks) {
    // The command waits for its parts, so a part that waits for the command would wait forever.
    if (imports.includes('bin.js')) throw new Error(`${fileName} stands on bin.js`)
  }
  return chunks.flatMap(({ moduleIds }) => moduleIds)
}

/** @param {string} path */
function isAsset(path) {
  return !/(?:\.test\.[jt]s|tsconfig\.json)$/.test(path)
}

function providerFiles() {
  const folder = join(root, 'src/providers')
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json') && !BESIDE_PROVIDERS.includes(file))
    .map((file) => file.slice(0, -'.json'.length))
    .sort()
    .map((id) => JSON.parse(readFileSync(join(folder, `${id}.json`), 'utf8')))
}

/**
 * The terms of every package of which something was bundled.
 *
 * @param {readonly string[]} modules
 */
function licencesOf(modules) {
  const folders = new Set(
    modules.flatMap((module) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(module)?.[0] ?? []),
  )
  return [...folders].sort().map(licenceOf).join('\n')
}

/** @param {string} folder */
function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  const terms = file ? readFileSync(join(folder, file), 'utf8').trim() : `License: ${license}`
  return `${name} ${version}\n\n${terms}\n\n${'-'.repeat(80)}\n`
}

/**
 * @param {string} command
 * @param {...string} words
 */
async function must(command, ...words) {
  const { ok, output } = await run(command, words)
  if (!ok) throw new Error(`${command} failed\n${output}`)
}
