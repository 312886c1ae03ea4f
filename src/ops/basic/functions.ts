/**
 * More elementwise ops: trigonometric and hyperbolic functions with their inverses, division with remainder, and what is composed of simpler
 * ones (powers of 2, logarithms to other bases, interpolation). As in elementwise.ts, each row has one line in native/kernels/micro_ops.cc and
 * one in the tests.
 */
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import type { Broadcast, Meets } from '../core/operands.js'
import {
  any2,
  type Binary,
  binaryOperands,
  elementwise,
  float1,
  float2,
  type OutOption,
  type TensorLike,
  type Unary,
  unary,
} from '../core/pointwise.js'
import {
  abs,
  add,
  div,
  eq,
  exp,
  ge,
  log,
  log1p,
  logicalAnd,
  logicalOr,
  lt,
  mul,
  neg,
  pow,
  rsqrt,
  sqrt,
  square,
  sub,
  trunc,
  where,
} from './elementwise.js'

// biome-ignore format: one row an op
const row = {
  tan: unary('tan', 'F→F', Math.tan, ({ outputs: [y] }, g) => [mul(g, add(square(y), 1))]),
  asin: unary('asin', 'F→F', Math.asin, ({ inputs: [x] }, g) => [mul(g, rsqrt(sub(1, square(x))))]),
  acos: unary('acos', 'F→F', Math.acos, ({ inputs: [x] }, g) => [neg(mul(g, rsqrt(sub(1, square(x)))))]),
  atan: unary('atan', 'F→F', Math.atan, ({ inputs: [x] }, g) => [div(g, add(square(x), 1))]),
  sinh: unary('sinh', 'F→F', Math.sinh, ({ inputs: [x] }, g) => [mul(g, cosh(x))]),
  cosh: unary('cosh', 'F→F', Math.cosh, ({ inputs: [x] }, g) => [mul(g, sinh(x))]),
  asinh: unary('asinh', 'F→F', Math.asinh, ({ inputs: [x] }, g) => [mul(g, rsqrt(add(square(x), 1)))]),
  acosh: unary('acosh', 'F→F', Math.acosh, ({ inputs: [x] }, g) => [mul(g, rsqrt(sub(square(x), 1)))]),
  atanh: unary('atanh', 'F→F', Math.atanh, ({ inputs: [x] }, g) => [div(g, sub(1, square(x)))]),
  atan2: elementwise('atan2', { signature: 'FF→F', scalar: Math.atan2,
    gradient: ({ inputs: [y, x], needs }, g) => {
      // by the distance twice, whose square would overflow or vanish; at a distance of 0, where there is no slope, and beside it, where none is finite: 0
      const r = hypot(y, x)
      const none = logicalOr(lt(r, g.dtype === 'float64' ? 2 ** -1022 : 2 ** -126), eq(r, Number.POSITIVE_INFINITY))
      const safe = where(none, 1, r)
      const slope = (a: Tensor): Tensor => where(none, 0, mul(g, div(div(a, safe), safe)))
      return [needs[0] ? slope(x) : undefined, needs[1] ? neg(slope(y)) : undefined]
    } }),
  hypot: elementwise('hypot', { signature: 'FF→F', scalar: (a, b) => Math.hypot(a, b),
    gradient: ({ inputs: [a, b], outputs: [r], needs }, g) => {
      const none = eq(r, 0)
      const safe = where(none, 1, r)
      return [needs[0] ? mul(g, div(a, safe)) : undefined, needs[1] ? mul(g, div(b, safe)) : undefined]
    } }),
  fmod: elementwise('fmod', { signature: 'TT→T', scalar: (a, b) => a % b, integer: (a, b) => (b === 0 ? 0 : (a % b) | 0),
    gradient: ({ inputs: [a, b], needs }, g) => [g, needs[1] ? neg(mul(g, trunc(div(a, b)))) : undefined] }),
  remainder: elementwise('remainder', { signature: 'TT→T', scalar: floorRemainder, integer: (a, b) => (b === 0 ? 0 : floorRemainder(a, b) | 0),
    gradient: ({ inputs: [a, b], needs }, g) => [g, needs[1] ? neg(mul(g, floorDivide(a.detach(), b.detach()))) : undefined] }),
  floorDivide: elementwise('floorDivide', { signature: 'TT→T', scalar: floorQuotient, integer: (a, b) => (b === 0 ? 0 : Math.floor(a / b) | 0), gradient: null }),
}

/** a - b·⌊a/b⌋, exactly: the sign is that of b. */
function floorRemainder(a: number, b: number): number {
  const r = a % b
  return r !== 0 && r < 0 !== b < 0 ? r + b : r
}

/** ⌊a/b⌋ by way of the exact remainder, so that a quotient that only rounds up to a whole number is not taken for it. */
function floorQuotient(a: number, b: number): number {
  if (b === 0) return a / b
  const r = a % b
  let quotient = (a - r) / b
  if (r !== 0 && r < 0 !== b < 0) quotient -= 1
  if (quotient === 0) return Object.is(a / b, -0) || a / b < 0 ? -0 : 0
  const whole = Math.floor(quotient)
  return quotient - whole > 0.5 ? whole + 1 : whole
}

/** Tangent of radians. */
export const tan: Unary = float1(row.tan)
/** Arc sine; NaN outside [-1, 1]. */
export const asin: Unary = float1(row.asin)
/** Arc cosine; NaN outside [-1, 1]. */
export const acos: Unary = float1(row.acos)
/** Arc tangent. */
export const atan: Unary = float1(row.atan)
/** Hyperbolic sine. */
export const sinh: Unary = float1(row.sinh)
/** Hyperbolic cosine. */
export const cosh: Unary = float1(row.cosh)
/** Inverse hyperbolic sine. */
export const asinh: Unary = float1(row.asinh)
/** Inverse hyperbolic cosine; NaN below 1. */
export const acosh: Unary = float1(row.acosh)
/** Inverse hyperbolic tangent; NaN outside [-1, 1]. */
export const atanh: Unary = float1(row.atanh)
/** The angle of the point (x, y), between -π and π: `atan2(y, x)`. */
export const atan2: Binary<'atan2'> = float2(row.atan2)
/** The remainder of a / b with the sign of a, as C's fmod. Whole numbers divided by 0 give 0. */
export const fmod: Binary<'fmod'> = any2(row.fmod)
/** The remainder of a / b with the sign of b, as Python's `%`. Whole numbers divided by 0 give 0. */
export const remainder: Binary<'remainder'> = any2(row.remainder)
/** ⌊a / b⌋; two integer tensors give int32. No gradient. Whole numbers divided by 0 give 0. */
export const floorDivide: Binary<'floorDivide'> = any2(row.floorDivide)

/** 2ˣ. */
export function exp2<T extends TensorLike>(x: T, options?: OutOption): Tensor<ShapeOf<T>>
export function exp2(x: TensorLike, options?: OutOption): Tensor {
  return pow(2, x, options)
}

/** Logarithm to base 2. */
export function log2<T extends TensorLike>(x: T): Tensor<ShapeOf<T>>
export function log2(x: TensorLike): Tensor {
  return mul(log(x), Math.LOG2E)
}

/** Logarithm to base 10. */
export function log10<T extends TensorLike>(x: T): Tensor<ShapeOf<T>>
export function log10(x: TensorLike): Tensor {
  return mul(log(x), Math.LOG10E)
}

/** x without its whole part: x - trunc(x). */
export function frac<T extends TensorLike>(x: T): Tensor<ShapeOf<T>>
export function frac(x: TensorLike): Tensor {
  return sub(x, trunc(x))
}

/** √(a² + b²), which overflows only where the result does. The gradient where both are 0 is 0. */
export const hypot: Binary<'hypot'> = float2(row.hypot)

/** @internal √x with the gradient 0 at 0 */
export function safeSqrt(x: Tensor): Tensor {
  const positive = x.ne(0)
  return where(positive, sqrt(where(positive, x, 1)), 0)
}

/** log(eᵃ + eᵇ) without overflow. */
export function logaddexp<A extends TensorLike, B extends TensorLike>(a: A, b: B & Meets<'logaddexp', A, B>): Tensor<Broadcast<A, B>>
export function logaddexp(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = binaryOperands('logaddexp', a, b, true)
  // two equal infinities have no difference
  const endless = logicalAnd(eq(x, y), eq(abs(x), Number.POSITIVE_INFINITY))
  const gap = sub(where(endless, 0, x), where(endless, 0, y))
  // by one choice, as softplus, so that the derivatives of all orders are right where both are equal
  const first = ge(gap, 0)
  return add(where(first, x, y), log1p(exp(where(first, neg(gap), gap))))
}

/**
 * From `a` to `b` by `weight`: a + weight · (b - a). The weight is a number or a tensor.
 *
 *     lerp(old, fresh, 0.1)
 */
export function lerp<A extends TensorLike, B extends TensorLike, W extends TensorLike>(
  a: A,
  b: B & Meets<'lerp', A, B>,
  weight: W,
): Tensor<Broadcast<Tensor<Broadcast<A, B>>, W>>
export function lerp(a: TensorLike, b: TensorLike, weight: TensorLike): Tensor {
  const way = sub(b, a)
  const near = add(a, mul(way, weight))
  // from the nearer end, as PyTorch does, so that both ends are hit exactly
  const far = sub(b, mul(way, typeof weight === 'number' ? 1 - weight : sub(1, weight)))
  if (typeof weight === 'number') return weight < 0.5 ? near : far
  return where(ge(abs(weight), 0.5), far, near)
}
