/**
 * The safetensors format: a header of JSON naming tensors, then their bytes. Read and written, on bytes and on files.
 *
 * In: bytes anyone may have made. Out: arrays in the library's dtypes. The parser believes nothing: any input gives arrays or a
 * DataError, never a crash, and never time or memory in excess of a small multiple of the input.
 */
import { types } from 'node:util'
import { isDetached } from '../base/dtype.js'
import { ArgumentError, checkFunction, checkObject, checkOptions, DataError, showValue } from '../base/errors.js'
import { writeFileAtomic } from './atomic.js'
import { Decoder } from './decode.js'
import { foreign, tellingBytes } from './foreign.js'
import type { FilePath } from './path.js'
import { atOnce, type Bytes, inTurns, piecesOf, Turns, withFile } from './read.js'
import { type Entry, malformed, parseHeader, show } from './safetensors-header.js'
import { checkStored, encode, isWireType, type StoredArray, toBrain, toHalf, type WireType, wireDTypes, wireSize } from './wire.js'

/** What a file holds. Maps, because a file may name a tensor `__proto__`. */
export interface Safetensors {
  /** In the order of their bytes. */
  readonly tensors: Map<string, StoredArray>
  readonly metadata: Map<string, string>
}

export interface ReadSafetensorsOptions {
  /** Which tensors to read; default all. Others are checked for place and size only, whatever their dtype. */
  filter?: (name: string) => boolean
  /** Keep F64 as float64 instead of making it float32; default false. */
  float64?: boolean
}

function checkRead(op: string, options: ReadSafetensorsOptions): void {
  checkOptions(op, options, { filter: true, float64: true })
  if (options.filter !== undefined) checkFunction(op, options.filter)
}

export interface WriteSafetensorsOptions {
  /** Strings kept beside the tensors. */
  metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string>
  /** How float32 is stored; default `'F32'`. The 16-bit types round to nearest and refuse what is too large. */
  floatType?: 'F32' | 'F16' | 'BF16'
}

/** The tensors to write, by name. */
export type NamedArrays = ReadonlyMap<string, StoredArray> | Readonly<Record<string, StoredArray>>

/** The limit of the reference implementation. */
const maximumHeader = 100_000_000

/**
 * Parses the bytes of a safetensors file. F16, BF16 and F64 become float32; I8, I16, U16, U32, I64 and U64 become int32, if
 * every value fits; F32, I32, U8 and BOOL stay. The arrays are copies.
 *
 * @throws DataError with code `ERR_SAFETENSORS_HEADER`, `_TRUNCATED`, `_ENTRY`, `_LAYOUT` or `_DTYPE` for a malformed file or a dtype
 *   with no counterpart here, `ERR_DATA_RANGE` and `ERR_DATA_BOOL` for values that do not fit.
 *
 * Source: https://github.com/huggingface/safetensors (README, "Format", and `SafeTensors::read_metadata`).
 *
 *     const { tensors } = parseSafetensors(await readFile('model.safetensors'))
 *     console.log(tensors.get('fc.weight')?.shape)   // [10, 784]
 */
export function parseSafetensors(bytes: Uint8Array, options: ReadSafetensorsOptions = {}): Safetensors {
  if (!types.isUint8Array(bytes))
    throw new ArgumentError('ERR_SAFETENSORS_BYTES', `safetensors: expected a Uint8Array, received ${showValue(bytes)}.`)
  if (isDetached(bytes.buffer))
    throw new ArgumentError(
      'ERR_SAFETENSORS_BYTES',
      'safetensors: the memory of these bytes has been transferred elsewhere. Pass a copy there.',
    )
  checkRead('parseSafetensors', options)
  const size = headerSize(bytes.subarray(0, tellingBytes), bytes.length)
  const start = 8 + size
  const { entries, metadata } = atOnce(parseHeader(bytes.subarray(8, start), bytes.length - start))
  const tensors = new Map<string, StoredArray>()
  for (const entry of entries) {
    if (options.filter && !options.filter(entry.name)) continue
    const decoder = decoderOf(entry, options)
    // in pieces, since the decoder keeps a copy of each
    const step = 2 ** 20
    for (let at = entry.begin; at < entry.end; at += step) {
      decoder.push(bytes.subarray(start + at, start + Math.min(at + step, entry.end)))
    }
    tensors.set(entry.name, toArray(entry, decoder))
  }
  return { tensors, metadata }
}

/**
 * Reads a safetensors file piece by piece: no second copy of it in memory, no limit of 2 GiB, and the event loop keeps turning.
 *
 * @throws ArgumentError `ERR_PATH`; DataError as `parseSafetensors`, `ERR_FILE_READ` when the file cannot be read, and `ERR_FILE_MEMORY` when it does
 *   not fit into memory.
 *
 *     const { tensors, metadata } = await loadSafetensors('model.safetensors')
 *     console.log([...tensors.keys()], metadata.get('format'))   // ['fc.weight', 'fc.bias'] 'pt'
 */
export async function loadSafetensors(path: FilePath, options: ReadSafetensorsOptions = {}): Promise<Safetensors> {
  checkRead('loadSafetensors', options)
  return withFile('safetensors', path, async (bytes, name) => {
    try {
      return await read(bytes, options)
    } catch (error) {
      if (!(error instanceof DataError) || error.message.includes(name)) throw error
      throw new DataError(error.code, `${error.message} File: ${name}`, { cause: error.cause })
    }
  })
}

async function read(bytes: Bytes, options: ReadSafetensorsOptions): Promise<Safetensors> {
  const size = headerSize(await bytes.read(0, Math.min(tellingBytes, bytes.size)), bytes.size)
  const start = 8 + size
  const { entries, metadata } = await inTurns(parseHeader(await bytes.read(8, size), bytes.size - start))
  const tensors = new Map<string, StoredArray>()
  const turns = new Turns()
  for (const entry of entries) {
    await turns.take()
    if (options.filter && !options.filter(entry.name)) continue
    const decoder = decoderOf(entry, options)
    for await (const piece of piecesOf(bytes, start + entry.begin, entry.end - entry.begin)) {
      decoder.push(piece)
      await turns.take()
    }
    tensors.set(entry.name, toArray(entry, decoder))
  }
  return { tensors, metadata }
}

/**
 * The bytes of a safetensors file. Tensors are ordered by element size, then name, as the reference implementation does, so
 * that each starts aligned and equal contents give equal bytes.
 *
 * @throws ArgumentError for arrays whose data, shape and dtype do not agree, or names and metadata the format cannot hold;
 *   DataError `ERR_DATA_RANGE` for a float too large for `floatType`.
 *
 *     const bytes = serializeSafetensors({ w: { data: Float32Array.of(1, 2), shape: [2], dtype: 'float32' } })
 *     parseSafetensors(bytes).tensors.get('w')   // { data: Float32Array [1, 2], shape: [2], dtype: 'float32' }
 */
export function serializeSafetensors(tensors: NamedArrays, options: WriteSafetensorsOptions = {}): Uint8Array {
  const chunks = toChunks(tensors, options)
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/**
 * Writes a safetensors file atomically: readers and crashes see the old file or the new one. The tensors are copied before this
 * returns its promise, so training may go on meanwhile.
 *
 * @throws as `serializeSafetensors`, and DataError `ERR_FILE_WRITE` when the file cannot be written.
 *
 *     await saveSafetensors('model.safetensors', { w: { data: Float32Array.of(1, 2), shape: [2], dtype: 'float32' } })
 *     const { tensors } = await loadSafetensors('model.safetensors')
 */
export async function saveSafetensors(path: FilePath, tensors: NamedArrays, options: WriteSafetensorsOptions = {}): Promise<void> {
  await writeFileAtomic('safetensors', path, toChunks(tensors, options))
}

function toChunks(tensors: NamedArrays, options: WriteSafetensorsOptions): Uint8Array[] {
  if (!types.isMap(tensors)) checkObject('safetensors', tensors)
  checkOptions('safetensors', options, { metadata: true, floatType: true })
  const { floatType = 'F32', metadata = {} } = options
  if (!types.isMap(metadata)) checkObject('safetensors: metadata', metadata)
  if (!['F32', 'F16', 'BF16'].includes(floatType)) {
    throw new ArgumentError('ERR_SAFETENSORS_DTYPE', `safetensors: floatType must be F32, F16 or BF16, received ${showValue(floatType)}.`)
  }
  const pairs = types.isMap(tensors)
    ? [...(tensors as ReadonlyMap<string, StoredArray>)]
    : Object.entries(tensors as Readonly<Record<string, StoredArray>>)
  const parts = pairs.map(([name, array]) => {
    checkText(name, 'a tensor name')
    if (name === '__metadata__') {
      throw new ArgumentError('ERR_SAFETENSORS_NAME', 'safetensors: the name __metadata__ is reserved. Rename that tensor.')
    }
    const what = `safetensors: tensor ${show(name)}`
    const plain = checkStored(array, what)
    const type = plain === 'F32' ? floatType : plain
    return { name, type, array, what }
  })
  parts.sort((a, b) => rank(b.type) - rank(a.type) || (a.name < b.name ? -1 : 1))
  // Without a prototype, so that `__proto__` is a name like any other.
  const header: Record<string, unknown> = Object.create(null)
  const strings = types.isMap(metadata)
    ? [...(metadata as ReadonlyMap<string, string>)]
    : Object.entries(metadata as Readonly<Record<string, string>>)
  if (strings.length > 0) {
    const texts: Record<string, string> = Object.create(null)
    for (const [key, value] of strings) {
      checkText(key, 'a metadata key')
      texts[key] = checkText(value, `the metadata ${show(key)}`)
    }
    header.__metadata__ = texts
  }
  let end = 0
  for (const { name, type, array } of parts) {
    const begin = end
    end += array.data.length * wireSize(type)
    header[name] = { dtype: type, shape: array.shape, data_offsets: [begin, end] }
  }
  // Integer-like names come first in an object whatever the order: harmless, the offsets count.
  const json = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(json.length / 8) * 8
  if (padded > maximumHeader) {
    throw new ArgumentError(
      'ERR_SAFETENSORS_HEADER',
      `safetensors: the names and metadata take ${padded} bytes; the format allows ${maximumHeader}.`,
    )
  }
  const head = new Uint8Array(8 + padded).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true)
  head.set(json, 8)
  return [head, ...parts.map(({ type, array, what }) => encode(toWire(type, array, what)))]
}

function toWire(type: WireType, array: StoredArray, what: string): StoredArray['data'] | Uint16Array {
  if (types.isFloat32Array(array.data) && type === 'F16') return toHalf(array.data, what)
  if (types.isFloat32Array(array.data) && type === 'BF16') return toBrain(array.data, what)
  return array.data
}

/** The reference implementation's order of dtypes, as far as we write them; it never puts a wider type after a narrower one. */
function rank(type: WireType): number {
  return ['BOOL', 'U8', 'F16', 'BF16', 'I32', 'F32', 'F64'].indexOf(type)
}

function checkText(text: unknown, what: string): string {
  // Lone surrogates have no UTF-8: two names could become one.
  if (typeof text === 'string' && !/\p{Surrogate}/u.test(text)) return text
  throw new ArgumentError('ERR_SAFETENSORS_NAME', `safetensors: ${what} must be a well-formed string, received ${show(text)}.`)
}

/** The length of the header, from the first bytes of a file of `total` bytes. */
function headerSize(head: Uint8Array, total: number): number {
  if (total < 8) throw foreigner(head) ?? malformed('TRUNCATED', `the file has ${total} bytes; its first 8 are the size of the header`)
  const size = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true)
  if (size > maximumHeader) {
    throw foreigner(head) ?? malformed('HEADER', `the header claims ${size} bytes; the format allows ${maximumHeader}`)
  }
  if (Number(size) > total - 8) {
    throw foreigner(head) ?? malformed('TRUNCATED', `the header claims ${size} bytes, ${total - 8} are left`)
  }
  return Number(size)
}

function foreigner(head: Uint8Array): DataError | undefined {
  const what = head[8] === 0x7b ? undefined : foreign(head)
  return what === undefined ? undefined : malformed('HEADER', what.replace(/\.$/, ''))
}

function decoderOf({ name, type, count }: Entry, { float64 = false }: ReadSafetensorsOptions): Decoder {
  if (!isWireType(type)) {
    throw malformed('DTYPE', `tensor ${show(name)} has dtype ${show(type)}, which has no counterpart here. Leave it out with { filter }`)
  }
  return new Decoder(type, count, `safetensors: tensor ${show(name)}`, { doubles: float64 })
}

function toArray({ type, shape }: Entry, { data }: Decoder): StoredArray {
  return { data, shape, dtype: data instanceof Float64Array ? 'float64' : wireDTypes[type as WireType] }
}
