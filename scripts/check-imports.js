/**
 * Checks the floors of docs/architecture.md: a module imports from its own floor or from below, and modules do not import in circles. In: src.
 * Out: exit code 1 with a line for each mistake.
 *
 * Imports of types alone count for the floors, but not for circles: nothing is left of them at run time.
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { filesBelow, root } from './common.js'

/** From the lowest to the highest. A folder stands for what is in it. */
export const floors = [
  ['base/', 'types/'],
  ['ir/'],
  ['backend/'],
  ['tensor/'],
  ['ops/core/'],
  ['ops/basic/'],
  ['ops/layers/'],
  ['ops/arrays/'],
  ['autograd/'],
  ['ops/methods.ts', 'ops/fluent.ts'],
  ['compile/'],
  ['nn/', 'optim/', 'losses/'],
  ['train/', 'data/', 'io/'],
  ['cli/', 'cli.ts', 'index.ts', 'models/'],
]

const floorOf = (file) =>
  floors.findIndex((floor) => floor.some((place) => (place.endsWith('/') ? file.startsWith(place) : file === place)))

/** Code without comments, so that examples in them do not count. */
const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')

/** `{ from, to, typesOnly }` for each import of another module of src. */
export function importsOf(file, text) {
  const found = []
  const add = (specifier, typesOnly) => {
    if (specifier.startsWith('.'))
      found.push({ from: file, to: join(dirname(file), specifier).replaceAll('\\', '/').replace(/\.js$/, '.ts'), typesOnly })
  }
  const code = withoutComments(text)
  for (const [, clause, specifier] of code.matchAll(/^(?:import|export)\s+([^'";]*?from\s*)?'([^']+)'/gm)) {
    const names = /\{([^}]*)\}/.exec(clause ?? '')
    const onlyTypes =
      names !== null &&
      !/\bimport\s+\w|^\s*\w+\s*,/.test(clause) &&
      names[1].split(',').every((n) => n.trim() === '' || n.trim().startsWith('type '))
    add(specifier, /^type\s/.test(clause ?? '') || onlyTypes)
  }
  // import('…') as a type or as a call: told apart by `await` or a call of `then`, which types do not have
  for (const [, before, specifier] of code.matchAll(/(\bawait\s+)?\bimport\('([^']+)'\)/g)) add(specifier, before === undefined)
  return found
}

/** Circles among imports that exist at run time, each as a list of modules. */
function circles(edges) {
  const next = new Map()
  for (const { from, to, typesOnly } of edges) if (!typesOnly) next.set(from, [...(next.get(from) ?? []), to])
  const found = []
  const state = new Map()
  const visit = (module, path) => {
    state.set(module, 'open')
    for (const to of next.get(module) ?? []) {
      if (state.get(to) === 'open') found.push([...path.slice(path.indexOf(to)), to])
      else if (!state.has(to)) visit(to, [...path, to])
    }
    state.set(module, 'done')
  }
  for (const module of next.keys()) if (!state.has(module)) visit(module, [module])
  return found
}

/** All mistakes, as sentences. `read` gives a module's text. */
export function checkImports(files, read) {
  const mistakes = []
  const edges = files.flatMap((file) => importsOf(file, read(file)))
  for (const file of files)
    if (floorOf(file) < 0) mistakes.push(`src/${file} is on no floor: add it to the list in scripts/check-imports.js`)
  for (const { from, to } of edges) {
    if (!files.includes(to)) mistakes.push(`src/${from} imports src/${to}, which does not exist`)
    else if (floorOf(from) >= 0 && floorOf(to) > floorOf(from)) mistakes.push(`src/${from} imports src/${to} from a floor above its own`)
  }
  for (const circle of circles(edges)) mistakes.push(`circle: ${circle.join(' → ')}`)
  return mistakes
}

/** The mistakes in this checkout. */
export function checkSource() {
  const files = filesBelow('src', (name) => name.endsWith('.ts')).map((name) => name.replaceAll('\\', '/').slice('src/'.length))
  return checkImports(files, (file) => readFileSync(join(root, 'src', file), 'utf8'))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mistakes = checkSource()
  for (const mistake of mistakes) console.error(mistake)
  process.exitCode = mistakes.length > 0 ? 1 : 0
}
