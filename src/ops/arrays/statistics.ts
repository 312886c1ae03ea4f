/**
 * Order statistics and moments: max and min with their positions, median, kthvalue, quantile, covariance, histograms. Compositions of sort, argmax and gather.
 */
import { isFloat } from '../../base/dtype.js'
import { ArgumentError, checkOptions, DataError, isNumber, ShapeError, showShape, showValue } from '../../base/errors.js'
import { checkSize, normalizeDim } from '../../base/shape.js'
import { context } from '../../tensor/context.js'
import { type ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Reduced } from '../../types/index.js'
import { abs, add, div, eq, le, logicalAnd, logicalOr, lt, maximum, minimum, mul, ne, sqrt, sub, to, where } from '../basic/elementwise.js'
import { gather, scatterSum } from '../basic/gather.js'
import { stack } from '../basic/join.js'
import { matmul } from '../basic/matmul.js'
import { narrow, reshape, transpose, unsqueeze } from '../basic/movement.js'
import { amax, amin, argmax, argmin, mean, reduceNames, sum } from '../basic/reduce.js'
import { type Sorted, sort } from '../basic/sort.js'
import { detach } from '../core/alias.js'
import { along } from '../core/along.js'
import { checkTensor } from '../core/dispatch.js'
import type { DimBy, Keep, ReduceBy } from '../core/operands.js'
import { diagonal } from './diagonal.js'

/** A dimension, alone or with `keepdim`. */
type AtDim = number | DimBy<number, boolean>

/** The dimension and whether it is kept; none where nothing is given. */
function dimAndKeep(op: string, given: AtDim | undefined, options: Keep<boolean> | undefined): Partial<DimBy<number, boolean>> {
  const by = along<Partial<DimBy<number, boolean>>>(op, given, options, reduceNames)
  if ((given ?? options) !== undefined && by.dim === undefined)
    throw new ArgumentError('ERR_OPTIONS', `${op}: options need a dimension, received ${showValue(Object.keys(by))} alone. Add dim: 1.`)
  return by
}

function extreme(
  op: 'max' | 'min',
  x: Tensor,
  other: Tensor | AtDim | undefined,
  options: Keep<boolean> | undefined,
): Tensor | Sorted<never> {
  checkTensor(op, 'x', x)
  if (other instanceof Tensor) {
    if (options !== undefined) throw new ArgumentError('ERR_OPTIONS', `${op}: of two tensors there are no options.`)
    return (op === 'max' ? maximum : minimum)(x, other)
  }
  const { dim, keepdim } = dimAndKeep(op, other, options)
  if (dim === undefined) return (op === 'max' ? amax : amin)(x)
  const wide = x.dtype === 'bool' ? to(x, 'int32') : x
  const indices: Tensor = (op === 'max' ? argmax : argmin)(wide, dim, { keepdim: true })
  return selected(op, x, dim, indices, keepdim)
}

/** Elements by their positions along `dim`, both with or without that dimension. */
function selected(op: string, x: Tensor, dim: number, indices: Tensor, keepdim = false): Sorted<never> {
  if (x.ndim === 0) return { values: x, indices }
  const d = normalizeDim(op, dim, x.ndim)
  const values = gather(x, indices, d)
  if (keepdim) return { values, indices }
  const shape = x.shape.filter((_, i) => i !== d)
  return { values: reshape(values, shape), indices: reshape(indices, shape) }
}

/**
 * The greatest element; with `dim` the greatest along it and where it is (the first of equals, which alone gets the gradient); with a second tensor
 * the greater of both, element by element. NaN wins.
 *
 *     const { values, indices } = max(x, 1)
 */
export function max<T extends Tensor>(x: T): Tensor<[]>
export function max<T extends Tensor, D extends number, K extends boolean = false>(
  x: T,
  dim: D | DimBy<D, K>,
  options?: Keep<K>,
): Sorted<Reduced<ShapeOf<T>, D, K>>
export function max(x: Tensor, other: Tensor): Tensor
export function max(x: Tensor, other?: Tensor | AtDim, options?: Keep<boolean>): unknown {
  return extreme('max', x, other, options)
}

/** The least element, as `max`. */
export function min<T extends Tensor>(x: T): Tensor<[]>
export function min<T extends Tensor, D extends number, K extends boolean = false>(
  x: T,
  dim: D | DimBy<D, K>,
  options?: Keep<K>,
): Sorted<Reduced<ShapeOf<T>, D, K>>
export function min(x: Tensor, other: Tensor): Tensor
export function min(x: Tensor, other?: Tensor | AtDim, options?: Keep<boolean>): unknown {
  return extreme('min', x, other, options)
}

/** The positions of the k-th least along `dim`; in a row with NaN, where `nanWins`, those of a NaN. */
function rankPositions(op: string, x: Tensor, dim: number, k: number, nanWins: boolean): Tensor {
  const { values, indices } = sort(x, dim)
  const d = normalizeDim(op, dim, x.ndim)
  const n = x.shape[d]
  const picked = narrow(indices, d, k, 1)
  if (!nanWins || !isFloat(x.dtype)) return picked
  const last = narrow(values, d, n - 1, 1)
  return where(ne(last, last), narrow(indices, d, n - 1, 1), picked)
}

function needElements(op: string, x: Tensor, dim: number): number {
  const n = x.shape[dim]
  if (n === 0) throw new ShapeError('ERR_EMPTY_REDUCTION', `${op}: nothing to choose from in ${showShape(x.shape)} over dim [${dim}].`)
  return n
}

/** The `k`-th least element (from 1) along `dim` (default the last), and where it is. */
export function kthvalue<T extends Tensor, D extends number = -1, K extends boolean = false>(
  x: T,
  k: number,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Sorted<Reduced<ShapeOf<T>, D, K>>
export function kthvalue(x: Tensor, k: number, first?: number | ReduceBy<number, boolean>, options?: Keep<boolean>): Sorted<never> {
  const { dim = -1, keepdim } = along<ReduceBy<number, boolean>>('kthvalue', first, options, reduceNames)
  checkTensor('kthvalue', 'x', x)
  const n = x.shape[normalizeDim('kthvalue', dim, x.ndim)]
  if (!Number.isInteger(k) || k < 1 || k > n) {
    throw new ArgumentError(
      'ERR_KTHVALUE',
      `kthvalue: k must be an integer from 1 to ${n}, the size of dim ${dim} of ${showShape(x.shape)}, received ${showValue(k)}.`,
    )
  }
  return selected('kthvalue', x, dim, rankPositions('kthvalue', x, dim, k - 1, false), keepdim)
}

/**
 * The middle element, the lower of the two where their number is even; with `dim` along it, and where it is. NaN wins.
 *
 *     median(x)
 *     const { values, indices } = median(x, 1)
 */
export function median<T extends Tensor>(x: T): Tensor<[]>
export function median<T extends Tensor, D extends number, K extends boolean = false>(
  x: T,
  dim: D | DimBy<D, K>,
  options?: Keep<K>,
): Sorted<Reduced<ShapeOf<T>, D, K>>
export function median(x: Tensor, first?: AtDim, options?: Keep<boolean>): unknown {
  checkTensor('median', 'x', x)
  const { dim, keepdim } = dimAndKeep('median', first, options)
  if (dim === undefined) return median(reshape(x, [x.size]), 0).values
  if (x.ndim === 0) return median(reshape(x, [1]), 0)
  const n = needElements('median', x, normalizeDim('median', dim, x.ndim))
  return selected('median', x, dim, rankPositions('median', x, dim, Math.floor((n - 1) / 2), true), keepdim)
}

export type Interpolation = 'linear' | 'lower' | 'higher' | 'nearest' | 'midpoint'

export interface QuantileOptions {
  /** Default: of all elements. */
  dim?: number
  /** Keep the dimension with size 1; default false. */
  keepdim?: boolean
  /** Default 'linear'. */
  interpolation?: Interpolation
}

const quantileNames = { dim: true, keepdim: true, interpolation: true } as const

const interpolations: Record<Interpolation, (fraction: number, below: number) => number> = {
  linear: (fraction) => fraction,
  lower: () => 0,
  higher: (fraction) => (fraction > 0 ? 1 : 0),
  nearest: (fraction, below) => (fraction === 0.5 ? below % 2 : Math.round(fraction)),
  midpoint: (fraction) => (fraction > 0 ? 0.5 : 0),
}

/** From `low` to `high` by `weight`. Beside an infinity it is that infinity, between two of them NaN. */
function between(low: Tensor, high: Tensor, weight: number): Tensor {
  if (weight === 1) return high
  const way = sub(high, low)
  // the way is infinite also between finite numbers of opposite signs
  const parts = add(mul(low, 1 - weight), mul(high, weight))
  return where(lt(abs(way), Number.POSITIVE_INFINITY), add(low, mul(way, weight)), parts)
}

/**
 * The quantiles `q` (a number from 0 to 1, or a list, which becomes the first dimension) along `dim`, of the flattened tensor without it. Between two
 * elements it interpolates. NaN wins.
 *
 *     quantile(x, [0.25, 0.5, 0.75], { dim: 1 })
 */
export function quantile(
  x: Tensor,
  q: number | readonly number[],
  first?: number | QuantileOptions,
  rest?: Omit<QuantileOptions, 'dim'>,
): Tensor {
  const { dim, keepdim = false, interpolation = 'linear' } = along<QuantileOptions>('quantile', first, rest, quantileNames)
  checkTensor('quantile', 'x', x)
  const list = typeof q === 'number' ? [q] : q
  if (!Array.isArray(list) || list.length === 0 || !Array.from(list).every((p) => typeof p === 'number' && p >= 0 && p <= 1))
    throw new ArgumentError('ERR_QUANTILE', `quantile: q must be between 0 and 1, received ${showValue(q)}.`)
  if (typeof interpolation !== 'string' || !Object.hasOwn(interpolations, interpolation)) {
    throw new ArgumentError(
      'ERR_OPTION',
      `quantile: interpolation must be one of ${Object.keys(interpolations).join(', ')}, received ${showValue(interpolation)}.`,
    )
  }
  const float = isFloat(x.dtype) ? x : to(x, 'float32')
  const source = dim === undefined ? reshape(float, [float.size]) : float
  const d = normalizeDim('quantile', dim ?? 0, source.ndim)
  const n = needElements('quantile', source, d)
  const { values } = sort(source, d)
  const last = narrow(values, d, n - 1, 1)
  const results = list.map((p) => {
    const at = p * (n - 1)
    const below = Math.floor(at)
    const weight = interpolations[interpolation](at - below, below)
    const low = narrow(values, d, below, 1)
    const result = weight === 0 ? low : between(low, narrow(values, d, below + 1, 1), weight)
    return where(ne(last, last), last, result)
  })
  const kept = dim === undefined ? x.shape.map(() => 1) : source.shape.map((s, i) => (i === d ? 1 : s))
  const shape = keepdim ? kept : dim === undefined ? [] : source.shape.filter((_, i) => i !== d)
  const parts = results.map((r) => reshape(r, shape))
  return typeof q === 'number' ? parts[0] : stack(parts, 0)
}

/** The covariances of variables (rows) over observations (columns): `[N, M]` → `[N, N]`. `correction` is subtracted from M, default 1. */
export function cov(x: Tensor, options: { correction?: number } = {}): Tensor {
  checkOptions('cov', options, { correction: true })
  checkTensor('cov', 'x', x)
  if (x.ndim > 2) throw new ShapeError('ERR_RANK', `cov: needs a vector or a matrix, received ${showShape(x.shape)}.`)
  const { correction = 1 } = options
  if (!isNumber(correction)) throw new ArgumentError('ERR_OPTION', `cov: correction must be a number, received ${showValue(correction)}.`)
  const float = isFloat(x.dtype) ? x : to(x, 'float32')
  const rows = x.ndim === 2 ? float : reshape(float, [1, x.size])
  const centred = sub(rows, mean(rows, { dim: 1, keepdim: true }))
  const products = div(matmul(centred, transpose(centred)), Math.max(0, rows.shape[1] - correction))
  return rows.shape[0] === 1 ? reshape(products, []) : products
}

/** The correlations of variables (rows) over observations (columns): `[N, M]` → `[N, N]`. */
export function corrcoef(x: Tensor): Tensor {
  const covariances = cov(x)
  if (covariances.ndim === 0) return div(covariances, covariances)
  const deviation = sqrt(diagonal(covariances))
  return div(div(covariances, unsqueeze(deviation, 1)), deviation)
}

/**
 * Where `values` would go in the rising vector `sorted` (int32): before equal elements, behind them with `right`; NaN behind all. Compares each with each.
 *
 *     searchsorted(boundaries, x)
 */
export function searchsorted<V extends Tensor>(sorted: Tensor, values: V, options?: { right?: boolean }): Tensor<ShapeOf<V>>
export function searchsorted(sorted: Tensor, values: Tensor, options: { right?: boolean } = {}): Tensor {
  checkOptions('searchsorted', options, { right: true })
  checkTensor('searchsorted', 'sorted', sorted)
  checkTensor('searchsorted', 'the values', values)
  if (sorted.ndim !== 1) throw new ShapeError('ERR_RANK', `searchsorted: needs a vector to search in, received ${showShape(sorted.shape)}.`)
  const wide = unsqueeze(values, values.ndim)
  const before = options.right ? le(sorted, wide) : lt(sorted, wide)
  // all numbers are before NaN
  return sum(isFloat(values.dtype) ? logicalOr(before, ne(wide, wide)) : before, { dim: -1 })
}

/**
 * How many elements of `x` fall into each of `bins` (default 100) equal intervals from `min` to `max`, both included: `[bins]`, float. Elements outside are
 * not counted. Where `min` and `max` are equal, as by default, they are those of x. Not differentiable.
 *
 *     histc(weights, { bins: 20, min: -1, max: 1 })
 *
 * @throws DataError when the range is taken from x and x has NaN or infinities (eager only).
 */
export function histc<N extends number = 100>(x: Tensor, options?: { bins?: N; min?: number; max?: number }): Tensor<[N]>
export function histc(x: Tensor, options: { bins?: number; min?: number; max?: number } = {}): Tensor {
  checkOptions('histc', options, { bins: true, min: true, max: true })
  checkTensor('histc', 'x', x)
  const { bins = 100, min: low = 0, max: high = 0 } = options
  if (!Number.isInteger(bins) || bins < 1)
    throw new ArgumentError('ERR_HISTC', `histc: the number of bins must be a positive integer, received ${showValue(bins)}.`)
  checkSize('histc', [bins])
  if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) {
    throw new ArgumentError(
      'ERR_HISTC',
      `histc: min and max must be finite numbers, min no more than max, received ${showValue(low)} and ${showValue(high)}.`,
    )
  }
  const values = reshape(isFloat(x.dtype) ? detach(x) : to(x, 'float32'), [x.size])
  const given = low < high || x.size === 0
  const [least, greatest] = given ? [low, high].map((v) => Tensor.scalar(v, values.dtype)) : [amin(values), amax(values)]
  if (!given && context.recorder === undefined && !(Number.isFinite(least.item()) && Number.isFinite(greatest.item()))) {
    throw new DataError(
      'ERR_HISTC',
      `histc: x reaches from ${least.item()} to ${greatest.item()}, which cannot be cut into bins. Give min and max.`,
    )
  }
  // a range of a single number is widened by 1 on both sides
  const alone = to(eq(least, greatest), values.dtype)
  const start = sub(least, alone)
  const end = add(greatest, alone)
  const inside = logicalAnd(le(start, values), le(values, end))
  const bin = to(div(mul(sub(where(inside, values, start), start), bins), sub(end, start)), 'int32')
  return scatterSum(to(inside, values.dtype), minimum(bin, bins - 1), 0, bins)
}
