/**
 * Reductions over any dimensions. Each kind is one row; mean, variance and the like are compositions of them.
 */
import { registerLoop } from '../../backend/registry.js'
import { type DType, isFloat, itemSize, viewMemory } from '../../base/dtype.js'
import { ArgumentError, isNumber, ShapeError, showShape, showValue } from '../../base/errors.js'
import { contiguousStrides, copyStrided, normalizeDims, sameShape, sizeOf } from '../../base/shape.js'
import { identityMicro, Opcode, ReduceKind, type View } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Reduced } from '../../types/index.js'
import { along } from '../core/along.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { castMicro } from '../core/micro.js'
import type { Dims, Keep, ReduceBy } from '../core/operands.js'
import { type Dense, defineOp, type GradientRule, type OpRow } from '../core/table.js'
import { add, div, eq, exp, log, mul, square, sub, to, where } from './elementwise.js'
import { safeSqrt } from './functions.js'
import { expand, inverseOrder, permute, reshape } from './movement.js'

export interface ReduceOptions {
  /** The dimension or dimensions to reduce; all of them by default. */
  dim?: number | readonly number[]
  /** Keep reduced dimensions with size 1. */
  keepdim?: boolean
}

/** @internal the names of `ReduceOptions` */
export const reduceNames = { dim: true, keepdim: true } as const
const varianceNames = { ...reduceNames, correction: true } as const

export interface ReduceAttrs {
  readonly dims: readonly number[]
}

const kept = (shape: readonly number[], dims: readonly number[]): number[] => shape.map((s, i) => (dims.includes(i) ? 1 : s))

function resultType(kind: ReduceKind, dtype: DType): DType {
  if (kind.startsWith('arg')) return 'int32'
  return dtype === 'bool' || dtype === 'uint8' ? 'int32' : dtype
}

type Fold = { start: number; step: (acc: number, x: number) => number }
const folds: Record<ReduceKind, Fold> = {
  sum: { start: 0, step: (a, x) => a + x },
  prod: { start: 1, step: (a, x) => a * x },
  max: { start: Number.NEGATIVE_INFINITY, step: (a, x) => (x > a || Number.isNaN(x) ? x : a) },
  min: { start: Number.POSITIVE_INFINITY, step: (a, x) => (x < a || Number.isNaN(x) ? x : a) },
  argmax: { start: 0, step: (a) => a },
  argmin: { start: 0, step: (a) => a },
}

function referenceReduce(kind: ReduceKind, [x]: readonly Dense[], [y]: readonly Dense[], { dims }: ReduceAttrs): void {
  // bring the reduced dimensions last, then fold runs
  const order = [...x.shape.keys()].sort((a, b) => Number(dims.includes(a)) - Number(dims.includes(b)) || a - b)
  const strides = contiguousStrides(x.shape)
  const n = sizeOf(x.shape)
  const moved = viewMemory(x.dtype, new ArrayBuffer(n * itemSize(x.dtype)), 0, n)
  copyStrided(
    x.data,
    0,
    order.map((d) => x.shape[d]),
    order.map((d) => strides[d]),
    moved,
  )
  const run = dims.reduce((p, d) => p * x.shape[d], 1)
  const { start } = folds[kind]
  // products of integers wrap at 32 bits, as in C
  const step = kind === 'prod' && !isFloat(x.dtype) ? Math.imul : folds[kind].step
  const better = (a: number, b: number): boolean => (Number.isNaN(a) ? false : Number.isNaN(b) || (kind === 'argmax' ? b > a : b < a))
  for (let i = 0; i < y.data.length; i++) {
    if (kind === 'argmax' || kind === 'argmin') {
      let best = 0
      for (let j = 1; j < run; j++) if (better(moved[i * run + best], moved[i * run + j])) best = j
      y.data[i] = best
    } else {
      let acc = start
      for (let j = 0; j < run; j++) acc = step(acc, moved[i * run + j])
      y.data[i] = acc
    }
  }
}

const kindNames = Object.keys(ReduceKind) as ReduceKind[]

registerLoop(Opcode.reduce, (inputs, [y], [kind]) => {
  const [x] = inputs
  const dims = [...x.shape.keys()].filter((d) => y.shape[d] === 1 && x.shape[d] !== 1)
  referenceReduce(kindNames[kind], inputs, [y], { dims })
})

export function reduction(name: string, kind: ReduceKind, gradient: GradientRule<ReduceAttrs> | null): OpRow<ReduceAttrs> {
  return defineOp<ReduceAttrs>({
    name,
    infer: ([x], { dims }) => {
      if (kind !== 'sum' && kind !== 'prod' && dims.some((d) => x.shape[d] === 0)) {
        throw new ShapeError(
          'ERR_EMPTY_REDUCTION',
          `${name}: nothing to choose from in ${showShape(x.shape)} over dim [${dims.join(', ')}].`,
        )
      }
      return [{ shape: kept(x.shape, dims), dtype: resultType(kind, x.dtype) }]
    },
    gradient,
    lower: (inputs, outputs) => {
      const [x] = inputs as readonly View<never>[]
      const cast = x.dtype === 'bool' ? castMicro('bool', 'int32') : undefined
      const prologue = cast === undefined ? identityMicro : { constants: [], ops: [{ op: cast, a: 0, b: 0, c: 0 }], results: [1] }
      return [
        {
          opcode: Opcode.reduce,
          inputs,
          outputs,
          scalars: [ReduceKind[kind]],
          domain: x.shape,
          prologue,
          prologueInputs: 1,
          epilogue: identityMicro,
        },
      ]
    },
    reference: (i, o, attrs) => referenceReduce(kind, i, o, attrs),
    flops: ([x]) => sizeOf(x.shape),
  })
}

const sumRow = reduction('sum', 'sum', ({ inputs: [x] }, g) => [expand(g, x.shape)])
const maxRow = reduction('amax', 'max', pickGradient)
const minRow = reduction('amin', 'min', pickGradient)
const argmaxRow = reduction('argmax', 'argmax', null)
const argminRow = reduction('argmin', 'argmin', null)

/** Ties share the gradient evenly, as in PyTorch's amax. */
function pickGradient(this: void, { inputs: [x], outputs: [y], attrs }: Parameters<GradientRule<ReduceAttrs>>[0], g: Tensor): Tensor[] {
  const picked = eq(x, y)
  const count = apply(sumRow, [to(picked, g.dtype)], attrs)
  return [where(picked, div(g, count), 0)]
}

/** @internal a row over the dimensions asked for */
export function reduce(row: OpRow<ReduceAttrs>, x: Tensor, options: ReduceOptions): Tensor {
  checkTensor(row.name, 'x', x)
  const dims = normalizeDims(row.name, options.dim, x.ndim)
  const picks = row === argmaxRow || row === argminRow
  if (picks && Array.isArray(options.dim))
    throw new ArgumentError('ERR_DIM', `${row.name}: takes one dimension, received ${showValue(options.dim)}. Reshape them into one.`)
  const y = dims.length === 0 && !picks ? x : apply(row, [x], { dims })
  return options.keepdim
    ? y
    : reshape(
        y,
        x.shape.filter((_, i) => !dims.includes(i)),
      )
}

/** Sum; integers and bool give int32, and an empty sum is 0. */
export function sum<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function sum(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, rest?: Keep<boolean>): Tensor {
  const options = along<ReduceOptions>('sum', dim, rest, reduceNames)
  checkTensor('sum', 'x', x)
  return reduce(sumRow, x.dtype === 'bool' ? to(x, 'int32') : x, options)
}

/** Greatest element; NaN wins. Ties share the gradient. */
export function amax<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function amax(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, options?: Keep<boolean>): Tensor {
  return reduce(maxRow, x, along('amax', dim, options, reduceNames))
}

/** Least element; NaN wins. Ties share the gradient. */
export function amin<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function amin(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, options?: Keep<boolean>): Tensor {
  return reduce(minRow, x, along('amin', dim, options, reduceNames))
}

/** Position (int32) of the greatest element along `dim`, of the first of equals; in the flattened tensor without `dim`. */
export function argmax<T extends Tensor, D extends number | undefined = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function argmax(x: Tensor, dim?: number | ReduceBy<number | undefined, boolean>, options?: Keep<boolean>): Tensor {
  return reduce(argmaxRow, x, along<ReduceBy<number | undefined, boolean>>('argmax', dim, options, reduceNames))
}

/** Position (int32) of the least element, as `argmax`. */
export function argmin<T extends Tensor, D extends number | undefined = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function argmin(x: Tensor, dim?: number | ReduceBy<number | undefined, boolean>, options?: Keep<boolean>): Tensor {
  return reduce(argminRow, x, along<ReduceBy<number | undefined, boolean>>('argmin', dim, options, reduceNames))
}

/** Sums a gradient back to the shape its input had before broadcasting. */
export function sumTo(g: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(g.shape, shape)) return g
  const lead = g.ndim - shape.length
  const dims: number[] = []
  for (let i = 0; i < g.ndim; i++) if (i < lead || (shape[i - lead] === 1 && g.shape[i] !== 1)) dims.push(i)
  const summed = dims.length === 0 ? g : sum(g, { dim: dims, keepdim: true })
  return reshape(summed, shape)
}

function countOf(x: Tensor, dim: ReduceOptions['dim']): number {
  return normalizeDims('mean', dim, x.ndim).reduce((n, d) => n * x.shape[d], 1)
}

/** Arithmetic mean, in float32 for integers; NaN when empty. */
export function mean<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function mean(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, rest?: Keep<boolean>): Tensor {
  const options = along<ReduceOptions>('mean', dim, rest, reduceNames)
  checkTensor('mean', 'x', x)
  const float = isFloat(x.dtype) ? x : to(x, 'float32')
  return div(sum(float, options), countOf(float, options.dim))
}

export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the count: 1 (default) for the sample variance, 0 for the population's. */
  correction?: number
}

/** Variance in two passes. */
export function variance<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | (ReduceBy<D, K> & { correction?: number }),
  options?: Keep<K> & { correction?: number },
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function variance(x: Tensor, dim?: ReduceOptions['dim'] | VarianceOptions, rest?: Omit<VarianceOptions, 'dim'>): Tensor {
  const options = along<VarianceOptions>('variance', dim, rest, varianceNames)
  checkTensor('var', 'x', x)
  const { correction = 1, ...reduced } = options
  if (!isNumber(correction))
    throw new ArgumentError('ERR_OPTION', `variance: correction must be a number, received ${showValue(correction)}.`)
  const float = isFloat(x.dtype) ? x : to(x, 'float32')
  const centred = sub(float, mean(float, { dim: options.dim, keepdim: true }))
  const n = Math.max(0, countOf(float, options.dim) - correction)
  return div(sum(square(centred), reduced), n)
}

/** Standard deviation: the square root of `variance`. The gradient where it is 0 is 0. */
export function std<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | (ReduceBy<D, K> & { correction?: number }),
  options?: Keep<K> & { correction?: number },
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function std(x: Tensor, dim?: ReduceOptions['dim'] | VarianceOptions, rest?: Omit<VarianceOptions, 'dim'>): Tensor {
  const options = along<VarianceOptions>('std', dim, rest, varianceNames)
  return safeSqrt(variance(x, options))
}

/** log Σ eˣ without overflow; -∞ when empty. */
export function logsumexp<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function logsumexp(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, rest?: Keep<boolean>): Tensor {
  const options = along<ReduceOptions>('logsumexp', dim, rest, reduceNames)
  checkTensor('logsumexp', 'x', x)
  // of no elements there is no greatest
  if (x.size === 0) return log(sum(exp(x), options))
  const top = amax(x, { dim: options.dim, keepdim: true }).detach()
  const safe = where(eq(mul(top, 0), 0), top, 0)
  const total = add(sum(sub(x, safe).exp(), { dim: options.dim, keepdim: true }).log(), safe)
  const dims = normalizeDims('logsumexp', options.dim, x.ndim)
  return options.keepdim
    ? total
    : reshape(
        total,
        x.shape.filter((_, i) => !dims.includes(i)),
      )
}

/** @internal a dimension moved to the end, and the order that moves it back */
export function moveLast(x: Tensor, dim: number): { moved: Tensor; back: number[] } {
  const order = [...x.shape.keys()].filter((d) => d !== dim)
  order.push(dim)
  return { moved: permute(x, order), back: inverseOrder(order) }
}
