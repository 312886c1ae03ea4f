/**
 * One measurement of one workload: of ours in a fresh process between two looks at the machine's peak, or of a peer by its command. In: ids and
 * options. Out: lines as docs of run.js say.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { measureImport } from './import.js'
import { peak } from './peak.js'
import { rounded } from './timing.js'

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))
const us = { peer: `chainrule-${version}` }

/** Set only what was asked for: an empty variable would be a wrong value. */
function environment({ backend, threads, isa }) {
  const env = { ...process.env }
  if (backend !== undefined) env.CHAINRULE_BACKEND = backend
  if (threads !== undefined) env.CHAINRULE_THREADS = String(threads)
  if (isa !== undefined) env.CHAINRULE_ISA = isa
  return env
}

/** What a program printed as JSON, a line each. */
export const linesOf = (stdout) =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))

/**
 * The part of the peak that was reached: of multiply-adds, or of streaming where the workload counts bytes. The better look counts. An installed
 * package has no program to look with, and of multiply-adds the addon's own word is taken.
 */
function withPeak({ gigabytes, addon_peak, ...line }, looks) {
  const own = addon_peak === undefined ? undefined : { gflops: addon_peak, gbps: Number.NaN }
  const found = looks.filter(Boolean)
  const best = (what) => Math.max(...(found.length > 0 ? found : [own].filter(Boolean)).map((look) => look[what]))
  const gbps = gigabytes === undefined ? undefined : rounded((gigabytes / line.median_ms) * 1000)
  const [reached, limit] = gbps === undefined ? [line.gflops, best('gflops')] : [gbps, best('gbps')]
  const fraction = reached === null || !Number.isFinite(limit) ? null : rounded(reached / limit)
  const peaks = Number.isFinite(limit) ? { [gbps === undefined ? 'peak_gflops' : 'peak_gbps']: limit } : {}
  return { ...us, ...line, ...(gbps === undefined ? {} : { gbps }), peak_fraction: fraction, ...peaks }
}

/** What the next process will use, so that the first look at the peak can be before it. */
const known = new Map()

/** Measures a workload of ours; undefined where it cannot run; the reason is on stderr then. */
export function measureOurs(workload, { modes, seconds, explain, ...where }) {
  if (workload === 'import') return measureImport().map((line) => ({ ...us, ...line }))
  const key = JSON.stringify(where)
  const before = known.has(key) ? peak(...known.get(key)) : undefined
  const request = JSON.stringify({ workload, modes, seconds, explain })
  const { stdout, status } = spawnSync(process.execPath, [join(import.meta.dirname, 'measure.js'), request], {
    encoding: 'utf8',
    env: environment(where),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) return undefined
  const lines = linesOf(stdout)
  if (lines.length === 0) return []
  known.set(key, [lines[0].isa, lines[0].threads])
  const after = peak(...known.get(key))
  return lines.map((line) => withPeak(line, [before, after]))
}

/** What the peers' commands call themselves, for the runs in which they say nothing. */
const names = new Map()

/** Runs a peer's command with the workload's id behind it. Where no times come back, a line says why in `note`. */
export function measurePeer(command, workload) {
  const { stdout, stderr, status } = spawnSync(`${command} ${workload}`, {
    shell: true,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  })
  const lines = linesOf(stdout)
  if (lines.length > 0) {
    names.set(command, lines[0].peer)
    return lines.map((line) => ({ ...line, median_ms: line.median_ms ?? null, min_ms: line.min_ms ?? null }))
  }
  const note = stderr.trim().split('\n').at(-1) || `no result, exit code ${status}`
  return [{ peer: names.get(command) ?? command, workload, median_ms: null, min_ms: null, note: note.slice(0, 120) }]
}

/** Times op cases in a process of its own, which also prints. Returns its exit code. */
export function measureOps(words, { json, seconds, mode = [], ...where }) {
  const options = [
    ...(json ? ['--json'] : []),
    ...(seconds === undefined ? [] : ['--seconds', seconds]),
    ...mode.flatMap((m) => ['--mode', m]),
  ]
  const script = join(import.meta.dirname, 'ops.js')
  if (!existsSync(script)) {
    console.error('bench: --ops times the cases of the tests, which only a checkout of chainrule has')
    return 1
  }
  const args = [script, ...options, ...words]
  return spawnSync(process.execPath, args, { env: environment(where), stdio: 'inherit' }).status ?? 1
}
