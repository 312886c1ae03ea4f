/**
 * Ops that write into a copy of a tensor by index: scatter, scatterAdd, scatterReduce, indexAdd, indexCopy, and look-ups in the flattened tensor. Compositions of
 * the rows in gather.ts. The index may be smaller than the tensor outside its dimension, as in PyTorch.
 */

import { isFloat } from '../../base/dtype.js'
import { ArgumentError, checkOptions, DTypeError, ShapeError, showShape, showValue } from '../../base/errors.js'
import { normalizeDim, sameShape, sizeOf } from '../../base/shape.js'
import type { Lookup } from '../../ir/format.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { checkTensor } from '../core/dispatch.js'
import type { IndexShape } from '../core/operands.js'
import { full } from './creation.js'
import { customGradient } from './custom-gradient.js'
import { add, div, eq, gt, logicalNot, logicalOr, maximum, minimum, mul, ne, neg, to, where } from './elementwise.js'
import { floorDivide } from './functions.js'
import { checkIndex, gather, pick, scatterLast, scatterSum } from './gather.js'
import { concat } from './join.js'
import { expand, narrow, padConstant, reshape } from './movement.js'
import { argsort } from './sort.js'

interface Scattered {
  readonly index: Tensor
  /** How the user gave it, for errors. */
  readonly lookup: Lookup
  readonly source: Tensor
  readonly axis: number
}

/** The operands of a scatter, checked; a number becomes a tensor of the index's shape, a larger source is cut to it. */
function checkScatter(op: string, x: Tensor, index: Tensor, source: Tensor | number, dim: number, lookup?: Lookup): Scattered {
  checkTensor(op, 'x', x)
  const at = checkIndex(op, index)
  const axis = normalizeDim(op, dim, x.ndim)
  if (typeof source !== 'number') checkTensor(op, 'the source', source)
  const wide = typeof source === 'number' ? full(at.shape, source, { dtype: x.dtype }) : source
  checkSourceType(op, x, wide)
  const fits = at.ndim === x.ndim && wide.ndim === x.ndim && at.shape.every((s, i) => s <= wide.shape[i] && (i === axis || s <= x.shape[i]))
  if (!fits) {
    throw new ShapeError(
      'ERR_SCATTER',
      `${op}: the index ${showShape(at.shape)} must have as many dimensions as x ${showShape(x.shape)} and the source ${showShape(wide.shape)}, and fit in x outside dim ${axis} and in the source.`,
    )
  }
  let part = wide
  at.shape.forEach((s, i) => {
    if (s < wide.shape[i]) part = part.narrow(i, 0, s)
  })
  return { index: at, lookup: lookup ?? { op, shape: at.shape }, source: part, axis }
}

/** Fills up with zeros to the shape of x, from which the index may differ outside the axis. */
function spread(y: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(y.shape, shape)) return y
  return padConstant(
    y,
    shape.map(() => 0),
    shape.map((s, i) => s - y.shape[i]),
    0,
  )
}

/**
 * A copy of `x` with `source` (a tensor or a number) written where `index` says: `out[index[i][j]][j] = source[i][j]` for `dim` 0. Of equal indices
 * the last stays; gradients to `source` are only right where indices differ.
 *
 *     scatter(zeros([2, 5]), labels.unsqueeze(1), 1, 1)      // one-hot
 */
export function scatter<T extends Tensor>(x: T, index: Tensor, source: Tensor | number, dim: number): Tensor<ShapeOf<T>>
export function scatter(x: Tensor, index: Tensor, source: Tensor | number, dim: number): Tensor {
  return written(x, checkScatter('scatter', x, index, source, dim))
}

/** A copy of `x` with the source written into it. */
function written(x: Tensor, parts: Scattered): Tensor {
  const size = x.shape[parts.axis]
  const touched = scatterLast(full(parts.index.shape, 1, { dtype: 'bool' }), parts.index, parts.axis, size, parts.lookup)
  const values = scatterLast(parts.source, parts.index, parts.axis, size, parts.lookup)
  const bool = x.dtype === 'bool'
  const mixed = where(spread(touched, x.shape), spread(bool ? to(values, 'int32') : values, x.shape), bool ? to(x, 'int32') : x)
  return to(mixed, x.dtype)
}

/** A copy of `x` to which `source` is added where `index` says, equal indices adding up: `out[index[i][j]][j] += source[i][j]` for `dim` 0. */
export function scatterAdd<T extends Tensor>(x: T, index: Tensor, source: Tensor | number, dim: number): Tensor<ShapeOf<T>>
export function scatterAdd(x: Tensor, index: Tensor, source: Tensor | number, dim: number): Tensor {
  return added('scatterAdd', x, checkScatter('scatterAdd', x, index, source, dim))
}

/** A copy of `x` with the source added to it. */
function added(op: string, x: Tensor, parts: Scattered): Tensor {
  if (x.dtype === 'bool' || x.dtype === 'uint8')
    throw new DTypeError('ERR_DTYPE', `${op}: ${x.dtype} is not supported, expected float32 or int32. Convert with .to('int32').`)
  return add(x, spread(scatterSum(parts.source, parts.index, parts.axis, x.shape[parts.axis], parts.lookup), x.shape))
}

export type ScatterReduction = 'sum' | 'prod' | 'mean' | 'amax' | 'amin'

const reductions: readonly ScatterReduction[] = ['sum', 'prod', 'mean', 'amax', 'amin']

/** Products by index. The index is put in order, and neighbours of one index are multiplied, then pairs of them, and so on. */
function scatterProduct({ index, source, axis }: Scattered, size: number): Tensor {
  const n = index.shape[axis]
  const order = argsort(index, axis)
  const sorted = gather(index, order, axis)
  const from = (t: Tensor, start: number, length: number): Tensor => narrow(t, axis, start, length)
  let products = gather(source, order, axis)
  for (let s = 1; s < n; s *= 2) {
    const same = eq(from(sorted, s, n - s), from(sorted, 0, n - s))
    products = concat([from(products, 0, s), mul(from(products, s, n - s), where(same, from(products, 0, n - s), 1))], axis)
  }
  if (n < 2) return scatterSum(products, sorted, axis, size)
  // the last of an index has met all others; the rest is left out of what is scattered, so that gradients come to it alone
  const last = concat([ne(from(sorted, 1, n - 1), from(sorted, 0, n - 1)), eq(from(sorted, 0, 1), from(sorted, 0, 1))], axis)
  return scatterSum(where(last, products, 0), sorted, axis, size)
}

/** The greatest or least by index and of x; where several are equal they share the gradient, as in PyTorch. */
function scatterExtreme(x: Tensor, parts: Scattered, touched: Tensor, greatest: boolean, includeSelf: boolean): Tensor {
  const { index, axis } = parts
  const float = isFloat(x.dtype)
  const find = (self: Tensor, source: Tensor): Tensor => {
    // of equal indices the last stays, so the one that is looked for has to come last; NaN does in any case
    const order = argsort(float && !greatest ? neg(source) : source, axis, { descending: !float && !greatest })
    const found = scatterLast(gather(source, order, axis), gather(index, order, axis), axis, x.shape[axis])
    const best = spread(found, x.shape)
    return where(touched, includeSelf ? (greatest ? maximum : minimum)(self, best) : best, self)
  }
  if (!float) return find(x, parts.source)
  return customGradient({
    name: 'scatterReduce',
    forward: ([self, source]) => find(self, source),
    backward: ([g], { inputs: [self, source], outputs: [result] }) => {
      const untouched = logicalNot(touched)
      const chosen = includeSelf ? logicalOr(untouched, eq(self, result)) : untouched
      const chosenSource = eq(source, gather(result, index, axis))
      const sharers = add(to(chosen, g.dtype), spread(scatterSum(to(chosenSource, g.dtype), index, axis, x.shape[axis]), x.shape))
      const share = div(g, sharers)
      return [where(chosen, share, 0), where(chosenSource, gather(share, index, axis), 0)]
    },
  })(x, parts.source)
}

/**
 * A copy of `x` whose elements are reduced with those of `source` that `index` sends to them, as `scatterAdd` does it for sums: by 'sum', 'prod',
 * 'mean', 'amax' or 'amin'. With `includeSelf: false` an element that gets any is made of these alone; default true. Means of int32 are rounded down.
 *
 *     scatterReduce(zeros([3]), groups, values, 0, 'mean', { includeSelf: false })
 *
 * @throws DTypeError for bool and uint8; DataError when an index is out of range.
 */
export function scatterReduce<T extends Tensor>(
  x: T,
  index: Tensor,
  source: Tensor | number,
  dim: number,
  reduce: ScatterReduction,
  options?: { includeSelf?: boolean },
): Tensor<ShapeOf<T>>
export function scatterReduce(
  x: Tensor,
  index: Tensor,
  source: Tensor | number,
  dim: number,
  reduce: ScatterReduction,
  options: { includeSelf?: boolean } = {},
): Tensor {
  checkOptions('scatterReduce', options, { includeSelf: true })
  const parts = checkScatter('scatterReduce', x, index, source, dim)
  if (!reductions.includes(reduce)) {
    throw new ArgumentError(
      'ERR_OPTION',
      `scatterReduce: the reduction must be one of ${reductions.join(', ')}, received ${showValue(reduce)}.`,
    )
  }
  if (x.dtype === 'bool' || x.dtype === 'uint8')
    throw new DTypeError('ERR_DTYPE', `scatterReduce: ${x.dtype} is not supported, expected float32 or int32. Convert with .to('int32').`)
  const { includeSelf = true } = options
  const size = x.shape[parts.axis]
  const counts = spread(scatterSum(full(parts.index.shape, 1, { dtype: 'int32' }), parts.index, parts.axis, size, parts.lookup), x.shape)
  const touched = gt(counts, 0)
  switch (reduce) {
    case 'sum':
    case 'mean': {
      const sums = spread(scatterSum(parts.source, parts.index, parts.axis, size), x.shape)
      const total = add(includeSelf ? x : where(touched, 0, x), sums)
      if (reduce === 'sum') return total
      const of = to(includeSelf ? add(counts, 1) : maximum(counts, 1), x.dtype)
      return isFloat(x.dtype) ? div(total, of) : floorDivide(total, of)
    }
    case 'prod': {
      const products = where(touched, spread(scatterProduct(parts, size), x.shape), 1)
      return includeSelf ? mul(x, products) : where(touched, products, x)
    }
    default:
      return scatterExtreme(x, parts, touched, reduce === 'amax', includeSelf)
  }
}

function checkSourceType(op: string, x: Tensor, source: Tensor): void {
  if (source.dtype === x.dtype) return
  throw new DTypeError('ERR_DTYPE', `${op}: x is ${x.dtype}, the source ${source.dtype}. Convert with .to('${x.dtype}').`)
}

/** The operands of a scatter of whole slices. */
function ofSlices(op: string, x: Tensor, index: Tensor | readonly number[], source: Tensor, dim: number): Scattered {
  checkTensor(op, 'x', x)
  checkTensor(op, 'the source', source)
  const at = checkIndex(op, index)
  const axis = normalizeDim(op, dim, x.ndim)
  if (at.ndim !== 1 || source.ndim !== x.ndim || source.shape.some((s, i) => s !== (i === axis ? at.size : x.shape[i]))) {
    throw new ShapeError(
      'ERR_INDEX_SHAPE',
      `${op}: a list of ${showShape(at.shape)} positions needs a source like x ${showShape(x.shape)} with that many slices along dim ${axis}, received ${showShape(source.shape)}.`,
    )
  }
  checkSourceType(op, x, source)
  const places = reshape(
    at,
    x.shape.map((_, i) => (i === axis ? at.size : 1)),
  )
  const lookup = { op, shape: at.shape, repeat: sizeOf(source.shape.slice(axis + 1)) }
  return checkScatter(op, x, expand(places, source.shape), source, axis, lookup)
}

/** A copy of `x` to whose slices along `dim` those of `source` are added, at the positions in the list `index`. */
export function indexAdd<T extends Tensor>(x: T, index: Tensor | readonly number[], source: Tensor, dim?: number): Tensor<ShapeOf<T>>
export function indexAdd(x: Tensor, index: Tensor | readonly number[], source: Tensor, dim = 0): Tensor {
  return added('indexAdd', x, ofSlices('indexAdd', x, index, source, dim))
}

/** A copy of `x` whose slices along `dim` at the positions in the list `index` are those of `source`. */
export function indexCopy<T extends Tensor>(x: T, index: Tensor | readonly number[], source: Tensor, dim?: number): Tensor<ShapeOf<T>>
export function indexCopy(x: Tensor, index: Tensor | readonly number[], source: Tensor, dim = 0): Tensor {
  return written(x, ofSlices('indexCopy', x, index, source, dim))
}

/** Elements of the flattened tensor at the positions in `index`, in its shape. */
export function take<I extends Tensor | readonly number[]>(x: Tensor, index: I): Tensor<IndexShape<I>>
export function take(x: Tensor, index: Tensor | readonly number[]): Tensor {
  checkTensor('take', 'x', x)
  const at = checkIndex('take', index)
  return reshape(pick(reshape(x, [x.size]), reshape(at, [at.size]), 0, { op: 'take', shape: at.shape }), at.shape)
}
