/**
 * Builds the package's JavaScript and types. In: src/index.ts. Out, in dist/:
 *
 * - chainrule.cjs, the one implementation, a CommonJS bundle;
 * - index.cjs, which hands it on, and index.mjs, which re-exports its names, so that `import` and `require` in one process share all state;
 * - types/, the declarations, with index.d.ts and index.d.cts pointing at them. They are marked CommonJS, as the implementation is: both
 *   module systems may import such declarations, and there is one class `Tensor` for tsc as well.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { build } from 'esbuild'
import { fail, root, run } from './common.js'

const dist = join(root, 'dist')

/**
 * In the source the loader makes its `require` from `import.meta.url`; the bundle has a real one, which other bundlers can follow. Paths
 * of binaries are made relative to dist/.
 */
const binaries = {
  name: 'binaries',
  setup(bundler) {
    bundler.onLoad({ filter: /[\\/]backend[\\/]loader\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      const contents = source.replace('const require = createRequire(import.meta.url)', '')
      if (contents === source)
        throw new Error('scripts/build-ts.js: the line that makes `require` is not in src/backend/loader.ts any more')
      return { contents, loader: 'ts' }
    })
    bundler.onResolve({ filter: /\.node$/ }, ({ path, importer }) => ({
      path: relative(dist, resolve(dirname(importer), path)).replaceAll('\\', '/'),
      external: true,
    }))
  },
}

async function bundle() {
  await build({
    absWorkingDir: root,
    entryPoints: ['src/index.ts'],
    outfile: 'dist/chainrule.cjs',
    bundle: true,
    // `sideEffects: false` in package.json speaks of the bundle; our modules do register things when they load
    ignoreAnnotations: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    external: ['node:*'],
    define: { BUNDLED: 'true' },
    plugins: [binaries],
    // For the time an import takes: V8 reads this text faster without comments and in ASCII. Names stay, for stack traces, and lines stay
    // short, since Node prints the line of an uncaught error.
    charset: 'ascii',
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    logLevel: 'warning',
  })
}

function writeEntries() {
  // Not `module.exports = require(…)`: Node follows that to look for names, and reading the whole bundle for them takes 100 ms.
  writeFileSync(join(dist, 'index.cjs'), `'use strict'\nconst chainrule = require('./chainrule.cjs')\nmodule.exports = chainrule\n`)
  const names = Object.keys(createRequire(import.meta.url)(join(dist, 'chainrule.cjs'))).sort()
  writeFileSync(join(dist, 'index.mjs'), `import chainrule from './index.cjs'\nexport const {\n  ${names.join(',\n  ')},\n} = chainrule\n`)
}

function writeTypes() {
  rmSync(join(dist, 'types'), { recursive: true, force: true })
  const ok = run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'])
  if (!ok) fail('build-ts: the types do not check; see the errors above.')
  writeFileSync(join(dist, 'types', 'package.json'), '{ "type": "commonjs" }\n')
  for (const name of ['index.d.ts', 'index.d.cts']) writeFileSync(join(dist, name), `export * from './types/index.js'\n`)
}

mkdirSync(dist, { recursive: true })
await bundle()
writeEntries()
writeTypes()
