/** How `npm run test:platforms` finds and runs its tests: the packed tarball in other package managers, runtimes, bundlers, compilers. */
import { defineConfig } from 'vitest/config'

const results = process.env.CHAINRULE_TEST_RESULTS

export default defineConfig({
  test: {
    include: ['test/platforms/*.test.ts'],
    globalSetup: 'test/platforms/tarball.ts',
    // one thing at a time: they share the tools, and the machine
    pool: 'forks',
    fileParallelism: false,
    // why a part is skipped is said in its line
    reporters: results === undefined ? ['verbose'] : ['verbose', ['json', { outputFile: results }]],
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
