import { defineConfig } from 'vitest/config'
import type { Reporter } from 'vitest/node'

const report = process.env['VALETKEY_TEST_REPORT']

/** Writes down why a test was skipped where the report finds it. */
const reasons: Reporter = {
  onTestRunEnd(modules) {
    for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
      const result = test.result()
      if (result.state === 'skipped') Object.assign(test.meta(), { skipped: result.note })
    }
  },
}

export default defineConfig({
  test: {
    include: ['{src,client,test}/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    reporters: report ? [reasons, 'default', ['json', { outputFile: report }]] : [reasons, 'default'],
  },
})
