import { chmodSync, createWriteStream, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { scanFile, scanFolder } from './canary-scan.mjs'
import { root, toolsFirst } from './prepare.mjs'
import { run } from './run.mjs'

/** @typedef {import('./test.mjs').Outcome} Outcome */

/** @param {string} folder */
const placesIn = (folder) => ({
  log: join(folder, 'tests.log'),
  report: join(folder, 'tests.json'),
  temporary: join(folder, 't'),
})

/**
 * All tests, in a temporary folder of their own.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function tests(folder) {
  const { log, report, temporary } = placesIn(folder)
  mkdirSync(temporary)
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
  }
  const { ok } = await run('vitest', ['run', '--allowOnly=false'], { env, log: createWriteStream(log) })
  return count(JSON.parse(readFileSync(report, 'utf8')), ok)
}

/**
 * @typedef {{ fullName: string, status: string, meta: { skipped?: string } }} Test
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
 * Looks for the tests' secrets in what the tests printed and in what they left behind.
 *
 * @param {string} folder
 * @returns {Promise<Outcome>}
 */
export async function canaryScan(folder) {
  const { log, temporary } = placesIn(folder)
  if (statSync(log).size === 0) throw new Error('the tests printed nothing, so there is nothing to judge')
  const printed = scanFile(log).map((find) => ({ ...find, path: log }))
  const left = scanFolder(temporary)
  const finds = [...printed, ...left.finds]
  const places = finds
    .slice(0, 20)
    .map((find) => `${relative(folder, find.path)}:${find.line}: ${find.spelling}`)
  return {
    passed: finds.length === 0 ? 1 : 0,
    failed: finds.length === 0 ? 0 : 1,
    says: `${finds.length} secrets in what was printed and in ${left.scanned} files left behind`,
    output: places.map((place) => `a secret got away: ${place}`).join('\n'),
  }
}
