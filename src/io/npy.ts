/**
 * NumPy's .npy and .npz files.
 *
 * In: the bytes of `numpy.save`, `numpy.savez` or `numpy.savez_compressed`. Out: arrays in the
 * library's dtypes, in row-major order. Arrays of Python objects are refused: reading them means
 * running a pickle. Written are .npy files of version 1.
 */
import { checkOptions, DataError, showShape } from '../base/errors.js'
import { writeFileAtomic } from './atomic.js'
import { Decoder } from './decode.js'
import { foreign, foreignArchive, tellingBytes } from './foreign.js'
import type { FilePath } from './path.js'
import { type Bytes, inTurns, piecesOf, Turns, withFile } from './read.js'
import { checkStored, encode, maximumRank, type StoredArray, type WireType, wireDTypes, wireSize } from './wire.js'
import { readZip, type UnpackOptions } from './zip.js'

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
 * Reads a .npy file, versions 1 to 3, either byte order, row- or column-major, at most 64
 * dimensions. float16 and float64 become float32; int8, int16, int64 and unsigned integers wider
 * than a byte become int32, if every value fits; float32, int32, uint8 and bool stay.
 *
 * @param pieces the file, piece by piece; `total` its length.
 * @param what how errors call the file.
 * @throws DataError `ERR_NPY_MAGIC`, `ERR_NPY_HEADER`, `ERR_NPY_TRUNCATED`, `ERR_NPY_TRAILING`,
 *   `ERR_NPY_DTYPE` (objects, strings, records, complex numbers), `ERR_DATA_RANGE`,
 *   `ERR_DATA_BOOL`, `ERR_FILE_MEMORY`.
 *
 * Source: NumPy Enhancement Proposal 1, and numpy.lib.format.
 *
 *     const { data, shape } = await readNpy(piecesOf(bytes, 0, bytes.size), bytes.size, 'x.npy')
 *     console.log(shape, data[0])   // [3, 4] 1
 */
export async function readNpy(pieces: AsyncIterable<Uint8Array>, total: number, what: string): Promise<StoredArray> {
  const turns = new Turns()
  let head = new Uint8Array(0)
  let header: Header | undefined
  let decoder: Decoder | undefined
  for await (const piece of pieces) {
    if (decoder !== undefined) {
      decoder.push(piece)
    } else {
      head = Buffer.concat([head, piece])
      header = parseHeader(head, total, what)
      if (header === undefined) continue
      const { type, bigEndian, start } = header
      decoder = new Decoder(type, countOf(header, total, what), what, { bigEndian })
      decoder.push(head.subarray(start))
      head = new Uint8Array(0)
    }
    await turns.take()
  }
  if (header === undefined || decoder === undefined) throw refusal(what, 'TRUNCATED', `the file ends after ${total} bytes`)
  const { shape, fortran, type } = header
  const data = fortran ? await inTurns(toRowMajor(decoder.data, shape)) : decoder.data
  return { data, shape, dtype: wireDTypes[type] }
}

/** How many elements the header announces, if the file holds just these. */
function countOf({ type, shape, start }: Header, total: number, what: string): number {
  const count = shape.reduce((product, extent) => product * extent, 1)
  const needed = start + count * wireSize(type)
  // A product that overflowed to NaN must fail as well.
  if (!(total >= needed)) {
    const message = `${what}: the file is truncated: ${type} of shape ${showShape(shape)} needs ${needed} bytes, received ${total}.`
    throw new DataError('ERR_NPY_TRUNCATED', `${message} Save or fetch it again.`)
  }
  if (total > needed) {
    throw new DataError(
      'ERR_NPY_TRAILING',
      `${what}: ${total - needed} bytes follow the array of shape ${showShape(shape)}. The file is damaged.`,
    )
  }
  return count
}

/**
 * The bytes of a .npy file, as `numpy.save` writes it.
 *
 * @throws ArgumentError `ERR_STORED_ARRAY` for an array whose data, shape and dtype do not agree.
 *
 *     const bytes = serializeNpy({ data: Float32Array.of(1, 2), shape: [2], dtype: 'float32' })
 *     bytes.length   // 136
 */
export function serializeNpy(array: StoredArray): Uint8Array {
  checkStored(array, 'npy')
  const shape = array.shape.length === 1 ? `${array.shape[0]},` : array.shape.join(', ')
  const header = `{'descr': '${descriptions[array.dtype]}', 'fortran_order': False, 'shape': (${shape}), }`
  // Magic, version, length, header and a newline make a multiple of 64: the data can be mapped into
  // memory.
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
 * Reads a .npz archive, compressed or not.
 *
 * @returns the arrays by name, without their `.npy`.
 * @throws DataError as `readNpy` and `readZip`.
 *
 *     const arrays = await readNpz(bytesOf(await readFile('weights.npz')), 'weights.npz')
 *     console.log(arrays.get('w')?.shape)   // [10, 784]
 */
export async function readNpz(bytes: Bytes, what: string, options: UnpackOptions = {}): Promise<Map<string, StoredArray>> {
  const head = await bytes.read(0, Math.min(tellingBytes, bytes.size))
  const other = head[0] === 0x50 && head[1] === 0x4b ? undefined : foreign(head)
  if (other !== undefined) throw new DataError('ERR_ZIP_FORMAT', `${what}: ${other}`)
  const files = await readZip(bytes, what, options)
  const model = foreignArchive(files.map(({ name }) => name))
  if (model !== undefined) throw new DataError('ERR_ZIP_FORMAT', `${what}: ${model}`)
  const arrays = new Map<string, StoredArray>()
  const turns = new Turns()
  for (const file of files) {
    const name = file.name.replace(/\.npy$/, '')
    const label = `${what}: ${JSON.stringify(file.name.slice(0, 100))}`
    if (arrays.has(name)) throw new DataError('ERR_ZIP_FORMAT', `${label} is another name of the same array. Save it again.`)
    arrays.set(name, await readNpy(file.pieces(), file.size, label))
    await turns.take()
  }
  return arrays
}

/**
 * Reads a .npy file.
 *
 * @throws ArgumentError `ERR_PATH`; DataError `ERR_FILE_READ` when the file cannot be read,
 *   `ERR_FILE_MEMORY` when it does not fit into memory, `ERR_NPY_MAGIC`, `ERR_NPY_HEADER`,
 *   `ERR_NPY_TRUNCATED`, `ERR_NPY_TRAILING` for what is no sound .npy file, `ERR_NPY_DTYPE` for
 *   objects, strings, records and complex numbers, `ERR_DATA_RANGE`, `ERR_DATA_BOOL`.
 *
 *     const { data, shape } = await loadNpy('x.npy')
 *     console.log(shape)   // [3, 4]
 */
export async function loadNpy(path: FilePath): Promise<StoredArray> {
  return withFile('npy', path, (bytes, name) => readNpy(piecesOf(bytes, 0, bytes.size), bytes.size, `npy: ${name}`))
}

/**
 * Writes a .npy file atomically.
 *
 * @throws as `serializeNpy`, and DataError `ERR_FILE_WRITE` when the file cannot be written.
 *
 *     await saveNpy('x.npy', { data: Float32Array.of(1, 2), shape: [2], dtype: 'float32' })
 *     const { data } = await loadNpy('x.npy')
 */
export async function saveNpy(path: FilePath, array: StoredArray): Promise<void> {
  await writeFileAtomic('npy', path, [serializeNpy(array)])
}

/**
 * Reads a .npz archive; unpacking runs off the event loop. Defaults: `maxBytes`, the most that
 * compressed arrays may unpack to, 128 MiB or 100 times the file's size.
 *
 * @throws as `loadNpy`, and DataError `ERR_ZIP_FORMAT`, `ERR_ZIP_METHOD`, `ERR_ZIP_CRC` for the
 *   archive, `ERR_ZIP_LIMIT` for what would unpack to more than `maxBytes`.
 *
 *     const arrays = await loadNpz('weights.npz')
 *     console.log([...arrays.keys()])   // ['w', 'b']
 */
export async function loadNpz(path: FilePath, options: UnpackOptions = {}): Promise<Map<string, StoredArray>> {
  checkOptions('loadNpz', options, { maxBytes: true })
  return withFile('npz', path, (bytes, name) => readNpz(bytes, `npz: ${name}`, options))
}

interface Header {
  readonly type: WireType
  readonly bigEndian: boolean
  readonly fortran: boolean
  readonly shape: readonly number[]
  /** Where the data begins. */
  readonly start: number
}

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]

/** The header, from the first bytes of a file; `undefined` when it does not end in them. */
function parseHeader(head: Uint8Array, total: number, what: string): Header | undefined {
  const isWhole = head.length === total
  if (!magic.every((byte, i) => i >= head.length || head[i] === byte)) {
    if (!isWhole && head.length < tellingBytes) return undefined
    const found = `it starts with ${Buffer.from(head.subarray(0, 6)).toString('hex')} instead of 934e554d5059.`
    throw new DataError('ERR_NPY_MAGIC', `${what}: not a .npy file: ${foreign(head) ?? found}`)
  }
  const version = head[6]
  const wide = version > 1 ? 4 : 2
  if (head.length < 8 + wide) {
    if (!isWhole) return undefined
    throw refusal(what, 'TRUNCATED', `the file ends after ${total} bytes`)
  }
  if (version < 1 || version > 3 || head[7] !== 0) throw refusal(what, 'HEADER', `unknown version ${version}.${head[7]}`)
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const length = wide === 4 ? view.getUint32(8, true) : view.getUint16(8, true)
  const start = 8 + wide + length
  if (total < start) throw refusal(what, 'TRUNCATED', `the header ends at byte ${start}, the file at ${total}`)
  if (length > 2 ** 16) throw refusal(what, 'HEADER', `a header of ${length} bytes; a plain array's takes about 100`)
  if (head.length < start) return undefined
  const text = Buffer.from(head.subarray(8 + wide, start)).toString('latin1')
  return { ...parseDict(text, what), start }
}

/** The header is a Python dict of exactly three known keys, in any order. Nothing is evaluated. */
function parseDict(text: string, what: string): Omit<Header, 'start'> {
  const fields = new Map<string, string>()
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)
  let rest = body ? body[1].trim() : undefined
  while (rest) {
    const field = /^(['"])(\w+)\1\s*:\s*('[^'\\]*'|"[^"\\]*"|True|False|\([^()'"]*\)|\[.*\])\s*(?:,\s*|$)/s.exec(rest)
    if (!field || fields.has(field[2]) || fields.size === 3) break
    fields.set(field[2], field[3])
    rest = rest.slice(field[0].length)
  }
  const descr = fields.get('descr')
  const order = fields.get('fortran_order')
  const shape = fields.get('shape')
  const isShape = shape !== undefined && /^\(\s*(\d+L?\s*,\s*)*(\d+L?\s*)?\)$/.test(shape)
  const isScalarInBrackets = shape !== undefined && /^\(\s*\d+L?\s*\)$/.test(shape)
  if (rest !== '' || fields.size !== 3 || !descr || !(order === 'True' || order === 'False') || !isShape || isScalarInBrackets) {
    throw refusal(what, 'HEADER', `cannot understand ${JSON.stringify(text.trim().slice(0, 120))}`)
  }
  const extents = (shape.match(/\d+/g) ?? []).map(Number)
  if (extents.length > maximumRank) throw refusal(what, 'HEADER', `${extents.length} dimensions; NumPy allows ${maximumRank}`)
  if (!extents.every(Number.isSafeInteger)) throw refusal(what, 'HEADER', `impossible shape ${shape.slice(0, 120)}`)
  const code = /^['"]([<>|=]?)(\w+)['"]$/.exec(descr)
  const type = code && Object.hasOwn(kinds, code[2]) ? kinds[code[2]] : undefined
  if (!code || !type) {
    throw new DataError(
      'ERR_NPY_DTYPE',
      `${what}: dtype ${descr.slice(0, 60)} cannot be read: only numbers and bools can` +
        `${descr.includes('O') ? ' (object arrays would run a pickle)' : ''}. Convert it in NumPy with .astype('float32').`,
    )
  }
  return { type, bigEndian: code[1] === '>', fortran: order === 'True', shape: extents }
}

/** Elements along each side of a tile of both orders: its lines stay in the processor's cache. */
const tile = 32

/**
 * Column-major to row-major: the elements of a transposed copy. In the one order the first
 * dimension lies in a row, in the other the last, so tiles of these two are copied, one for each
 * index of the dimensions between. Yields now and then, so that the event loop may turn.
 */
function* toRowMajor<T extends StoredArray['data']>(data: T, given: readonly number[]): Generator<undefined, T> {
  // dimensions of one element change no order
  const shape = given.filter((extent) => extent !== 1)
  if (shape.length < 2 || data.length === 0) return data
  const out = data.slice() as T
  const last = shape.length - 1
  const fromStride = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1))
  const toStride = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const rows = shape[0]
  const columns = shape[last]
  const index = shape.map(() => 0)
  let from = 0
  let to = 0
  for (let done = 0; done < data.length; done += rows * columns) {
    for (let row = 0; row < rows; row += tile) {
      for (let column = 0; column < columns; column += tile) {
        const rowEnd = Math.min(row + tile, rows)
        const columnEnd = Math.min(column + tile, columns)
        for (let i = row; i < rowEnd; i++) {
          for (let j = column; j < columnEnd; j++) out[to + i * toStride[0] + j] = data[from + i + j * fromStride[last]]
        }
      }
      yield
    }
    // the next index of the dimensions between, the last of them first
    for (let axis = last - 1; axis > 0; axis--) {
      from += fromStride[axis]
      to += toStride[axis]
      if (++index[axis] < shape[axis]) break
      from -= fromStride[axis] * shape[axis]
      to -= toStride[axis] * shape[axis]
      index[axis] = 0
    }
  }
  return out
}

function refusal(what: string, code: string, reason: string): DataError {
  return new DataError(`ERR_NPY_${code}`, `${what}: ${reason}. Save the array again with numpy.save.`)
}
