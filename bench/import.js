/**
 * The workload `import`: how long loading the library takes in a fresh process, and how large it is once installed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { median, rounded } from './timing.js'

const root = join(import.meta.dirname, '..')

const programs = {
  import: ['--input-type=module', '-e', "const t = performance.now(); await import('chainrule'); console.log(performance.now() - t)"],
  require: ['-e', "const t = performance.now(); require('chainrule'); console.log(performance.now() - t)"],
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
export function measureImport(processes = 15) {
  const installed_mb = installedMegabytes()
  return Object.entries(programs).map(([mode, args]) => {
    // the first fills the system's file cache
    const times = Array.from({ length: processes + 1 }, () =>
      Number(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })),
    ).slice(1)
    const [median_ms, min_ms] = [rounded(median(times)), rounded(Math.min(...times))]
    const unused = { threads: null, isa: null, backend: null, gflops: null, peak_fraction: null }
    return { workload: 'import', median_ms, min_ms, steps: processes, mode, ...unused, installed_mb }
  })
}
