/** How `vitest run` finds and runs the tests. With `CHAINRULE_TEST_RESULTS` it also writes its results there, for scripts/ci-summary.js. */
import { defineConfig } from 'vitest/config'

const results = process.env.CHAINRULE_TEST_RESULTS

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // those have a command of their own, test:platforms
    exclude: ['test/platforms/**'],
    // a process for each file: the addon, its threads and the environment variables belong to a process
    pool: 'forks',
    // the linter would take `fit` for a focused test
    allowOnly: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: results === undefined ? ['default'] : ['default', ['json', { outputFile: results }]],
  },
})
