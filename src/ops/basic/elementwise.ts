/**
 * Elementwise ops: arithmetic, comparisons, functions of one number. Each is one row here, one line in native/kernels (the
 * vector expression) and one line in test/ops.cases.ts. The order of rows numbers the micro-operations.
 */
import { saturate } from '../../base/dtype.js'
import { DTypeError } from '../../base/errors.js'
import { type ShapeOf, Tensor } from '../../tensor/tensor.js'
import { apply, checkTensor } from '../core/dispatch.js'
import { defineMicro } from '../core/micro.js'
import type { Broadcast, Meets } from '../core/operands.js'
import {
  any1,
  any2,
  asBool,
  type Binary,
  binaryOperands,
  elementwise,
  float1,
  float2,
  type OutOption,
  outOf,
  type TensorLike,
  to,
  type Unary,
  unary,
  unaryOperand,
} from '../core/pointwise.js'
import type { GradientRule } from '../core/table.js'
import { expand } from './movement.js'
import { erf as erfOf } from './special-loops.js'

export { type OutOption, type TensorLike, to } from '../core/pointwise.js'

/** Round half to even, as the hardware does. */
function roundEven(x: number): number {
  const r = Math.round(x)
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r
}

/** The density of the normal distribution at 0. */
const normalPeak = 1 / Math.sqrt(2 * Math.PI)

/** Of steps, which are flat: 0, also where g is not finite. */
const none: GradientRule<undefined> = (_c, g) => [expand(Tensor.scalar(0, g.dtype), g.shape)]

// biome-ignore format: one row an op
const row = {
  neg: unary('neg', 'T→T', (a) => -a, (_c, g) => [neg(g)]),
  abs: unary('abs', 'T→T', Math.abs, ({ inputs: [x] }, g) => [mul(g, sign(x))]),
  sign: unary('sign', 'T→T', Math.sign, none),
  floor: unary('floor', 'F→F', Math.floor, none),
  ceil: unary('ceil', 'F→F', Math.ceil, none),
  round: unary('round', 'F→F', roundEven, none),
  trunc: unary('trunc', 'F→F', Math.trunc, none),
  sqrt: unary('sqrt', 'F→F', Math.sqrt, ({ outputs: [y] }, g) => [div(g, mul(y, 2))]),
  rsqrt: unary('rsqrt', 'F→F', (a) => 1 / Math.sqrt(a), ({ inputs: [x], outputs: [y] }, g) => [mul(g, div(mul(y, -0.5), x))]),
  reciprocal: unary('reciprocal', 'F→F', (a) => 1 / a, ({ outputs: [y] }, g) => [neg(mul(g, square(y)))]),
  exp: unary('exp', 'F→F', Math.exp, ({ outputs: [y] }, g) => [mul(g, y)]),
  expm1: unary('expm1', 'F→F', Math.expm1, ({ outputs: [y] }, g) => [mul(g, add(y, 1))]),
  log: unary('log', 'F→F', Math.log, ({ inputs: [x] }, g) => [div(g, x)]),
  log1p: unary('log1p', 'F→F', Math.log1p, ({ inputs: [x] }, g) => [div(g, add(x, 1))]),
  sin: unary('sin', 'F→F', Math.sin, ({ inputs: [x] }, g) => [mul(g, cos(x))]),
  cos: unary('cos', 'F→F', Math.cos, ({ inputs: [x] }, g) => [neg(mul(g, sin(x)))]),
  tanh: unary('tanh', 'F→F', Math.tanh, ({ outputs: [y] }, g) => [mul(g, sub(1, square(y)))]),
  sigmoid: unary('sigmoid', 'F→F', (a) => (a >= 0 ? 1 / (1 + Math.exp(-a)) : Math.exp(a) / (1 + Math.exp(a))), ({ outputs: [y] }, g) => [mul(g, mul(y, sub(1, y)))]),
  erf: unary('erf', 'F→F', erfOf, ({ inputs: [x] }, g) => [mul(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI)))]),
  // primitives, so that of all that leads to them only x is kept for the gradient
  gelu: unary('gelu', 'F→F', (a) => 0.5 * a * (1 + erfOf(a * Math.SQRT1_2)), ({ inputs: [x] }, g) => [mul(g, geluSlope(x))]),
  geluSlope: unary('geluSlope', 'F→F', (a) => 0.5 * (1 + erfOf(a * Math.SQRT1_2)) + a * Math.exp(-0.5 * a * a) * normalPeak,
    ({ inputs: [x] }, g) => [mul(g, mul(sub(2, square(x)), mul(exp(mul(square(x), -0.5)), normalPeak)))]),
  square: elementwise('square', { signature: 'T→T', scalar: (a) => a * a, integer: (a) => Math.imul(a, a), gradient: ({ inputs: [x] }, g) => [mul(g, mul(x, 2))] }),
  relu: unary('relu', 'T→T', (a) => (a < 0 ? 0 : a), ({ outputs: [y] }, g) => [where(gt(y, 0), g, 0)]),
  add: elementwise('add', { signature: 'TT→T', scalar: (a, b) => a + b, gradient: (_c, g) => [g, g] }),
  sub: elementwise('sub', { signature: 'TT→T', scalar: (a, b) => a - b, gradient: ({ needs }, g) => [g, needs[1] ? neg(g) : undefined] }),
  mul: elementwise('mul', { signature: 'TT→T', scalar: (a, b) => a * b, integer: Math.imul,
    gradient: ({ inputs: [a, b], needs }, g) => [needs[0] ? mul(g, b) : undefined, needs[1] ? mul(g, a) : undefined] }),
  maximum: elementwise('maximum', { signature: 'TT→T', scalar: (a, b) => Math.max(a, b), gradient: extremeGradient }),
  minimum: elementwise('minimum', { signature: 'TT→T', scalar: (a, b) => Math.min(a, b), gradient: extremeGradient }),
  div: elementwise('div', { signature: 'FF→F', scalar: (a, b) => a / b,
    // by the quotient: the square of b may be more or less than there are numbers
    gradient: ({ inputs: [, b], outputs: [y], needs }, g) => [needs[0] ? div(g, b) : undefined, needs[1] ? neg(mul(g, div(y, b))) : undefined] }),
  pow: elementwise('pow', { signature: 'FF→F', scalar: powf, gradient: powGradient }),
  eq: elementwise('eq', { signature: 'TT→M', scalar: (a, b) => (a === b ? 1 : 0), gradient: null }),
  ne: elementwise('ne', { signature: 'TT→M', scalar: (a, b) => (a !== b ? 1 : 0), gradient: null }),
  lt: elementwise('lt', { signature: 'TT→M', scalar: (a, b) => (a < b ? 1 : 0), gradient: null }),
  le: elementwise('le', { signature: 'TT→M', scalar: (a, b) => (a <= b ? 1 : 0), gradient: null }),
  logicalAnd: elementwise('logicalAnd', { signature: 'MM→M', scalar: (a, b) => a & b, gradient: null }),
  logicalOr: elementwise('logicalOr', { signature: 'MM→M', scalar: (a, b) => a | b, gradient: null }),
  logicalNot: unary('logicalNot', 'M→M', (a) => 1 - a, null),
  where: elementwise('where', { signature: 'MTT→T', scalar: (c, a, b) => (c !== 0 ? a : b),
    gradient: ({ inputs: [c], needs }, g) => [undefined, needs[1] ? where(c, g, 0) : undefined, needs[2] ? where(c, 0, g) : undefined] }),
}

// Conversions are one op, `to`, over these micro-operations; `fma` is made by the compiler.
defineMicro({ name: 'toFloat32', arity: 1, signature: 'IM→F', scalar: (a) => a })
defineMicro({ name: 'toInt32', arity: 1, signature: 'FM→I', scalar: saturate })
defineMicro({ name: 'toBool', arity: 1, signature: 'FI→M', scalar: (a) => (a !== 0 ? 1 : 0) })
defineMicro({ name: 'fma', arity: 3, signature: 'FFF→F', scalar: (a, b, c) => a * b + c })

/** C's `pow`, which differs from JavaScript's where the base is 1 or -1. */
function powf(a: number, b: number): number {
  if (a === 1) return 1
  if (a === -1 && (b === Number.POSITIVE_INFINITY || b === Number.NEGATIVE_INFINITY)) return 1
  return a ** b
}

/** Where both are equal each gets half, as in PyTorch. */
function extremeGradient(
  this: void,
  { inputs: [a, b], outputs: [y], needs }: Parameters<GradientRule<undefined>>[0],
  g: Tensor,
): (Tensor | undefined)[] {
  const share = div(g, add(to(eq(a, y), g.dtype), to(eq(b, y), g.dtype)))
  return [needs[0] ? where(eq(a, y), share, 0) : undefined, needs[1] ? where(eq(b, y), share, 0) : undefined]
}

function powGradient(
  this: void,
  { inputs: [a, b], outputs: [y], needs }: Parameters<GradientRule<undefined>>[0],
  g: Tensor,
): (Tensor | undefined)[] {
  const forBase = (): Tensor => {
    const slope = mul(g, mul(b, pow(a, sub(b, 1))))
    return b.constant !== undefined && b.constant !== 0 ? slope : where(eq(b, 0), 0, slope)
  }
  return [needs[0] ? forBase() : undefined, needs[1] ? mul(g, where(logicalAnd(eq(a, 0), le(0, b)), 0, mul(y, log(a)))) : undefined]
}

/** -x. */
export const neg: Unary = any1(row.neg)
/** |x|. The gradient at 0 is 0. */
export const abs: Unary = any1(row.abs)
/** -1, 0 or 1; NaN stays NaN. */
export const sign: Unary = any1(row.sign)
/** The greatest integer not above x. */
export const floor: Unary = float1(row.floor)
/** The least integer not below x. */
export const ceil: Unary = float1(row.ceil)
/** The nearest integer, halves to even. */
export const round: Unary = float1(row.round)
/** x without its fraction. */
export const trunc: Unary = float1(row.trunc)
/** √x; NaN below 0. */
export const sqrt: Unary = float1(row.sqrt)
/** 1/√x. */
export const rsqrt: Unary = float1(row.rsqrt)
/** 1/x. */
export const reciprocal: Unary = float1(row.reciprocal)
/** eˣ. */
export const exp: Unary = float1(row.exp)
/** eˣ - 1, exact for small x. */
export const expm1: Unary = float1(row.expm1)
/** Natural logarithm. */
export const log: Unary = float1(row.log)
/** log(1 + x), exact for small x. */
export const log1p: Unary = float1(row.log1p)
/** Sine of radians. */
export const sin: Unary = float1(row.sin)
/** Cosine of radians. */
export const cos: Unary = float1(row.cos)
/** Hyperbolic tangent. */
export const tanh: Unary = float1(row.tanh)
/** 1 / (1 + e⁻ˣ). */
export const sigmoid: Unary = float1(row.sigmoid)
/** The error function. */
export const erf: Unary = float1(row.erf)
/** @internal x·Φ(x); `gelu` of activations.ts is the public form */
export const exactGelu: Unary = float1(row.gelu)
const geluSlope: Unary = float1(row.geluSlope)
/** x². */
export const square: Unary = any1(row.square)
/** max(x, 0); NaN stays NaN. */
export const relu: Unary = any1(row.relu)
/** a + b with broadcasting. */
export const add: Binary<'add'> = any2(row.add)
/** a - b with broadcasting. */
export const sub: Binary<'sub'> = any2(row.sub)
/** a · b with broadcasting, element by element. */
export const mul: Binary<'mul'> = any2(row.mul)
/** The greater of a and b; NaN wins. */
export const maximum: Binary<'maximum'> = any2(row.maximum)
/** The lesser of a and b; NaN wins. */
export const minimum: Binary<'minimum'> = any2(row.minimum)
/** a / b with broadcasting; integers give float32. */
export const div: Binary<'div'> = float2(row.div)
/** aᵇ. */
export const pow: Binary<'pow'> = (a, b, options) => {
  if (b === 2) return square(float1Operand(a), options)
  return apply(row.pow, binaryOperands('pow', a, b, true), undefined, outOf('pow', options))
}
/** a = b, as bool. */
export const eq: Binary<'eq'> = any2(row.eq)
/** a ≠ b, as bool. */
export const ne: Binary<'ne'> = any2(row.ne)
/** a < b, as bool. */
export const lt: Binary<'lt'> = any2(row.lt)
/** a ≤ b, as bool. */
export const le: Binary<'le'> = any2(row.le)
/** a > b, as bool. */
export const gt: Binary<'gt'> = (a: TensorLike, b: TensorLike, options?: OutOption) =>
  apply(row.lt, binaryOperands('gt', a, b, false).reverse(), undefined, outOf('gt', options))
/** a ≥ b, as bool. */
export const ge: Binary<'ge'> = (a: TensorLike, b: TensorLike, options?: OutOption) =>
  apply(row.le, binaryOperands('ge', a, b, false).reverse(), undefined, outOf('ge', options))

function float1Operand(x: TensorLike): Tensor {
  return unaryOperand('pow', x, true)
}

/** Both are true (not zero). */
export function logicalAnd<A extends Tensor, B extends Tensor>(a: A, b: B & Meets<'logicalAnd', A, B>): Tensor<Broadcast<A, B>>
export function logicalAnd(a: Tensor, b: Tensor): Tensor {
  return apply(row.logicalAnd, [asBool('logicalAnd', a), asBool('logicalAnd', b)], undefined)
}
/** At least one is true (not zero). */
export function logicalOr<A extends Tensor, B extends Tensor>(a: A, b: B & Meets<'logicalOr', A, B>): Tensor<Broadcast<A, B>>
export function logicalOr(a: Tensor, b: Tensor): Tensor {
  return apply(row.logicalOr, [asBool('logicalOr', a), asBool('logicalOr', b)], undefined)
}
/** True where x is false (zero). */
export function logicalNot<T extends Tensor>(x: T): Tensor<ShapeOf<T>>
export function logicalNot(x: Tensor): Tensor {
  return apply(row.logicalNot, [asBool('logicalNot', x)], undefined)
}

/**
 * Elements of `a` where `condition` is true, of `b` elsewhere; all three broadcast.
 *
 *     where(x.gt(0), x, 0)
 */
export function where<C extends Tensor, A extends TensorLike, B extends TensorLike>(
  condition: C,
  a: A & Meets<'where', C, A>,
  b: B & Meets<'where', C, B> & Meets<'where', A, B>,
): Tensor<Broadcast<Tensor<Broadcast<C, A>>, B>>
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  checkTensor('where', 'the condition', condition)
  if (condition.dtype !== 'bool') {
    throw new DTypeError('ERR_DTYPE', `where: the condition must be bool, received ${condition.dtype}. Compare first, for example x.ne(0).`)
  }
  return apply(row.where, [condition, ...binaryOperands('where', a, b, false)], undefined)
}
