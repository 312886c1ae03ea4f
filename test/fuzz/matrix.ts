/**
 * What is fused in front of structured ops and behind them: every shape that broadcasts, in every layout, before and after every op with each
 * dimension of size 1 and larger, also as gradients. All of it in the long run, a sample in `npm test`.
 */
import { sizeOf } from '../../src/base/shape.js'
import { onJs } from '../support/backends.js'
import { agree } from './agree/agree.js'
import { laidOut, layouts, plain, writable } from './agree/inputs.js'
import type { Fuzzer } from './frame/fuzzer.js'
import type { Random } from './frame/random.js'
import { type Operand, variants } from './matrix/variants.js'
import { Builder } from './programs/builder.js'
import { type Program, printProgram, scenarioOf } from './programs/program.js'
import { shrinkProgram } from './programs/shrink.js'

const sides = ['front', 'behind', 'both'] as const
const modes = ['plain', 'backward'] as const
/** Which of the last four dimensions an operand has; those before them follow by lot. */
const masks = 16

/** The axes of the matrix, and how many cells it has. */
const axes = [variants.length, sides.length, modes.length, layouts.length, masks]
const total = axes.reduce((n, a) => n * a, 1)
/** Cells are visited in leaps, so that the first few hundred are a sample of all. A prime that is none of the axes' factors. */
const leap = 1_000_003

/** Elementwise ops of a value and an operand; all of them have gradients. */
const pairs = [
  '$0.add($1)',
  '$0.mul($1)',
  '$0.sub($1)',
  '$1.sub($0)',
  'cr.maximum($0, $1)',
  'cr.where($1.gt(0), $0, $1)',
  '$0.div($1.abs().add(0.5))',
]
const alone = ['', '.relu()', '.sigmoid()', '.mul(0.5)']

function generate(random: Random): Program {
  let cell = Number((BigInt(random.index) * BigInt(leap)) % BigInt(total))
  const digits = axes.map((size) => {
    const digit = cell % size
    cell = Math.floor(cell / size)
    return digit
  })
  const [variant, side, mode, layout, mask] = digits
  return onJs(() => build(random, { variant: variants[variant], side: sides[side], mode: modes[mode], layout: layouts[layout], mask }))
}

interface Cell {
  readonly variant: (typeof variants)[number]
  readonly side: (typeof sides)[number]
  readonly mode: (typeof modes)[number]
  readonly layout: (typeof layouts)[number]
  readonly mask: number
}

function build(random: Random, { variant, side, mode, layout, mask }: Cell): Program {
  const b = new Builder(random)
  const differentiated = mode === 'backward'
  let seed = random.int(1, 1e6)
  const source = ({ shape, below }: Operand, as: Cell['layout']): number => {
    const dtype = below === undefined ? 'float32' : 'int32'
    const input = laidOut(plain(shape, dtype, seed++, below === undefined ? {} : { low: 0, high: below - 1 }), as, random)
    if (differentiated && below === undefined && writable(input)) return b.add('leaf', input)
    return b.add(random.chance(0.5) ? 'argument' : 'captured', input)
  }
  /** What an operand of this shape is like that has some of its dimensions. */
  const narrowed = (shape: readonly number[]): number[] => {
    const some = shape.map((s, d) => ((shape.length - d > 4 ? random.chance(0.5) : (mask >> (shape.length - 1 - d)) & 1) ? s : 1))
    const first = some.findIndex((s) => s > 1)
    // leading ones may as well be left out
    return random.chance(0.5) ? some.slice(first < 0 ? some.length : first) : some
  }
  const joined = (x: number): number => {
    const other = source({ shape: narrowed(b.shapeAt(x)) }, layout)
    return b.step(`${random.pick(pairs)}${random.pick(alone)}`, x, other) ?? x
  }
  const operands = variant.operands.map((o) => source(o, random.chance(0.3) ? random.pick(layouts) : 'plain'))
  if (side !== 'behind') operands[0] = joined(operands[0])
  const y = b.step(variant.code, ...operands)
  // a fault: the check will meet it
  if (y === undefined) return finish(b, [b.nodes.length - 1], mode)
  if (side === 'front') return finish(b, [y], mode)
  const z = joined(y)
  return finish(b, random.chance(0.2) && sizeOf(b.shapeAt(z)) > 0 ? [joined(z), y] : random.chance(0.2) ? [z, y] : [z], mode)
}

function finish({ nodes, random }: Builder, outputs: readonly number[], mode: Cell['mode']): Program {
  const changed = nodes.flatMap((n, i) => (n.kind === 'captured' && n.input.dtype === 'float32' && writable(n.input) ? [i] : []))
  return { nodes, outputs, mode, zero: true, update: false, sets: random.chance(0.5) ? [0, 1] : [0, 0], changed, look: random.chance(0.5) }
}

export const fuzzer: Fuzzer<Program> = {
  name: 'matrix',
  about: 'elementwise work in front of and behind every structured op, with every shape that broadcasts, in every layout',
  total,
  generate,
  check: (c) => agree(scenarioOf(c)),
  shrink: shrinkProgram,
  print: printProgram,
}
