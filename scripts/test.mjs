import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pack, published, readable, shape } from './check-package.mjs'
import { canaryScan, tests } from './check-tests.mjs'
import { prepare } from './prepare.mjs'
import { run } from './run.mjs'

/**
 * What a step found. `says` is for its line; `output` is shown when something failed.
 *
 * @typedef {{ passed: number, failed: number, says?: string, output?: string, skipped?: readonly string[],
 *   again?: readonly string[], figures?: readonly string[] }} Outcome
 * @typedef {{ name: string, check: (folder: string) => Promise<Outcome> }} Step
 */

/** @type {readonly Step[]} */
const steps = [
  { name: 'types', check: () => tool('tsc', '--project', '.') },
  { name: 'types of the client', check: () => tool('tsc', '--project', 'client') },
  { name: 'types of the page', check: () => tool('tsc', '--project', 'src/doors/http/page') },
  { name: 'lint', check: () => tool('biome', 'ci', '--error-on-warnings', '--colors=off') },
  { name: 'nothing unused', check: () => tool('knip') },
  { name: 'tests', check: tests },
  { name: 'canary scan', check: canaryScan },
  { name: 'build and pack', check: pack },
  { name: 'shape of the packages', check: shape },
  { name: 'npx in an empty folder', check: published },
  { name: 'types for a reader of the package', check: readable },
]

prepare()
// The sizes of record, where they are asked for, and the hours that they may take.
if (process.argv.includes('full')) process.env['VALETKEY_FULL'] = '1'
const folder = mkdtempSync(join(tmpdir(), 'vk-'))
try {
  /** @type {string[]} */
  const lines = []
  /** @type {Outcome[]} */
  const outcomes = []
  for (const step of steps) {
    const { outcome, line } = await take(step)
    outcomes.push(outcome)
    lines.push(line)
    console.log(line)
  }
  close(lines, outcomes)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/**
 * A step that throws has failed, and the next one is taken all the same.
 *
 * @param {Step} step
 */
async function take({ name, check }) {
  const begun = performance.now()
  const outcome = await check(folder).catch(thrown)
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  if (outcome.failed > 0 && outcome.output) console.log(outcome.output.trimEnd())
  const says = outcome.says ? `: ${outcome.says}` : ''
  return { outcome, line: `${outcome.failed > 0 ? 'FAILED' : 'ok    '}  ${name}${says} (${seconds} s)` }
}

/**
 * @param {unknown} error
 * @returns {Outcome}
 */
function thrown(error) {
  return { passed: 0, failed: 1, output: String(error instanceof Error ? error.stack : error) }
}

/**
 * @param {readonly string[]} lines
 * @param {readonly Outcome[]} outcomes
 */
function close(lines, outcomes) {
  console.log(['', ...lines].join('\n'))
  for (const skipped of outcomes.flatMap((outcome) => outcome.skipped ?? []))
    console.log(`skipped  ${skipped}`)
  for (const name of outcomes.flatMap((outcome) => outcome.again ?? []))
    console.log(`passed at its second try  ${name}`)
  for (const figure of outcomes.flatMap((outcome) => outcome.figures ?? [])) console.log(figure)
  const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0)
  console.log(`${outcomes.reduce((sum, outcome) => sum + outcome.passed, 0)} passed, ${failed} failed`)
  process.exitCode = failed > 0 ? 1 : 0
}

/**
 * @param {string} command
 * @param {...string} words
 * @returns {Promise<Outcome>}
 */
async function tool(command, ...words) {
  const { ok, output } = await run(command, words)
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, output }
}
