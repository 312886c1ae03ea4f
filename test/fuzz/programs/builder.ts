/**
 * A program while it is drawn: its nodes with the values they have on the TypeScript backend, so that each further op can be chosen by the
 * shapes and numbers there are. In: draws. Out: a program whose every step runs.
 */
import type { DType } from '../../../src/base/dtype.js'
import { sizeOf } from '../../../src/base/shape.js'
import { ChainruleError, noGrad, type Tensor } from '../../../src/index.js'
import { denseOf } from '../../../src/ops/core/dispatch.js'
import { type Fill, type Input, make, plain, strided, writable } from '../agree/inputs.js'
import type { Random } from '../frame/random.js'
import { dtypeOf, fill, type Node, type Source, scope, shapeOf } from './program.js'

/** Larger values make a program slow and find no more. */
const largest = { size: 1500, rank: 6 }
const compiled = new Map<string, (...args: unknown[]) => unknown>()

/** What a step's code gives for its operands. */
export function evaluate(code: string, operands: readonly (Tensor | undefined)[]): Tensor {
  return noGrad(() => evaluator(code, operands.length)(...Object.values(scope), ...operands)) as Tensor
}

/** A step's code as a function of what it may name and its operands. */
function evaluator(code: string, operands: number): (...args: unknown[]) => unknown {
  const key = `${operands} ${code}`
  let f = compiled.get(key)
  if (f === undefined) {
    const names = Array.from({ length: operands }, (_, i) => `x${i}`)
    f = new Function(...Object.keys(scope), ...names, `return ${fill(code, names)}`) as (...args: unknown[]) => unknown
    if (compiled.size > 20_000) compiled.clear()
    compiled.set(key, f)
  }
  return f
}

export class Builder {
  readonly nodes: Node[] = []
  readonly values: (Tensor | undefined)[] = []
  /** Sizes of dimensions of this program. */
  readonly dims: readonly number[]
  /** A step failed as none may; it is the last. */
  broken = false
  private seed: number

  constructor(readonly random: Random) {
    const sizes = () => random.pick([1, 2, 3, 4, 5, 7, 8, 9, 16, 17])
    this.dims = [sizes(), sizes(), sizes(), ...(random.chance(0.06) ? [0] : [])]
    this.seed = random.int(1, 1e6)
  }

  /** A random shape of this program's sizes, with ones among them. */
  shape(rank = this.random.int(0, 4)): number[] {
    return Array.from({ length: rank }, () => (this.random.chance(0.2) ? 1 : this.random.pick(this.dims)))
  }

  source(
    kind: Source['kind'],
    shape: readonly number[],
    dtype: DType = 'float32',
    range: Partial<Pick<Input, 'fill' | 'low' | 'high'>> = {},
  ): number {
    const { random } = this
    const kinds: Fill = random.weighted({ real: 10, ties: 2, special: 0.2 })
    let input = plain(shape, dtype, this.seed++, { fill: kinds, ...range })
    if ((kind === 'argument' || kind === 'captured') && random.chance(0.35)) {
      const other = strided(input, random)
      if (kind === 'argument' || writable(other)) input = other
    }
    return this.add(kind, input)
  }

  /** A source as it is given. */
  add(kind: Source['kind'], input: Input): number {
    this.nodes.push({ kind, input })
    this.values.push(make(input))
    return this.nodes.length - 1
  }

  /** A fresh source of a kind that is only read. */
  fresh(shape: readonly number[], dtype: DType = 'float32', range: Partial<Pick<Input, 'fill' | 'low' | 'high'>> = {}): number {
    return this.source(this.random.chance(0.5) ? 'argument' : 'captured', shape, dtype, range)
  }

  get shapes(): readonly (readonly number[])[] {
    return this.nodes.map(shapeOf)
  }

  shapeAt(i: number): readonly number[] {
    return shapeOf(this.nodes[i])
  }

  dtypeAt(i: number): DType {
    return dtypeOf(this.nodes[i])
  }

  /** One of the nodes that fit, late ones more often. */
  pick(fits: (shape: readonly number[], dtype: DType, index: number) => boolean = () => true): number | undefined {
    const found = this.nodes.flatMap((n, i) => (n.kind !== 'write' && fits(shapeOf(n), dtypeOf(n), i) ? [i] : []))
    if (found.length === 0) return undefined
    return found[found.length - 1 - Math.floor(this.random.next() ** 1.7 * found.length)]
  }

  /** A float of at least some rank. */
  float(rank = 0, most = 8): number {
    return (
      this.pick((s, d) => d === 'float32' && s.length >= rank && s.length <= most) ??
      this.fresh(this.shape(Math.max(rank, Math.min(most, 2))))
    )
  }

  /** Adds a step; `undefined` where the op refuses it, or the result is too large. */
  step(code: string, ...args: number[]): number | undefined {
    let value: Tensor
    try {
      value = evaluate(
        code,
        args.map((i) => this.values[i]),
      )
    } catch (error) {
      if (error instanceof ChainruleError && !/bug in chainrule/.test(error.message)) return undefined
      this.nodes.push({ kind: 'step', code, args, shape: [], dtype: 'float32' })
      this.values.push(undefined)
      this.broken = true
      return undefined
    }
    if (value.size > largest.size || value.ndim > largest.rank || value.dtype === 'float64') return undefined
    if (!this.worthwhile(value, args)) return undefined
    this.nodes.push({ kind: 'step', code, args, shape: value.shape, dtype: value.dtype })
    this.values.push(value)
    return this.nodes.length - 1
  }

  /** Results that are not finite, or grow, end what can be compared behind them: most are not kept. */
  private worthwhile(value: Tensor, args: readonly number[]): boolean {
    if (value.dtype !== 'float32') return true
    let most = 0
    for (const x of denseOf(value, value.shape)) {
      if (!Number.isFinite(x)) return args.some((i) => !this.finite(i)) || this.random.chance(0.05)
      most = Math.max(most, Math.abs(x))
    }
    return most < 1e4 || this.random.chance(0.1)
  }

  private finite(i: number): boolean {
    const value = this.values[i]
    return value === undefined || denseOf(value, value.shape).every(Number.isFinite)
  }

  /** Writes a state; the value has its shape. */
  write(target: number, value: number): void {
    const [to, from] = [this.values[target], this.values[value]]
    if (to === undefined || from === undefined) return
    scope.cr.assign(to, from)
    this.nodes.push({ kind: 'write', target, value })
    this.values.push(undefined)
  }

  /** A node's numbers in another shape: repeated, or a part of them. */
  fit(from: number, shape: readonly number[]): number | undefined {
    const have = sizeOf(this.shapeAt(from))
    const want = sizeOf(shape)
    if (this.shapeAt(from).join() === shape.join()) return from
    if (have === 0 || want === 0) return this.fresh(shape, this.dtypeAt(from))
    let at: number | undefined = this.step('$0.reshape([-1])', from)
    if (at !== undefined && have < want) {
      const times = Math.ceil(want / have)
      at = this.step(this.random.pick([`cr.tile($0, [${times}])`, `$0.expand([${times}, ${have}]).reshape([-1])`]), at)
    }
    if (at === undefined) return undefined
    const long = sizeOf(this.shapeAt(at))
    if (long > want) {
      const step = Math.floor(long / want) > 1 && this.random.chance(0.5) ? 2 : 1
      at = this.random.chance(0.2)
        ? this.step(`$0.slice(0, -1, ${long - want === 0 ? 'undefined' : -want - 1}, -1)`, at)
        : this.step(`$0.slice(0, ${this.random.int(0, long - want * step)}).slice(0, 0, ${want * step - step + 1}, ${step})`, at)
    }
    return at === undefined ? undefined : this.step(`$0.reshape(${JSON.stringify(shape)})`, at)
  }
}
