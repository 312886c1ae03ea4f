/**
 * Element types: their names, typed arrays and promotion rules.
 *
 * Promotion: equal types stay. `bool` and `uint8` become `int32` in arithmetic with `int32`, and each of them becomes the float type
 * in arithmetic with a float. `float32` with `float64` is an error: silently computing in either would be a costly surprise.
 * A JavaScript number takes the type of the tensor beside it, but a fractional number with an integer tensor gives float32.
 */
import { ArgumentError, DTypeError, StateError, showValue } from './errors.js'

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

const tag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag) as { get(): unknown }

/**
 * The name of a typed array's class, `undefined` for anything else. Arrays of another realm (vm, Jest) are instances of classes of their own,
 * so `instanceof` would not know them.
 */
export function arrayKind(x: unknown): string | undefined {
  return tag.get.call(x) as string | undefined
}

const dtypesByKind: Readonly<Record<string, DType>> = {
  Float32Array: 'float32',
  Int32Array: 'int32',
  Uint8Array: 'uint8',
  Uint8ClampedArray: 'uint8',
  Float64Array: 'float64',
}

/**
 * The dtype that keeps a typed array's elements as they are. Everything that takes typed arrays asks here.
 *
 * @throws DTypeError `ERR_DTYPE_UNSUPPORTED`; StateError `ERR_BUFFER_DETACHED` for one whose memory went elsewhere, which would pass for an empty one.
 */
export function dtypeOfArray(array: ArrayBufferView): DType {
  const kind = arrayKind(array)
  const dtype = kind === undefined ? undefined : dtypesByKind[kind]
  if (dtype === undefined) {
    const received = kind ?? (ArrayBuffer.isView(array) ? 'a DataView' : showValue(array))
    throw new DTypeError(
      'ERR_DTYPE_UNSUPPORTED',
      `tensor: ${received} has no dtype here. Use Float32Array, Int32Array, Uint8Array or Float64Array.`,
    )
  }
  if (array.byteLength === 0 && isDetached(array.buffer)) {
    throw new StateError(
      'ERR_BUFFER_DETACHED',
      `tensor: the memory of this ${kind} was transferred, to a worker for example, and nothing is left of it here. Pass a copy where buffers are handed on.`,
    )
  }
  return dtype
}

/** Whether memory was transferred. Node 20 has no property that says so. */
export function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
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
