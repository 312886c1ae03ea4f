/**
 * NumPy's .npy and .npz files.
 *
 * In: the bytes of `numpy.save`, `numpy.savez` or `numpy.savez_compressed`. Out: arrays in the library's dtypes, in row-major order.
 * Arrays of Python objects are refused: reading them means running a pickle. Written are .npy files of version 1.
 */
import { readFile } from 'node:fs/promises'
import { DataError, showShape } from '../errors.js'
import { writeFileAtomic } from './atomic.js'
import type { FilePath } from './path.js'
import { checkStored, decode, encode, type StoredArray, swapBytes, type WireType, wireDTypes, wireSize } from './wire.js'
import { readZip } from './zip.js'

/** Kind and size in a NumPy dtype string, without its byte order. */
const kinds: Readonly<Record<string, WireType>> = {
  f8: 'F64',
  f4: 'F32',
  f2: 'F16',
  i8: 'I64',
  i4: 'I32',
  i2: 'I16',
  i1: 'I8',
  u8: 'U64',
  u4: 'U32',
  u2: 'U16',
  u1: 'U8',
  b1: 'BOOL',
}

const descriptions: Readonly<Record<StoredArray['dtype'], string>> = {
  float32: '<f4',
  int32: '<i4',
  uint8: '|u1',
  bool: '|b1',
  float64: '<f8',
}

/**
 * Parses a .npy file, versions 1 to 3, either byte order, row- or column-major. float16 and float64 become float32; int8, int16, int64 and
 * unsigned integers wider than a byte become int32, if every value fits; float32, int32, uint8 and bool stay.
 *
 * @param what how errors call the file; default `'npy'`.
 * @throws DataError `ERR_NPY_MAGIC`, `ERR_NPY_HEADER`, `ERR_NPY_TRUNCATED`, `ERR_NPY_TRAILING`, `ERR_NPY_DTYPE` (objects, strings, records,
 *   complex numbers), `ERR_DATA_RANGE`, `ERR_DATA_BOOL`.
 *
 * Source: NumPy Enhancement Proposal 1, and numpy.lib.format.
 *
 *     const { data, shape } = parseNpy(await readFile('x.npy'))
 *     console.log(shape, data[0])   // [3, 4] 1
 */
export function parseNpy(bytes: Uint8Array, what = 'npy'): StoredArray {
  const { type, swapped, fortran, shape, start } = parseHeader(bytes, what)
  const count = shape.reduce((product, extent) => product * extent, 1)
  const needed = start + count * wireSize(type)
  // A product that overflowed to NaN must fail as well.
  if (!(bytes.length >= needed)) {
    const message = `${what}: the file is truncated: ${type} of shape ${showShape(shape)} needs ${needed} bytes, received ${bytes.length}.`
    throw new DataError('ERR_NPY_TRUNCATED', `${message} Save or fetch it again.`)
  }
  if (bytes.length > needed) {
    throw new DataError(
      'ERR_NPY_TRAILING',
      `${what}: ${bytes.length - needed} bytes follow the array of shape ${showShape(shape)}. The file is damaged.`,
    )
  }
  let raw = bytes.subarray(start)
  if (swapped) {
    raw = new Uint8Array(raw)
    swapBytes(raw, wireSize(type))
  }
  const data = decode(type, raw, count, what)
  return { data: fortran && shape.length > 1 ? toRowMajor(data, shape) : data, shape, dtype: wireDTypes[type] }
}

/**
 * The bytes of a .npy file, as `numpy.save` writes it.
 *
 * @throws ArgumentError `ERR_STORED_ARRAY` for an array whose data, shape and dtype do not agree.
 *
 *     const bytes = serializeNpy({ data: Float32Array.of(1, 2), shape: [2], dtype: 'float32' })
 *     parseNpy(bytes).data   // Float32Array [1, 2]
 */
export function serializeNpy(array: StoredArray): Uint8Array {
  checkStored(array, 'npy')
  const shape = array.shape.length === 1 ? `${array.shape[0]},` : array.shape.join(', ')
  const header = `{'descr': '${descriptions[array.dtype]}', 'fortran_order': False, 'shape': (${shape}), }`
  // Magic, version, length, header and a newline make a multiple of 64: the data can be mapped into memory.
  const start = Math.ceil((10 + header.length + 1) / 64) * 64
  const data = encode(array.data)
  const bytes = new Uint8Array(start + data.length).fill(0x20, 0, start)
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, (start - 10) & 255, (start - 10) >> 8])
  bytes.set(new TextEncoder().encode(header), 10)
  bytes[start - 1] = 0x0a
  bytes.set(data, start)
  return bytes
}

/**
 * Parses a .npz archive, compressed or not.
 *
 * @returns the arrays by name, without their `.npy`.
 * @throws DataError as `parseNpy`, and `ERR_ZIP_FORMAT`, `ERR_ZIP_METHOD`, `ERR_ZIP_CRC` for the archive.
 *
 *     const arrays = parseNpz(await readFile('weights.npz'))
 *     console.log(arrays.get('w')?.shape)   // [10, 784]
 */
export function parseNpz(bytes: Uint8Array, what = 'npz'): Map<string, StoredArray> {
  const arrays = new Map<string, StoredArray>()
  for (const [file, content] of readZip(bytes, what)) {
    const name = file.replace(/\.npy$/, '')
    if (arrays.has(name)) throw new DataError('ERR_ZIP_FORMAT', `${what}: two arrays are called ${JSON.stringify(name)}. Save it again.`)
    arrays.set(name, parseNpy(content, `${what}: ${JSON.stringify(file)}`))
  }
  return arrays
}

/**
 * Reads a .npy file.
 *
 * @throws DataError as `parseNpy`, and `ERR_FILE_READ` when the file cannot be read.
 *
 *     const { data, shape } = await loadNpy('x.npy')
 *     console.log(shape)   // [3, 4]
 */
export async function loadNpy(path: string): Promise<StoredArray> {
  return parseNpy(await readWhole(path), `npy: ${path}`)
}

/**
 * Writes a .npy file atomically. The array is copied before this returns its promise.
 *
 * @throws as `serializeNpy`, and DataError `ERR_FILE_WRITE` when the file cannot be written.
 *
 *     await saveNpy('x.npy', { data: Float32Array.of(1, 2), shape: [2], dtype: 'float32' })
 *     const { data } = await loadNpy('x.npy')
 */
export async function saveNpy(path: FilePath, array: StoredArray): Promise<void> {
  await writeFileAtomic('numpy', path, [serializeNpy(array)])
}

/**
 * Reads a .npz archive.
 *
 * @throws DataError as `parseNpz`, and `ERR_FILE_READ` when the file cannot be read.
 *
 *     const arrays = await loadNpz('weights.npz')
 *     console.log([...arrays.keys()])   // ['w', 'b']
 */
export async function loadNpz(path: string): Promise<Map<string, StoredArray>> {
  return parseNpz(await readWhole(path), `npz: ${path}`)
}

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new DataError('ERR_FILE_READ', `numpy: cannot read ${path}: ${message}. Check the path.`, { cause })
  }
}

interface Header {
  readonly type: WireType
  readonly swapped: boolean
  readonly fortran: boolean
  readonly shape: readonly number[]
  /** Where the data begins. */
  readonly start: number
}

function parseHeader(bytes: Uint8Array, what: string): Header {
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
  if (!magic.every((byte, i) => i >= bytes.length || bytes[i] === byte)) {
    const found = Buffer.from(bytes.subarray(0, 6)).toString('hex')
    throw new DataError('ERR_NPY_MAGIC', `${what}: not a .npy file: it starts with ${found} instead of 934e554d5059.`)
  }
  const version = bytes[6]
  const wide = version > 1 ? 4 : 2
  if (bytes.length < 8 + wide) throw header(what, 'TRUNCATED', `the file ends after ${bytes.length} bytes`)
  if (version < 1 || version > 3 || bytes[7] !== 0) throw header(what, 'HEADER', `unknown version ${version}.${bytes[7]}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = wide === 4 ? view.getUint32(8, true) : view.getUint16(8, true)
  const start = 8 + wide + length
  if (bytes.length < start) throw header(what, 'TRUNCATED', `the header ends at byte ${start}, the file at ${bytes.length}`)
  if (length > 2 ** 16) throw header(what, 'HEADER', `a header of ${length} bytes; a plain array's takes about 100`)
  const text = Buffer.from(bytes.subarray(8 + wide, start)).toString('latin1')
  return { ...parseDict(text, what), start }
}

/** The header is a Python dict of exactly three known keys, in any order. Nothing is evaluated. */
function parseDict(text: string, what: string): Omit<Header, 'start'> {
  const fields = new Map<string, string>()
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)
  let rest = body ? body[1].trim() : undefined
  while (rest) {
    const field = /^(['"])(\w+)\1\s*:\s*('[^'\\]*'|"[^"\\]*"|True|False|\([^()'"]*\)|\[.*\])\s*(?:,\s*|$)/s.exec(rest)
    if (!field || fields.has(field[2])) break
    fields.set(field[2], field[3])
    rest = rest.slice(field[0].length)
  }
  const descr = fields.get('descr')
  const order = fields.get('fortran_order')
  const shape = fields.get('shape')
  const isShape = shape !== undefined && /^\(\s*(\d+L?\s*,\s*)*(\d+L?\s*)?\)$/.test(shape)
  const isScalarInBrackets = shape !== undefined && /^\(\s*\d+L?\s*\)$/.test(shape)
  if (rest !== '' || fields.size !== 3 || !descr || !(order === 'True' || order === 'False') || !isShape || isScalarInBrackets) {
    throw header(what, 'HEADER', `cannot understand ${JSON.stringify(text.trim().slice(0, 120))}`)
  }
  const extents = (shape.match(/\d+/g) ?? []).map(Number)
  if (!extents.every(Number.isSafeInteger)) throw header(what, 'HEADER', `impossible shape ${shape.slice(0, 120)}`)
  const code = /^['"]([<>|=]?)(\w+)['"]$/.exec(descr)
  const type = code && Object.hasOwn(kinds, code[2]) ? kinds[code[2]] : undefined
  if (!code || !type) {
    throw new DataError(
      'ERR_NPY_DTYPE',
      `${what}: dtype ${descr.slice(0, 60)} cannot be read: only numbers and bools can` +
        `${descr.includes('O') ? ' (object arrays would run a pickle)' : ''}. Convert it in NumPy with .astype('float32').`,
    )
  }
  return { type, swapped: code[1] === '>', fortran: order === 'True', shape: extents }
}

/** Column-major to row-major: the elements of a transposed copy. */
function toRowMajor<T extends StoredArray['data']>(data: T, shape: readonly number[]): T {
  const out = data.slice() as T
  const strides: number[] = []
  let stride = 1
  for (const extent of shape) {
    strides.push(stride)
    stride *= extent
  }
  const index = shape.map(() => 0)
  let from = 0
  for (let to = 0; to < out.length; to++) {
    out[to] = data[from]
    // The next index in row-major order: count up from the last axis.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]
      if (++index[axis] < shape[axis]) break
      from -= strides[axis] * shape[axis]
      index[axis] = 0
    }
  }
  return out
}

function header(what: string, code: string, reason: string): DataError {
  return new DataError(`ERR_NPY_${code}`, `${what}: ${reason}. Save the array again with numpy.save.`)
}
