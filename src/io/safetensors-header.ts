/**
 * The header of a safetensors file. In: its bytes, which anyone may have made, and how many bytes of tensors follow it. Out: where each tensor lies, and
 * the metadata. It is read in one pass that builds nothing but these, so that time and memory are in proportion to its length.
 */
import { DataError, showShape, showValue } from '../base/errors.js'
import { JsonReader } from './json.js'
import { isWireType, maximumRank, wireSize } from './wire.js'

/** A tensor's place. */
export interface Entry {
  readonly name: string
  readonly type: string
  readonly shape: readonly number[]
  readonly count: number
  /** Counted from the end of the header. */
  readonly begin: number
  readonly end: number
}

export interface Header {
  /** In the order of their bytes. */
  readonly entries: readonly Entry[]
  readonly metadata: Map<string, string>
}

/** Bytes per element of the formats that are known but not read. */
const otherSizes: Readonly<Record<string, number>> = { F8_E5M2: 1, F8_E4M3: 1, F8_E8M0: 1, C64: 8 }

/** Reads a header; yields now and then, so that the event loop may turn. */
export function* parseHeader(bytes: Uint8Array, dataLength: number): Generator<undefined, Header> {
  if (bytes[0] !== 0x7b) throw malformed('HEADER', "the header does not start with '{'")
  const reader = new JsonReader(textOf(bytes), (reason) => malformed('HEADER', `the header is not JSON: ${reason}`))
  const names = new Set<string>()
  const entries: Entry[] = []
  let metadata = new Map<string, string>()
  for (const name of reader.keys()) {
    if (names.has(name)) throw twice(name)
    names.add(name)
    if (name === '__metadata__') metadata = yield* parseMetadata(reader)
    else entries.push(parseEntry(name, reader))
    if (names.size % 64 === 0) yield
  }
  reader.end()
  checkLayout(entries, dataLength)
  return { entries, metadata }
}

function textOf(bytes: Uint8Array): string {
  try {
    // a copy, since memory may be shared with other threads
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes))
  } catch (cause) {
    throw malformed('HEADER', 'the header is not UTF-8', cause)
  }
}

function* parseMetadata(reader: JsonReader): Generator<undefined, Map<string, string>> {
  const metadata = new Map<string, string>()
  if (reader.kind() !== 'object') throw malformed('HEADER', '__metadata__ must be an object of strings')
  for (const key of reader.keys()) {
    if (metadata.has(key)) throw twice(key)
    const kind = reader.kind()
    if (kind !== 'string') throw malformed('HEADER', `the metadata ${show(key)} must be a string, received ${kind}`)
    metadata.set(key, reader.string())
    if (metadata.size % 64 === 0) yield
  }
  return metadata
}

function parseEntry(name: string, reader: JsonReader): Entry {
  const wrong = (rule: string): DataError => malformed('ENTRY', `tensor ${show(name)}: ${rule}`)
  if (reader.kind() !== 'object') throw wrong('its entry is not an object')
  let type: string | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  const seen = new Set<string>()
  for (const key of reader.keys()) {
    if (seen.has(key)) throw twice(key)
    seen.add(key)
    if (key === 'dtype' && reader.kind() === 'string') type = reader.string()
    else if (key === 'shape') shape = parseCounts(reader, maximumRank)
    else if (key === 'data_offsets') offsets = parseCounts(reader, 2)
    else reader.skip()
    if (seen.size > 16) throw wrong('its entry has more than 16 fields')
    if (key === 'shape' && shape === undefined) throw wrong(`shape must be an array of at most ${maximumRank} whole numbers`)
  }
  if (type === undefined) throw wrong('dtype must be a string')
  if (shape === undefined) throw wrong(`shape must be an array of at most ${maximumRank} whole numbers`)
  if (offsets === undefined || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw wrong('data_offsets must be two whole numbers, the first not above the second')
  }
  const [begin, end] = offsets
  const size = isWireType(type) ? wireSize(type) : Object.hasOwn(otherSizes, type) ? otherSizes[type] : undefined
  // Beyond 2^53 a product is rounded, but then equals no length a file can have.
  const count = shape.reduce((product, extent) => product * extent, 1)
  if (size !== undefined && count * size !== end - begin) {
    throw wrong(`${show(type)} of shape ${showShape(shape.slice(0, 16))} takes ${count * size} bytes, data_offsets span ${end - begin}`)
  }
  return { name, type, shape, count, begin, end }
}

/** Whole numbers in an array, at most so many; `undefined` for anything else. */
function parseCounts(reader: JsonReader, most: number): number[] | undefined {
  if (reader.kind() !== 'array') return undefined
  const counts: number[] = []
  for (const i of reader.items()) {
    if (i === most || reader.kind() !== 'number') return undefined
    const count = reader.number()
    if (!Number.isSafeInteger(count) || count < 0 || Object.is(count, -0)) return undefined
    counts.push(count)
  }
  return counts
}

/** Sorts the tensors by their bytes, which have to follow each other from the first to the last. */
function checkLayout(entries: Entry[], dataLength: number): void {
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
}

/** Names come from the file: quoted, escaped and at most a line long. */
export function show(name: unknown): string {
  const text = typeof name === 'string' ? JSON.stringify(name) : showValue(name)
  return text.length <= 100 ? text : `${text.slice(0, 97)}…"`
}

const twice = (key: string): DataError => malformed('HEADER', `the key ${show(key)} occurs twice in the header`)

export function malformed(code: string, message: string, cause?: unknown): DataError {
  return new DataError(`ERR_SAFETENSORS_${code}`, `safetensors: ${message}.`, cause === undefined ? undefined : { cause })
}
