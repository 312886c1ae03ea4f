/**
 * Reading zip archives, as far as .npz needs: stored and deflated entries, with zip64 sizes.
 *
 * In: the bytes of an archive. Out: its files. Every offset and size is checked, each file's CRC is verified, and no entry can unpack
 * to more than it claims nor claim more than deflate can reach.
 */
import { inflateRawSync } from 'node:zlib'
import { DataError } from '../errors.js'

const endOfDirectory = 0x06054b50
const endOfDirectory64 = 0x06064b50
const locator64 = 0x07064b50
const directoryEntry = 0x02014b50
const localHeader = 0x04034b50
const many16 = 0xffff
const many32 = 0xffffffff

/**
 * The files of a zip archive, in the order of its directory; folders are left out.
 *
 * @param what how errors call the archive.
 * @throws DataError `ERR_ZIP_FORMAT` (not a zip, damaged, truncated, names twice), `ERR_ZIP_METHOD` (encrypted, or neither stored nor
 *   deflated), `ERR_ZIP_CRC`.
 *
 * Source: PKWARE APPNOTE.TXT 6.3, sections 4.3 to 4.5.
 *
 *     const files = readZip(await readFile('weights.npz'))
 *     console.log([...files.keys()])   // ['w.npy', 'b.npy']
 */
export function readZip(bytes: Uint8Array, what = 'zip'): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { count, offset, end } = findDirectory(view, what)
  const files = new Map<string, Uint8Array>()
  let at = offset
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== directoryEntry) throw damaged(what, `its directory has no entry ${i} of ${count}`)
    const nameLength = view.getUint16(at + 28, true)
    const extraLength = view.getUint16(at + 30, true)
    const next = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true)
    if (next > end) throw damaged(what, `directory entry ${i} runs past the end`)
    const name = Buffer.from(bytes.subarray(at + 46, at + 46 + nameLength)).toString('utf8')
    if (files.has(name)) throw damaged(what, `${JSON.stringify(name)} occurs twice`)
    if (!name.endsWith('/')) files.set(name, readEntry(bytes, view, at, name, offset, what))
    at = next
  }
  return files
}

/** The end record is the last thing in the file, save for a comment of at most 65,535 bytes. */
function findDirectory(view: DataView, what: string): { count: number; offset: number; end: number } {
  const first = Math.max(0, view.byteLength - 22 - many16)
  for (let at = view.byteLength - 22; at >= first; at--) {
    if (view.getUint32(at, true) !== endOfDirectory || at + 22 + view.getUint16(at + 20, true) !== view.byteLength) continue
    let count = view.getUint16(at + 10, true)
    let size = view.getUint32(at + 12, true)
    let offset = view.getUint32(at + 16, true)
    let end = at
    if (at >= 20 && view.getUint32(at - 20, true) === locator64) {
      end = Number(view.getBigUint64(at - 12, true))
      if (end + 56 > at - 20 || view.getUint32(end, true) !== endOfDirectory64)
        throw damaged(what, 'its zip64 end record is not where it should be')
      count = Number(view.getBigUint64(end + 32, true))
      size = Number(view.getBigUint64(end + 40, true))
      offset = Number(view.getBigUint64(end + 48, true))
    }
    if (offset + size > end) throw damaged(what, 'its directory runs past the end')
    return { count, offset, end: offset + size }
  }
  throw damaged(what, 'it has no end record, so it is no zip archive or cut short')
}

function readEntry(bytes: Uint8Array, view: DataView, at: number, name: string, limit: number, what: string): Uint8Array {
  const label = `${what}: ${JSON.stringify(name)}`
  const flags = view.getUint16(at + 8, true)
  const method = view.getUint16(at + 10, true)
  if (flags & 1 || (method !== 0 && method !== 8)) {
    const reason = flags & 1 ? 'is encrypted' : `uses compression method ${method}`
    throw new DataError('ERR_ZIP_METHOD', `${label} ${reason}; only stored and deflated files can be read. Save it with numpy.savez.`)
  }
  const { packed, size, start } = sizes(view, at, label)
  if (start + 30 > limit || view.getUint32(start, true) !== localHeader) throw damaged(label, 'it has no local header')
  const from = start + 30 + view.getUint16(start + 26, true) + view.getUint16(start + 28, true)
  if (from + packed > limit) throw damaged(label, 'it runs past the end')
  const raw = bytes.subarray(from, from + packed)
  // Deflate shrinks at most 1,032 times.
  if (method === 0 ? size !== packed : size > packed * 1032) throw damaged(label, `${packed} bytes cannot hold the ${size} it claims`)
  let content = raw
  if (method === 8) {
    try {
      // A limit of 0 is refused, and a byte more than claimed is what betrays a wrong claim.
      content = inflateRawSync(raw, { maxOutputLength: size + 1 })
    } catch (cause) {
      throw damaged(label, `it cannot be unpacked: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
    }
    if (content.length !== size) throw damaged(label, `it holds ${content.length} bytes instead of ${size}`)
  }
  const expected = view.getUint32(at + 16, true)
  const found = crc32(content)
  if (found !== expected) {
    throw new DataError(
      'ERR_ZIP_CRC',
      `${label}: checksum ${found.toString(16)} instead of ${expected.toString(16)}. Fetch or save the file again.`,
    )
  }
  return content
}

/** Sizes and place of an entry; what does not fit 32 bits is in the zip64 field, in this order. */
function sizes(view: DataView, at: number, label: string): { packed: number; size: number; start: number } {
  let packed = view.getUint32(at + 20, true)
  let size = view.getUint32(at + 24, true)
  let start = view.getUint32(at + 42, true)
  let field = at + 46 + view.getUint16(at + 28, true)
  const end = field + view.getUint16(at + 30, true)
  while (field + 4 <= end) {
    const stop = field + 4 + view.getUint16(field + 2, true)
    if (stop > end) throw damaged(label, 'its extra fields run past their end')
    if (view.getUint16(field, true) === 1) {
      let value = field + 4
      const wide = (narrow: number): number => {
        if (narrow !== many32) return narrow
        if (value + 8 > stop) throw damaged(label, 'its zip64 field is too short')
        value += 8
        return Number(view.getBigUint64(value - 8, true))
      }
      size = wide(size)
      packed = wide(packed)
      start = wide(start)
      break
    }
    field = stop
  }
  return { packed, size, start }
}

let table: Uint32Array | undefined

/**
 * CRC-32 as in zip and PNG (zlib.crc32 is missing from the first releases of Node 20).
 *
 *     crc32(new TextEncoder().encode('123456789')).toString(16)   // 'cbf43926'
 */
export function crc32(bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
    return value
  })
  let crc = -1
  for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 255] ^ (crc >>> 8)
  return ~crc >>> 0
}

function damaged(what: string, reason: string, cause?: unknown): DataError {
  const options = cause === undefined ? undefined : { cause }
  return new DataError('ERR_ZIP_FORMAT', `${what}: the archive is damaged: ${reason}. Fetch or save the file again.`, options)
}
