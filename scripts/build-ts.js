/**
 * Builds the package's JavaScript and types. In: src/index.ts. Out, in dist/:
 *
 * - chainrule.cjs and the parts beside it (parts.js), the one implementation, CommonJS bundles;
 * - index.cjs, which hands it on, and index.mjs, which re-exports its names, so that `import` and `require` in one process share all state;
 * - cli.cjs, the command `chainrule`;
 * - models.cjs and models.mjs, chainrule/models, which takes all else from index.cjs;
 * - types/, the declarations, with index.d.ts and index.d.cts (models.d.ts and models.d.cts) pointing at them. They are marked CommonJS, as
 *   the implementation is: both module systems may import such declarations, and there is one class `Tensor` for tsc as well.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { build } from 'esbuild'
import { fail, root, run } from './common.js'
import { libraryParts, link } from './parts.js'

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

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** What both bundles share. */
const options = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  logLevel: 'warning',
}

/**
 * Node's own modules are required where they are first used: zlib, crypto and fs/promises together take 6 ms to load, and most programs
 * need none of them. In: the bundle's text, where an import is a variable and each use one of its members. Out: the variables are objects of
 * getters.
 */
function requireLate(text) {
  return text.replace(/\b(import_\w+)=(require\("node:[^"]+"\))/g, (_, variable, module) => {
    const members = new Set(Array.from(text.matchAll(new RegExp(`\\b${variable}\\.(\\w+)`, 'g')), ([, member]) => member))
    return `${variable}={${Array.from(members, (member) => `get ${member}(){return ${module}.${member}}`)}}`
  })
}

async function bundlePart({ file, contents, heading, plugin }) {
  const outfile = join(dist, file)
  await build({
    ...options,
    stdin: { contents, resolveDir: root, sourcefile: file },
    banner: { js: heading },
    outfile,
    // `sideEffects: false` in package.json speaks of the bundle; our modules do register things when they load
    ignoreAnnotations: true,
    external: ['node:*'],
    // the loader asks for its folder in another way where it is bundled
    define: { BUNDLED: 'true', 'import.meta.dirname': 'undefined', VERSION: JSON.stringify(version) },
    plugins: [binaries, plugin],
    // For the time an import takes: V8 reads this text faster without comments and in ASCII. Names stay, for stack traces, and lines stay
    // short, since Node prints the line of an uncaught error.
    charset: 'ascii',
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
  })
  writeFileSync(outfile, requireLate(link(readFileSync(outfile, 'utf8'))))
}

async function bundle() {
  const parts = await libraryParts()
  const stale = readdirSync(dist).filter((name) => /^chainrule\..*cjs$/.test(name) && parts.every(({ file }) => file !== name))
  for (const name of stale) rmSync(join(dist, name))
  await Promise.all(parts.map(bundlePart))
}

/** Takes chainrule itself from beside the bundle. */
const library = {
  name: 'library',
  setup(bundler) {
    bundler.onResolve({ filter: /^\.\.\/index\.js$/ }, () => ({ path: './index.cjs', external: true }))
  },
}

/** chainrule/models. */
async function bundleModels() {
  await build({ ...options, entryPoints: ['src/models/index.ts'], outfile: 'dist/models.cjs', plugins: [library] })
}

/** The command line: its library inside. */
async function bundleCommand() {
  await build({
    ...options,
    entryPoints: ['src/cli/main.ts'],
    outfile: 'dist/cli.cjs',
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href" },
    plugins: [library],
  })
  const licence = readFileSync(join(root, 'node_modules/commander/LICENSE'), 'utf8')
  writeFileSync(join(dist, 'cli.licenses.txt'), `dist/cli.cjs contains commander:\n\n${licence}`)
}

function writeEntries() {
  // Not `module.exports = require(…)`: Node follows that to look for names, and reading the whole bundle for them takes 100 ms.
  writeFileSync(join(dist, 'index.cjs'), `'use strict'\nconst { surface } = require('./chainrule.cjs')\nmodule.exports = surface\n`)
  for (const entry of ['index', 'models']) {
    const names = Object.keys(createRequire(import.meta.url)(join(dist, `${entry}.cjs`))).sort()
    writeFileSync(join(dist, `${entry}.mjs`), `import $all from './${entry}.cjs'\nexport const {\n  ${names.join(',\n  ')},\n} = $all\n`)
  }
}

function writeTypes() {
  rmSync(join(dist, 'types'), { recursive: true, force: true })
  const ok = run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'])
  if (!ok) fail('build-ts: the types do not check; see the errors above.')
  writeFileSync(join(dist, 'types', 'package.json'), '{ "type": "commonjs" }\n')
  for (const [entry, types] of [
    ['index', 'index'],
    ['models', 'models/index'],
  ]) {
    for (const kind of ['ts', 'cts']) writeFileSync(join(dist, `${entry}.d.${kind}`), `export * from './types/${types}.js'\n`)
  }
}

mkdirSync(dist, { recursive: true })
await bundle()
await bundleModels()
await bundleCommand()
writeEntries()
writeTypes()
