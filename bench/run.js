/**
 * Measures workloads and prints one JSON line each:
 *
 *     node bench/run.js [id…] [--seconds 3] [--way sync] [--rounds 3] [--peer "python3 bench/peers/torch.py"] [--explain]
 *
 * Each line has the median and minimum milliseconds per step. With `--peer` the command is run with each workload's id in turn with ours, as
 * often as there are rounds, and a table of medians closes the run.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { manualSeed } from 'chainrule'
import { workloads } from './workloads.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '1' },
    way: { type: 'string' },
    peer: { type: 'string' },
    explain: { type: 'boolean' },
  },
})
const seconds = Number(values.seconds)
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

const median = (xs) => [...xs].sort((a, b) => a - b)[xs.length >> 1]
const round = (x) => Number(x.toPrecision(4))

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
  return { median_ms: median(times), min_ms: Math.min(...times), steps: times.length * per }
}

function rate({ gflop, gigabytes }, ms) {
  if (gflop !== undefined) return `${((gflop / ms) * 1000).toFixed(1)} GFLOP/s`
  return gigabytes !== undefined ? `${((gigabytes / ms) * 1000).toFixed(1)} GB/s` : ''
}

const results = new Map()
function record(line) {
  console.log(JSON.stringify(line))
  const key = `${line.workload}|${line.way === undefined ? line.peer : `${line.peer} ${line.way}`}`
  results.set(key, [...(results.get(key) ?? []), line])
}

async function measureOurs(id) {
  manualSeed(0)
  const workload = workloads[id]()
  if (values.explain && workload.step !== undefined) console.error(workload.step.explain(...workload.args))
  for (const [way, run] of Object.entries(workload.ways)) {
    if (values.way !== undefined && values.way !== way) continue
    const r = await measure(run)
    record({
      peer: `chainrule-${version}`,
      workload: id,
      way,
      median_ms: round(r.median_ms),
      min_ms: round(r.min_ms),
      steps: r.steps,
      note: rate(workload, r.median_ms),
    })
  }
}

function measurePeer(id) {
  const { stdout, status } = spawnSync(`${values.peer} ${id}`, { shell: true, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  if (status !== 0) console.error(`${values.peer} ${id}: exit code ${status}`)
  for (const line of stdout.split('\n').filter((l) => l.startsWith('{'))) record(JSON.parse(line))
}

for (const id of positionals.length > 0 ? positionals : Object.keys(workloads)) {
  if (workloads[id] === undefined) throw new Error(`unknown workload ${id}; known: ${Object.keys(workloads).join(', ')}`)
  for (let i = 0; i < Number(values.rounds); i++) {
    await measureOurs(id)
    if (values.peer !== undefined) measurePeer(id)
  }
}

if (values.peer !== undefined) {
  console.log('\n| workload | who | median ms | minimum ms |\n| --- | --- | --- | --- |')
  for (const [key, lines] of results) {
    const [workload, who] = key.split('|')
    console.log(
      `| ${workload} | ${who} | ${round(median(lines.map((l) => l.median_ms)))} | ${round(Math.min(...lines.map((l) => l.min_ms)))} |`,
    )
  }
}
