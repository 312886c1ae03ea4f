/**
 * Lengths of vectors and what is made with them: norm, normalize, cosineSimilarity, cdist.
 */
import { isFloat } from '../../base/dtype.js'
import { ArgumentError, checkOptions, ShapeError, showShape, showValue } from '../../base/errors.js'
import { broadcast } from '../../base/shape.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Reduced } from '../../types/index.js'
import { abs, add, div, lt, mul, pow, sign, square, sub, to, where } from '../basic/elementwise.js'
import { safeSqrt } from '../basic/functions.js'
import { expand, unsqueeze } from '../basic/movement.js'
import { amax, amin, type ReduceOptions, reduceNames, sum } from '../basic/reduce.js'
import { detach } from '../core/alias.js'
import { along } from '../core/along.js'
import { checkFloat, checkTensor } from '../core/dispatch.js'
import type { Dims, ReduceBy } from '../core/operands.js'

export interface NormOptions extends ReduceOptions {
  /** The order: 2 (default, also 'fro'), any other number, Infinity for the greatest and -Infinity for the least magnitude, 0 for a count. */
  p?: number | 'fro'
}

/**
 * The norm of vectors over the given dimensions (all by default): (Σ|x|ᵖ)^(1/p) with p = 2. Its gradient where all elements are 0 is 0.
 *
 *     norm(x, { p: 1, dim: -1 })
 */
export function norm<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  options?: ReduceBy<D, K> & { p?: number | 'fro' },
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function norm(x: Tensor, options: NormOptions = {}): Tensor {
  checkOptions('norm', options, { p: true, ...reduceNames })
  checkTensor('norm', 'x', x)
  const float = isFloat(x.dtype) ? x : to(x, 'float32')
  const { p: order = 2, ...reduced } = options
  const p = order === 'fro' ? 2 : order
  if (typeof p !== 'number' || Number.isNaN(p))
    throw new ArgumentError('ERR_NORM', `norm: p must be a number or 'fro', received ${showValue(options.p)}.`)
  switch (p) {
    case 2:
      return safeSqrt(sum(square(float), reduced))
    case 1:
      return sum(abs(float), reduced)
    case 0:
      // NaN counts, and nothing has a slope
      return sum(abs(sign(where(float.ne(float), 1, float))), reduced)
    case Number.POSITIVE_INFINITY:
      return amax(abs(float), reduced)
    case Number.NEGATIVE_INFINITY:
      return amin(abs(float), reduced)
    default: {
      // powers of 0 have no slope worth having: what is 0 adds what it must and takes part in nothing else
      const size = abs(float)
      const zero = size.eq(0)
      const total = sum(where(zero, p > 0 ? 0 : Number.POSITIVE_INFINITY, pow(where(zero, 1, size), p)), reduced)
      const none = total.eq(0)
      return where(none, 0, pow(where(none, 1, total), 1 / p))
    }
  }
}

/** No less than `floor`; the gradient is that of x where x is greater. */
function atLeast(x: Tensor, floor: number): Tensor {
  return where(lt(x, floor), floor, x)
}

/** Vectors along `dim` (default 1) divided by their norm of order `p` (default 2), or by `eps` (default 1e-12) where that is less. */
export function normalize<T extends Tensor>(x: T, options?: { p?: number; dim?: number; eps?: number }): Tensor<ShapeOf<T>>
export function normalize(x: Tensor, options: { p?: number; dim?: number; eps?: number } = {}): Tensor {
  checkOptions('normalize', options, { p: true, dim: true, eps: true })
  checkTensor('normalize', 'x', x)
  const { p = 2, dim = 1, eps = 1e-12 } = options
  return div(x, atLeast(norm(x, { p, dim, keepdim: true }), eps))
}

/**
 * The cosine of the angle between vectors along `dim` (default 1) of two tensors that broadcast. Norms count at least `eps` (default 1e-8).
 *
 *     cosineSimilarity(a, b)               // [N, D], [N, D] → [N]
 */
export function cosineSimilarity(a: Tensor, b: Tensor, first?: number | { dim?: number; eps?: number }, rest?: { eps?: number }): Tensor {
  const options = along<{ dim?: number; eps?: number }>('cosineSimilarity', first, rest, { dim: true, eps: true })
  checkTensor('cosineSimilarity', 'a', a)
  checkTensor('cosineSimilarity', 'b', b)
  const { dim = 1, eps = 1e-8 } = options
  const shape = broadcast('cosineSimilarity', a.shape, b.shape)
  if (shape.length === 0)
    throw new ShapeError('ERR_RANK', `cosineSimilarity: needs vectors, received ${showShape(a.shape)} and ${showShape(b.shape)}.`)
  const unit = (x: Tensor): Tensor => {
    const wide = expand(x, shape)
    const length = norm(wide, { dim, keepdim: true })
    // where eps counts, the gradient is still that of the norm, as in PyTorch
    const counted = add(length, detach(sub(atLeast(length, eps), length)))
    return div(wide, counted)
  }
  return sum(mul(unit(a), unit(b)), { dim })
}

/**
 * Distances of order `p` (default 2) between all vectors of `a: […, P, M]` and all of `b: […, R, M]`: `[…, P, R]`. Leading dimensions broadcast. The
 * gradient of a distance 0 is 0. Outside `compile` it takes memory for all P·R·M differences.
 *
 *     cdist(points, centres).argmin(-1)
 */
export function cdist(a: Tensor, b: Tensor, options: { p?: number } = {}): Tensor {
  checkOptions('cdist', options, { p: true })
  checkTensor('cdist', 'a', a)
  checkTensor('cdist', 'b', b)
  const { p = 2 } = options
  if (typeof p !== 'number' || !(p >= 0)) throw new ArgumentError('ERR_NORM', `cdist: p must be a number from 0, received ${showValue(p)}.`)
  checkFloat('cdist', a)
  checkFloat('cdist', b)
  const [m, n] = [a.shape[a.ndim - 1], b.shape[b.ndim - 1]]
  if (a.ndim < 2 || b.ndim < 2 || m !== n) {
    throw new ShapeError(
      'ERR_SHAPE',
      `cdist: needs vectors of one length, a […, P, M] and b […, R, M], received ${showShape(a.shape)} and ${showShape(b.shape)}.`,
    )
  }
  const differences = sub(unsqueeze(a, -2), unsqueeze(b, -3))
  // of no elements there is no greatest
  return m === 0 ? sum(differences, { dim: -1 }) : norm(differences, { p, dim: -1 })
}
