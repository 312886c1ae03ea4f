/**
 * The installed package bundled into a user's program, with the settings of docs/bundlers.md: either chainrule stays outside the bundle, which works
 * with every bundler, or the bundler is told to copy `.node` files.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { installedFolder, run, tool, trained } from './support.js'

/** Runs a build script, then the bundle it makes, moved away from node_modules unless `outside`. */
function bundle(name: string, script: string, output: string, outside: boolean): void {
  const folder = installedFolder()
  rmSync(join(folder, 'out'), { recursive: true, force: true })
  writeFileSync(join(folder, `${name}.mjs`), script)
  const built = run(process.execPath, [`${name}.mjs`], folder)
  expect(built.status, built.out).toBe(0)
  if (outside) {
    expect(run(process.execPath, [join('out', output)], folder)).toEqual(trained)
    return
  }
  const elsewhere = join(folder, '..', `${name} moved`)
  rmSync(elsewhere, { recursive: true, force: true })
  mkdirSync(elsewhere, { recursive: true })
  cpSync(join(folder, 'out'), elsewhere, { recursive: true })
  expect(run(process.execPath, [output], elsewhere)).toEqual(trained)
}

/** An import of a tool that lies in a folder of its own. */
const from = (folder: string, entry: string): string => JSON.stringify(join(folder, entry))

describe('bundled by', () => {
  it('esbuild, with the binary copied', (context) => {
    const esbuild = tool('esbuild@0.28')
    if (esbuild === undefined) return context.skip('esbuild cannot be had from npm here')
    const script = `import { build } from ${from(esbuild, 'lib/main.js')}
      await build({ entryPoints: ['user.mjs'], bundle: true, platform: 'node', outfile: 'out/app.cjs', loader: { '.node': 'copy' }, logLevel: 'error' })`
    bundle('esbuild', script, 'app.cjs', false)
  })

  it('webpack, with the binary copied', (context) => {
    const webpack = tool('webpack@5')
    const loader = tool('node-loader@2')
    if (webpack === undefined || loader === undefined) return context.skip('webpack cannot be had from npm here')
    const script = `import { createRequire } from 'node:module'
      const webpack = createRequire(import.meta.url)(${from(webpack, 'lib/index.js')})
      const stats = await new Promise((resolve, reject) => webpack({
        mode: 'production', target: 'node', context: import.meta.dirname, entry: './user.mjs',
        output: { path: import.meta.dirname + '/out', filename: 'app.cjs' },
        module: { rules: [{ test: /\\.node$/, loader: ${from(loader, 'dist/cjs.js')} }] },
      }, (error, stats) => (error ? reject(error) : resolve(stats))))
      if (stats.hasErrors()) { console.error(stats.toString('errors-only')); process.exit(1) }`
    bundle('webpack', script, 'app.cjs', false)
  })

  it('rollup, chainrule outside', (context) => {
    const rollup = tool('rollup@4')
    if (rollup === undefined) return context.skip('rollup cannot be had from npm here')
    const script = `import { rollup } from ${from(rollup, 'dist/es/rollup.js')}
      const made = await rollup({ input: 'user.mjs', external: ['chainrule'] })
      await made.write({ file: 'out/app.mjs', format: 'es' })`
    bundle('rollup', script, 'app.mjs', true)
  })

  it('Vite for a server, chainrule outside', (context) => {
    const vite = tool('vite@8')
    if (vite === undefined) return context.skip('Vite cannot be had from npm here')
    const script = `import { build } from ${from(vite, 'dist/node/index.js')}
      await build({ logLevel: 'error', build: { ssr: 'user.mjs', outDir: 'out' } })`
    bundle('vite', script, 'user.mjs', true)
  })
})
