import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import type { Reporter } from 'vitest/node'

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

export default defineConfig({
  test: {
    include: ['{src,client,test}/**/*.test.ts'],
    testTimeout: patience,
    hookTimeout: 2 * patience,
    // In a whole run real processes meet a machine that is busy; what needed a second try is named at its end.
    retry: report ? 1 : 0,
    pool: 'forks',
    // Most of them wait for real processes and for time to pass, so there are more of them than cores.
    maxWorkers: availableParallelism() + 1,
    reporters: report ? [reasons, 'default', ['json', { outputFile: report }]] : [reasons, 'default'],
  },
})
