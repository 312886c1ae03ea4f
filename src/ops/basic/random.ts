/**
 * Random tensors. One row; the state is an operand, so that programs draw new numbers at each call.
 */
import { registerLoop } from '../../backend/registry.js'
import { checkDType, type DType, isFloat } from '../../base/dtype.js'
import { ArgumentError, checkOptions, DataError, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkShape, sizeOf } from '../../base/shape.js'
import { bitsOfFloat, floatOfBits, Opcode } from '../../ir/format.js'
import { context } from '../../tensor/context.js'
import { drawBlocks, mulHigh, philox, stateTensor } from '../../tensor/random.js'
import { type ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Sizes } from '../../types/index.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { defineOp } from '../core/table.js'
import { div, le, log, lt, maximum, mul, neg, sub, to } from './elementwise.js'
import { narrow, unsqueeze } from './movement.js'
import { amax, amin, sum } from './reduce.js'
import { cumsum } from './scan.js'
import { argsort, topk } from './sort.js'

const kinds = { uniform: 0, normal: 1, bernoulli: 2, integer: 3 } as const

interface RandomAttrs {
  readonly kind: keyof typeof kinds
  /** Limits, mean and deviation, probability; of integers the lowest and how many, 0 for 2^32. */
  readonly a: number
  readonly b: number
  /** In blocks of four numbers. */
  readonly offset: number
  readonly shape: readonly number[]
  readonly dtype: DType
}

const unit = 2 ** -24

/** Four numbers of one block. */
function fillBlock(kind: RandomAttrs['kind'], a: number, b: number, w: Uint32Array, out: Float64Array): void {
  if (kind === 'normal') {
    for (let p = 0; p < 4; p += 2) {
      const r = Math.sqrt(-2 * Math.log(((w[p] >>> 8) + 1) * unit))
      const angle = 2 * Math.PI * (w[p + 1] >>> 8) * unit
      out[p] = a + b * r * Math.cos(angle)
      out[p + 1] = a + b * r * Math.sin(angle)
    }
    return
  }
  if (kind === 'integer') {
    for (let p = 0; p < 4; p++) out[p] = (a + (b === 0 ? w[p] : mulHigh(w[p], b))) | 0
    return
  }
  for (let p = 0; p < 4; p++) {
    const u = (w[p] >>> 8) * unit
    out[p] = kind === 'uniform' ? a + (b - a) * u : u < Math.fround(a) ? 1 : 0
  }
}

/** A parameter as a word of a program, and back. */
const wordOf = (kind: RandomAttrs['kind'], x: number): number => (kind === 'integer' ? x | 0 : bitsOfFloat(x))
const numberOf = (kind: RandomAttrs['kind'], word: number, unsigned = false): number =>
  kind !== 'integer' ? floatOfBits(word) : unsigned ? word >>> 0 : word

const randomRow = defineOp<RandomAttrs>({
  name: 'random',
  infer: (_i, { shape, dtype }) => [{ shape, dtype }],
  gradient: null,
  lower: (inputs, outputs, { kind, a, b, offset }) => [
    { opcode: Opcode.random, inputs, outputs, scalars: [kinds[kind], wordOf(kind, a), wordOf(kind, b), offset] },
  ],
  reference: ([state], [y], { kind, a, b, offset }) => {
    const words = new Uint32Array(4)
    const values = new Float64Array(4)
    for (let i = 0; i < y.data.length; i++) {
      if (i % 4 === 0) {
        philox(state.data as Int32Array, offset + i / 4, words)
        fillBlock(kind, a, b, words, values)
      }
      y.data[i] = values[i % 4]
    }
  },
})

const kindNames = Object.keys(kinds) as (keyof typeof kinds)[]

registerLoop(Opcode.random, (inputs, [y], [number, a, b, offset]) => {
  const kind = kindNames[number]
  const attrs = { kind, a: numberOf(kind, a), b: numberOf(kind, b, true), offset, shape: y.shape, dtype: y.dtype }
  randomRow.reference(inputs, [y], attrs)
})

function draw(kind: RandomAttrs['kind'], shape: readonly number[], a: number, b: number, dtype: DType): Tensor {
  checkShape(kind, shape)
  for (const parameter of [a, b]) {
    if (typeof parameter === 'number') continue
    throw new ArgumentError('ERR_RANDOM_PARAMETER', `${kind}: limits, means and deviations are numbers, received ${showValue(parameter)}.`)
  }
  checkDType(kind, dtype)
  const blocks = Math.ceil(sizeOf(shape) / 4)
  const { recorder } = context
  const from = recorder !== undefined ? recorder.random(blocks) : { state: stateTensor(drawBlocks(blocks)), offset: 0 }
  return apply(randomRow, [from.state], { kind, a, b, offset: from.offset, shape: [...shape], dtype })
}

export interface RandomOptions {
  dtype?: 'float32' | 'float64'
  requiresGrad?: boolean
}

function withGrad(t: Tensor, options: RandomOptions): Tensor {
  if (options.requiresGrad) t.requiresGrad = true
  return t
}

/** Uniform numbers in [low, high), by default [0, 1). */
export function rand<const D extends readonly number[]>(
  shape: D,
  options?: RandomOptions & { low?: number; high?: number },
): Tensor<Sizes<D>>
export function rand(shape: readonly number[], options: RandomOptions & { low?: number; high?: number } = {}): Tensor {
  checkShape('rand', shape)
  checkOptions('rand', options, { low: true, high: true, dtype: true, requiresGrad: true })
  return withGrad(draw('uniform', shape, options.low ?? 0, options.high ?? 1, options.dtype ?? 'float32'), options)
}

/** Normal numbers with the given mean and standard deviation, by default 0 and 1. */
export function randn<const D extends readonly number[]>(
  shape: D,
  options?: RandomOptions & { mean?: number; std?: number },
): Tensor<Sizes<D>>
export function randn(shape: readonly number[], options: RandomOptions & { mean?: number; std?: number } = {}): Tensor {
  checkShape('randn', shape)
  checkOptions('randn', options, { mean: true, std: true, dtype: true, requiresGrad: true })
  return withGrad(draw('normal', shape, options.mean ?? 0, options.std ?? 1, options.dtype ?? 'float32'), options)
}

/** Uniform numbers in [0, 1) of another tensor's shape and float dtype. */
export function randLike<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function randLike(x: Tensor): Tensor {
  checkTensor('randLike', 'x', x)
  return draw('uniform', x.shape, 0, 1, x.dtype === 'float64' ? 'float64' : 'float32')
}

/** Standard normal numbers of another tensor's shape and float dtype. */
export function randnLike<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function randnLike(x: Tensor): Tensor {
  checkTensor('randnLike', 'x', x)
  return draw('normal', x.shape, 0, 1, x.dtype === 'float64' ? 'float64' : 'float32')
}

/**
 * 1 with probability `p`, else 0: of the given shape, as float32 (or bool), or with a tensor of probabilities in its place and of its dtype.
 *
 *     bernoulli([2, 3], 0.5)
 *     bernoulli(probabilities)
 */
export function bernoulli<const D extends readonly number[]>(
  shape: D,
  p: number,
  options?: { dtype?: 'float32' | 'bool' | 'float64' },
): Tensor<Sizes<D>>
export function bernoulli<T extends Tensor>(probabilities: T): Tensor<ShapeOf<T>>
export function bernoulli(shape: readonly number[] | Tensor, p?: number, options: { dtype?: 'float32' | 'bool' | 'float64' } = {}): Tensor {
  checkOptions('bernoulli', options, { dtype: true })
  if (shape instanceof Tensor) {
    if (!isFloat(shape.dtype))
      throw new DTypeError('ERR_DTYPE', `bernoulli: probabilities must be float, received ${shape.dtype}. Convert with .to('float32').`)
    checkProbabilities('bernoulli', shape, 1)
    return to(lt(draw('uniform', shape.shape, 0, 1, shape.dtype), shape.detach()), shape.dtype)
  }
  if (typeof p !== 'number' || !(p >= 0 && p <= 1))
    throw new ArgumentError('ERR_PROBABILITY', `bernoulli: p must be between 0 and 1, received ${showValue(p)}.`)
  return draw('bernoulli', shape, p, 0, options.dtype ?? 'float32')
}

/** Eagerly, where data can be looked at: all must lie in [0, most]. */
function checkProbabilities(op: string, p: Tensor, most: number): void {
  if (context.recorder !== undefined || p.size === 0) return
  const [low, high] = [amin(p.detach()).item(), amax(p.detach()).item()]
  if (!(low >= 0 && high <= most && Number.isFinite(high))) {
    throw new DataError(
      'ERR_PROBABILITY',
      `${op}: probabilities must be ${most === 1 ? 'between 0 and 1' : 'finite and not negative'}, received ${low} to ${high}.`,
    )
  }
}

/**
 * Whole numbers (int32), uniform from `low` up to but without `high`; `low` is 0 when left out.
 *
 *     randint(10, [3])            // 0 … 9
 *     randint(-5, 6, [2, 2])      // -5 … 5
 */
export function randint<const D extends readonly number[]>(high: number, shape: D): Tensor<Sizes<D>>
export function randint<const D extends readonly number[]>(low: number, high: number, shape: D): Tensor<Sizes<D>>
export function randint(first: number, second: number | readonly number[], third?: readonly number[]): Tensor {
  const [low, high, shape] = typeof second === 'number' ? [first, second, third as readonly number[]] : [0, first, second]
  if (!Number.isInteger(low) || !Number.isInteger(high) || low >= high || low < -(2 ** 31) || high > 2 ** 31) {
    throw new ArgumentError(
      'ERR_RANDINT',
      `randint: needs integers low < high within 32 bits, received ${showValue(low)} and ${showValue(high)}.`,
    )
  }
  return draw('integer', shape, low, (high - low) % 2 ** 32, 'int32')
}

/** The numbers 0 … n-1 in random order (int32). */
export function randperm<N extends number>(n: N): Tensor<[N]>
export function randperm(n: number): Tensor {
  if (!Number.isInteger(n) || n < 0)
    throw new ArgumentError('ERR_RANDPERM', `randperm: n must be an integer from 0, received ${showValue(n)}.`)
  return argsort(draw('integer', [n], -(2 ** 31), 0, 'int32'))
}

/**
 * `count` positions (int32) drawn from each row of weights `[C]` or `[N, C]`, which need not sum to 1; without `replacement` all different.
 *
 *     multinomial(softmax(logits), 1)      // [N, C] → [N, 1]
 *
 * @throws DataError for weights that are negative, not finite, or (where data can be looked at) all 0; ArgumentError for more than can be drawn.
 */
export function multinomial(weights: Tensor, count: number, options: { replacement?: boolean } = {}): Tensor {
  checkOptions('multinomial', options, { replacement: true })
  checkTensor('multinomial', 'the weights', weights)
  const { replacement = false } = options
  if (!isFloat(weights.dtype))
    throw new DTypeError('ERR_DTYPE', `multinomial: the weights must be float, received ${weights.dtype}. Convert with .to('float32').`)
  if (weights.ndim < 1 || weights.ndim > 2 || weights.shape[weights.ndim - 1] === 0)
    throw new ShapeError('ERR_RANK', `multinomial: needs weights [C] or [N, C], received ${showShape(weights.shape)}.`)
  const classes = weights.shape[weights.ndim - 1]
  if (!Number.isInteger(count) || count < 1 || (!replacement && count > classes)) {
    throw new ArgumentError(
      'ERR_MULTINOMIAL',
      `multinomial: cannot draw ${showValue(count)} of ${classes} ${replacement ? 'with' : 'without'} replacement.`,
    )
  }
  const w = weights.detach()
  checkWeights(w, replacement ? 1 : count)
  if (!replacement) {
    // the smallest of exponential waiting times at rates w: the order of arrival is that of drawing without replacement
    const u = draw('uniform', w.shape, 0, 1, w.dtype)
    return topk(div(w, maximum(neg(log(sub(1, u))), 1e-30)), count).indices
  }
  const total = cumsum(w, -1)
  const u = mul(draw('uniform', [...w.shape.slice(0, -1), count], 0, 1, w.dtype), narrow(total, -1, classes - 1, 1))
  return sum(to(le(unsqueeze(total, -2), unsqueeze(u, -1)), 'int32'), { dim: -1 })
}

function checkWeights(w: Tensor, needed: number): void {
  checkProbabilities('multinomial', w, Number.POSITIVE_INFINITY)
  if (context.recorder !== undefined || w.size === 0) return
  const fewest = amin(sum(w.gt(0), { dim: -1 })).item()
  if (fewest < needed) {
    throw new DataError(
      'ERR_PROBABILITY',
      `multinomial: a row has ${fewest} weights above 0, ${needed} are needed. Check the weights, or draw with replacement.`,
    )
  }
}
