/**
 * Measures one workload in this process, which run.js starts for it. In, as JSON: `{ workload, modes, seconds, explain }`; backend, threads and
 * instruction set by the library's environment variables. Out: a JSON line for each mode.
 *
 *     node bench/measure.js '{"workload":"mlp","modes":["sync"],"seconds":3}'
 */
import { createRequire } from 'node:module'
import { backend, environment, manualSeed } from 'chainrule'
import { measure, rounded } from './timing.js'
import { workloads } from './workloads.js'

const { workload: id, modes, seconds, explain } = JSON.parse(process.argv[2])

/** What the addon says of itself: the library has loaded it by now, and it is one for the process. */
function loadedAddon() {
  if (backend() === 'js') return undefined
  return createRequire(import.meta.url)(environment().binary)
}

manualSeed(0)
const workload = workloads[id]()
const addon = loadedAddon()
const { isa, threads } = addon?.info() ?? { isa: null, threads: 1 }
if (explain && workload.step !== undefined) console.error(workload.step.explain(...workload.args))
for (const [mode, way] of Object.entries(workload.modes)) {
  if (modes !== undefined && !modes.includes(mode)) continue
  const { run, steps: per } = typeof way === 'function' ? { run: way, steps: 1 } : way
  const { median_ms, min_ms, steps, noisy } = await measure(run, { per, seconds })
  const line = { workload: id, median_ms: rounded(median_ms), min_ms: rounded(min_ms), steps, mode, threads, isa, backend: backend() }
  if (noisy) line.noisy = true
  if (addon !== undefined) line.addon_peak = rounded(addon.peak())
  const { gflop, gigabytes } = workload
  console.log(JSON.stringify({ ...line, gflops: gflop === undefined ? null : rounded((gflop / median_ms) * 1000), gigabytes }))
}
