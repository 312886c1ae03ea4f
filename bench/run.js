/**
 * Measures workloads: node bench/run.js [id…] [--seconds 3]. One JSON line per workload and way of calling: median and minimum milliseconds per step.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { manualSeed } from 'chainrule'
import { workloads } from './workloads.js'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { seconds: { type: 'string', default: '3' }, explain: { type: 'boolean' } } })
const seconds = Number(values.seconds)
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

const median = (xs) => xs.sort((a, b) => a - b)[xs.length >> 1]

/** Times one way: 5 steps to warm up, then at least 30 steps and the given seconds. */
async function measure(way) {
  const run = typeof way === 'function' ? way : way.run
  const per = typeof way === 'function' ? 1 : way.steps
  for (let i = 0; i < 5; i++) await run()
  const times = []
  const end = performance.now() + seconds * 1000
  while (times.length * per < 30 || performance.now() < end) {
    const start = performance.now()
    const pending = run()
    if (pending !== undefined && typeof pending.then === 'function') await pending
    times.push((performance.now() - start) / per)
    // the event loop turns between samples, as it would in a program
    if (times.length % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return { median_ms: median(times), min_ms: times[0], steps: times.length * per }
}

for (const id of positionals.length > 0 ? positionals : Object.keys(workloads)) {
  if (workloads[id] === undefined) throw new Error(`unknown workload ${id}; known: ${Object.keys(workloads).join(', ')}`)
  manualSeed(0)
  const { ways, gflop, gigabytes, step, args } = workloads[id]()
  if (values.explain && step !== undefined) console.error(step.explain(...args))
  for (const [name, way] of Object.entries(ways)) {
    const r = await measure(way)
    const rate = gflop !== undefined ? `${(gflop / r.median_ms * 1000).toFixed(1)} GFLOP/s` : gigabytes !== undefined ? `${(gigabytes / r.median_ms * 1000).toFixed(1)} GB/s` : ''
    const round = (x) => Number(x.toPrecision(4))
    console.log(JSON.stringify({ peer: `chainrule-${version}`, workload: id, way: name, median_ms: round(r.median_ms), min_ms: round(r.min_ms), steps: r.steps, note: rate }))
  }
}
