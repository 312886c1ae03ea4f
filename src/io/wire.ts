/**
 * Number formats found in files, and the way from the library's dtypes to them; the way back is in decode.ts.
 *
 * In: an array with its shape. Out: its little-endian bytes in one of the formats, every value kept, rounded where the format is 16 bits wide, or refused.
 */
import { endianness } from 'node:os'
import { arrayKind, type DType, type TypedArray } from '../base/dtype.js'
import { ArgumentError, checkObject, DataError, showShape, showValue } from '../base/errors.js'

/** An array with its shape, as files hold it. `bool` is one byte an element, 0 or 1. */
export interface StoredArray {
  readonly data: TypedArray
  readonly shape: readonly number[]
  readonly dtype: DType
}

/** The most dimensions of an array in a file; NumPy has no more either. */
export const maximumRank = 64

/** Formats this library reads, by their safetensors names. */
export type WireType = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U64' | 'U32' | 'U16' | 'U8' | 'BOOL'

const wireSizes: Record<WireType, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
}

/** The library's dtype for each format. Half floats and doubles become float32, other integers int32. */
export const wireDTypes: Record<WireType, Exclude<DType, 'float64'>> = {
  F64: 'float32',
  F32: 'float32',
  F16: 'float32',
  BF16: 'float32',
  I64: 'int32',
  I32: 'int32',
  I16: 'int32',
  I8: 'int32',
  U64: 'int32',
  U32: 'int32',
  U16: 'int32',
  U8: 'uint8',
  BOOL: 'bool',
}

export function isWireType(name: unknown): name is WireType {
  return typeof name === 'string' && Object.hasOwn(wireSizes, name)
}

/** Bytes per element. */
export function wireSize(type: WireType): number {
  return wireSizes[type]
}

export const bigEndianHost = endianness() === 'BE'

/** Reverses each element's bytes, in place. */
export function swapBytes(bytes: Uint8Array, size: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (size === 2) buffer.swap16()
  else if (size === 4) buffer.swap32()
  else if (size === 8) buffer.swap64()
}

let halves: Float32Array | undefined

/** All 65,536 half floats as float32, made at the first use: 256 KB, and one load per element. */
export function halfTable(): Float32Array {
  if (halves) return halves
  const table = new Float32Array(65536)
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity
    else table[bits] = sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24)
  }
  halves = table
  return table
}

/** float32 to half floats, rounding to nearest, ties to even. */
export function toHalf(values: Float32Array, what: string): Uint16Array {
  const out = new Uint16Array(values.length)
  const bits = new Uint32Array(Float32Array.from(values).buffer)
  for (let i = 0; i < out.length; i++) {
    const sign = (bits[i] >>> 16) & 0x8000
    const rest = bits[i] & 0x7fffffff
    if (rest > 0x7f800000) {
      out[i] = sign | 0x7e00
    } else if (rest === 0x7f800000) {
      out[i] = sign | 0x7c00
    } else if (rest < 0x38800000) {
      // Below the smallest normal half: a whole number of 2^-24, exact in double precision before it is rounded.
      out[i] = sign | roundEven(Math.abs(values[i]) * 2 ** 24)
    } else {
      const half = ((rest >>> 13) - (112 << 10)) | 0
      const lost = rest & 0x1fff
      out[i] = sign | (half + (lost > 0x1000 || (lost === 0x1000 && half & 1) ? 1 : 0))
      if ((out[i] & 0x7fff) >= 0x7c00 || rest >= 0x47800000) throw tooLarge(what, values[i], i, 'F16')
    }
  }
  return out
}

/** float32 to bfloat16, rounding to nearest, ties to even. */
export function toBrain(values: Float32Array, what: string): Uint16Array {
  const out = new Uint16Array(values.length)
  const bits = new Uint32Array(Float32Array.from(values).buffer)
  for (let i = 0; i < out.length; i++) {
    const rest = bits[i] & 0x7fffffff
    if (rest > 0x7f800000) {
      out[i] = (bits[i] >>> 16) | 0x40
    } else {
      out[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16
      if ((out[i] & 0x7fff) === 0x7f80 && rest !== 0x7f800000) throw tooLarge(what, values[i], i, 'BF16')
    }
  }
  return out
}

function roundEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

function tooLarge(what: string, value: number, index: number, type: WireType): DataError {
  return new DataError('ERR_DATA_RANGE', `${what}: the value ${value} at element ${index} is too large for ${type}. Save it as F32.`)
}

const constructors: Record<DType, readonly [new (length: number) => TypedArray, WireType]> = {
  float32: [Float32Array, 'F32'],
  int32: [Int32Array, 'I32'],
  uint8: [Uint8Array, 'U8'],
  bool: [Uint8Array, 'BOOL'],
  float64: [Float64Array, 'F64'],
}

/**
 * Checks an array that is about to be written: dtype, class, extents, bools.
 *
 * @returns the format it is written in.
 * @throws ArgumentError `ERR_STORED_ARRAY`; DataError `ERR_DATA_BOOL`.
 */
export function checkStored(array: StoredArray, what: string): WireType {
  checkObject(what, array)
  const known = typeof array.dtype === 'string' && Object.hasOwn(constructors, array.dtype) ? constructors[array.dtype] : undefined
  const isShape = Array.isArray(array.shape) && array.shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)
  if (!known || arrayKind(array.data) !== known[0].name || !isShape) {
    const shape = Array.isArray(array.shape) ? showShape(array.shape) : showValue(array.shape)
    throw new ArgumentError(
      'ERR_STORED_ARRAY',
      `${what}: expected { data, shape, dtype } with dtype one of ${Object.keys(constructors).join(', ')} and its typed array, ` +
        `received ${arrayKind(array.data) ?? showValue(array.data)} of shape ${shape} with dtype ${showValue(array.dtype)}.`,
    )
  }
  const count = array.shape.reduce((product, extent) => product * extent, 1)
  if (count !== array.data.length) {
    throw new ArgumentError(
      'ERR_STORED_ARRAY',
      `${what}: shape ${showShape(array.shape)} holds ${count} elements, the data ${array.data.length}.`,
    )
  }
  if (array.dtype === 'bool') {
    for (let i = 0; i < count; i++) {
      if (array.data[i] > 1) {
        throw new DataError('ERR_DATA_BOOL', `${what}: a bool is 0 or 1, received ${array.data[i]} at element ${i}.`)
      }
    }
  }
  return known[1]
}

/** A copy of an array's bytes, little-endian: what is written cannot change while it is being written. */
export function encode(data: TypedArray | Uint16Array): Uint8Array {
  const own = new Uint8Array(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  if (bigEndianHost) swapBytes(own, data.BYTES_PER_ELEMENT)
  return own
}
