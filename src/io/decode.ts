/**
 * From the bytes of a file to an array of a dtype the library computes in.
 *
 * In: pieces of bytes of any length and alignment. Out: an array, every value kept or refused: an integer that does not fit int32 and a float that
 * would become infinite are errors, not surprises.
 */
import type { DType, TypedArray } from '../base/dtype.js'
import { DataError } from '../base/errors.js'
import { allocate } from './read.js'
import { bigEndianHost, halfTable, swapBytes, type WireType, wireSize } from './wire.js'

export interface DecodeOptions {
  /** Whether F64 stays float64 instead of becoming float32; default false. */
  doubles?: boolean
  /** Whether the bytes of each element are in big-endian order; default false. */
  bigEndian?: boolean
}

function memoryFor(type: WireType, doubles: boolean): (count: number) => TypedArray {
  if (type === 'F64' && doubles) return (n) => new Float64Array(n)
  if (['F64', 'F32', 'F16', 'BF16'].includes(type)) return (n) => new Float32Array(n)
  return type === 'U8' || type === 'BOOL' ? (n) => new Uint8Array(n) : (n) => new Int32Array(n)
}

const nothing = new Uint8Array(0)

/** Elements of a file on their way into an array. */
export class Decoder {
  /** The array, complete once as many bytes have been pushed as its elements take. */
  readonly data: TypedArray
  /** Elements that are in `data`. */
  private done = 0
  /** Bytes of an element that has not arrived as a whole, then those of the next piece: a place at which any typed array fits. */
  private scratch = nothing
  private held = 0
  private readonly size: number
  private readonly swaps: boolean
  private readonly isPlain: boolean

  /**
   * @param what how errors name the array, for example `safetensors: tensor 'fc.weight'`.
   * @throws DataError `ERR_FILE_MEMORY`.
   */
  constructor(
    private readonly type: WireType,
    count: number,
    private readonly what: string,
    { doubles = false, bigEndian = false }: DecodeOptions = {},
  ) {
    this.size = wireSize(type)
    this.swaps = bigEndian !== bigEndianHost && this.size > 1
    this.isPlain = ['F32', 'I32', 'U8', 'BOOL'].includes(type) || (type === 'F64' && doubles)
    this.data = allocate(count, memoryFor(type, doubles), what)
  }

  /**
   * Takes the next bytes; not more in all than the array has.
   *
   * @throws DataError `ERR_DATA_RANGE` for a value that does not fit, `ERR_DATA_BOOL` for a bool other than 0 and 1.
   */
  push(bytes: Uint8Array): void {
    if (this.isPlain && !this.swaps && this.held === 0 && bytes.length % this.size === 0) {
      new Uint8Array(this.data.buffer, this.done * this.size, bytes.length).set(bytes)
      this.accept(bytes.length / this.size)
      return
    }
    const all = this.held + bytes.length
    if (this.scratch.length < all) {
      const larger = new Uint8Array(all + 8)
      larger.set(this.scratch.subarray(0, this.held))
      this.scratch = larger
    }
    this.scratch.set(bytes, this.held)
    const whole = all - (all % this.size)
    if (this.swaps) swapBytes(this.scratch.subarray(0, whole), this.size)
    this.convert(this.scratch.buffer as ArrayBuffer, whole / this.size)
    this.scratch.copyWithin(0, whole, all)
    this.held = all - whole
  }

  /** Counts elements that are in place, and looks at bools. */
  private accept(n: number): void {
    const { data, done, type, what } = this
    if (type === 'BOOL') {
      for (let i = done; i < done + n; i++) {
        if (data[i] > 1) throw new DataError('ERR_DATA_BOOL', `${what}: a bool is 0 or 1, received ${data[i]} at element ${i}.`)
      }
    }
    this.done += n
  }

  private convert(from: ArrayBuffer, n: number): void {
    const { data, done, type } = this
    switch (type) {
      case 'F32':
        data.set(new Float32Array(from, 0, n), done)
        break
      case 'I32':
        data.set(new Int32Array(from, 0, n), done)
        break
      case 'F64':
        this.narrow(new Float64Array(from, 0, n))
        break
      case 'F16': {
        const table = halfTable()
        const bits = new Uint16Array(from, 0, n)
        for (let i = 0; i < n; i++) data[done + i] = table[bits[i]]
        break
      }
      case 'BF16': {
        const out = new Uint32Array(data.buffer, 4 * done, n)
        const bits = new Uint16Array(from, 0, n)
        for (let i = 0; i < n; i++) out[i] = bits[i] << 16
        break
      }
      case 'I8':
        data.set(new Int8Array(from, 0, n), done)
        break
      case 'I16':
        data.set(new Int16Array(from, 0, n), done)
        break
      case 'U16':
        data.set(new Uint16Array(from, 0, n), done)
        break
      case 'U32':
        this.signed(new Uint32Array(from, 0, n))
        break
      case 'I64':
      case 'U64':
        this.narrow64(new Int32Array(from, 0, 2 * n))
        break
      default:
        data.set(new Uint8Array(from, 0, n), done)
    }
    this.accept(n)
  }

  private narrow(values: Float64Array): void {
    const { data, done } = this
    data.set(values, done)
    if (data instanceof Float64Array) return
    for (let i = 0; i < values.length; i++) {
      if (Math.abs(data[done + i]) === Infinity && Math.abs(values[i]) !== Infinity) throw this.outOfRange(values[i], i, 'float32')
    }
  }

  private signed(values: Uint32Array): void {
    const { data, done } = this
    for (let i = 0; i < values.length; i++) {
      if (values[i] > 0x7fffffff) throw this.outOfRange(values[i], i, 'int32')
      data[done + i] = values[i]
    }
  }

  /** Pairs of 32-bit words to int32: the high word must be the sign of the low one. Far faster than through BigInt. */
  private narrow64(words: Int32Array): void {
    const { data, done } = this
    const isUnsigned = this.type === 'U64'
    const lowFirst = bigEndianHost ? 1 : 0
    for (let i = 0; i < words.length / 2; i++) {
      const low = words[2 * i + lowFirst]
      const high = words[2 * i + 1 - lowFirst]
      if (high !== low >> 31 || (isUnsigned && high !== 0)) {
        throw this.outOfRange(BigInt(isUnsigned ? high >>> 0 : high) * 2n ** 32n + BigInt(low >>> 0), i, 'int32')
      }
      data[done + i] = low
    }
  }

  private outOfRange(value: number | bigint, index: number, dtype: DType): DataError {
    return new DataError(
      'ERR_DATA_RANGE',
      `${this.what}: the value ${value} at element ${this.done + index} does not fit ${dtype}. Convert the array before it is saved.`,
    )
  }
}
