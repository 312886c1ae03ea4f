/**
 * Writers of the formats, apart from the library's own. In: arrays, and lies about fields of the file. Out: bytes; for an archive also what each member
 * holds, since its checksum is right whatever the member says.
 */
import { deflateRawSync } from 'node:zlib'
import { crc32 } from '../../../src/io/inflate.js'
import { type Edit, edited } from './edits.js'
import type { Fields } from './fields.js'
import { codes, sizes, type Type } from './formats.js'

/** An array to be written; its bytes follow from the seed. */
export interface Drawn {
  readonly name: string
  readonly type: Type
  readonly shape: readonly number[]
  readonly seed: number
  /** For NumPy. */
  readonly little: boolean
  readonly fortran: boolean
  readonly version: number
  /** Written whatever its shape says: the state of a model. */
  readonly bytes?: Uint8Array
}

const encoder = new TextEncoder()

/** Bytes any of which may occur, save where a format allows few values. */
export function bytesOf({ type, shape, seed, little, bytes }: Drawn): Uint8Array {
  if (bytes !== undefined) return bytes
  const count = shape.reduce((product, extent) => product * extent, 1)
  const size = sizes[type]
  const out = new Uint8Array(count * size)
  let state = seed | 0
  for (let i = 0; i < out.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    out[i] = state >>> 24
  }
  if (type === 'BOOL') out.forEach((byte, i) => (out[i] = byte & 1))
  // most integers fit: those of an odd seed do
  if (seed % 8 !== 0 && ['I64', 'U64', 'U32'].includes(type))
    for (let i = 0; i < count; i++) {
      const element = out.subarray(i * size, (i + 1) * size)
      if (!little) element.reverse()
      const negative = type === 'I64' && element[0] % 2 === 1
      element[3] = negative ? element[3] | 0x80 : element[3] & 0x7f
      element.fill(negative ? 255 : 0, 4)
      if (!little) element.reverse()
    }
  return out
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** A number in so many bytes, in little-endian order. */
function le(width: number, value: bigint): Uint8Array {
  const out = new Uint8Array(width)
  for (let i = 0, rest = BigInt.asUintN(8 * width, value); i < width; i++, rest >>= 8n) out[i] = Number(rest & 255n)
  return out
}

/** Text of JSON for a string; lone surrogates become bytes that are no UTF-8. */
const quoted = (text: string): string => JSON.stringify(text)

export function writeSafetensors(arrays: readonly Drawn[], metadata: readonly (readonly [string, string])[], fields: Fields): Uint8Array {
  const parts: string[] = []
  if (metadata.length > 0) {
    const texts = metadata.map(
      ([key, value], i) => `${quoted(fields.text(`metadata ${i} key`, key))}:${quoted(fields.text(`metadata ${i}`, value))}`,
    )
    parts.push(`"__metadata__":{${texts.join(',')}}`)
  }
  let at = 0
  arrays.forEach(({ name, type, shape, bytes }, i) => {
    const begin = at
    at += bytes?.length ?? shape.reduce((product, extent) => product * extent, sizes[type])
    const offsets = [fields.number(`${i} begin`, begin), fields.number(`${i} end`, at)]
    const extents = shape.map((extent, axis) => fields.number(`${i} extent ${axis}`, extent))
    const entry = `"dtype":${quoted(fields.text(`${i} dtype`, type))},"shape":[${extents}],"data_offsets":[${offsets}]`
    parts.push(`${quoted(fields.text(`${i} name`, name))}:{${entry}${fields.text(`${i} more`, '')}}`)
  })
  const header = encoder.encode(`{${fields.text('header', parts.join(','))}}`)
  return concat([le(8, fields.number('header length', header.length)), header, ...arrays.map(bytesOf)])
}

export function writeNpy(array: Drawn, fields: Fields): Uint8Array {
  const { type, shape, little, fortran, version } = array
  const code = `'${sizes[type] === 1 ? '|' : little ? '<' : '>'}${codes[type]}'`
  const extents = shape.map((extent, axis) => fields.number(`extent ${axis}`, extent))
  const tuple = fields.text('shape', `(${extents.join(', ')}${shape.length === 1 ? ',' : ''})`)
  const entries = [
    `'descr': ${fields.text('descr', code)}`,
    `'fortran_order': ${fields.text('order', fortran ? 'True' : 'False')}`,
    `'shape': ${tuple}`,
  ]
  const text = encoder.encode(`${fields.text('dict', `{${entries.join(', ')}, }`)}\n`)
  const width = version === 1 ? 2 : 4
  return concat([
    Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59),
    le(1, fields.number('version', version)),
    le(1, fields.number('minor', 0)),
    le(width, fields.number('length', text.length)),
    text,
    bytesOf(array),
  ])
}

export interface Archive {
  readonly bytes: Uint8Array
  /** What each member holds, in their order. */
  readonly contents: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

export interface Packing {
  readonly deflate: boolean
  /** Sizes and places in zip64 fields, with a zip64 end record. */
  readonly wide: boolean
  readonly comment: number
  /** Changes of a member's bytes before it is packed. */
  readonly inner: readonly { readonly member: number; readonly edit: Edit }[]
}

/** A zip archive of .npy files. */
export function writeNpz(arrays: readonly Drawn[], { deflate, wide, comment, inner }: Packing, fields: Fields): Archive {
  const contents = arrays.map((array, i) => {
    const within: Fields = {
      number: (key, truth) => fields.number(`${i} npy ${key}`, truth),
      text: (key, truth) => fields.text(`${i} npy ${key}`, truth),
    }
    const edits = inner.filter(({ member }) => member % arrays.length === i).map(({ edit }) => edit)
    return { name: array.name, bytes: edited(writeNpy(array, within), edits) }
  })
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let at = 0
  contents.forEach(({ name, bytes }, i) => {
    const say = (key: string, truth: number, width: number): Uint8Array => le(width, fields.number(`${i} ${key}`, truth))
    const packed = deflate ? new Uint8Array(deflateRawSync(bytes)) : bytes
    const label = encoder.encode(fields.text(`${i} name`, `${name}.npy`))
    const rights = [say('flags', 0, 2), say('method', deflate ? 8 : 0, 2), le(4, 0n), say('crc', crc32(bytes), 4)]
    const small = wide ? [le(4, 0xffffffffn), le(4, 0xffffffffn)] : [say('packed', packed.length, 4), say('size', bytes.length, 4)]
    const local = concat([
      le(4, fields.number(`${i} local`, 0x04034b50)),
      le(2, 20n),
      ...rights,
      ...small,
      say('local name length', label.length, 2),
      say('local extra', 0, 2),
      label,
    ])
    const extra = wide
      ? concat([le(2, 1n), say('extra size', 24, 2), say('size', bytes.length, 8), say('packed', packed.length, 8), say('start', at, 8)])
      : new Uint8Array(0)
    const start = wide ? le(4, 0xffffffffn) : say('start', at, 4)
    const lengths = [say('name length', label.length, 2), say('extra length', extra.length, 2), say('comment', 0, 2)]
    directory.push(concat([le(4, 0x02014b50n), le(4, 20n), ...rights, ...small, ...lengths, le(8, 0n), start, label, extra]))
    parts.push(local, packed)
    at += local.length + packed.length
  })
  const index = concat(directory)
  const end = (key: string, truth: number, width: number): Uint8Array => le(width, fields.number(`end ${key}`, truth))
  const counts = (width: number): Uint8Array[] => [
    end('count here', arrays.length, width),
    end('count', arrays.length, width),
    end('size', index.length, Math.max(4, width)),
    end('offset', at, Math.max(4, width)),
  ]
  const record = wide ? [le(4, 0x06064b50n), le(8, 44n), le(4, 0n), le(8, 0n), ...counts(8)] : []
  const locator = wide ? [le(4, 0x07064b50n), le(4, 0n), end('locator', at + index.length, 8), le(4, 1n)] : []
  const last = wide ? [le(4, 0xffffffffn), le(8, 2n ** 64n - 1n)] : counts(2)
  const tail = [le(4, 0x06054b50n), le(4, 0n), ...last, end('comment', comment, 2), new Uint8Array(comment).fill(0x50)]
  return { bytes: concat([...parts, index, ...record, ...locator, ...tail]), contents }
}
