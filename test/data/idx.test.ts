import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { DataError } from '../../src/base/errors.js'
import { parseIdx, readIdx } from '../../src/data/idx.js'

/** Two images of 2 by 3. */
const images = Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)

async function failure(work: Promise<unknown> | (() => unknown)): Promise<DataError> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    expect(error).toBeInstanceOf(DataError)
    return error as DataError
  }
  throw new Error('expected a DataError')
}

describe('idx', () => {
  it('reads raw and compressed bytes alike', async () => {
    for (const bytes of [images, Buffer.from(images), gzipSync(images)]) {
      const { shape, data } = await readIdx(bytes)
      expect(shape).toEqual([2, 2, 3])
      expect(data).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
      expect(data.constructor).toBe(Uint8Array)
    }
  })

  it('copies raw data', () => {
    const bytes = Buffer.from(images)
    const { data } = parseIdx(bytes)
    bytes.fill(0)
    expect(data[0]).toBe(1)
  })

  it.each([
    [0x09, [0xff], Int8Array.of(-1)],
    [0x0b, [0xff, 0xfe], Int16Array.of(-2)],
    [0x0c, [0xff, 0xff, 0xff, 0xfd], Int32Array.of(-3)],
    [0x0d, [0x3f, 0xc0, 0, 0], Float32Array.of(1.5)],
    [0x0e, [0x3f, 0xf8, 0, 0, 0, 0, 0, 0], Float64Array.of(1.5)],
  ])('reads element type %i', (type, element, expected) => {
    expect(parseIdx(Uint8Array.of(0, 0, type, 1, 0, 0, 0, 1, ...element)).data).toEqual(expected)
  })

  it('reads empty arrays', () => {
    expect(parseIdx(Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 5))).toEqual({ shape: [0, 5], data: new Uint8Array(0) })
  })

  it('refuses a file cut at any byte', async () => {
    for (let end = 0; end < images.length; end++) {
      const error = await failure(() => parseIdx(images.subarray(0, end), 'cut'))
      expect(error.code).toBe('ERR_IDX_TRUNCATED')
      expect(error.message).toMatch(/^cut: the file is truncated/)
    }
  })

  it('refuses a compressed file cut at any byte, or with any byte changed', async () => {
    const packed = gzipSync(images)
    for (let end = 0; end < packed.length; end++) {
      await failure(readIdx(packed.subarray(0, end)))
    }
    for (let at = 0; at < packed.length; at++) {
      const wrong = Uint8Array.from(packed)
      wrong[at] ^= 0x55
      // Some bytes of the gzip header (time, system) carry nothing.
      if (at >= 4 && at < 10) continue
      await failure(readIdx(wrong))
    }
  })

  it('refuses trailing bytes, wrong magic numbers and impossible extents', async () => {
    expect((await failure(() => parseIdx(Uint8Array.of(...images, 0)))).code).toBe('ERR_IDX_TRAILING')
    for (const magic of [
      [1, 0, 8, 1],
      [0, 1, 8, 1],
      [0, 0, 7, 1],
      [0, 0, 8, 0],
      [0, 0, 8, 9],
      [0x1f, 0x8b, 8, 1],
    ]) {
      expect((await failure(() => parseIdx(Uint8Array.of(...magic, 0, 0, 0, 0)))).code).toBe('ERR_IDX_MAGIC')
    }
    const huge = Uint8Array.of(0, 0, 14, 8, ...new Array<number>(32).fill(0xff))
    expect((await failure(() => parseIdx(huge))).code).toBe('ERR_IDX_TRUNCATED')
  })

  it('does not unpack more than the limit', async () => {
    const bomb = gzipSync(new Uint8Array(2 ** 22))
    const error = await failure(readIdx(bomb, { maxBytes: 1000 }))
    expect(error.code).toBe('ERR_DATA_GZIP')
    expect(error.message).toContain('at most 1000')
  })
})
