/**
 * Cuts the library into the files of dist/: chainrule.cjs, the core, which an import reads, and parts, which are read when one of their
 * functions is first called or a name of their namespaces first looked up. Reading all of it takes 25 ms, and most programs use a half.
 *
 * The source knows nothing of it: its imports are ordinary. Where a module imports functions of another part, it gets functions of the same
 * names that read the part and hand on their arguments; where it hands on a namespace (`nn`), an object of getters. A part that needs more than
 * that of another, a class or a constant, reads it at once; a module of which the core needs more belongs to the core.
 */
import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { build, transform } from 'esbuild'
import { filesBelow, root } from './common.js'

/** Modules of a folder. */
const inside = (folder, names) => names.split(' ').map((name) => `${folder}/${name}`)

/**
 * The parts and what they hold: modules, or what else is in a folder. The core holds all that is named nowhere; modules that define
 * micro-operations must be there, since these are numbered in the order in which they are defined.
 */
const holdings = {
  core: [
    'backend/',
    ...inside('autograd', 'backward hint hooks'),
    'ops/core/',
    'ops/methods',
    ...inside(
      'ops/basic',
      'assign at creation custom-gradient dropout elementwise functions gather join matmul movement random reduce softmax',
    ),
    'ops/layers/spatial',
    ...inside('data', 'index collate loader rng tensors'),
    ...inside('io', 'index'),
    ...inside('train', 'index'),
  ],
  layers: ['ops/layers/', 'ops/basic/special-loops'],
  arrays: ['ops/', 'autograd/'],
  nn: ['nn/', 'losses/', 'optim/', 'ops/core/list', 'ops/basic/state'],
  compile: ['compile/'],
  interpreter: ['backend/js/'],
  files: ['data/', 'io/'],
  train: ['train/'],
}
const parts = Object.keys(holdings).filter((name) => name !== 'core')

/** The part that names the module itself, or else the deepest of its folders. */
function placeOf(module) {
  const depth = (place) =>
    place === module ? Number.POSITIVE_INFINITY : place.endsWith('/') && module.startsWith(place) ? place.length : 0
  const depths = Object.entries(holdings).map(([name, places]) => ({ name, depth: Math.max(...places.map(depth)) }))
  const best = depths.reduce((a, b) => (b.depth > a.depth ? b : a))
  return best.depth > 0 ? best.name : 'core'
}

const src = join(root, 'src')
const pathOf = (module) => join(src, `${module}.ts`)
const moduleAt = (path) =>
  relative(src, path)
    .replaceAll('\\', '/')
    .replace(/\.(ts|js)$/, '')
const imported = (module, specifier) => moduleAt(resolve(dirname(pathOf(module)), specifier))
const fileOf = (part) => (part === 'core' ? 'chainrule.cjs' : `chainrule.${part}.cjs`)

/** `export * as nn from './nn/index.js'` */
const namespaceExport = /^export \* as (\w+) from '(\.[^']+)'/gm

/**
 * What a module says when it runs: `imports`, from modules, lists of names (`*` is all); `namespaces`, modules it hands on as such;
 * `functions` that it declares.
 */
async function describe(module) {
  const source = readFileSync(pathOf(module), 'utf8')
  const namespaces = Array.from(source.matchAll(namespaceExport), ([, , specifier]) => imported(module, specifier))
  // leaves no types, and each import on lines of its own
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20' })
  const imports = Array.from(
    code.matchAll(/^(?:import|export)\s+(\*(?: as \w+)?|\{[^}]*\})\s+from\s+"(\.[^"]+)"/gm),
    ([, clause, specifier]) => {
      const names = clause.startsWith('*') ? ['*'] : clause.slice(1, -1).split(',')
      return { to: imported(module, specifier), names: names.map((name) => name.trim().split(' as ')[0]).filter((name) => name !== '') }
    },
  )
  const functions = Array.from(code.matchAll(/^(?:async )?function\*? (\w+)/gm), ([, name]) => name)
  return { imports, namespaces: new Set(namespaces), functions: new Set(functions) }
}

/** The names that modules export when they run, by module. */
async function exportedNames(modules) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: modules.map(pathOf),
    outdir: 'dist',
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['*.node'],
    metafile: true,
    write: false,
  })
  return new Map(Object.values(metafile.outputs).map(({ entryPoint, exports }) => [moduleAt(join(root, entryPoint)), exports]))
}

/** All modules but the programs above the library, with what they import and export, and which of it can wait. */
async function readSource() {
  const modules = filesBelow('src', (name) => name.endsWith('.ts'))
    .map((file) => moduleAt(join(root, file)))
    .filter((module) => !/^(cli|models)\//.test(module))
  const described = new Map(await Promise.all(modules.map(async (module) => [module, await describe(module)])))
  const exported = await exportedNames(modules)

  const namesFrom = (from, to) =>
    described.get(from).imports.flatMap((i) => (i.to !== to ? [] : i.names.includes('*') ? exported.get(to) : i.names))
  const beyondFunctions = (from, to) =>
    described.get(from).namespaces.has(to) ? [] : namesFrom(from, to).filter((name) => !described.get(to).functions.has(name))

  const edges = [...described].flatMap(([from, { imports }]) =>
    [...new Set(imports.map(({ to }) => to))].map((to) => ({ from, to, names: namesFrom(from, to), atOnce: beyondFunctions(from, to) })),
  )

  const partOf = new Map(modules.map((module) => [module, placeOf(module)]))
  const missing = ({ from, to, atOnce }) => partOf.get(from) === 'core' && partOf.get(to) !== 'core' && atOnce.length > 0
  for (let edge = edges.find(missing); edge !== undefined; edge = edges.find(missing)) partOf.set(edge.to, 'core')
  return { described, exported, partOf, crossings: edges.filter(({ from, to }) => partOf.get(from) !== partOf.get(to)) }
}

/** The text that stands for a module of another part. */
function standIn(module, { described, exported, partOf }) {
  const names = exported.get(module)
  const part = `parts.${partOf.get(module)}()[${JSON.stringify(module)}]`
  return `
    import * as parts from 'parts'
    ${names
      .filter((name) => described.get(module).functions.has(name))
      .map((name) => `export function ${name}(...args) { return ${part}.${name}(...args) }`)
      .join('\n')}
    export const namespace = { ${names.map((name) => `get ${name}() { return ${part}.${name} }`).join(', ')} }`
}

/** The module `parts`: a function for each part that reads it. */
const readers = parts
  .map((name) => `let ${name}_\nexport const ${name} = () => ${name}_ ??= require('./${fileOf(name)}').modules`)
  .join('\n')

/** Bundles one part: of other parts' modules it takes stand-ins, or leaves them for `link`. */
function plugin(part, source) {
  const { described, crossings, partOf } = source
  const late = new Set(
    crossings.filter(({ to, atOnce }) => partOf.get(to) !== 'core' && atOnce.length === 0).map(({ from, to }) => `${from} ${to}`),
  )
  const load = (contents) => ({ contents, loader: 'js', resolveDir: root })
  return {
    name: 'parts',
    setup(bundler) {
      bundler.onResolve({ filter: /^\.\.?\// }, ({ path, importer, namespace }) => {
        if (namespace !== 'file' || !importer.startsWith(src)) return undefined
        const from = moduleAt(importer)
        const to = imported(from, path)
        if (!described.has(to) || partOf.get(to) === part) return undefined
        return late.has(`${from} ${to}`) ? { path: to, namespace: 'late' } : { path: `${partOf.get(to)}:${to}`, external: true }
      })
      bundler.onLoad({ filter: /./, namespace: 'late' }, ({ path }) => load(standIn(path, source)))
      bundler.onResolve({ filter: /^parts$/ }, () => ({ path: 'parts', namespace: 'parts' }))
      bundler.onLoad({ filter: /./, namespace: 'parts' }, () => load(readers))
      bundler.onResolve({ filter: /^\.\/chainrule\./ }, ({ path }) => ({ path, external: true }))
      bundler.onLoad({ filter: /[\\/]index\.ts$/ }, ({ path }) => {
        const elsewhere = (specifier) => partOf.get(imported(moduleAt(path), specifier)) !== part
        const contents = readFileSync(path, 'utf8').replace(namespaceExport, (all, name, specifier) =>
          elsewhere(specifier) ? `export { namespace as ${name} } from '${specifier}'` : all,
        )
        return { contents, loader: 'ts' }
      })
    },
  }
}

/** The entry of a part: `modules`, what other parts need, by module; and of the core `surface`, what users get. */
function entry(part, { exported, crossings, partOf }) {
  const shown = new Map()
  for (const { to, names } of crossings.filter(({ to }) => partOf.get(to) === part))
    shown.set(to, new Set([...(shown.get(to) ?? []), ...names]))
  const lines = []
  const objects = [...shown].map(([module, names], i) => {
    lines.push(`import { ${[...names].map((name) => `${name} as ${name}_${i}`).join(', ')} } from './src/${module}.ts'`)
    return `${JSON.stringify(module)}: { ${[...names].map((name) => `${name}: ${name}_${i}`).join(', ')} }`
  })
  const table = `{ ${objects.join(', ')} }`
  if (part !== 'core') return `${lines.join('\n')}\nexport const modules = ${table}`
  const surface = exported.get('index').join(', ')
  return `
    import { ${surface} } from './src/index.ts'
    ${lines.join('\n')}
    export const surface = { ${surface} }
    let modules_
    export const modules = () => modules_ ??= ${table}`
}

/** The first line of a part's file: reads the parts that it needs at once. */
function heading(part, { crossings, partOf }) {
  if (part === 'core') return '"use strict";'
  const needed = crossings.filter(({ from, atOnce }) => partOf.get(from) === part && atOnce.length > 0).map(({ to }) => partOf.get(to))
  const others = [...new Set(needed)].filter((name) => name !== 'core')
  return [
    `"use strict";const $core=require("./${fileOf('core')}").modules();`,
    ...others.map((name) => `const $${name}=require("./${fileOf(name)}").modules;`),
  ].join('')
}

/** Modules of other parts, which the bundler left as `require("core:ops/table")`. */
export const link = (text) => text.replace(/\brequire\("(?!node:)(\w+):([\w/-]+)"\)/g, (_, part, module) => `$${part}["${module}"]`)

/** What to give to the bundler for each file: the text of its entry, its first line, a plugin. */
export async function libraryParts() {
  const source = await readSource()
  return ['core', ...parts].map((part) => ({
    file: fileOf(part),
    contents: entry(part, source),
    heading: heading(part, source),
    plugin: plugin(part, source),
  }))
}
