import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ArgumentError, DataError } from '../../src/base/errors.js'
import { crc32 } from '../../src/io/inflate.js'
import { loadNpy, loadNpz, readNpy, readNpz, saveNpy, serializeNpy } from '../../src/io/npy.js'
import { bytesOf, piecesOf } from '../../src/io/read.js'
import type { StoredArray } from '../../src/io/wire.js'
import { readZip } from '../../src/io/zip.js'

/** Files that NumPy 2.4 wrote: np.arange(6).reshape(2, 3) in each dtype, and others named for what they hold. */
const fixtures = JSON.parse(readFileSync(join(import.meta.dirname, 'numpy.fixtures.json'), 'utf8')) as Record<string, string>
const fixture = (name: string): Uint8Array => new Uint8Array(Buffer.from(fixtures[name], 'base64'))

const parseNpy = (bytes: Uint8Array): Promise<StoredArray> => readNpy(piecesOf(bytesOf(bytes), 0, bytes.length), bytes.length, 'npy')
const parseNpz = (bytes: Uint8Array): Promise<Map<string, StoredArray>> => readNpz(bytesOf(bytes), 'npz')

/** All files of an archive, as a whole. */
async function unzip(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const { name, pieces } of await readZip(bytesOf(bytes))) {
    const parts: Uint8Array[] = []
    for await (const piece of pieces()) parts.push(Uint8Array.from(piece))
    files.set(name, new Uint8Array(Buffer.concat(parts)))
  }
  return files
}

async function failure(work: () => unknown): Promise<DataError> {
  try {
    await work()
  } catch (error) {
    expect(error).toBeInstanceOf(DataError)
    return error as DataError
  }
  throw new Error('expected a DataError')
}

function withHeader(header: string, data: number[] = []): Uint8Array {
  return Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8, ...Buffer.from(header), ...data)
}

describe('npy', () => {
  const dtypes = ['<f4', '>f4', '<f8', '<f2', '>f2', '<i8', '>i8', '<i4', '>i4', '<i2', '>i2', 'i1', '<u2', 'u1', '<u4', '<u8']
  it.each([...dtypes, 'fortran', 'v2', 'v3'])('reads %s', async (name) => {
    const { data, shape, dtype } = await parseNpy(fixture(name))
    expect([...data]).toEqual([0, 1, 2, 3, 4, 5])
    expect(shape).toEqual([2, 3])
    expect(dtype).toBe(name === 'u1' ? 'uint8' : /i|u\d/.test(name) ? 'int32' : 'float32')
  })

  it('reads bools, scalars, vectors, empty arrays and three axes in column-major order', async () => {
    expect(await parseNpy(fixture('bool'))).toEqual({ data: Uint8Array.of(1, 0, 1, 0, 1, 0), shape: [2, 3], dtype: 'bool' })
    expect(await parseNpy(fixture('scalar'))).toEqual({ data: Float32Array.of(5), shape: [], dtype: 'float32' })
    expect((await parseNpy(fixture('vector'))).shape).toEqual([3])
    expect((await parseNpy(fixture('empty'))).shape).toEqual([0, 3])
    expect([...(await parseNpy(fixture('fortran3'))).data]).toEqual(Array.from({ length: 24 }, (_, i) => i))
  })

  it('refuses what is not numbers, and says why', async () => {
    for (const name of ['object', 'complex', 'record', 'string'])
      expect((await failure(() => parseNpy(fixture(name)))).code).toBe('ERR_NPY_DTYPE')
    expect((await failure(() => parseNpy(fixture('object')))).message).toContain('pickle')
  })

  it('writes what NumPy writes', async () => {
    for (const name of ['<f4', '<i4', 'u1', 'bool', 'scalar', 'vector', 'empty']) {
      expect(serializeNpy(await parseNpy(fixture(name)))).toEqual(fixture(name))
    }
    expect(() => serializeNpy({ data: Float32Array.of(1), shape: [2], dtype: 'float32' })).toThrow(ArgumentError)
    const wide: StoredArray = { data: Float64Array.of(1.5), shape: [1], dtype: 'float64' }
    expect(await parseNpy(serializeNpy(wide))).toEqual({ data: Float32Array.of(1.5), shape: [1], dtype: 'float32' })
  })

  it('refuses a file cut at any byte, and bytes too many', async () => {
    for (const name of ['<f4', 'v2', 'fortran']) {
      const bytes = fixture(name)
      for (let end = 0; end < bytes.length; end++) await failure(() => parseNpy(bytes.subarray(0, end)))
      expect((await failure(() => parseNpy(Uint8Array.of(...bytes, 0)))).code).toBe('ERR_NPY_TRAILING')
    }
  })

  it.each([
    '',
    '{}',
    "{'descr': '<f4', 'fortran_order': False}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': True}",
    "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
    "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9007199254740991, 9007199254740991,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os')}",
    "{'descr': 'toString', 'fortran_order': False, 'shape': (1,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
    `{'descr': '<f4', 'fortran_order': False, 'shape': (${'1, '.repeat(20000)}x)}`,
    `{'descr': '<f4', ${' '.repeat(60000)}`,
  ])('refuses the header %s', async (header) => {
    await failure(() => parseNpy(withHeader(header, [0, 0, 128, 63])))
  })

  it('saves and loads files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'chainrule-npy-'))
    try {
      const array = await parseNpy(fixture('<f4'))
      await saveNpy(join(folder, 'a.npy'), array)
      expect(await loadNpy(join(folder, 'a.npy'))).toEqual(array)
      await writeFile(join(folder, 'a.npz'), fixture('npz'))
      expect([...(await loadNpz(join(folder, 'a.npz'))).keys()]).toEqual(['w', 'b'])
      await expect(loadNpy(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_FILE_READ' })
      expect((await readdir(folder)).sort()).toEqual(['a.npy', 'a.npz'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

/** A small zip of one file, with what the caller wants to be wrong. */
function zip(
  content: Uint8Array,
  change: { method?: number; flags?: number; size?: number; packed?: number; crc?: number; names?: string[]; start?: number } = {},
): Uint8Array {
  const method = change.method ?? 0
  const raw = method === 8 ? deflateRawSync(content) : content
  const locals: Buffer[] = []
  const central: Buffer[] = []
  let at = 0
  for (const name of change.names ?? ['a']) {
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(name.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(change.flags ?? 0, 8)
    entry.writeUInt16LE(method, 10)
    entry.writeUInt32LE(change.crc ?? crc32(content), 16)
    entry.writeUInt32LE(change.packed ?? raw.length, 20)
    entry.writeUInt32LE(change.size ?? content.length, 24)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(change.start ?? at, 42)
    locals.push(local, Buffer.from(name), Buffer.from(raw))
    central.push(entry, Buffer.from(name))
    at += 30 + name.length + raw.length
  }
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(central.length / 2, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(at, 16)
  return new Uint8Array(Buffer.concat([...locals, directory, end]))
}

describe('npz', () => {
  it('reads stored and compressed archives', async () => {
    const stored = await parseNpz(fixture('npz'))
    expect(stored.get('w')).toEqual({ data: Float32Array.of(0, 1, 2, 3, 4, 5), shape: [2, 3], dtype: 'float32' })
    expect(stored.get('b')?.data).toEqual(Int32Array.of(0, 1, 2))
    const compressed = await parseNpz(fixture('npz_compressed'))
    expect(compressed.get('w')).toEqual({ data: new Float32Array(400), shape: [20, 20], dtype: 'float32' })
  })

  it('reads comments, folders and empty archives', async () => {
    const plain = zip(Uint8Array.of(1, 2))
    const commented = Buffer.concat([plain, Buffer.from('hello')])
    commented.writeUInt16LE(5, plain.length - 2)
    expect((await unzip(new Uint8Array(commented))).get('a')).toEqual(Uint8Array.of(1, 2))
    expect((await unzip(zip(new Uint8Array(0), { names: ['folder/'] }))).size).toBe(0)
    expect((await unzip(zip(new Uint8Array(0), { method: 8 }))).get('a')?.length).toBe(0)
    expect((await unzip(zip(new Uint8Array(0), { names: [] }))).size).toBe(0)
  })

  it('refuses what is wrong with an entry', async () => {
    const content = new Uint8Array(100).fill(7)
    const code = async (change: Parameters<typeof zip>[1]): Promise<string> => (await failure(() => unzip(zip(content, change)))).code
    expect(await code({ flags: 1 })).toBe('ERR_ZIP_METHOD')
    expect(await code({ method: 12 })).toBe('ERR_ZIP_METHOD')
    expect(await code({ crc: 5 })).toBe('ERR_ZIP_CRC')
    for (const change of [
      { size: 99 },
      { packed: 2 ** 31 },
      { method: 8, size: 99 },
      { method: 8, size: 101 },
      { method: 8, size: 2 ** 31 },
      { start: 1 },
      { start: 2 ** 32 - 2 },
      { names: ['a', 'a'] },
    ]) {
      expect(await code(change)).toBe('ERR_ZIP_FORMAT')
    }
  })

  it('refuses an archive cut at any byte; after any change it is refused, or the same is read', async () => {
    for (const name of ['npz', 'npz_compressed']) {
      const bytes = fixture(name)
      const sound = [...(await parseNpz(bytes))]
      for (let end = 0; end < bytes.length; end++) await failure(() => parseNpz(bytes.subarray(0, end)))
      for (let at = 0; at < bytes.length; at++) {
        for (const mask of [0xff, 0x01, 0x80]) {
          const wrong = Uint8Array.from(bytes)
          wrong[at] ^= mask
          try {
            expect([...(await parseNpz(wrong))]).toEqual(sound)
          } catch (error) {
            if (!(error instanceof DataError)) throw error
          }
        }
      }
    }
  })

  it('refuses a directory that hides members, and members of two names', async () => {
    const whole = zip(Uint8Array.of(1), { names: ['a', 'b'] })
    const end = whole.length - 22
    const fails = async (change: (bytes: Buffer) => void): Promise<string> => {
      const bytes = Buffer.from(whole)
      change(bytes)
      return (await failure(() => unzip(new Uint8Array(bytes)))).message
    }
    expect(await fails((bytes) => bytes.fill(0, end + 8, end + 16))).toMatch('ends before its end record')
    expect(await fails((bytes) => bytes.writeUInt16LE(1, end + 10))).toMatch('more than the 1 entries it claims')
    expect(await fails((bytes) => bytes.write('c', 30))).toMatch('its name is another one where it lies')
  })

  it('computes CRC-32', async () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926)
    expect(crc32(new Uint8Array(0))).toBe(0)
  })
})

const numpy = (() => {
  try {
    execFileSync('python3', ['-c', 'import numpy'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

it.skipIf(!numpy)('is read by NumPy', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'chainrule-numpy-'))
  try {
    await saveNpy(join(folder, 'a.npy'), { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [3, 2], dtype: 'float32' })
    const code = 'import sys, numpy; a = numpy.load(sys.argv[1]); print(a.dtype, a.shape, a.ravel().tolist())'
    const printed = execFileSync('python3', ['-c', code, join(folder, 'a.npy')])
      .toString()
      .trim()
    expect(printed).toBe('float32 (3, 2) [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]')
  } finally {
    await rm(folder, { recursive: true })
  }
})
