/**
 * Element types: their names, typed arrays and promotion rules.
 *
 * Promotion: equal types stay. `bool` and `uint8` become `int32` in arithmetic with `int32`, and each of them becomes the float type
 * in arithmetic with a float. `float32` with `float64` is an error: silently computing in either would be a costly surprise.
 * A JavaScript number takes the type of the tensor beside it, but a fractional number with an integer tensor gives float32.
 */
import { ArgumentError, DTypeError, showValue } from './errors.js'

/** `float64` exists only on the TypeScript backend, for tight gradient checks. */
export type DType = 'float32' | 'int32' | 'uint8' | 'bool' | 'float64'

export type TypedArray = Float32Array | Int32Array | Uint8Array | Float64Array

/** In the order of the tags of the program format (docs/program-format.md). */
export const dtypes: readonly DType[] = ['float32', 'int32', 'uint8', 'bool', 'float64']

const tags: Record<DType, number> = { float32: 0, int32: 1, uint8: 2, bool: 3, float64: 4 }
const sizes: Record<DType, number> = { float32: 4, int32: 4, uint8: 1, bool: 1, float64: 8 }

export function dtypeTag(dtype: DType): number {
  return tags[dtype]
}

/** Bytes per element. */
export function itemSize(dtype: DType): number {
  return sizes[dtype]
}

export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64'
}

/** float32 → int32: toward zero, 0 for NaN, the nearest number for what is out of range. */
export function saturate(x: number): number {
  return Number.isNaN(x) ? 0 : Math.trunc(Math.min(2147483647, Math.max(-2147483648, x)))
}

/** A number as this dtype holds it, converted as `to` does. */
export function heldBy(dtype: DType, x: number): number {
  switch (dtype) {
    case 'float32':
      return Math.fround(x)
    case 'int32':
      return saturate(x)
    case 'uint8':
      return saturate(x) & 255
    case 'bool':
      return x !== 0 ? 1 : 0
    default:
      return x
  }
}

/** Checks that a number someone wrote is one that this dtype holds: 0.5 and 300 would become others in silence. */
export function checkHeld(op: string, x: number, dtype: DType): void {
  if (isFloat(dtype) || (dtype === 'bool' ? Number.isInteger(x) : heldBy(dtype, x) === x)) return
  throw new DTypeError('ERR_DTYPE', `${op}: ${x} does not go into ${dtype}. Take another number, or convert with .to('float32').`)
}

/** A typed array of this dtype on the given memory. */
export function viewMemory(dtype: DType, buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArray {
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, length)
    case 'int32':
      return new Int32Array(buffer, byteOffset, length)
    case 'float64':
      return new Float64Array(buffer, byteOffset, length)
    default:
      return new Uint8Array(buffer, byteOffset, length)
  }
}

/** The dtype that keeps a typed array's elements as they are. */
export function dtypeOfArray(array: ArrayBufferView): DType {
  if (array instanceof Float32Array) return 'float32'
  if (array instanceof Int32Array) return 'int32'
  if (array instanceof Uint8Array || array instanceof Uint8ClampedArray) return 'uint8'
  if (array instanceof Float64Array) return 'float64'
  const kind = ArrayBuffer.isView(array) ? array.constructor.name : showValue(array)
  throw new DTypeError(
    'ERR_DTYPE_UNSUPPORTED',
    `tensor: ${kind} has no dtype here. Use Float32Array, Int32Array, Uint8Array or Float64Array.`,
  )
}

export function checkDType(op: string, dtype: DType): DType {
  if (!dtypes.includes(dtype)) {
    throw new ArgumentError('ERR_DTYPE_UNKNOWN', `${op}: unknown dtype ${showValue(dtype)}. Known: ${dtypes.join(', ')}.`)
  }
  return dtype
}

const rank: Record<DType, number> = { bool: 0, uint8: 1, int32: 2, float32: 3, float64: 4 }

/** The dtype two operands of arithmetic meet in. */
export function promote(op: string, a: DType, b: DType): DType {
  if (a === b) return a === 'bool' ? 'bool' : a
  if (isFloat(a) && isFloat(b)) {
    throw new DTypeError(
      'ERR_DTYPE_MIXED',
      `${op}: float32 and float64 do not mix (${a} with ${b}). Convert one of them with .to('float32') or .to('float64').`,
    )
  }
  const wide = rank[a] > rank[b] ? a : b
  return wide === 'uint8' ? 'int32' : wide
}
