/**
 * Reading zip archives, as far as .npz needs: stored and deflated entries, with zip64 sizes.
 *
 * In: the bytes of an archive. Out: its files, each piece by piece. Every offset and size is checked, each file's CRC is verified, no two entries share
 * bytes, no entry can unpack to more than it claims nor claim more than deflate can reach, and all together not to more than a limit.
 */
import { ArgumentError, DataError, showValue } from '../base/errors.js'
import { crc32, inflate } from './inflate.js'
import { type Bytes, piecesOf, Turns } from './read.js'

const endOfDirectory = 0x06054b50
const endOfDirectory64 = 0x06064b50
const locator64 = 0x07064b50
const directoryEntry = 0x02014b50
const localHeader = 0x04034b50
const many16 = 0xffff
const many32 = 0xffffffff

/** A file of an archive. */
export interface ZipFile {
  readonly name: string
  /** How many bytes `pieces` gives. */
  readonly size: number
  /** Its content; each piece holds until the next is asked for. The last is followed by the check of the whole. */
  pieces(): AsyncGenerator<Uint8Array, void, undefined>
}

export interface UnpackOptions {
  /**
   * The most bytes that compressed files may unpack to, all together; default 128 MiB, or 100 times the archive's size if that is more. A hostile
   * archive of a megabyte can unpack to a gigabyte.
   */
  maxBytes?: number
}

/** What the directory says of a file. */
interface Entry {
  readonly name: string
  readonly label: string
  readonly method: number
  readonly crc: number
  readonly packed: number
  readonly size: number
  readonly start: number
  /** Where the next entry begins, or the directory. */
  end: number
}

/**
 * The files of a zip archive, in the order of its directory; folders are left out.
 *
 * @param what how errors call the archive.
 * @throws DataError `ERR_ZIP_FORMAT` (not a zip, damaged, truncated, entries that overlap, names twice or that differ), `ERR_ZIP_METHOD` (encrypted, or
 *   neither stored nor deflated), `ERR_ZIP_LIMIT`; `ERR_ZIP_FORMAT` and `ERR_ZIP_CRC` from `pieces`.
 *
 * Source: PKWARE APPNOTE.TXT 6.3, sections 4.3 to 4.5.
 *
 *     const files = await readZip(bytesOf(await readFile('weights.npz')))
 *     console.log(files.map(({ name }) => name))   // ['w.npy', 'b.npy']
 */
export async function readZip(bytes: Bytes, what = 'zip', options: UnpackOptions = {}): Promise<ZipFile[]> {
  const { maxBytes = Math.max(2 ** 27, 100 * bytes.size) } = options
  if (typeof maxBytes !== 'number' || !(maxBytes >= 0)) {
    throw new ArgumentError('ERR_ZIP_LIMIT', `${what}: maxBytes must be a number of bytes, received ${showValue(maxBytes)}.`)
  }
  const { count, offset, end } = await findDirectory(bytes, what)
  const entries = await readDirectory(await bytes.read(offset, end - offset), count, what)
  placeApart(entries, offset)
  const total = entries.reduce((sum, { method, size }) => sum + (method === 0 ? 0 : size), 0)
  if (total > maxBytes) {
    throw new DataError(
      'ERR_ZIP_LIMIT',
      `${what}: its ${bytes.size} bytes unpack to ${total}, more than the limit of ${maxBytes}. If you trust the file, pass { maxBytes: ${total} }.`,
    )
  }
  return entries
    .filter(({ name }) => !name.endsWith('/'))
    .map((entry) => ({ name: entry.name, size: entry.size, pieces: () => content(bytes, entry) }))
}

/** The end record is the last thing in the file, save for a comment of at most 65,535 bytes. */
async function findDirectory(bytes: Bytes, what: string): Promise<{ count: number; offset: number; end: number }> {
  const before = 20 + 56
  const start = Math.max(0, bytes.size - 22 - many16 - before)
  const tail = await bytes.read(start, bytes.size - start)
  const view = viewOf(tail)
  for (let at = tail.length - 22; at >= 0; at--) {
    if (view.getUint32(at, true) !== endOfDirectory || at + 22 + view.getUint16(at + 20, true) !== tail.length) continue
    let count = view.getUint16(at + 10, true)
    let size = view.getUint32(at + 12, true)
    let offset = view.getUint32(at + 16, true)
    let end = start + at
    if (at >= 20 && view.getUint32(at - 20, true) === locator64) {
      end = Number(view.getBigUint64(at - 12, true))
      const wide = end + 56 <= start + at - 20 ? viewOf(await bytes.read(end, 56)) : undefined
      if (wide?.getUint32(0, true) !== endOfDirectory64) throw damaged(what, 'its zip64 end record is not where it should be')
      count = Number(wide.getBigUint64(32, true))
      size = Number(wide.getBigUint64(40, true))
      offset = Number(wide.getBigUint64(48, true))
    }
    if (offset + size > end) throw damaged(what, 'its directory runs past the end')
    // an end record that says less would hide arrays
    if (offset + size < end) throw damaged(what, 'its directory ends before its end record')
    return { count, offset, end: offset + size }
  }
  throw damaged(what, 'it has no end record, so it is no zip archive or cut short')
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const nameOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')

async function readDirectory(directory: Uint8Array, count: number, what: string): Promise<Entry[]> {
  const view = viewOf(directory)
  const names = new Set<string>()
  const entries: Entry[] = []
  const turns = new Turns()
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || view.getUint32(at, true) !== directoryEntry) {
      throw damaged(what, `its directory has no entry ${i} of ${count}`)
    }
    const nameLength = view.getUint16(at + 28, true)
    const next = at + 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
    if (next > directory.length) throw damaged(what, `directory entry ${i} runs past the end`)
    const name = nameOf(directory.subarray(at + 46, at + 46 + nameLength))
    if (names.has(name)) throw damaged(what, `${show(name)} occurs twice`)
    names.add(name)
    entries.push(readEntry(view, at, name, what))
    at = next
    if (i % 64 === 0) await turns.take()
  }
  if (at !== directory.length) throw damaged(what, `its directory has more than the ${count} entries it claims`)
  return entries
}

function readEntry(view: DataView, at: number, name: string, what: string): Entry {
  const label = `${what}: ${show(name)}`
  const flags = view.getUint16(at + 8, true)
  const method = view.getUint16(at + 10, true)
  if (flags & 1 || (method !== 0 && method !== 8)) {
    const reason = flags & 1 ? 'is encrypted' : `uses compression method ${method}`
    throw new DataError('ERR_ZIP_METHOD', `${label} ${reason}; only stored and deflated files can be read. Save it with numpy.savez.`)
  }
  const { packed, size, start } = sizes(view, at, label)
  // Deflate shrinks at most 1,032 times.
  if (method === 0 ? size !== packed : size > packed * 1032) throw damaged(label, `${packed} bytes cannot hold the ${size} it claims`)
  return { name, label, method, crc: view.getUint32(at + 16, true), packed, size, start, end: 0 }
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

/** Gives each entry the bytes up to the next one. Entries that share bytes would unpack to a multiple of the file. */
function placeApart(entries: readonly Entry[], directory: number): void {
  let end = directory
  for (const entry of [...entries].sort((a, b) => b.start - a.start)) {
    if (entry.start + 30 + entry.packed > end) {
      throw damaged(entry.label, end === directory ? 'it runs past the end' : 'it shares bytes with the entry behind it')
    }
    entry.end = end
    end = entry.start
  }
}

async function* content(bytes: Bytes, entry: Entry): AsyncGenerator<Uint8Array, void, undefined> {
  const { name, label, start, end, packed, size } = entry
  const view = viewOf(await bytes.read(start, 30))
  if (view.getUint32(0, true) !== localHeader) throw damaged(label, 'it has no local header')
  const nameLength = view.getUint16(26, true)
  const from = start + 30 + nameLength + view.getUint16(28, true)
  if (from + packed > end) throw damaged(label, 'it runs into what is behind it')
  // the checksum is of the content only: a name is damaged where its two places differ
  if (nameOf(await bytes.read(start + 30, nameLength)) !== name) throw damaged(label, 'its name is another one where it lies')
  let length = 0
  let crc = 0
  try {
    for await (const piece of entry.method === 0 ? piecesOf(bytes, from, packed) : inflate(bytes, from, packed, size)) {
      length += piece.length
      if (length > size) throw damaged(label, `it holds more than the ${size} bytes it claims`)
      crc = crc32(piece, crc)
      yield piece
    }
  } catch (cause) {
    const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined
    if (!code?.startsWith('Z_') && code !== 'ERR_BUFFER_TOO_LARGE') throw cause
    throw damaged(label, `it cannot be unpacked: ${(cause as Error).message}`, cause)
  }
  if (length !== size) throw damaged(label, `it holds ${length} bytes instead of ${size}`)
  if (crc !== entry.crc) {
    throw new DataError(
      'ERR_ZIP_CRC',
      `${label}: checksum ${crc.toString(16)} instead of ${entry.crc.toString(16)}. Fetch or save the file again.`,
    )
  }
}

/** Names come from the file. */
function show(name: string): string {
  return JSON.stringify(name.length <= 100 ? name : `${name.slice(0, 99)}…`)
}

function damaged(what: string, reason: string, cause?: unknown): DataError {
  const options = cause === undefined ? undefined : { cause }
  return new DataError('ERR_ZIP_FORMAT', `${what}: the archive is damaged: ${reason}. Fetch or save the file again.`, options)
}
