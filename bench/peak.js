/**
 * What the machine can do at the moment of a measurement: build/peak_<isa>, made by scripts/build-native.js --peak. Out: `{ gflops, gbps }`,
 * or undefined where the program is missing or cannot run.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

export function peak(isa, threads) {
  if (isa === null) return undefined
  const program = join(import.meta.dirname, '..', 'build', `peak_${isa}`)
  const { stdout, status } = spawnSync(program, [String(threads)], { encoding: 'utf8' })
  return status === 0 ? JSON.parse(stdout) : undefined
}
