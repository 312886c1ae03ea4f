/**
 * Prints the closing lines of CI: each failed test with its message, since a log may be kept by its end alone, then `N passed, N failed`. In: vitest's
 * JSON results, several of them joined by commas, and the names of stages that failed. A stage that failed without a failed test in its results counts as
 * one failure.
 *
 *     node scripts/ci-summary.js test=results.json,platforms=more.json [stage …]
 */
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

const [given, ...stages] = process.argv.slice(2)
let [passed, failed, skipped] = [0, 0, 0]

const report = (test, messages) => {
  console.log(`failed: ${relative(process.cwd(), test)}`)
  for (const message of messages) console.log(`  ${message.split('\n').slice(0, 12).join('\n  ')}`)
}

for (const [stage, path] of given.split(',').map((pair) => pair.split('='))) {
  const none = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, testResults: [] }
  const results = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : none
  // a file that fails to load has no tests to count
  const broken = results.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  for (const file of broken) report(file.name, [file.message])
  for (const file of results.testResults) {
    for (const test of file.assertionResults) if (test.status === 'failed') report(`${file.name} > ${test.fullName}`, test.failureMessages)
  }
  passed += results.numPassedTests
  skipped += results.numPendingTests
  failed += results.numFailedTests + broken.length
  if (results.numFailedTests + broken.length > 0 && stages.includes(stage)) stages.splice(stages.indexOf(stage), 1)
}
for (const stage of stages) console.log(`failed: ${stage}`)
failed += stages.length
if (skipped > 0) console.log(`${skipped} skipped; the reasons stand beside them above`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
