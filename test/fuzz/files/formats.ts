/**
 * What the fuzzer of files knows about number formats, apart from the library: sizes, and the value of an element. In: bytes. Out: the array that has to
 * be read from them, or nothing where a value does not fit.
 */
import type { StoredArray } from '../../../src/io/wire.js'

/** Bytes per element, by the names of safetensors. */
export const sizes = {
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
} as const
export type Type = keyof typeof sizes
export const types = Object.keys(sizes) as Type[]

/** The same in NumPy's words. */
export const codes: Readonly<Partial<Record<Type, string>>> = {
  F64: 'f8',
  F32: 'f4',
  F16: 'f2',
  I64: 'i8',
  I32: 'i4',
  I16: 'i2',
  I8: 'i1',
  U64: 'u8',
  U32: 'u4',
  U16: 'u2',
  U8: 'u1',
  BOOL: 'b1',
}

function half(bits: number): number {
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const size =
    exponent === 31 ? (fraction === 0 ? Infinity : NaN) : exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
  return bits & 0x8000 ? -size : size
}

function brain(bits: number): number {
  const view = new DataView(new ArrayBuffer(4))
  view.setUint16(0, bits)
  return view.getFloat32(0)
}

function valueAt(view: DataView, at: number, type: Type, little: boolean): number {
  switch (type) {
    case 'F64':
      return view.getFloat64(at, little)
    case 'F32':
      return view.getFloat32(at, little)
    case 'F16':
      return half(view.getUint16(at, little))
    case 'BF16':
      return brain(view.getUint16(at, little))
    case 'I64':
      return Number(view.getBigInt64(at, little))
    case 'U64':
      return Number(view.getBigUint64(at, little))
    case 'I32':
      return view.getInt32(at, little)
    case 'U32':
      return view.getUint32(at, little)
    case 'I16':
      return view.getInt16(at, little)
    case 'U16':
      return view.getUint16(at, little)
    case 'I8':
      return view.getInt8(at)
    default:
      return view.getUint8(at)
  }
}

export interface Layout {
  readonly type: Type
  readonly shape: readonly number[]
  readonly little: boolean
  readonly fortran: boolean
  readonly doubles: boolean
}

/** The array that bytes hold; `undefined` where one of its values fits no dtype of the library. */
export function arrayOf(bytes: Uint8Array, { type, shape, little, fortran, doubles }: Layout): StoredArray | undefined {
  const count = shape.reduce((product, extent) => product * extent, 1)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isFloat = type.includes('F')
  const wide = type === 'F64' && doubles
  const data = wide
    ? new Float64Array(count)
    : isFloat
      ? new Float32Array(count)
      : type === 'U8' || type === 'BOOL'
        ? new Uint8Array(count)
        : new Int32Array(count)
  const places = fortran ? columnMajor(shape) : undefined
  for (let i = 0; i < count; i++) {
    const value = valueAt(view, sizes[type] * (places?.[i] ?? i), type, little)
    data[i] = value
    const kept = isFloat ? Math.abs(data[i]) !== Infinity || Math.abs(value) === Infinity : data[i] === value
    if (!kept || (type === 'BOOL' && value > 1)) return undefined
  }
  const dtype = wide ? 'float64' : isFloat ? 'float32' : type === 'BOOL' ? 'bool' : type === 'U8' ? 'uint8' : 'int32'
  return { data, shape, dtype }
}

/** Where each element lies in column-major order, in row-major order of the elements. */
function columnMajor(shape: readonly number[]): number[] {
  // extents beside a 0 may be any size
  if (shape.includes(0)) return []
  let places = [0]
  let stride = 1
  const strides = shape.map((extent) => {
    const own = stride
    stride *= extent
    return own
  })
  shape.forEach((extent, axis) => {
    places = places.flatMap((place) => Array.from({ length: extent }, (_, i) => place + i * strides[axis]))
  })
  return places
}

/** Says how an array differs from the one expected; `undefined` where it does not. */
export function difference(actual: StoredArray, expected: StoredArray): string | undefined {
  if (actual.dtype !== expected.dtype) return `dtype ${actual.dtype} instead of ${expected.dtype}`
  if (String(actual.shape) !== String(expected.shape)) return `shape [${actual.shape}] instead of [${expected.shape}]`
  if (actual.data.constructor !== expected.data.constructor || actual.data.length !== expected.data.length)
    return `${actual.data.constructor.name} of ${actual.data.length} instead of ${expected.data.constructor.name} of ${expected.data.length}`
  for (let i = 0; i < expected.data.length; i++)
    if (!Object.is(actual.data[i], expected.data[i])) return `${actual.data[i]} instead of ${expected.data[i]} at element ${i}`
  return undefined
}
