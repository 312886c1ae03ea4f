/** Bundles test/fuzz/frame/main.ts, since Node 20 reads no TypeScript, and runs it. What it takes is said there. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { build } from 'esbuild'
import { root } from './common.js'

const outfile = join(root, 'build', 'fuzz', 'main.mjs')
await build({
  entryPoints: [join(root, 'test', 'fuzz', 'frame', 'main.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  // modules register things when they load, whatever package.json says of the bundle users get
  ignoreAnnotations: true,
  logLevel: 'error',
})
const child = spawn(process.execPath, [outfile, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' })
child.on('exit', (code) => process.exit(code ?? 2))
