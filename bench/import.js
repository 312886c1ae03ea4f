/**
 * The workload `import`: how long loading the library takes in a fresh process, and how large it is once installed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { median, rounded } from './timing.js'

const root = join(import.meta.dirname, '..')

const list = (names) => names.map((name) => `'${name}'`)
const programs = {
  import: (names) => ['--input-type=module', '-e', timed(list(names).map((name) => `await import(${name})`))],
  require: (names) => ['-e', timed(list(names).map((name) => `require(${name})`))],
}
const timed = (loads) => `const t = performance.now(); ${loads.join('; ')}; console.log(performance.now() - t); process.exit(0)`

/** Milliseconds that loading the named packages takes, in fresh processes started in `cwd`. */
export function loadingTimes(mode, names, cwd, processes = 15) {
  const once = () =>
    Number(execFileSync(process.execPath, programs[mode](names), { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  // the first fills the system's file cache
  once()
  const times = Array.from({ length: processes }, once)
  return { workload: 'import', median_ms: rounded(median(times)), min_ms: rounded(Math.min(...times)), steps: processes, mode }
}

/** Megabytes on disk: what npm would pack (there are no dependencies), and the binary of this platform while it is not part of that. */
function installedMegabytes() {
  const npm = process.env.npm_execpath
  const [command, ...args] = npm === undefined ? ['npm'] : [process.execPath, npm]
  const text = execFileSync(command, [...args, 'pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  // npm 11 gives a list, later ones an object by name
  const [{ unpackedSize, files }] = Object.values(JSON.parse(text))
  const binary = join(root, 'build', 'chainrule.node')
  const missing = files.some(({ path }) => path.endsWith('.node')) || !existsSync(binary) ? 0 : statSync(binary).size
  return Number(((unpackedSize + missing) / 2 ** 20).toFixed(2))
}

/** A line for `import()` and one for `require()`. */
export function measureImport() {
  const installed_mb = installedMegabytes()
  const unused = { threads: null, isa: null, backend: null, gflops: null, peak_fraction: null }
  return Object.keys(programs).map((mode) => ({ ...loadingTimes(mode, ['chainrule'], root), ...unused, installed_mb }))
}
