/**
 * Micro-operations: the elementwise primitives that fused maps are made of. The order of definition numbers them in programs
 * (native/generated/opcodes.h is generated from it). Elementwise rows define theirs in `elementwise.ts`.
 */
import { microOperations } from '../../backend/registry.js'
import type { DType } from '../../base/dtype.js'
import { broadcastStrides, sameShape } from '../../base/shape.js'
import { type Instruction, type Micro, MicroType, microType, Opcode, type View } from '../../ir/format.js'

export { defineMicro, type MicroSignature, microOperations, tableHash } from '../../backend/registry.js'

const numbers = new Map<string, number>()

/** The number of a micro-operation in programs. */
export function microNumber(name: string): number {
  let number = numbers.get(name)
  if (number === undefined) {
    number = microOperations().findIndex((o) => o.name === name)
    if (number >= 0) numbers.set(name, number)
  }
  return number
}

/** The type of value an operation yields. */
export function microResult(op: number, operand: MicroType, second: MicroType): MicroType {
  switch (microOperations()[op].signature) {
    case 'T→T':
    case 'TT→T':
      return operand
    case 'TT→M':
    case 'MM→M':
    case 'M→M':
    case 'FI→M':
      return MicroType.mask
    case 'MTT→T':
      return second
    case 'FM→I':
      return MicroType.i32
    default:
      return MicroType.f32
  }
}

/** Builds the map that applies one micro-operation (or none: a copy) to operands broadcast to the output's shape. */
export function lowerMicro<B>(op: number | undefined, inputs: readonly View<B>[], output: View<B>): Instruction<B> {
  const views: View<B>[] = []
  const constants: Micro['constants'][number][] = []
  const slots: number[] = []
  for (const v of inputs) {
    if (v.constant !== undefined) {
      slots.push(-1 - constants.length)
      constants.push({ type: microType(v.dtype), value: v.constant })
    } else {
      slots.push(views.length)
      views.push(broadcastView(v, output.shape))
    }
  }
  const value = slots.map((s) => (s < 0 ? views.length - 1 - s : s))
  const ops = op === undefined ? [] : [{ op, a: value[0], b: value[1] ?? 0, c: value[2] ?? 0 }]
  const result = op === undefined ? value[0] : views.length + constants.length
  return { opcode: Opcode.map, inputs: views, outputs: [output], scalars: [], epilogue: { constants, ops, results: [result] } }
}

/** A view read as if it had the broader shape. */
export function broadcastView<B>(v: View<B>, shape: readonly number[]): View<B> {
  if (sameShape(v.shape, shape)) return v
  return { ...v, shape, strides: broadcastStrides(v.shape, v.strides, shape) }
}

/** The micro-operation that converts between dtypes; `undefined` where the bits already fit. */
export function castMicro(from: DType, to: DType): number | undefined {
  const a = microType(from)
  const b = microType(to)
  if (a === b) return undefined
  return microNumber(b === MicroType.f32 ? 'toFloat32' : b === MicroType.i32 ? 'toInt32' : 'toBool')
}
