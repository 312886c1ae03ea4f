/**
 * The safetensors format: a header of JSON naming tensors, then their bytes. Read and written, on bytes and on files.
 *
 * In: bytes anyone may have made. Out: arrays in the library's dtypes. The parser believes nothing: any input gives arrays or a
 * DataError, never a crash, and never memory in excess of a small multiple of the input.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { ArgumentError, ChainruleError, checkObject, checkOptions, DataError, type OptionNames, showShape, showValue } from '../errors.js'
import { writeFileAtomic } from './atomic.js'
import { duplicateKey } from './json.js'
import type { FilePath } from './path.js'
import { checkStored, decode, encode, isWireType, type StoredArray, toBrain, toHalf, type WireType, wireDTypes, wireSize } from './wire.js'

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

const readNames: OptionNames<ReadSafetensorsOptions> = { filter: true, float64: true }

export interface WriteSafetensorsOptions {
  /** Strings kept beside the tensors. */
  metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string>
  /** How float32 is stored; default `'F32'`. The 16-bit types round to nearest and refuse what is too large. */
  floatType?: 'F32' | 'F16' | 'BF16'
}

/** The tensors to write, by name. */
export type NamedArrays = ReadonlyMap<string, StoredArray> | Readonly<Record<string, StoredArray>>

interface Entry {
  readonly name: string
  readonly type: string
  readonly shape: readonly number[]
  readonly count: number
  readonly begin: number
  readonly end: number
}

/** The limit of the reference implementation. */
const maximumHeader = 100_000_000

/** Bytes per element of the formats that are known but not read. */
const otherSizes: Readonly<Record<string, number>> = { F8_E5M2: 1, F8_E4M3: 1, F8_E8M0: 1, C64: 8 }

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
  if (!(bytes instanceof Uint8Array))
    throw new ArgumentError('ERR_SAFETENSORS_BYTES', `safetensors: expected a Uint8Array, received ${showValue(bytes)}.`)
  checkOptions('parseSafetensors', options, readNames)
  const size = headerSize(bytes.subarray(0, 8), bytes.length)
  const start = 8 + size
  const { entries, metadata } = parseHeader(bytes.subarray(8, start), bytes.length - start)
  const tensors = new Map<string, StoredArray>()
  for (const entry of entries) {
    if (options.filter && !options.filter(entry.name)) continue
    tensors.set(entry.name, toArray(entry, bytes.subarray(start + entry.begin, start + entry.end), options.float64))
  }
  return { tensors, metadata }
}

/**
 * Reads a safetensors file tensor by tensor: no second copy of the whole in memory, and no limit of 2 GiB.
 *
 * @throws DataError as `parseSafetensors`, and `ERR_FILE_READ` when the file cannot be read.
 *
 *     const { tensors, metadata } = await loadSafetensors('model.safetensors')
 *     console.log([...tensors.keys()], metadata.get('format'))   // ['fc.weight', 'fc.bias'] 'pt'
 */
export async function loadSafetensors(path: string, options: ReadSafetensorsOptions = {}): Promise<Safetensors> {
  checkOptions('loadSafetensors', options, readNames)
  try {
    const file = await open(path, 'r')
    try {
      const { size: total } = await file.stat()
      const size = headerSize(await readAt(file, 0, Math.min(8, total)), total)
      const start = 8 + size
      const { entries, metadata } = parseHeader(await readAt(file, 8, size), total - start)
      const tensors = new Map<string, StoredArray>()
      for (const entry of entries) {
        if (options.filter && !options.filter(entry.name)) continue
        tensors.set(entry.name, toArray(entry, await readAt(file, start + entry.begin, entry.end - entry.begin), options.float64))
      }
      return { tensors, metadata }
    } finally {
      await file.close()
    }
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    if (cause instanceof DataError) throw new DataError(cause.code, `${message} File: ${path}`, { cause: cause.cause })
    if (cause instanceof ChainruleError || !isSystemError(cause)) throw cause
    throw new DataError('ERR_FILE_READ', `safetensors: cannot read ${path}: ${message}. Check the path.`, { cause })
  }
}

/** The file system's errors carry a code; an error of the user's `filter` passes as it is. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string'
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  const step = 2 ** 26
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, Math.min(step, length - at), position + at)
    if (bytesRead === 0) throw malformed('TRUNCATED', `the file ended at byte ${position + at} while it was read`)
    at += bytesRead
  }
  return bytes
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
  checkObject('safetensors', tensors)
  checkOptions('safetensors', options, { metadata: true, floatType: true })
  const { floatType = 'F32', metadata = {} } = options
  checkObject('safetensors: metadata', metadata)
  if (!['F32', 'F16', 'BF16'].includes(floatType)) {
    throw new ArgumentError('ERR_SAFETENSORS_DTYPE', `safetensors: floatType must be F32, F16 or BF16, received ${showValue(floatType)}.`)
  }
  const pairs = tensors instanceof Map ? [...tensors] : Object.entries(tensors as Readonly<Record<string, StoredArray>>)
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
  const strings = metadata instanceof Map ? [...metadata] : Object.entries(metadata as Readonly<Record<string, string>>)
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
  if (array.data instanceof Float32Array && type === 'F16') return toHalf(array.data, what)
  if (array.data instanceof Float32Array && type === 'BF16') return toBrain(array.data, what)
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

function headerSize(prefix: Uint8Array, total: number): number {
  if (total < 8) throw malformed('TRUNCATED', `the file has ${total} bytes; its first 8 are the size of the header`)
  // a zip archive, which is what torch.save writes
  if (prefix[0] === 0x50 && prefix[1] === 0x4b && prefix[2] === 3 && prefix[3] === 4) {
    const line = "from safetensors.torch import save_file; save_file(model.state_dict(), 'model.safetensors')"
    throw malformed('HEADER', `this is a zip archive, such as torch.save writes. Save it in Python: ${line}`)
  }
  const size = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
  if (size > maximumHeader) throw malformed('HEADER', `the header claims ${size} bytes; the format allows ${maximumHeader}`)
  if (Number(size) > total - 8) throw malformed('TRUNCATED', `the header claims ${size} bytes, ${total - 8} are left`)
  return Number(size)
}

function parseHeader(bytes: Uint8Array, dataLength: number): { entries: Entry[]; metadata: Map<string, string> } {
  if (bytes[0] !== 0x7b) throw malformed('HEADER', "the header does not start with '{'")
  let header: unknown
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes))
    header = JSON.parse(text)
  } catch (cause) {
    throw malformed('HEADER', `the header is not JSON in UTF-8: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
  const twice = duplicateKey(text)
  if (twice !== undefined) throw malformed('HEADER', `the key ${show(twice)} occurs twice in the header`)
  const metadata = new Map<string, string>()
  const entries: Entry[] = []
  for (const [name, value] of Object.entries(header as object)) {
    if (name !== '__metadata__') {
      entries.push(parseEntry(name, value))
      continue
    }
    if (!isObject(value)) throw malformed('HEADER', '__metadata__ must be an object of strings')
    for (const [key, text] of Object.entries(value)) {
      if (typeof text !== 'string') throw malformed('HEADER', `the metadata ${show(key)} must be a string, received ${typeof text}`)
      metadata.set(key, text)
    }
  }
  // Empty tensors share their begin with a neighbour, and come first.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let at = 0
  for (const { name, begin, end } of entries) {
    if (begin !== at)
      throw malformed('LAYOUT', `tensor ${show(name)} begins at ${begin}, the one before it ends at ${at}: no gaps, no overlaps`)
    at = end
  }
  if (at > dataLength) throw malformed('TRUNCATED', `the tensors need ${at} bytes, ${dataLength} follow the header`)
  if (at < dataLength) throw malformed('LAYOUT', `${dataLength - at} bytes follow the last tensor`)
  return { entries, metadata }
}

function parseEntry(name: string, value: unknown): Entry {
  const wrong = (rule: string): DataError => malformed('ENTRY', `tensor ${show(name)}: ${rule}`)
  if (!isObject(value)) throw wrong('its entry is not an object')
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string') throw wrong('dtype must be a string')
  if (!Array.isArray(shape) || !shape.every(isCount)) throw wrong('shape must be an array of whole numbers')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount) || offsets[0] > offsets[1]) {
    throw wrong('data_offsets must be two whole numbers, the first not above the second')
  }
  const [begin, end]: number[] = offsets
  const size = isWireType(dtype) ? wireSize(dtype) : Object.hasOwn(otherSizes, dtype) ? otherSizes[dtype] : undefined
  // Beyond 2^53 a product is rounded, but then equals no length a file can have.
  const count: number = shape.reduce((product: number, extent: number) => product * extent, 1)
  if (size !== undefined && count * size !== end - begin) {
    throw wrong(`${show(dtype)} of shape ${showShape(shape.slice(0, 16))} takes ${count * size} bytes, data_offsets span ${end - begin}`)
  }
  return { name, type: dtype, shape, count, begin, end }
}

function toArray({ name, type, shape, count }: Entry, bytes: Uint8Array, doubles = false): StoredArray {
  if (!isWireType(type)) {
    throw malformed('DTYPE', `tensor ${show(name)} has dtype ${show(type)}, which has no counterpart here. Leave it out with { filter }`)
  }
  const data = decode(type, bytes, count, `safetensors: tensor ${show(name)}`, doubles)
  return { data, shape, dtype: doubles && type === 'F64' ? 'float64' : wireDTypes[type] }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Names come from the file: quoted, escaped and at most a line long. */
function show(name: unknown): string {
  const text = JSON.stringify(name) ?? String(name)
  return text.length <= 100 ? text : `${text.slice(0, 97)}…"`
}

function malformed(code: string, message: string, cause?: unknown): DataError {
  return new DataError(`ERR_SAFETENSORS_${code}`, `safetensors: ${message}.`, cause === undefined ? undefined : { cause })
}
