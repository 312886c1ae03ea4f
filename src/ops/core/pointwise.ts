/**
 * What elementwise ops share: how a row is made of an operation on numbers, how operands of mixed dtypes meet, and the function around a row.
 * The rows are in elementwise.ts and functions.ts.
 */
import { checkDType, type DType, isFloat, promote, saturate } from '../../base/dtype.js'
import { checkOptions, type OptionNames } from '../../base/errors.js'
import { broadcast } from '../../base/shape.js'
import type { Meta } from '../../tensor/context.js'
import type { ShapeOf, Tensor } from '../../tensor/tensor.js'
import { apply, checkTensor, lift } from './dispatch.js'
import { castMicro, defineMicro, lowerMicro, type MicroSignature } from './micro.js'
import type { Broadcast, Meets } from './operands.js'
import { type Dense, defineOp, type GradientRule, type OpRow } from './table.js'

/** Options every eager op takes. */
export interface OutOption {
  /** A tensor of the result's shape and dtype to write into. Not while gradients are recorded. */
  out?: Tensor
}

const outNames: OptionNames<OutOption> = { out: true }

/** The tensor to write into, if one is given. */
export function outOf(op: string, options: OutOption | undefined): Tensor | undefined {
  if (options === undefined) return undefined
  checkOptions(op, options, outNames)
  return options.out
}

export type TensorLike = Tensor | number

export interface Spec {
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

export function elementwise(name: string, spec: Spec): OpRow<undefined> {
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

export const unary = (
  name: string,
  signature: 'T→T' | 'F→F' | 'M→M',
  scalar: (a: number) => number,
  gradient: GradientRule<undefined> | null,
): OpRow<undefined> => elementwise(name, { signature, scalar, gradient })

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

/** Two operands in the dtype they meet in; with `floats` always a float one. */
export function binaryOperands(op: string, a: TensorLike, b: TensorLike, floats: boolean): [Tensor, Tensor] {
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

/** An operand in a dtype the op computes in. */
export function unaryOperand(op: string, x: TensorLike, floats: boolean): Tensor {
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

export type Unary = <T extends TensorLike>(x: T, options?: OutOption) => Tensor<ShapeOf<T>>
/** Shapes have to broadcast; `Op` is the name in the sentence that says so. */
export type Binary<Op extends string> = <A extends TensorLike, B extends TensorLike>(
  a: A,
  b: B & Meets<Op, A, B>,
  options?: OutOption,
) => Tensor<Broadcast<A, B>>
export type PlainBinary = (a: TensorLike, b: TensorLike, options?: OutOption) => Tensor

export const float1 =
  (r: OpRow<undefined>): Unary =>
  (x, options) =>
    apply(r, [unaryOperand(r.name, x, true)], undefined, outOf(r.name, options))
export const any1 =
  (r: OpRow<undefined>): Unary =>
  (x, options) =>
    apply(r, [unaryOperand(r.name, x, false)], undefined, outOf(r.name, options))
export const any2 =
  (r: OpRow<undefined>): PlainBinary =>
  (a, b, options) =>
    apply(r, binaryOperands(r.name, a, b, false), undefined, outOf(r.name, options))
export const float2 =
  (r: OpRow<undefined>): PlainBinary =>
  (a, b, options) =>
    apply(r, binaryOperands(r.name, a, b, true), undefined, outOf(r.name, options))

export function asBool(op: string, x: Tensor): Tensor {
  checkTensor(op, 'the operand', x)
  return to(x, 'bool')
}
