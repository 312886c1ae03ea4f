/**
 * What the JavaScript peers share: the workloads' sizes as data, and the running of one of them from the command line. In: a table of workloads
 * like ours (../workloads.js), whose entries may be async and may throw `Cannot`. Out: JSON lines as ours.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadingTimes } from '../import.js'
import { measure, rounded } from '../timing.js'

/** Thrown where a library cannot express a workload; the message says what is missing. */
export class Cannot extends Error {}

export const mlpSizes = [784, 512, 256, 10]
export const tinySizes = [4, 32, 32, 3]
export const ewSize = 2 ** 24
export const gemms = {
  ...Object.fromEntries([64, 128, 256, 512, 1024, 2048].map((n) => [`gemm-${n}`, [n, n, n]])),
  'gemm-skinny': [64, 784, 256],
}
/** Weights of the cnn: convolutions 1→32→64 of 3×3, then 9216→128→10. */
export const cnnShapes = [
  [32, 1, 3, 3],
  [64, 32, 3, 3],
  [9216, 128],
  [128, 10],
]

/** Normal numbers with deviation `scale`, the same each time. */
export function normal(n, scale = 1) {
  let state = 1
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return ((state >>> 0) + 0.5) / 2 ** 32
  }
  return Float32Array.from({ length: n }, () => scale * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()))
}
export const labels = (n, classes) => Int32Array.from({ length: n }, (_, i) => (i * 7) % classes)

/** A check of the loss once every ten steps, as the workloads ask for. */
export function everyTenth(read) {
  let n = 0
  return async (loss) => {
    if (n++ % 10 === 0 && !Number.isFinite(await read(loss))) throw new Error('loss is not finite')
  }
}

const packagesFolder = join(import.meta.dirname, 'node_modules')
const manifest = (name) => JSON.parse(readFileSync(join(packagesFolder, name, 'package.json'), 'utf8'))

/** Megabytes of packages and all they depend on. */
function installedMegabytes(names) {
  const all = new Set(names.filter((name) => existsSync(join(packagesFolder, name))))
  for (const name of all)
    for (const needed of Object.keys({ ...manifest(name).dependencies, ...manifest(name).optionalDependencies }))
      if (existsSync(join(packagesFolder, needed))) all.add(needed)
  let bytes = 0
  for (const name of all)
    for (const file of readdirSync(join(packagesFolder, name), { recursive: true })) {
      const stat = statSync(join(packagesFolder, name, file))
      if (stat.isFile()) bytes += stat.size
    }
  return Number((bytes / 2 ** 20).toFixed(1))
}

/** Measures the workload named on the command line. The first of `packages` is the one whose version is shown. */
export async function main(name, packages, workloads, { threads }) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { seconds: { type: 'string', default: '3' } } })
  const [workload] = positionals
  const line = { peer: `${name}-${manifest(packages[0]).version}`, workload }
  const say = (result) => console.log(JSON.stringify({ ...line, ...result }))
  try {
    if (workload === 'import') {
      say({ ...loadingTimes('import', packages, import.meta.dirname), installed_mb: installedMegabytes(packages) })
    } else {
      if (workloads[workload] === undefined) throw new Cannot('not expressed')
      const { modes, note } = await workloads[workload]()
      for (const [mode, run] of Object.entries(modes)) {
        const { median_ms, min_ms, steps, noisy } = await measure(run, { seconds: Number(values.seconds) })
        const times = { median_ms: rounded(median_ms), min_ms: rounded(min_ms), steps, mode, threads }
        say({ ...times, ...(noisy ? { noisy } : {}), ...(note === undefined ? {} : { note }) })
      }
    }
  } catch (error) {
    const note = error instanceof Cannot ? error.message : `fails: ${String(error.message).split('\n')[0].slice(0, 160)}`
    say({ median_ms: null, min_ms: null, note })
  }
  // some keep threads alive
  process.exit(0)
}
