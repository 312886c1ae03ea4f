/**
 * How modules print: the tree as PyTorch shows it, and the table of `summary()`. In: a module. Out: text.
 */
import { showShape } from '../base/errors.js'
import type { Module } from './module.js'

/** A module as one would write it: `Linear(784, 256)`. */
export function signatureOf(module: Module): string {
  return `${module.constructor.name}(${module.extraRepr()})`
}

const indent = (text: string): string => text.replaceAll('\n', '\n  ')

/** The tree of modules. A module that contains itself is shown once. */
export function describeModule(module: Module, open: ReadonlySet<Module> = new Set()): string {
  const children = module.namedChildren()
  if (children.length === 0) return signatureOf(module)
  if (open.has(module)) return `${module.constructor.name}(…)`
  const inside = new Set(open).add(module)
  const lines = children.map(([name, child]) => `\n  (${name}): ${indent(describeModule(child, inside))}`)
  return `${module.constructor.name}(${module.extraRepr()}${lines.join('')}\n)`
}

const grouped = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ',')

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((h, i) => rows.reduce((w, r) => Math.max(w, r[i].length), h.length))
  const last = head.length - 1
  const line = (cells: readonly string[]): string =>
    cells
      .map((c, i) => (i === last ? c.padStart(widths[i]) : c.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  const rule = '─'.repeat(widths.reduce((a, b) => a + b + 2, -2))
  return [line(head), rule, ...rows.map(line), rule].join('\n')
}

/** One row a module; a parameter that is shared counts where it appears first. */
export function summarize(root: Module): string {
  const seen = new Set<object>()
  let total = 0
  let trainable = 0
  const rows = root.namedModules().map(([name, module]) => {
    const own = module.ownParameters().filter(([, p]) => !seen.has(p) && seen.add(p))
    const count = own.reduce((n, [, p]) => n + p.size, 0)
    total += count
    trainable += own.reduce((n, [, p]) => n + (p.requiresGrad ? p.size : 0), 0)
    const shapes = own.map(([key, p]) => `${key} ${showShape(p.shape)}`)
    const type = module.namedChildren().length > 0 ? module.constructor.name : signatureOf(module)
    return [name, type, shapes.join(', '), count === 0 ? '' : grouped(count)]
  })
  const totals = `Parameters: ${grouped(total)}, trainable: ${grouped(trainable)}, in float32: ${bytes(total * 4)}`
  return `${table(['Name', 'Type', 'Shape', 'Parameters'], rows)}\n${totals}`
}

function bytes(n: number): string {
  if (n < 1024) return `${n} B`
  const mib = n / 1024 / 1024
  return mib < 1 ? `${(n / 1024).toFixed(1)} KiB` : `${mib.toFixed(1)} MiB`
}
