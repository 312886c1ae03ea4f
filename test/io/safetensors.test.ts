import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ArgumentError, DataError } from '../../src/base/errors.js'
import { loadSafetensors, parseSafetensors, saveSafetensors, serializeSafetensors } from '../../src/io/safetensors.js'
import type { StoredArray } from '../../src/io/wire.js'

/** A file from a header (text or object) and data bytes. */
function file(header: unknown, data: ArrayLike<number> = [], size?: bigint): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(size ?? BigInt(text.length))
  return new Uint8Array(Buffer.concat([prefix, text, Uint8Array.from(data)]))
}

function failure(work: () => unknown): DataError {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(DataError)
    return error as DataError
  }
  throw new Error('expected a DataError')
}

/** One tensor of one dtype. */
function one(dtype: string, shape: number[], bytes: ArrayBufferView | number[]): Uint8Array {
  const data = Array.isArray(bytes) ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return file({ x: { dtype, shape, data_offsets: [0, data.length] } }, data)
}

const read = (dtype: string, shape: number[], bytes: ArrayBufferView | number[]): StoredArray | undefined =>
  parseSafetensors(one(dtype, shape, bytes)).tensors.get('x')

const sample: Record<string, StoredArray> = {
  'layers.0.weight': { data: Float32Array.of(1.5, -2, NaN, Infinity, -0, 1e-40), shape: [2, 3], dtype: 'float32' },
  'layers.0.bias': { data: Float32Array.of(0.1), shape: [], dtype: 'float32' },
  steps: { data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1), shape: [2], dtype: 'int32' },
  bytes: { data: Uint8Array.of(0, 128, 255), shape: [3, 1], dtype: 'uint8' },
  mask: { data: Uint8Array.of(1, 0), shape: [2], dtype: 'bool' },
  empty: { data: new Float32Array(0), shape: [0, 4], dtype: 'float32' },
  // Object.entries yields an own __proto__ when it is made like this.
  ['__proto__']: { data: Float32Array.of(7), shape: [1], dtype: 'float32' },
  'ключ 🔑 "quoted"': { data: Uint8Array.of(9), shape: [1], dtype: 'uint8' },
  '12': { data: Int32Array.of(12), shape: [1], dtype: 'int32' },
}

describe('round trip', () => {
  it('keeps every array and all metadata', () => {
    const bytes = serializeSafetensors(sample, { metadata: { format: 'pt', ['__proto__']: 'x', note: 'line\nbreak' } })
    const { tensors, metadata } = parseSafetensors(bytes)
    expect(Object.fromEntries(tensors)).toEqual(sample)
    expect([...metadata].sort()).toEqual([
      ['__proto__', 'x'],
      ['format', 'pt'],
      ['note', 'line\nbreak'],
    ])
    expect(serializeSafetensors(tensors, { metadata })).toEqual(bytes)
  })

  it('writes what the reference implementation writes', () => {
    const bytes = serializeSafetensors({
      b: { data: Uint8Array.of(5), shape: [1], dtype: 'uint8' },
      a: { data: Float32Array.of(1), shape: [1], dtype: 'float32' },
    })
    const header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}}'
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8)
    expect(bytes).toEqual(file(padded, [0, 0, 0x80, 0x3f, 5]))
  })

  it('aligns every tensor to its element size', () => {
    const bytes = serializeSafetensors(sample)
    const size = Number(new DataView(bytes.buffer).getBigUint64(0, true))
    expect(size % 8).toBe(0)
    const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + size)).toString()) as Record<
      string,
      { dtype: string; data_offsets: number[] }
    >
    for (const {
      dtype,
      data_offsets: [begin],
    } of Object.values(header))
      expect((8 + size + begin) % (dtype.endsWith('32') ? 4 : 1)).toBe(0)
  })

  it('reads and writes nothing at all', () => {
    expect(parseSafetensors(serializeSafetensors({})).tensors.size).toBe(0)
    expect(parseSafetensors(file('{}   ')).tensors.size).toBe(0)
  })

  it('takes shared memory and views, and gives copies', () => {
    const shared = new Float32Array(new SharedArrayBuffer(16), 4, 2)
    shared.set([3, 4])
    const bytes = serializeSafetensors({ x: { data: shared, shape: [2], dtype: 'float32' } })
    const unaligned = new Uint8Array(bytes.length + 1)
    unaligned.set(bytes, 1)
    for (const input of [Buffer.from(bytes), unaligned.subarray(1)]) {
      const x = parseSafetensors(input).tensors.get('x')
      input.fill(0)
      expect(x?.data).toEqual(Float32Array.of(3, 4))
      expect(x?.data.buffer.byteLength).toBe(8)
    }
    const inShared = new Uint8Array(new SharedArrayBuffer(bytes.length))
    inShared.set(bytes)
    expect(parseSafetensors(inShared).tensors.get('x')?.data).toEqual(Float32Array.of(3, 4))
  })
})

describe('conversion', () => {
  it('reads other formats', () => {
    expect(read('F64', [2], Float64Array.of(0.1, -Infinity))).toEqual({
      data: Float32Array.of(0.1, -Infinity),
      shape: [2],
      dtype: 'float32',
    })
    expect(read('I64', [3], BigInt64Array.of(-1n, 2n ** 31n - 1n, -(2n ** 31n)))?.data).toEqual(Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31)))
    expect(read('U64', [2], BigUint64Array.of(0n, 2n ** 31n - 1n))?.data).toEqual(Int32Array.of(0, 2 ** 31 - 1))
    expect(read('U32', [1], Uint32Array.of(2 ** 31 - 1))?.data).toEqual(Int32Array.of(2 ** 31 - 1))
    expect(read('I16', [2], Int16Array.of(-5, 32767))?.data).toEqual(Int32Array.of(-5, 32767))
    expect(read('U16', [1], Uint16Array.of(65535))?.data).toEqual(Int32Array.of(65535))
    expect(read('I8', [2], Int8Array.of(-128, 127))?.data).toEqual(Int32Array.of(-128, 127))
    expect(read('BF16', [4], Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x0001))?.data).toEqual(Float32Array.of(1, -2, Infinity, 2 ** -133))
    const half = read('F16', [7], Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00, 0x7e00))
    expect(half?.data).toEqual(Float32Array.of(1, -2, 65504, 2 ** -24, -0, Infinity, NaN))
  })

  it('refuses values that do not fit', () => {
    expect(failure(() => read('I64', [2], BigInt64Array.of(0n, 2n ** 31n))).message).toContain(
      'tensor "x": the value 2147483648 at element 1 does not fit int32',
    )
    expect(failure(() => read('I64', [1], BigInt64Array.of(-(2n ** 63n)))).message).toContain('-9223372036854775808')
    expect(failure(() => read('U64', [1], BigUint64Array.of(2n ** 64n - 1n))).message).toContain('18446744073709551615')
    expect(failure(() => read('U32', [1], Uint32Array.of(2 ** 31))).message).toContain('2147483648')
    expect(failure(() => read('F64', [1], Float64Array.of(-1e39))).code).toBe('ERR_DATA_RANGE')
    expect(failure(() => read('BOOL', [2], [1, 2])).code).toBe('ERR_DATA_BOOL')
  })

  it('refuses a dtype without counterpart, unless it is left out', () => {
    const bytes = file(
      {
        a: { dtype: 'F8_E4M3', shape: [2], data_offsets: [0, 2] },
        b: { dtype: 'NEW', shape: [9], data_offsets: [2, 3] },
        c: { dtype: 'U8', shape: [1], data_offsets: [3, 4] },
      },
      [1, 2, 3, 4],
    )
    expect(failure(() => parseSafetensors(bytes)).code).toBe('ERR_SAFETENSORS_DTYPE')
    expect([...parseSafetensors(bytes, { filter: (name) => name === 'c' }).tensors.keys()]).toEqual(['c'])
  })

  it('writes every half and bfloat16 back as it was read', () => {
    for (const type of ['F16', 'BF16'] as const) {
      const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
      const x = read(type, [65536], all)
      if (!x) throw new Error('not read')
      const bytes = serializeSafetensors({ x }, { floatType: type })
      const back = new Uint16Array(bytes.slice(-131072).buffer)
      expect(all.filter((bits) => !Number.isNaN(x.data[bits]) && back[bits] !== bits)).toEqual(new Uint16Array(0))
    }
  })

  it('rounds to nearest, ties to even, as DataView and arithmetic say', () => {
    const write = (type: 'F16' | 'BF16', value: number): number => {
      const bytes = serializeSafetensors({ x: { data: Float32Array.of(value), shape: [1], dtype: 'float32' } }, { floatType: type })
      return bytes[bytes.length - 2] | (bytes[bytes.length - 1] << 8)
    }
    expect(write('F16', 1 + 2 ** -11)).toBe(0x3c00)
    expect(write('F16', 1 + 3 * 2 ** -11)).toBe(0x3c02)
    expect(write('F16', 1 + 2 ** -11 + 2 ** -20)).toBe(0x3c01)
    expect(write('F16', 65519)).toBe(0x7bff)
    expect(write('F16', 2 ** -25)).toBe(0)
    expect(write('F16', 3 * 2 ** -25)).toBe(2)
    expect(write('F16', 2 ** -14 - 2 ** -26)).toBe(0x400)
    expect(write('F16', NaN) & 0x7fff).toBeGreaterThan(0x7c00)
    expect(write('BF16', 1 + 2 ** -8)).toBe(0x3f80)
    expect(write('BF16', 1 + 3 * 2 ** -8)).toBe(0x3f82)
    expect(failure(() => write('F16', 65520)).message).toContain('65520 at element 0 is too large for F16')
    expect(failure(() => write('F16', -1e30)).code).toBe('ERR_DATA_RANGE')
    expect(failure(() => write('BF16', 3.4e38)).code).toBe('ERR_DATA_RANGE')
  })
})

describe('malformed files', () => {
  const x = { dtype: 'U8', shape: [2], data_offsets: [0, 2] }
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'TRUNCATED'],
    ['header longer than the file', file('{}', [], 3n), 'TRUNCATED'],
    ['header beyond the limit', file('{}', [], 100_000_001n), 'HEADER'],
    ['header of 2^64 - 1', file('{}', [], 2n ** 64n - 1n), 'HEADER'],
    ['header of 0', file('', []), 'HEADER'],
    ['space first', file(' {}'), 'HEADER'],
    ['an array', file('[]'), 'HEADER'],
    ['a byte order mark', file('\ufeff{}'), 'HEADER'],
    ['bad JSON', file('{"x": }'), 'HEADER'],
    ['trailing JSON', file('{}{}'), 'HEADER'],
    ['bad UTF-8', file({}, []).map((byte, i) => (i === 9 ? 0xff : byte)), 'HEADER'],
    ['deep nesting', file(`{"x":${'['.repeat(1e5)}${']'.repeat(1e5)}}`), 'ENTRY'],
    ['duplicate names', file(`{"x":${JSON.stringify(x)},"x":${JSON.stringify(x)}}`, [1, 2]), 'HEADER'],
    ['duplicate names, escaped', file(`{"x":${JSON.stringify(x)},"\\u0078":${JSON.stringify(x)}}`, [1, 2]), 'HEADER'],
    ['duplicate keys in an entry', file('{"x":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}}', [1, 2]), 'HEADER'],
    ['metadata not an object', file({ __metadata__: ['x'] }), 'HEADER'],
    ['metadata not strings', file({ __metadata__: { a: 1 } }), 'HEADER'],
    ['entry null', file({ x: null }), 'ENTRY'],
    ['no dtype', file({ x: { ...x, dtype: undefined } }, [1, 2]), 'ENTRY'],
    ['shape missing', file({ x: { ...x, shape: undefined } }, [1, 2]), 'ENTRY'],
    ['negative extent', file({ x: { ...x, shape: [-2] } }, [1, 2]), 'ENTRY'],
    ['two negative extents', file({ x: { ...x, shape: [-2, -1] } }, [1, 2]), 'ENTRY'],
    ['fractional extent', file({ x: { ...x, shape: [0.5, 4] } }, [1, 2]), 'ENTRY'],
    ['string extent', file({ x: { ...x, shape: ['2'] } }, [1, 2]), 'ENTRY'],
    ['huge product', file({ x: { ...x, shape: [2 ** 52, 2 ** 52] } }, [1, 2]), 'ENTRY'],
    ['infinite product times 0', file({ x: { ...x, shape: [...new Array<number>(30).fill(2 ** 52), 0], data_offsets: [0, 0] } }), 'ENTRY'],
    ['huge extent', file('{"x":{"dtype":"U8","shape":[1e400],"data_offsets":[0,2]}}', [1, 2]), 'ENTRY'],
    ['offsets backwards', file({ x: { ...x, data_offsets: [2, 0] } }, [1, 2]), 'ENTRY'],
    ['one offset', file({ x: { ...x, data_offsets: [2] } }, [1, 2]), 'ENTRY'],
    ['shape and offsets disagree', file({ x: { ...x, shape: [3] } }, [1, 2]), 'ENTRY'],
    ['offsets beyond the end', file({ x: { ...x, data_offsets: [0, 2] } }, [1]), 'TRUNCATED'],
    ['offset not starting at 0', file({ x: { ...x, data_offsets: [1, 3] } }, [1, 2, 3]), 'LAYOUT'],
    ['overlap', file({ x, y: { ...x, data_offsets: [1, 3] } }, [1, 2, 3]), 'LAYOUT'],
    ['the same bytes twice', file({ x, y: x }, [1, 2]), 'LAYOUT'],
    ['gap', file({ x, y: { ...x, data_offsets: [3, 5] } }, [1, 2, 3, 4, 5]), 'LAYOUT'],
    ['trailing bytes', file({ x }, [1, 2, 3]), 'LAYOUT'],
  ]
  it.each(cases)('refuses: %s', (_, bytes, code) => {
    expect(failure(() => parseSafetensors(bytes)).code).toBe(`ERR_SAFETENSORS_${code}`)
  })

  it('quotes names of the file at most a line long', () => {
    const { message } = failure(() => parseSafetensors(file({ ['n'.repeat(1e6)]: 1 })))
    expect(message.length).toBeLessThan(300)
  })

  it('refuses strings of megabytes without a stack overflow', () => {
    const long = '\\"'.repeat(2e6)
    expect(parseSafetensors(file(`{"__metadata__":{"a":"${long}"}}`)).metadata.get('a')?.length).toBe(2e6)
  })

  it('refuses a file cut at any byte', () => {
    const bytes = serializeSafetensors(sample, { metadata: { format: 'pt' } })
    for (let end = 0; end < bytes.length; end++) failure(() => parseSafetensors(bytes.subarray(0, end)))
  })

  it('gives arrays or a DataError for any change of bytes', () => {
    const bytes = serializeSafetensors(sample, { metadata: { format: 'pt' } })
    let state = 12345
    const random = (n: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % n
    }
    for (let round = 0; round < 20_000; round++) {
      const wrong = Uint8Array.from(bytes)
      for (let k = random(4) + 1; k > 0; k--) wrong[random(wrong.length)] = random(2) ? random(256) : 48 + random(10)
      try {
        parseSafetensors(wrong)
      } catch (error) {
        if (!(error instanceof DataError)) throw error
      }
    }
  })
})

it('says that the bytes have gone elsewhere', () => {
  const gone = new Uint8Array(8)
  structuredClone(gone, { transfer: [gone.buffer] })
  expect(() => parseSafetensors(gone)).toThrow('transferred elsewhere')
})

describe('writing', () => {
  const x: StoredArray = { data: Float32Array.of(1), shape: [1], dtype: 'float32' }
  it('refuses arrays that contradict themselves', () => {
    for (const wrong of [
      { ...x, shape: [2] },
      { ...x, shape: [-1] },
      { ...x, shape: 1 },
      { ...x, dtype: 'int32' },
      { ...x, dtype: 'toString' },
      { ...x, data: [1] },
    ]) {
      expect(() => serializeSafetensors({ x: wrong as unknown as StoredArray })).toThrow(ArgumentError)
    }
    failure(() => serializeSafetensors({ x: { data: Uint8Array.of(2), shape: [1], dtype: 'bool' } }))
  })

  it('refuses names and metadata the format cannot hold', () => {
    expect(() => serializeSafetensors({ __metadata__: x })).toThrow('reserved')
    expect(() => serializeSafetensors({ '\ud800': x })).toThrow('well-formed')
    expect(() => serializeSafetensors({ x }, { metadata: { a: 1 as unknown as string } })).toThrow(ArgumentError)
    const deep = JSON.parse(`${'['.repeat(10_000)}${']'.repeat(10_000)}`) as string
    expect(() => serializeSafetensors({ x }, { metadata: { a: deep } })).toThrow('must be a well-formed string, received [[…]]')
    expect(() => serializeSafetensors({ x }, { floatType: 'F8' as 'F16' })).toThrow(ArgumentError)
  })
})

describe('files', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'chainrule-safetensors-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('saves and loads', async () => {
    const path = join(folder, 'model.safetensors')
    await saveSafetensors(path, sample, { metadata: { step: '7' } })
    const { tensors, metadata } = await loadSafetensors(path)
    expect(Object.fromEntries(tensors)).toEqual(sample)
    expect(metadata.get('step')).toBe('7')
    expect(new Uint8Array(await readFile(path))).toEqual(serializeSafetensors(sample, { metadata: { step: '7' } }))
    expect([...(await loadSafetensors(path, { filter: (name) => name.endsWith('bias') })).tensors.keys()]).toEqual(['layers.0.bias'])
    expect(await readdir(folder)).toEqual(['model.safetensors'])
  })

  it('writes what the tensors held at the call', async () => {
    const path = join(folder, 'x')
    const data = new Float32Array(1e6).fill(1)
    const saving = saveSafetensors(path, { x: { data, shape: [1e6], dtype: 'float32' } })
    data.fill(2)
    await saving
    const x = (await loadSafetensors(path)).tensors.get('x')
    expect(x?.data.every((value) => value === 1)).toBe(true)
  })

  it('never shows half a file to readers, however many write', async () => {
    const path = join(folder, 'x')
    const version = (value: number) => ({ x: { data: new Float32Array(1e5).fill(value), shape: [1e5], dtype: 'float32' as const } })
    await saveSafetensors(path, version(0))
    const writing = Promise.all(Array.from({ length: 20 }, (_, i) => saveSafetensors(path, version(i))))
    for (let i = 0; i < 20; i++) {
      const data = (await loadSafetensors(path)).tensors.get('x')?.data
      expect(data?.every((value) => value === data[0])).toBe(true)
    }
    await writing
    expect(await readdir(folder)).toEqual(['x'])
  })

  it('keeps the old file and leaves nothing behind when a save fails', async () => {
    await expect(saveSafetensors(join(folder, 'no', 'x'), sample)).rejects.toThrow('ENOENT')
    const path = join(folder, 'x')
    await saveSafetensors(path, sample)
    await expect(saveSafetensors(path, { '\ud800': sample.mask })).rejects.toThrow(ArgumentError)
    await expect(saveSafetensors(folder, sample)).rejects.toThrow()
    expect((await loadSafetensors(path)).tensors.size).toBe(Object.keys(sample).length)
    expect(await readdir(folder)).toEqual(['x'])
  })

  it.skipIf(process.platform === 'win32')('follows a symbolic link', async () => {
    await writeFile(join(folder, 'real'), 'old')
    await symlink('real', join(folder, 'link'))
    await saveSafetensors(join(folder, 'link'), sample)
    expect((await loadSafetensors(join(folder, 'real'))).tensors.size).toBe(Object.keys(sample).length)
  })

  it('refuses files cut at any byte, missing files and folders, naming them', async () => {
    const bytes = serializeSafetensors(sample)
    const path = join(folder, 'cut')
    for (let end = 0; end < bytes.length; end += 3) {
      await writeFile(path, bytes.subarray(0, end))
      const error = await loadSafetensors(path).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(DataError)
      expect((error as DataError).message).toContain(path)
    }
    await expect(loadSafetensors(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_FILE_READ' })
    await expect(loadSafetensors(folder)).rejects.toMatchObject({ name: 'DataError' })
    await saveSafetensors(path, sample)
    await expect(
      loadSafetensors(path, {
        filter: () => {
          throw new TypeError('mine')
        },
      }),
    ).rejects.toThrow(TypeError)
  })
})
