import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type Reporter, type TestSpecification } from 'vitest/node'

/** The sizes of record take as long as they take. */
const patience = process.env['VALETKEY_FULL'] === '1' ? 2 * 60 * 60_000 : 60_000
const report = process.env['VALETKEY_TEST_REPORT']

/** Writes down why a test was skipped, and which needed a second try, where the report finds it. */
const reasons: Reporter = {
  onTestRunEnd(modules) {
    for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
      const result = test.result()
      if (result.state === 'skipped') Object.assign(test.meta(), { skipped: result.note })
      if (test.diagnostic()?.flaky) Object.assign(test.meta(), { again: true })
    }
  },
}

/** Files that wait for real processes and for time to pass; a run is over sooner where they begin first. */
const LONG = [/\/test\/transcripts\//, /postgres/, /\/test\/faults\//, /\/test\/journeys\//, /\/test\//]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other))
  }
}

function rank({ moduleId }: TestSpecification): number {
  const at = LONG.findIndex((name) => name.test(moduleId))
  return at === -1 ? LONG.length : at
}

export default defineConfig({
  test: {
    include: ['{src,client,test}/**/*.test.ts'],
    testTimeout: patience,
    hookTimeout: 2 * patience,
    // In a whole run real processes meet a machine that is busy; what needed a second try is named at its end.
    retry: report ? 1 : 0,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // Most of them wait for real processes and for time to pass, so there are more of them than cores.
    maxWorkers: availableParallelism() + 2,
    reporters: report ? [reasons, 'default', ['json', { outputFile: report }]] : [reasons, 'default'],
  },
})
