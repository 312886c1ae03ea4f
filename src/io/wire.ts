/**
 * Number formats found in files, and their conversion to the library's dtypes.
 *
 * In: little-endian bytes and the name of their format. Out: an array of a dtype the library computes in, every value
 * kept or refused: an integer that does not fit int32 and a float that would become infinite are errors, not surprises.
 */
import { endianness } from 'node:os'
import type { DType, TypedArray } from '../dtype.js'
import { ArgumentError, checkObject, DataError, showShape, showValue } from '../errors.js'

/** An array with its shape, as files hold it. `bool` is one byte an element, 0 or 1. */
export interface StoredArray {
  readonly data: TypedArray
  readonly shape: readonly number[]
  readonly dtype: DType
}

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

const bigEndianHost = endianness() === 'BE'

/** Reverses each element's bytes, in place. */
export function swapBytes(bytes: Uint8Array, size: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (size === 2) buffer.swap16()
  else if (size === 4) buffer.swap32()
  else if (size === 8) buffer.swap64()
}

/**
 * Decodes `count` little-endian elements.
 *
 * @param bytes exactly `count * wireSize(type)` bytes at any alignment; not kept and not changed.
 * @param what how errors name the array, for example `safetensors: tensor 'fc.weight'`.
 * @param doubles whether F64 stays float64 instead of becoming float32.
 * @throws DataError `ERR_DATA_RANGE` for a value that does not fit, `ERR_DATA_BOOL` for a bool other than 0 and 1.
 *
 *     decode('BF16', Uint8Array.of(0x80, 0x3f), 1, 'x')   // Float32Array [1]
 */
export function decode(type: WireType, bytes: Uint8Array, count: number, what: string, doubles = false): TypedArray {
  // A copy at the start of its own buffer: any typed array fits on it, and no caller shares it.
  const own = new Uint8Array(bytes)
  if (bigEndianHost) swapBytes(own, wireSizes[type])
  const { buffer } = own
  switch (type) {
    case 'F32':
      return new Float32Array(buffer)
    case 'I32':
      return new Int32Array(buffer)
    case 'U8':
      return own
    case 'BOOL': {
      const wrong = own.findIndex((value) => value > 1)
      if (wrong < 0) return own
      throw new DataError('ERR_DATA_BOOL', `${what}: a bool is 0 or 1, received ${own[wrong]} at element ${wrong}.`)
    }
    case 'F64':
      return doubles ? new Float64Array(buffer) : narrow(new Float64Array(buffer), what)
    case 'F16': {
      const table = halfTable()
      return Float32Array.from(new Uint16Array(buffer), (bits) => table[bits])
    }
    case 'BF16': {
      const out = new Uint32Array(count)
      const bits = new Uint16Array(buffer)
      for (let i = 0; i < count; i++) out[i] = bits[i] << 16
      return new Float32Array(out.buffer)
    }
    case 'I8':
      return Int32Array.from(new Int8Array(buffer))
    case 'I16':
      return Int32Array.from(new Int16Array(buffer))
    case 'U16':
      return Int32Array.from(new Uint16Array(buffer))
    case 'U32': {
      const out = new Int32Array(buffer)
      const wrong = out.findIndex((value) => value < 0)
      if (wrong < 0) return out
      throw outOfRange(what, out[wrong] >>> 0, wrong, 'int32')
    }
    default:
      return narrow64(new Int32Array(buffer), count, type === 'U64', what)
  }
}

/** float64 to float32. */
function narrow(values: Float64Array, what: string): Float32Array {
  const out = new Float32Array(values)
  for (let i = 0; i < out.length; i++) {
    if (Math.abs(out[i]) === Infinity && Math.abs(values[i]) !== Infinity) throw outOfRange(what, values[i], i, 'float32')
  }
  return out
}

/** Pairs of 32-bit words to int32: the high word must be the sign of the low one. Far faster than through BigInt. */
function narrow64(words: Int32Array, count: number, unsigned: boolean, what: string): Int32Array {
  const out = new Int32Array(count)
  const lowFirst = bigEndianHost ? 1 : 0
  for (let i = 0; i < count; i++) {
    const low = words[2 * i + lowFirst]
    const high = words[2 * i + 1 - lowFirst]
    if (high !== low >> 31 || (unsigned && high !== 0)) {
      const value = BigInt(unsigned ? high >>> 0 : high) * 2n ** 32n + BigInt(low >>> 0)
      throw outOfRange(what, value, i, 'int32')
    }
    out[i] = low
  }
  return out
}

function outOfRange(what: string, value: number | bigint, index: number, dtype: DType): DataError {
  return new DataError(
    'ERR_DATA_RANGE',
    `${what}: the value ${value} at element ${index} does not fit ${dtype}. Convert the array before it is saved.`,
  )
}

let halves: Float32Array | undefined

/** All 65,536 half floats as float32, made at the first use: 256 KB, and one load per element. */
function halfTable(): Float32Array {
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
  const known = Object.hasOwn(constructors, array.dtype) ? constructors[array.dtype] : undefined
  const isShape = Array.isArray(array.shape) && array.shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)
  if (!known || !(array.data instanceof known[0]) || !isShape) {
    const shape = Array.isArray(array.shape) ? showShape(array.shape) : showValue(array.shape)
    throw new ArgumentError(
      'ERR_STORED_ARRAY',
      `${what}: expected { data, shape, dtype } with dtype one of ${Object.keys(constructors).join(', ')} and its typed array, ` +
        `received ${array.data?.constructor?.name} of shape ${shape} with dtype ${showValue(array.dtype)}.`,
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
