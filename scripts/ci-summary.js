/**
 * Prints the closing line of CI, `N passed, N failed`. In: vitest's JSON results, and the names of stages that failed. A stage that failed
 * without a failed test counts as one failure.
 *
 *     node scripts/ci-summary.js results.json [stage …]
 */
import { existsSync, readFileSync } from 'node:fs'

const [path, ...stages] = process.argv.slice(2)
const results = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { numPassedTests: 0, numFailedTests: 0, testResults: [] }
// a file that fails to load has no tests to count
const broken = results.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
let failed = results.numFailedTests + broken.length
for (const stage of stages) {
  console.log(`failed: ${stage}`)
  if (stage !== 'test' || failed === 0) failed++
}
console.log(`${results.numPassedTests} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
