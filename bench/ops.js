/**
 * A timing for each op case of the tests: `npm run bench -- --ops [word …]`, those whose names contain one of the words. In: test/ops.cases.ts, bundled with the
 * sources, at its large size where it has one. Out: a row or JSON line each for the eager call and for the compiled function in place.
 * Backend, threads and instruction set come from the library's environment variables, which run.js sets.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { opTimes } from './tables.js'
import { measure, rounded } from './timing.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, seconds: { type: 'string', default: '0.1' }, mode: { type: 'string', multiple: true } },
})
const root = join(import.meta.dirname, '..')

/** The library and the cases as one module; where it lies, the loader finds the binary as from a source file. */
async function load() {
  const folder = mkdtempSync(join(root, 'build/ops-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const outfile = join(folder, 'cases.mjs')
  const contents = `
    export { compile } from './src/index.ts'
    export { nativeBackend } from './src/backend/select.ts'
    export { cases } from './test/ops.cases.ts'
    export { makeInputs } from './test/support/cases.ts'`
  const stdin = { contents, resolveDir: root, loader: 'ts' }
  await build({ stdin, outfile, bundle: true, ignoreAnnotations: true, platform: 'node', format: 'esm', logLevel: 'error' })
  return import(pathToFileURL(outfile).href)
}

// development would trace twice
process.env.NODE_ENV = 'production'
const { cases, compile, makeInputs, nativeBackend } = await load()
const { isa, threads } = nativeBackend()?.info() ?? { isa: null, threads: 1 }
const where = { threads, isa, backend: isa === null ? 'js' : 'native' }
const wanted = (name) => positionals.length === 0 || positionals.some((word) => name.includes(word))

const lines = []
for (const c of cases.filter(({ name }) => wanted(name))) {
  const shapes = c.large ?? c.sizes.at(-1)
  const inputs = makeInputs(c, shapes)
  const compiled = compile(c.call)
  const modes = { eager: () => c.call(...inputs), sync: () => compiled.sync(...inputs) }
  const bytes = [...inputs, c.call(...inputs)].reduce((sum, t) => sum + t.data.byteLength, 0)
  for (const [mode, run] of Object.entries(modes)) {
    if (values.mode !== undefined && !values.mode.includes(mode)) continue
    // what a step returns is not awaited: tensors are results, not promises
    const { median_ms, min_ms, steps, noisy } = await measure(() => void run(), { seconds: Number(values.seconds) })
    const times = { median_ms: rounded(median_ms), min_ms: rounded(min_ms), steps, mode, ...where, ...(noisy ? { noisy } : {}) }
    const line = { workload: `op ${c.name}`, shapes, ...times, gbps: rounded(bytes / median_ms / 1e6) }
    lines.push(line)
    if (values.json) console.log(JSON.stringify(line))
  }
}
if (lines.length === 0) {
  console.error(`bench: no op case is named like ${positionals.join(', ')}`)
  process.exitCode = 1
} else if (!values.json) console.log(opTimes(lines))
