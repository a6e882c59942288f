import { chmodSync, createWriteStream, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { scanFile, scanFolder } from './canary-scan.mjs'
import { canWatch, watchProcesses } from './canary-watch.mjs'
import { root, toolsFirst } from './prepare.mjs'
import { run } from './run.mjs'

/** @typedef {import('./test.mjs').Outcome} Outcome */

/** @param {string} folder */
const placesIn = (folder) => ({
  log: join(folder, 'tests.log'),
  report: join(folder, 'tests.json'),
  figures: join(folder, 'figures.log'),
  left: join(folder, 'left.jsonl'),
  processes: join(folder, 'processes.json'),
  temporary: join(folder, 't'),
})

/**
 * All tests, in a temporary folder of their own.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function tests(folder) {
  const { log, report, figures, processes, temporary } = placesIn(folder)
  mkdirSync(temporary)
  writeFileSync(figures, '')
  // Open to every user of the machine, as the folder it stands for: tests run as strangers too.
  chmodSync(folder, 0o711)
  chmodSync(temporary, 0o1777)
  const env = {
    ...toolsFirst(),
    // A colour in the middle of a secret would hide it from the scan.
    NO_COLOR: '1',
    TMPDIR: temporary,
    TMP: temporary,
    TEMP: temporary,
    VALETKEY_TEST_REPORT: report,
    VALETKEY_FIGURES: figures,
    VALETKEY_CANARY_KEEP: folder,
  }
  /** @type {ReturnType<typeof watchProcesses> | undefined} */
  let watch
  const { ok } = await run('vitest', ['run', '--allowOnly=false'], {
    env,
    log: createWriteStream(log),
    begun: (pid) => {
      if (canWatch) watch = watchProcesses(pid, temporary)
    },
  })
  if (watch) writeFileSync(processes, JSON.stringify(watch.stop()))
  const said = readFileSync(figures, 'utf8').split('\n').filter(Boolean).sort()
  return { ...count(JSON.parse(readFileSync(report, 'utf8')), ok), figures: said }
}

/**
 * @typedef {{ fullName: string, status: string, meta: { skipped?: string, again?: boolean } }} Test
 * @typedef {{ name: string, status: string, assertionResults: readonly Test[] }} File
 * @param {{ testResults: readonly File[] }} report
 * @param {boolean} ok
 * @returns {Outcome}
 */
function count({ testResults: files }, ok) {
  const tests = files.flatMap((file) =>
    file.assertionResults.map((test) => ({
      ...test,
      name: `${relative(root, file.name)} > ${test.fullName.trim()}`,
    })),
  )
  const passed = tests.filter((test) => test.status === 'passed').length
  const skipped = tests.filter((test) => !['passed', 'failed'].includes(test.status))
  const faults = [
    ...tests.filter((test) => test.status === 'failed').map((test) => test.name),
    ...skipped.filter((test) => !reasonOf(test)).map((test) => `${test.name}: skipped without a reason`),
    ...files.filter(failedAsAWhole).map((file) => `${relative(root, file.name)}: could not be run`),
  ]
  if (faults.length === 0 && !ok) faults.push('the run itself failed')
  if (faults.length === 0 && passed === 0) faults.push('no test was run')
  return {
    passed,
    failed: faults.length,
    says: `${passed} passed, ${faults.length} failed, ${skipped.length} skipped`,
    output: faults.map((fault) => `failed: ${fault}`).join('\n'),
    again: tests.filter(({ meta }) => meta.again).map((test) => test.name),
    skipped: skipped.map((test) => `${test.name}: ${reasonOf(test) ?? 'no reason given'}`),
  }
}

/**
 * What the test said as it skipped itself, or what stands in its name.
 *
 * @param {Test} test
 */
function reasonOf({ meta, fullName }) {
  return meta.skipped ?? /\(skipped: (.+)\)$/.exec(fullName)?.[1]
}

/** @param {File} file */
function failedAsAWhole({ status, assertionResults }) {
  return status === 'failed' && !assertionResults.some((test) => test.status === 'failed')
}

/**
 * Looks for the tests' secrets in what the tests printed, in what they left behind, in the folders that they
 * removed, and in what their processes were started with.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function canaryScan(folder) {
  const { log, figures, temporary } = placesIn(folder)
  if (statSync(log).size === 0) throw new Error('the tests printed nothing, so there is nothing to judge')
  const printed = [log, figures].flatMap((path) => scanFile(path).map((find) => ({ ...find, path })))
  const kept = scanFolder(temporary)
  const removed = removedIn(folder)
  const started = startedIn(folder)
  const finds = [
    ...[...printed, ...kept.finds].map(
      ({ path, line, spelling }) => `${relative(folder, path)}:${line}: ${spelling}`,
    ),
    ...removed.finds,
    ...started.finds,
  ]
  return {
    passed: finds.length === 0 ? 1 : 0,
    failed: finds.length === 0 ? 0 : 1,
    says:
      `${finds.length} secrets in what was printed, in ${kept.scanned} files left behind and ` +
      `${removed.scanned} of ${removed.folders} folders removed, and ${started.says}`,
    output: finds
      .slice(0, 20)
      .map((find) => `a secret got away: ${find}`)
      .join('\n'),
    skipped: canWatch ? [] : ['canary scan of arguments and environments: only Linux shows them'],
  }
}

/** @param {string} folder */
function removedIn(folder) {
  const lines = readFileSync(placesIn(folder).left, 'utf8').split('\n').filter(Boolean)
  /** @type {ReturnType<typeof scanFolder>[]} */
  const folders = lines.map((line) => JSON.parse(line))
  return {
    folders: folders.length,
    scanned: folders.reduce((sum, { scanned }) => sum + scanned, 0),
    finds: folders.flatMap(({ finds }) =>
      finds.map(({ path, line, spelling }) => `a home that was removed, ${path}:${line}: ${spelling}`),
    ),
  }
}

/** @param {string} folder */
function startedIn(folder) {
  if (!canWatch) return { finds: [], says: 'not in arguments and environments, which only Linux shows' }
  /** @type {import('./canary-watch.mjs').Watched} */
  const { seen, unread, finds } = JSON.parse(readFileSync(placesIn(folder).processes, 'utf8'))
  if (seen === 0) throw new Error('no process of the tests was seen, so there is nothing to judge')
  const hidden = unread > 0 ? ` (${unread} of them show no environment)` : ''
  return {
    says: `in arguments and environment of ${seen} processes${hidden}, looked at on Linux only`,
    finds: finds.map(
      ({ channel, place, command, spelling }) => `${channel} of ${command}, ${place}: ${spelling}`,
    ),
  }
}
