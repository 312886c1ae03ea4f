/**
 * Unpacking what deflate packed. In: packed bytes and how many they are said to unpack to. Out: pieces of the unpacked, never more than was said, made
 * on another thread unless they are few. Also the checksum of zip and gzip.
 */
import * as zlib from 'node:zlib'
import { type Bytes, piecesOf } from './read.js'

/** Smaller than this, a change of threads takes longer than unpacking: about a fifth of a millisecond. */
const few = 2 ** 16

/**
 * The unpacked bytes of `packed` raw deflated bytes from `at`. Ends after `size` bytes and a piece that is more.
 *
 * @throws zlib's own error for damaged bytes.
 */
export async function* inflate(bytes: Bytes, at: number, packed: number, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (packed <= few && size <= few) {
    // a limit of 0 is refused, and a byte more than claimed is what betrays a wrong claim
    yield zlib.inflateRawSync(await bytes.read(at, packed), { maxOutputLength: size + 1 })
    return
  }
  const inflater = zlib.createInflateRaw({ chunkSize: 2 ** 18 })
  void feed(inflater, piecesOf(bytes, at, packed))
  let length = 0
  for await (const piece of inflater) {
    yield piece as Uint8Array
    length += (piece as Uint8Array).length
    if (length > size) break
  }
}

/** Hands over one piece when the one before is used up, so that its memory may be used again. Stops with the inflater, which also tells errors. */
async function feed(inflater: zlib.InflateRaw, pieces: AsyncGenerator<Uint8Array>): Promise<void> {
  try {
    for await (const piece of pieces) {
      if (inflater.destroyed) return
      await new Promise<void>((resolve, reject) => inflater.write(piece, (error) => (error ? reject(error) : resolve())))
    }
    inflater.end()
  } catch (error) {
    inflater.destroy(error as Error)
  }
}

let table: Uint32Array | undefined

/**
 * CRC-32 as in zip and PNG, of bytes that follow those of which `before` is the checksum.
 *
 *     crc32(new TextEncoder().encode('123456789')).toString(16)   // 'cbf43926'
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  // missing from the first releases of Node 20
  const own = (zlib as { crc32?: (data: Uint8Array, value: number) => number }).crc32
  if (own !== undefined) return own(bytes, before)
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
    return value
  })
  let crc = ~before
  for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 255] ^ (crc >>> 8)
  return ~crc >>> 0
}
