/**
 * Elementwise ops: arithmetic, comparisons, functions of one number. Each is one row here, one line in native/kernels (the
 * vector expression) and one line in test/ops.cases.ts. The order of rows numbers the micro-operations.
 */
import { checkDType, type DType, isFloat, promote } from '../dtype.js'
import { DTypeError } from '../errors.js'
import { broadcast } from '../shape.js'
import type { ShapeOf, Tensor } from '../tensor.js'
import type { Meta } from '../tracing.js'
import { apply, checkTensor, lift } from './dispatch.js'
import type { Broadcast, Meets } from './fluent.js'
import { castMicro, defineMicro, lowerMicro, type MicroSignature } from './micro.js'
import { erf as erfOf } from './special.js'
import { type Dense, defineOp, type GradientRule, type OpRow } from './table.js'

/** Options every eager op takes. */
export interface OutOption {
  /** A tensor of the result's shape and dtype to write into. Not while gradients are recorded. */
  out?: Tensor
}

export type TensorLike = Tensor | number

interface Spec {
  signature: MicroSignature
  scalar: (a: number, b: number, c: number) => number
  integer?: (a: number, b: number) => number
  gradient: GradientRule<undefined> | null
}

const arities: Record<MicroSignature, number> = {
  'T→T': 1,
  'F→F': 1,
  'TT→T': 2,
  'FF→F': 2,
  'TT→M': 2,
  'MM→M': 2,
  'M→M': 1,
  'MTT→T': 3,
  'IM→F': 1,
  'FM→I': 1,
  'FI→M': 1,
  'FFF→F': 3,
}

function resultType(signature: MicroSignature, inputs: readonly Meta[]): DType {
  if (signature.endsWith('→M')) return 'bool'
  const { dtype } = inputs[signature === 'MTT→T' ? 1 : 0]
  return dtype === 'uint8' ? 'int32' : dtype
}

function loop(spec: Spec, arity: number) {
  return (inputs: readonly Dense[], outputs: readonly Dense[]): void => {
    const out = outputs[0].data
    const a = inputs[0].data
    const b = arity > 1 ? inputs[1].data : a
    const c = arity > 2 ? inputs[2].data : a
    const f = spec.integer !== undefined && !isFloat(inputs[0].dtype) ? spec.integer : spec.scalar
    for (let i = 0; i < out.length; i++) out[i] = f(a[i], b[i], c[i])
  }
}

function elementwise(name: string, spec: Spec): OpRow<undefined> {
  const arity = arities[spec.signature]
  const micro = defineMicro({ name, arity, signature: spec.signature, scalar: spec.scalar, integer: spec.integer })
  return defineOp<undefined>({
    name,
    micro,
    infer: (inputs) => {
      let shape = inputs[0].shape
      for (let i = 1; i < inputs.length; i++) shape = broadcast(name, shape, inputs[i].shape)
      return [{ shape, dtype: resultType(spec.signature, inputs) }]
    },
    gradient: spec.gradient,
    lower: (inputs, outputs) => [lowerMicro(micro, inputs, outputs[0])],
    reference: loop(spec, arity),
  })
}

const unary = (
  name: string,
  signature: 'T→T' | 'F→F' | 'M→M',
  scalar: (a: number) => number,
  gradient: GradientRule<undefined> | null,
): OpRow<undefined> => elementwise(name, { signature, scalar, gradient })

/** Round half to even, as the hardware does. */
function roundEven(x: number): number {
  const r = Math.round(x)
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r
}

const none: GradientRule<undefined> = (_c, g) => [mul(g, 0)]

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
  square: elementwise('square', { signature: 'T→T', scalar: (a) => a * a, integer: (a) => Math.imul(a, a), gradient: ({ inputs: [x] }, g) => [mul(g, mul(x, 2))] }),
  relu: unary('relu', 'T→T', (a) => (a < 0 ? 0 : a), ({ outputs: [y] }, g) => [where(gt(y, 0), g, 0)]),
  add: elementwise('add', { signature: 'TT→T', scalar: (a, b) => a + b, gradient: (_c, g) => [g, g] }),
  sub: elementwise('sub', { signature: 'TT→T', scalar: (a, b) => a - b, gradient: ({ needs }, g) => [g, needs[1] ? neg(g) : undefined] }),
  mul: elementwise('mul', { signature: 'TT→T', scalar: (a, b) => a * b, integer: Math.imul,
    gradient: ({ inputs: [a, b], needs }, g) => [needs[0] ? mul(g, b) : undefined, needs[1] ? mul(g, a) : undefined] }),
  maximum: elementwise('maximum', { signature: 'TT→T', scalar: (a, b) => Math.max(a, b), gradient: extremeGradient }),
  minimum: elementwise('minimum', { signature: 'TT→T', scalar: (a, b) => Math.min(a, b), gradient: extremeGradient }),
  div: elementwise('div', { signature: 'FF→F', scalar: (a, b) => a / b,
    gradient: ({ inputs: [a, b], needs }, g) => [needs[0] ? div(g, b) : undefined, needs[1] ? neg(div(mul(g, a), square(b))) : undefined] }),
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

function saturate(x: number): number {
  return Number.isNaN(x) ? 0 : Math.trunc(Math.min(2147483647, Math.max(-2147483648, x)))
}

/** C's `pow`, which differs from JavaScript's where the base is 1 or -1. */
function powf(a: number, b: number): number {
  if (a === 1) return 1
  if (a === -1 && (b === Number.POSITIVE_INFINITY || b === Number.NEGATIVE_INFINITY)) return 1
  return a ** b
}

const castRow = defineOp<{ dtype: DType }>({
  name: 'to',
  infer: ([x], { dtype }) => [{ shape: x.shape, dtype }],
  gradient: ({ inputs: [x] }, g) => [to(g, x.dtype)],
  lower: (inputs, outputs) => [lowerMicro(castMicro(inputs[0].dtype, outputs[0].dtype), inputs, outputs[0])],
  reference: ([x], [y], { dtype }) => {
    const f =
      dtype === 'bool'
        ? (a: number) => (a !== 0 ? 1 : 0)
        : isFloat(dtype)
          ? (a: number) => a
          : isFloat(x.dtype)
            ? saturate
            : (a: number) => a
    for (let i = 0; i < y.data.length; i++) y.data[i] = f(x.data[i])
  },
})

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

function binaryOperands(op: string, a: TensorLike, b: TensorLike, floats: boolean): [Tensor, Tensor] {
  if (typeof a !== 'number') checkTensor(op, 'the first operand', a)
  if (typeof b !== 'number') checkTensor(op, 'the second operand', b)
  const dtype = meetingType(op, a, b, floats)
  return [convert(lift(a, dtype), dtype), convert(lift(b, dtype), dtype)]
}

function meetingType(op: string, a: TensorLike, b: TensorLike, floats: boolean): DType {
  let dtype: DType
  if (typeof a === 'number' || typeof b === 'number') {
    const number = (typeof a === 'number' ? a : b) as number
    const other = typeof a === 'number' ? (typeof b === 'number' ? 'float32' : b.dtype) : a.dtype
    dtype = isFloat(other) ? other : Number.isInteger(number) ? 'int32' : 'float32'
  } else {
    dtype = promote(op, a.dtype, b.dtype)
  }
  if (dtype === 'bool' || dtype === 'uint8') dtype = 'int32'
  return floats && !isFloat(dtype) ? 'float32' : dtype
}

/** Converts where the micro-program would not read the operand as this type by itself. */
function convert(t: Tensor, dtype: DType): Tensor {
  if (t.dtype === dtype || (dtype === 'int32' && t.dtype === 'uint8')) return t
  return to(t, dtype)
}

function unaryOperand(op: string, x: TensorLike, floats: boolean): Tensor {
  if (typeof x === 'number') return lift(x, 'float32')
  checkTensor(op, 'the operand', x)
  if (isFloat(x.dtype)) return x
  return floats ? to(x, 'float32') : convert(x, 'int32')
}

/** Converts to another dtype. Float to int32 cuts toward zero, saturates, and makes 0 of NaN. */
export function to<T extends Tensor>(x: T, dtype: DType): Tensor<ShapeOf<T>>
export function to(x: Tensor, dtype: DType): Tensor {
  checkTensor('to', 'the operand', x)
  checkDType('to', dtype)
  if (x.dtype === dtype) return x
  if (x.constant !== undefined) return lift(x.constant, dtype)
  return apply(castRow, [x], { dtype })
}

type Unary = <T extends TensorLike>(x: T, options?: OutOption) => Tensor<ShapeOf<T>>
/** Shapes have to broadcast; `Op` is the name in the sentence that says so. */
type Binary<Op extends string> = <A extends TensorLike, B extends TensorLike>(
  a: A,
  b: B & Meets<Op, A, B>,
  options?: OutOption,
) => Tensor<Broadcast<A, B>>
type PlainBinary = (a: TensorLike, b: TensorLike, options?: OutOption) => Tensor

const float1 =
  (r: OpRow<undefined>): Unary =>
  (x, options) =>
    apply(r, [unaryOperand(r.name, x, true)], undefined, options?.out)
const any1 =
  (r: OpRow<undefined>): Unary =>
  (x, options) =>
    apply(r, [unaryOperand(r.name, x, false)], undefined, options?.out)
const any2 =
  (r: OpRow<undefined>): PlainBinary =>
  (a, b, options) =>
    apply(r, binaryOperands(r.name, a, b, false), undefined, options?.out)
const float2 =
  (r: OpRow<undefined>): PlainBinary =>
  (a, b, options) =>
    apply(r, binaryOperands(r.name, a, b, true), undefined, options?.out)

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
  return apply(row.pow, binaryOperands('pow', a, b, true), undefined, options?.out)
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
export const gt: Binary<'gt'> = (a: TensorLike, b: TensorLike, options?: OutOption) => lt(b, a, options)
/** a ≥ b, as bool. */
export const ge: Binary<'ge'> = (a: TensorLike, b: TensorLike, options?: OutOption) => le(b, a, options)

function float1Operand(x: TensorLike): Tensor {
  return unaryOperand('pow', x, true)
}

function asBool(op: string, x: Tensor): Tensor {
  checkTensor(op, 'the operand', x)
  return to(x, 'bool')
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
