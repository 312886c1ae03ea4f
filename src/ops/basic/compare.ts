/**
 * Questions about numbers: which are NaN or infinite, whether any or all hold, whether two tensors are equal or close. Those that answer with one
 * boolean read the data, and so cannot be asked inside `compile`.
 */
import { checkHeld, isFloat } from '../../base/dtype.js'
import { checkOptions, DTypeError, ShapeError, StateError, showShape } from '../../base/errors.js'
import { sameShape, sizeOf } from '../../base/shape.js'
import { context } from '../../tensor/context.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Reduced } from '../../types/index.js'
import { along } from '../core/along.js'
import { checkTensor } from '../core/dispatch.js'
import type { Broadcast, Dims, Keep, Meets, ReduceBy } from '../core/operands.js'
import { abs, add, eq, le, logicalAnd, logicalNot, logicalOr, lt, mul, ne, sub, to, where } from './elementwise.js'
import { expand } from './movement.js'
import { type ReduceOptions, reduceNames, sum } from './reduce.js'

/** Refuses ops that read their tensors where there is nothing to read yet, or where it would be read once for all calls. */
export function refuseTraced(op: string, what: string, remedy: string): void {
  if (context.recorder === undefined) return
  throw new StateError('ERR_DATA_DEPENDENT', `${op}: ${what} depends on the data and cannot be known inside compile(). ${remedy}`)
}

function never(x: Tensor): Tensor {
  return expand(lt(abs(to(x, 'int32')), 0), x.shape)
}

/** Where x is NaN, as bool. */
export function isnan<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function isnan(x: Tensor): Tensor {
  checkTensor('isnan', 'x', x)
  return isFloat(x.dtype) ? ne(x, x) : never(x)
}

/** Where x is ±Infinity, as bool. */
export function isinf<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function isinf(x: Tensor): Tensor {
  checkTensor('isinf', 'x', x)
  return isFloat(x.dtype) ? eq(abs(x), Number.POSITIVE_INFINITY) : never(x)
}

/** Where x is neither NaN nor ±Infinity, as bool. */
export function isfinite<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function isfinite(x: Tensor): Tensor {
  checkTensor('isfinite', 'x', x)
  return isFloat(x.dtype) ? lt(abs(x), Number.POSITIVE_INFINITY) : logicalNot(never(x))
}

/** Numbers in place of NaN (default 0) and the infinities (default the greatest and least float32). */
export function nanToNum<T extends Tensor>(x: T, options?: { nan?: number; posinf?: number; neginf?: number }): Tensor<ShapeOf<T>>
export function nanToNum(x: Tensor, options: { nan?: number; posinf?: number; neginf?: number } = {}): Tensor {
  checkOptions('nanToNum', options, { nan: true, posinf: true, neginf: true })
  checkTensor('nanToNum', 'x', x)
  if (!isFloat(x.dtype)) return x
  const most = x.dtype === 'float64' ? Number.MAX_VALUE : 3.4028234663852886e38
  const { nan = 0, posinf = most, neginf = -most } = options
  const known = where(ne(x, x), nan, x)
  return where(eq(known, Number.POSITIVE_INFINITY), posinf, where(eq(known, Number.NEGATIVE_INFINITY), neginf, known))
}

/** Exactly one is true (not zero). */
export function logicalXor<A extends Tensor, B extends Tensor>(a: A, b: B & Meets<'logicalXor', A, B>): Tensor<Broadcast<A, B>>
export function logicalXor(a: Tensor, b: Tensor): Tensor {
  checkTensor('logicalXor', 'the first operand', a)
  checkTensor('logicalXor', 'the second operand', b)
  return ne(to(a, 'bool'), to(b, 'bool'))
}

/** Whether any element over the given dimensions (all by default) is true (not zero), as bool; false of nothing. */
export function any<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function any(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, rest?: Keep<boolean>): Tensor {
  const options = along<ReduceOptions>('any', dim, rest, reduceNames)
  checkTensor('any', 'x', x)
  return ne(sum(to(x, 'bool'), options), 0)
}

/** Whether all elements over the given dimensions (all by default) are true (not zero), as bool; true of nothing. */
export function all<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function all(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, rest?: Keep<boolean>): Tensor {
  const options = along<ReduceOptions>('all', dim, rest, reduceNames)
  checkTensor('all', 'x', x)
  return eq(sum(logicalNot(x), options), 0)
}

/** How many elements over the given dimensions (all by default) are not zero, as int32. */
export function countNonzero<T extends Tensor, const D extends Dims = undefined, K extends boolean = false>(
  x: T,
  dim?: D | ReduceBy<D, K>,
  options?: Keep<K>,
): Tensor<Reduced<ShapeOf<T>, D, K>>
export function countNonzero(x: Tensor, dim?: ReduceOptions['dim'] | ReduceOptions, rest?: Keep<boolean>): Tensor {
  const options = along<ReduceOptions>('countNonzero', dim, rest, reduceNames)
  checkTensor('countNonzero', 'x', x)
  return sum(to(x, 'bool'), options)
}

export interface CloseOptions {
  /** Relative to b; default 1e-5. */
  rtol?: number
  /** Default 1e-8. */
  atol?: number
  /** Two NaN count as close; default false. */
  equalNan?: boolean
}

/** Where |a - b| ≤ atol + rtol·|b|, as bool; equal infinities are close. */
export function isclose<A extends Tensor, B extends Tensor>(
  a: A,
  b: B & Meets<'isclose', A, B>,
  options?: CloseOptions,
): Tensor<Broadcast<A, B>>
export function isclose(a: Tensor, b: Tensor, options: CloseOptions = {}): Tensor {
  checkOptions('isclose', options, { rtol: true, atol: true, equalNan: true })
  checkTensor('isclose', 'a', a)
  checkTensor('isclose', 'b', b)
  if (a.dtype !== b.dtype) throw new DTypeError('ERR_DTYPE', `isclose: dtypes differ: ${a.dtype} and ${b.dtype}. Convert with .to(…).`)
  const { rtol = 1e-5, atol = 1e-8, equalNan = false } = options
  const gap = abs(sub(a, b))
  const near = logicalAnd(le(gap, add(mul(abs(b), rtol), atol)), isfinite(gap))
  const close = logicalOr(eq(a, b), near)
  return equalNan ? logicalOr(close, logicalAnd(isnan(a), isnan(b))) : close
}

/** Whether all elements are close (see `isclose`). Reads the data. */
export function allclose(a: Tensor, b: Tensor, options: CloseOptions = {}): boolean {
  refuseTraced('allclose', 'the answer', 'Use isclose(a, b).all(), which gives a tensor.')
  return all(isclose(a, b, options)).item() !== 0
}

/** Whether two tensors have one shape and dtype and the same elements; NaN equals nothing. Reads the data. */
export function equal(a: Tensor, b: Tensor): boolean {
  refuseTraced('equal', 'the answer', 'Use a.eq(b).all(), which gives a tensor.')
  checkTensor('equal', 'a', a)
  checkTensor('equal', 'b', b)
  if (a.dtype !== b.dtype || !sameShape(a.shape, b.shape)) return false
  return sizeOf(a.shape) === 0 || all(eq(a, b)).item() !== 0
}

/** @internal the condition of maskedFill and the like, which has to be bool and to broadcast to `shape` */
export function checkMask(op: string, mask: Tensor, shape: readonly number[]): Tensor {
  checkTensor(op, 'the mask', mask)
  if (mask.dtype !== 'bool')
    throw new DTypeError('ERR_DTYPE', `${op}: the mask must be bool, received ${mask.dtype}. Compare first, for example x.ne(0).`)
  const lead = shape.length - mask.ndim
  if (lead < 0 || !mask.shape.every((s, i) => s === 1 || s === shape[i + lead])) {
    throw new ShapeError('ERR_MASK', `${op}: the mask ${showShape(mask.shape)} does not broadcast to ${showShape(shape)}.`)
  }
  return mask
}

/**
 * A copy of x with `value` (a number, or a tensor of one element) where the bool mask is true; the mask broadcasts.
 *
 *     scores.maskedFill(causal.logicalNot(), -Infinity)
 *
 * @throws DTypeError when the mask is not bool, or a fraction would go into integers; ShapeError when it does not broadcast to x.
 */
export function maskedFill<T extends Tensor>(x: T, mask: Tensor, value: Tensor | number): Tensor<ShapeOf<T>>
export function maskedFill(x: Tensor, mask: Tensor, value: Tensor | number): Tensor {
  checkTensor('maskedFill', 'x', x)
  if (typeof value !== 'number') {
    checkTensor('maskedFill', 'the value', value)
    if (value.size !== 1) throw new ShapeError('ERR_MASK', `maskedFill: the value must be one number, received ${showShape(value.shape)}.`)
  }
  if (typeof value === 'number') checkHeld('maskedFill', value, x.dtype)
  else if (!isFloat(x.dtype) && isFloat(value.dtype))
    throw new DTypeError('ERR_DTYPE', `maskedFill: ${value.dtype} does not go into ${x.dtype}. Convert x with .to('float32').`)
  const filled = typeof value === 'number' ? value : to(value.reshape([]), x.dtype)
  const condition = checkMask('maskedFill', mask, x.shape)
  return to(where(condition, filled, x.dtype === 'bool' ? to(x, 'int32') : x), x.dtype)
}
