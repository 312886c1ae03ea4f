/**
 * What steps of a program are drawn from: every elementwise row of the op table, every case of test/ops.cases.ts, and draws of the
 * structured ops with shapes and options of their own. A new op joins with its row and its case.
 */

import { microOperations } from '../../../src/backend/registry.js'
import { isFloat } from '../../../src/base/dtype.js'
import { sizeOf } from '../../../src/base/shape.js'
import * as cr from '../../../src/index.js'
import { opTable } from '../../../src/ops/core/table.js'
import { cases } from '../../ops.cases.js'
import type { Case, Domain } from '../../support/cases.js'
import type { Builder } from './builder.js'
import { structured } from './structured.js'

/** Adds one op with all it needs; `undefined` where that did not work out. */
export type Draw = (b: Builder) => number | undefined

const known = cr as unknown as Record<string, unknown>
const call = (name: string): string => (typeof known[name] === 'function' ? `cr.${name}(` : `row('${name}', `)

/** The shape with some dimensions 1 or left out: what broadcasts against it. */
export function narrower(b: Builder, shape: readonly number[]): number[] {
  const kept = shape.slice(b.random.chance(0.5) ? b.random.int(0, shape.length) : 0)
  return kept.map((s) => (b.random.chance(0.35) ? 1 : s))
}

/** Something that broadcasts with the shape: another value, a part of one, a fresh tensor. */
export function partner(b: Builder, shape: readonly number[], dtype: 'float32' | 'int32' | 'bool' = 'float32'): number | undefined {
  const fits = (s: readonly number[]): boolean =>
    s.every((n, k) => {
      const m = shape[shape.length - s.length + k]
      return m === undefined || n === m || n === 1 || m === 1
    })
  if (b.random.chance(0.5)) {
    const found = b.pick((s, d) => d === dtype && fits(s))
    if (found !== undefined) return found
  }
  const wanted = narrower(b, shape)
  const from = b.random.chance(0.6) ? b.pick((s, d) => d === dtype && sizeOf(s) > 0) : undefined
  return from === undefined ? b.fresh(wanted, dtype) : b.fit(from, wanted)
}

const truth = (b: Builder): number => b.pick((_s, d) => d === 'bool') ?? b.fresh(b.shape(), 'bool')

/** An elementwise row, by the types it takes. */
function elementwise(name: string, signature: string): Draw {
  const code = call(name)
  const number = (b: Builder): string => String(b.random.pick([0.5, -0.3, 2, 1, 0, -1, 3]))
  switch (signature) {
    case 'M→M':
      return (b) => b.step(`${code}$0)`, truth(b))
    case 'MM→M':
      return (b) => {
        const x = truth(b)
        const y = partner(b, b.shapeAt(x), 'bool')
        return y === undefined ? undefined : b.step(`${code}$0, $1)`, x, y)
      }
    case 'MTT→T':
      return (b) => {
        const x = b.float()
        const [mask, y] = [partner(b, b.shapeAt(x), 'bool'), b.random.chance(0.2) ? number(b) : partner(b, b.shapeAt(x))]
        if (mask === undefined || y === undefined) return undefined
        if (typeof y === 'string') return b.step(`${code}$0, $1, ${y})`, mask, x)
        return b.random.chance(0.5) ? b.step(`${code}$0, $1, $2)`, mask, x, y) : b.step(`${code}$0, $2, $1)`, mask, x, y)
      }
    case 'T→T':
    case 'F→F':
      return (b) => {
        const whole = signature[0] === 'T' && b.random.chance(0.1) ? b.pick((_s, d) => d === 'int32') : undefined
        return b.step(`${code}$0)`, whole ?? b.float())
      }
    default:
      return (b) => {
        const whole = signature[0] === 'T' && b.random.chance(0.1) ? b.pick((_s, d) => d === 'int32') : undefined
        const x = whole ?? b.float()
        if (b.random.chance(0.15) && code.startsWith('cr.'))
          return b.random.chance(0.5) ? b.step(`${code}$0, ${number(b)})`, x) : b.step(`${code}${number(b)}, $0)`, x)
        const y = partner(b, b.shapeAt(x), whole === undefined ? 'float32' : 'int32')
        if (y === undefined) return undefined
        return b.random.chance(0.5) ? b.step(`${code}$0, $1)`, x, y) : b.step(`${code}$1, $0)`, x, y)
      }
  }
}

/** A value with numbers of a domain. */
function into(b: Builder, from: number, { dtype, low, high, distinct }: Domain): number | undefined {
  if (dtype === 'bool') return b.dtypeAt(from) === 'bool' ? from : b.step('$0.gt(0)', from)
  if (isFloat(dtype)) {
    if (low <= -2 && high >= 2) return distinct || b.random.chance(0.3) ? b.step('$0.sin().mul(1.9)', from) : from
    return b.step(`$0.sigmoid().mul(${high - low}).add(${low})`, from)
  }
  return b.step(`$0.sigmoid().mul(${high - low + 0.99}).add(${low}).floor().to('${dtype}')`, from)
}

/** A case of the tests, on values of the program brought into the shapes and domains it takes. */
function fromCase(c: Case): Draw {
  const sizes = c.sizes.filter((shapes) => shapes.reduce((sum, s) => sum + sizeOf(s), 0) <= 1500)
  const code = `caseOf(${JSON.stringify(c.name).replace(/^"|"$/g, "'")})(${c.inputs.map((_, i) => `$${i}`).join(', ')})`
  return (b) => {
    if (sizes.length === 0) return undefined
    // empty ones are rare by choice
    let shapes = b.random.pick(sizes)
    if (shapes.some((s) => s.includes(0)) && b.random.chance(0.8)) shapes = b.random.pick(sizes)
    const args: number[] = []
    for (const [i, domain] of c.inputs.entries()) {
      const { dtype, low, high } = domain
      const taken = b.random.chance(isFloat(dtype) ? 0.6 : 0.35)
      const from = taken ? b.pick((s, d) => d === 'float32' && sizeOf(s) > 0) : undefined
      const fitted = from === undefined ? undefined : b.fit(from, shapes[i])
      const arg = fitted === undefined ? b.fresh(shapes[i], dtype, { low, high, fill: 'real' }) : into(b, fitted, domain)
      if (arg === undefined) return undefined
      args.push(arg)
    }
    return b.step(code, ...args)
  }
}

const unary: Draw[] = []
const others: Draw[] = []
for (const row of opTable().values()) {
  if (row.micro === undefined) continue
  const { signature } = microOperations()[row.micro]
  ;(/^[TF]→|^M→/.test(signature) ? unary : others).push(elementwise(row.name, signature))
}

/** Draws by family, with how often each is taken. */
export const families: readonly { readonly weight: number; readonly draws: readonly Draw[] }[] = [
  { weight: 12, draws: unary },
  { weight: 22, draws: others },
  { weight: 10, draws: cases.map(fromCase) },
  ...structured,
]
