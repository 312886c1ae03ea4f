/**
 * The IDX format (MNIST and its relatives): two zero bytes, a type byte, a rank byte, big-endian 32-bit extents, then
 * the elements in row-major order, big-endian.
 *
 * In: bytes, gzip'd or not. Out: a typed array with its shape, every claim of the header checked against the bytes.
 */
import { endianness } from 'node:os'
import { promisify } from 'node:util'
import { constants, gunzip } from 'node:zlib'
import { DataError, showShape } from '../base/errors.js'

/** What an IDX file holds. */
export interface IdxArray {
  readonly shape: readonly number[]
  readonly data: Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array
}

const maximumRank = 8

/** Bytes per element, by the type byte of the magic number. */
const elementSizes: Readonly<Record<number, number>> = { 0x08: 1, 0x09: 1, 0x0b: 2, 0x0c: 4, 0x0d: 4, 0x0e: 8 }

function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b
}

/**
 * Reads an IDX file, gzip'd or raw. Decompression runs off the event loop.
 *
 * @param bytes the file's content; if gzip'd, not to be written before the promise is settled.
 * @param options.name how errors call the file; default `'idx'`.
 * @param options.maxBytes the most a gzip'd file may unpack to; default 1 GiB, so that a hostile file cannot fill memory.
 * @returns the elements and their shape. One-byte data of a raw file is copied, never a view on `bytes`.
 * @throws DataError `ERR_DATA_GZIP` when the compressed stream is damaged, else as `parseIdx`.
 *
 * Source: http://yann.lecun.com/exdb/mnist/ ("The IDX file format").
 *
 *     const { shape, data } = await readIdx(await readFile('t10k-images-idx3-ubyte.gz'))
 *     console.log(shape)   // [10000, 28, 28]
 */
export async function readIdx(bytes: Uint8Array, options: { name?: string; maxBytes?: number } = {}): Promise<IdxArray> {
  const { name = 'idx', maxBytes = 2 ** 30 } = options
  if (!isGzip(bytes)) return parseIdx(bytes, name)
  let plain: Uint8Array
  try {
    plain = await promisify(gunzip)(bytes, { maxOutputLength: maxBytes, finishFlush: constants.Z_FINISH, chunkSize: 2 ** 20 })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DataError(
      'ERR_DATA_GZIP',
      `${name}: the gzip stream cannot be unpacked: ${reason} (${bytes.length} bytes, at most ${maxBytes} unpacked). ` +
        'Fetch the file again.',
      { cause },
    )
  }
  return parse(plain, name, true)
}

/**
 * Parses the unpacked bytes of an IDX file.
 *
 * @throws DataError `ERR_IDX_MAGIC` (not IDX, unknown element type, a rank of 0 or above 8), `ERR_IDX_TRUNCATED` or
 *   `ERR_IDX_TRAILING` (fewer or more bytes than the header announces).
 *
 *     const labels = parseIdx(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 7, 3))
 *     labels.data   // Uint8Array [7, 3]
 */
export function parseIdx(bytes: Uint8Array, name = 'idx'): IdxArray {
  return parse(bytes, name, false)
}

function parse(bytes: Uint8Array, name: string, owned: boolean): IdxArray {
  if (bytes.length < 4) throw truncated(name, 'the 4-byte magic number', 4, bytes.length)
  const type = bytes[2]
  const rank = bytes[3]
  const size = elementSizes[type]
  if (bytes[0] !== 0 || bytes[1] !== 0 || size === undefined || rank === 0 || rank > maximumRank) {
    const found = Buffer.from(bytes.subarray(0, 4)).toString('hex')
    const hint = isGzip(bytes) ? ' This is gzip: use readIdx.' : ' Images start with 00000803, labels with 00000801.'
    throw new DataError('ERR_IDX_MAGIC', `${name}: not an IDX file: it starts with ${found}.${hint}`)
  }
  const header = 4 + 4 * rank
  if (bytes.length < header) throw truncated(name, `the header of rank ${rank}`, header, bytes.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const shape: number[] = []
  let count = 1
  for (let axis = 0; axis < rank; axis++) {
    const extent = view.getUint32(4 + 4 * axis)
    shape.push(extent)
    count *= extent
  }
  // Products beyond 2^53 are rounded, but then exceed any file by far, and the comparison holds.
  const needed = header + count * size
  if (bytes.length < needed) throw truncated(name, `shape ${showShape(shape)}`, needed, bytes.length)
  if (bytes.length > needed) {
    throw new DataError(
      'ERR_IDX_TRAILING',
      `${name}: ${bytes.length - needed} bytes follow the data of shape ${showShape(shape)} (expected ${needed} bytes, ` +
        `received ${bytes.length}). The header or the file is damaged.`,
    )
  }
  return { shape, data: elements(type, bytes.subarray(header), owned) }
}

/** Big-endian elements as a typed array; memory that is ours need not be copied when no bytes move. */
function elements(type: number, bytes: Uint8Array, owned: boolean): IdxArray['data'] {
  if (type === 0x08 && owned) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  const { buffer } = new Uint8Array(bytes)
  const swap = endianness() === 'LE'
  switch (type) {
    case 0x08:
      return new Uint8Array(buffer)
    case 0x09:
      return new Int8Array(buffer)
    case 0x0b:
      if (swap) Buffer.from(buffer).swap16()
      return new Int16Array(buffer)
    case 0x0c:
      if (swap) Buffer.from(buffer).swap32()
      return new Int32Array(buffer)
    case 0x0d:
      if (swap) Buffer.from(buffer).swap32()
      return new Float32Array(buffer)
    default:
      if (swap) Buffer.from(buffer).swap64()
      return new Float64Array(buffer)
  }
}

function truncated(name: string, what: string, needed: number, received: number): DataError {
  return new DataError(
    'ERR_IDX_TRUNCATED',
    `${name}: the file is truncated: ${what} needs ${needed} bytes, received ${received}. Fetch the file again.`,
  )
}
